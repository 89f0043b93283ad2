"""The health of a run: what its numbers and its pictures show, since when, and what usually helps.

The same detector is fed while a run trains and afterwards from what its folder holds, so both say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from ganvas.config.objective import WassersteinLoss
from ganvas.config.run import RunConfig
from ganvas.errors import UserError
from ganvas.metrics.advice import advice
from ganvas.metrics.checks import CHECKS, LIMITS, SOURCES, Check, Memory, Severity, Values
from ganvas.metrics.curves import number
from ganvas.metrics.signals import over_grids
from ganvas.notebook import Shown
from ganvas.runs import RunFolder
from ganvas.sampling.grid import cells, read_png

RULE = (
    f"collapsed: its fixed latents' pictures differ by less than {LIMITS.variety:.0%} of what real ones differ by, or in less than "
    f"{LIMITS.dimensions:.0%} of the directions, or over {LIMITS.twins:.0%} more of them have a twin than among real ones, though they "
    f"were varied before or had {LIMITS.young_steps} steps and {LIMITS.young_images:,} pictures to learn; or they had that time and are "
    f"few kinds, each less than {LIMITS.nearest:.0%} as far from the one most like it as real ones are; or they are plain, "
    f"saturated or noise; diverged: the last KID is over {LIMITS.kid_rise:g} times the best"
)
SEVERITIES: tuple[Severity, ...] = ("notice", "warning", "collapse")
_NOT_LEARNT = "not learnt yet"
_LITTLE_RECALL, _LITTLE_RECALL_AT_LAST = "little recall", "little recall in the end"


@dataclass(frozen=True)
class Finding:
    """One thing that is, or was, wrong with a run."""

    kind: str
    severity: Severity
    seen: str
    """What is seen, as a sentence without its full stop, with the latest numbers."""
    since: int
    """Pictures shown when it was first seen."""
    until: int | None = None
    """Pictures shown when it was last seen, once it is over."""
    helps: tuple[str, ...] = ()
    """What usually helps, settings of ours first."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        about = {"kind": self.kind, "severity": self.severity, "seen": self.seen, "since": self.since, "until": self.until}
        return {**about, "helps": list(self.helps)}

    @property
    def sentence(self) -> str:
        """For people: what, and when."""
        when = f"since {self.since:,} pictures" if self.until is None else f"from {self.since:,} to {self.until:,} pictures"
        return f"{self.kind}, {when}: {self.seen}"


@dataclass
class _Course:
    """A check's course through a run."""

    check: Check
    agreeing: int = 0
    first: int = 0
    last: int = 0
    well: int = 0
    active: Finding | None = None


@dataclass
class Detector:
    """Takes a run's looks in order and says what begins and what ends."""

    config: RunConfig | None
    """For what usually helps; None: not known."""
    memory: Memory = field(default_factory=Memory)
    past: list[Finding] = field(default_factory=list)
    """What is over."""

    def __post_init__(self) -> None:
        loss = None if self.config is None else getattr(self.config.family, "loss", None)
        self.memory.critic = isinstance(loss, WassersteinLoss)
        self._courses = [_Course(check) for check in CHECKS]

    @property
    def active(self) -> list[Finding]:
        """What is going on, worst first."""
        found = [course.active for course in self._courses if course.active is not None]
        if any(finding.severity == "collapse" for finding in found):
            # A run that collapsed before it learnt anything is no longer young.
            found = [finding for finding in found if finding.kind != _NOT_LEARNT]
        if any(finding.kind == _LITTLE_RECALL_AT_LAST for finding in found):
            # The evaluation of the whole run says it better than those on the way.
            found = [finding for finding in found if finding.kind != _LITTLE_RECALL]
        return sorted(found, key=lambda f: -SEVERITIES.index(f.severity))

    def observe(self, images: int, values: Values) -> tuple[list[Finding], list[Finding]]:
        """Take in a look; what begins with it, and what ends. A number that is missing says nothing about its checks."""
        begun, ended = [], []
        self.memory.reach(images, values)
        for course in self._courses:
            if any(name not in values for name in course.check.needs):
                continue
            seen = course.check.judge(values, self.memory)
            if seen is None:
                over = self._well(course)
                ended += [over] if over else []
            elif (new := self._ill(course, images, seen)) is not None:
                begun.append(new)
        self.memory.add(values)
        return begun, ended

    def _ill(self, course: _Course, images: int, seen: str) -> Finding | None:
        if not course.agreeing:
            course.first = images
        course.agreeing, course.well, course.last = course.agreeing + 1, 0, images
        if course.active is not None:
            course.active = replace(course.active, seen=seen)
            return None
        if course.agreeing < course.check.looks:
            return None
        kind = course.check.kind
        course.active = Finding(kind, course.check.severity, seen, course.first, None, advice(kind, self.config))
        return course.active

    def _well(self, course: _Course) -> Finding | None:
        course.well += 1
        if course.active is None:
            course.agreeing = 0
            return None
        if course.well < course.check.looks:
            return None
        over = replace(course.active, until=course.last)
        self.past.append(over)
        course.active, course.agreeing = None, 0
        return over


def looks(*lines: Iterable[dict[str, Any]]) -> Iterator[tuple[int, dict[str, float]]]:
    """(pictures seen, numbers) of the lines of metrics, evaluations and signals, in order; lines of one moment are one look."""
    known = [line for part in lines for line in part if number(line.get("images")) is not None]
    for images, group in groupby(sorted(known, key=lambda line: line["images"]), lambda line: line["images"]):
        found = {key: value for line in group for key, each in line.items() if (value := number(each)) is not None}
        yield int(images), found


@dataclass(frozen=True)
class Health(Shown):
    """A judgement with its reasons; None where the run holds nothing to judge by."""

    collapsed: bool | None
    diverged: bool | None
    reasons: tuple[str, ...]
    variety: float | None
    """How much the pictures of the latest look differ, as a share of real ones; None where nothing was looked at."""
    twins: float | None
    """Share of the latest look's pictures that have a twin among them, beyond that among real ones."""
    findings: tuple[Finding, ...] = ()
    """What is going on, worst first, then what is over."""
    images: int = 0
    """Pictures shown at the latest look."""
    rollbacks: tuple[dict[str, Any], ...] = ()
    """Times that the run was rolled back: images, collapsed_at, reason, rate_factor."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": self.word,
            "collapsed": self.collapsed,
            "diverged": self.diverged,
            "not_learnt_yet": self.not_learnt,
            "reasons": list(self.reasons),
            "variety": self.variety,
            "twins": self.twins,
            "images": self.images,
            "findings": [finding.to_json() for finding in self.findings],
            "rollbacks": list(self.rollbacks),
        }

    @property
    def going_on(self) -> tuple[Finding, ...]:
        """The findings that are not over."""
        return tuple(finding for finding in self.findings if finding.until is None)

    @property
    def not_learnt(self) -> bool:
        """Whether it is too young to be judged."""
        return any(finding.kind == _NOT_LEARNT for finding in self.going_on)

    @property
    def word(self) -> str:
        """In a word or two; `no`: neither collapsed nor diverged."""
        if self.collapsed is None and self.diverged is None:
            return "unknown"
        found = [word for word, so in (("collapsed", self.collapsed), ("diverged", self.diverged)) if so]
        return " and ".join(found) or (_NOT_LEARNT if self.not_learnt else "no")

    def rows(self) -> list[tuple[str, str, str, str]]:
        """For a report: (severity or `over`, when, what is seen, what usually helps) of each finding; empty for a run that is well."""
        rows = []
        for finding in self.findings:
            over = finding.until is not None
            when = f"{finding.since:,} to {finding.until:,}" if finding.until is not None else f"since {finding.since:,}"
            rows.append(
                ("over" if over else finding.severity, when, f"{finding.kind}: {finding.seen}", "" if over else "; ".join(finding.helps))
            )
        return rows

    def summary(self) -> str:
        """For people: the verdict, then each finding with what usually helps."""
        words = {"no": "no collapse", "unknown": "nothing to judge by yet: no look at the pictures and no evaluation was made"}
        lines = [f"{words.get(self.word, self.word)} (after {self.images:,} pictures)" if self.images else words.get(self.word, self.word)]
        for finding in self.findings:
            lines.append(f"{finding.severity if finding.until is None else 'over':<9}{finding.sentence}.")
            if finding.until is None:
                lines += [f"{'':<9}- {help}" for help in finding.helps]
        for back in self.rollbacks:
            lines.append(f"rollback at {back['collapsed_at']:,} pictures to {back['images']:,}: {back['reason']}")
        if self.findings == () and self.word == "no":
            lines.append("Nothing out of the ordinary was seen.")
        return "\n".join(lines)


def judge(folder: RunFolder) -> Health:
    """Judge a run by all that its folder holds; where no signals were kept, its grids give them."""
    config = _config(folder)
    detector = Detector(config)
    signals = folder.signals() or of_grids(folder, config)
    seen: int = 0
    latest: tuple[float, float] | None = None
    for images, values in looks(folder.metrics(), folder.evaluations(), _finals(folder), signals):
        detector.observe(images, values)
        seen = images
        for source in SOURCES:
            if f"{source}variety" in values:
                latest = (values[f"{source}variety"], values[f"{source}twins"])
    findings = [*detector.active, *detector.past]
    status = folder.status()
    if status is not None and status.state == "failed" and "NaN or Inf" in (status.reason or ""):
        broken = Finding("not finite", "collapse", "training produced NaN or Inf", status.images, None, advice("not finite", config))
        findings = [broken, *findings]
    return _health(detector, findings, latest, seen, tuple(folder.provenance().get("rollbacks", ())))


def _health(
    detector: Detector, findings: list[Finding], latest: tuple[float, float] | None, images: int, rollbacks: tuple[dict[str, Any], ...]
) -> Health:
    now = [finding for finding in findings if finding.until is None]
    judged = latest is not None or any(f.severity == "collapse" for f in now)
    return Health(
        collapsed=any(f.severity == "collapse" for f in now) if judged else None,
        diverged=any(f.kind == "getting worse" for f in now) if detector.memory.evaluations > 1 else None,
        reasons=tuple(f.seen for f in now if f.severity == "collapse" or f.kind == "getting worse"),
        variety=None if latest is None else latest[0],
        twins=None if latest is None else latest[1],
        findings=tuple(findings),
        images=images,
        rollbacks=rollbacks,
    )


def _config(folder: RunFolder) -> RunConfig | None:
    try:
        return folder.config()
    except UserError:
        return None


def _finals(folder: RunFolder) -> list[dict[str, Any]]:
    """Precision, recall and coverage of `ganvas evaluate`, as a look at the run's end: of other numbers of pictures than while training."""
    scores, status = folder.evaluation() or {}, folder.status()
    found: dict[str, float] = {}
    for name in ("precision", "recall", "coverage"):
        score = scores.get(name)
        if isinstance(score, dict) and (value := number(score.get("value"))) is not None:
            found[f"final_{name}"] = value
    if not {"final_precision", "final_recall"} <= set(found):
        return []
    last = max((images for images, _ in looks(folder.metrics(), folder.evaluations())), default=0)
    return [{"images": max(last, status.images if status else 0), **found}]


def of_grids(folder: RunFolder, config: RunConfig | None) -> list[dict[str, Any]]:
    """Signals of a run that kept none; the grid of the untrained networks says nothing."""
    if config is None or (real := _cells(read_png(folder.real_file), config)) is None:
        return []
    shown = ((images, _cells(read_png(path), config)) for images, path in folder.grids() if images > 0)
    return over_grids(((images, pictures) for images, pictures in shown if pictures is not None and len(pictures) == len(real)), real)


def with_grids(folder: RunFolder) -> list[dict[str, Any]]:
    """The lines of signals, each with those of the grid that it was the first to see."""
    lines, before, config = [], 0, folder.config()
    for line in folder.signals():
        lines.append(line | grid_signals(folder, config, before, line["images"]))
        before = line["images"]
    return lines


def grid_signals(folder: RunFolder, config: RunConfig, after: int, until: int) -> dict[str, float]:
    """The signals, but for their place, of the latest grid of more than `after` and at most `until` pictures; empty without one."""
    shown = [(images, path) for images, path in folder.grids() if images <= until]
    if not shown or shown[-1][0] <= after or (real := _cells(read_png(folder.real_file), config)) is None:
        return {}
    pictures = [(images, found) for images, path in shown[-2:] if (found := _cells(read_png(path), config)) is not None]
    lines = over_grids(((images, found) for images, found in pictures if len(found) == len(real)), real)
    return {name: value for name, value in lines[-1].items() if name != "images"} if lines else {}


def _cells(sheet: np.ndarray | None, config: RunConfig) -> np.ndarray | None:
    if sheet is None:
        return None
    try:
        found = cells(sheet, config.data.resolution)[: config.samples.rows * config.samples.columns]
    except UserError:
        return None
    return found if len(found) > 1 else None
