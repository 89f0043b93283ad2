"""What can go wrong in a run, each as a check of the numbers of one look, with its thresholds.

`benchmarks/health.md` says on which runs the thresholds were set and on which others they were tried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from ganvas.metrics.signals import GRID

Severity = Literal["notice", "warning", "collapse"]
"""notice: to be known; warning: the run suffers; collapse: it makes nothing of use, and will hardly recover."""
Values = Mapping[str, float]
"""The numbers of one look: a line each of metrics, evaluations and signals, as far as there are any."""


@dataclass(frozen=True)
class Limits:
    """Every threshold, in one place. Shares of real pictures' values where nothing else is said."""

    variety: float = 0.4
    """Less counts as always the same picture."""
    twins: float = 0.15
    """Share of the pictures with a twin, beyond that among real ones; more counts as a few pictures repeated."""
    nearest: float = 0.55
    """How far pictures are from the one most like them, for how much they differ; less counts as few kinds, each in many shades."""
    dimensions: float = 0.5
    """Directions in which the pictures differ; fewer counts as one picture in several shades."""
    learnt_variety: float = 0.5
    """A run whose pictures once differed by this had learnt something that it can lose."""
    learnt_twins: float = 0.1
    """The same: at most so many twins."""
    young_steps: int = 600
    """A run of fewer steps that never learnt is young: it has not collapsed."""
    young_images: int = 30_000
    """The same in pictures; a run is young while it is below either."""
    detail: float = 0.15
    """Contrast within a picture below this: plain areas, dead outputs."""
    roughness: float = 4.5
    """Neighbouring pixels that differ by more than this: noise. Fully connected networks that are well make 3.6."""
    saturated: float = 0.5
    """Share of pixels at the ends of the range, beyond that of real ones."""
    frozen: float = 0.003
    """Change of the fixed latents' pictures between two looks below this: nothing moves any more."""
    restless: float = 0.9
    """The same change, as a share of how much the pictures differ: more, look after look, is hopping from mode to mode."""
    sure: float = 0.98
    """D's accuracy, on real pictures and on fakes, above which it wins."""
    overfit_gap: float = 0.25
    """D's accuracy on real pictures that it learns from, less that on held-out ones."""
    overfit_logit: float = 0.5
    """How far held-out pictures fell from the trained ones towards the fakes, by D's mean logits: 0 not at all, 1 all the way."""
    kid_rise: float = 2.0
    """The last KID over the best one."""
    kid_floor: float = 0.005
    """KIDs below this are all alike."""
    recall: float = 0.01
    """Less, with `some_precision`, is told."""
    some_precision: float = 0.2
    some_coverage: float = 0.2
    """With little recall and less than this, or than `some_precision`, a run ends with pictures that are unlike real ones."""
    recall_fall: float = 0.33
    """The last recall over the best one."""
    copies: float = 0.02
    """Share of near-copies among new pictures, below which none are told of."""
    gradient_rise: float = 30.0
    """A gradient's norm over its median so far."""
    gradient_fall: float = 1e-3
    """The same, vanishing."""
    penalty_rise: float = 20.0
    """A penalty over its median so far."""
    penalty_floor: float = 1.0
    """Penalties below this never explode."""
    kid_fall: float = 0.95
    """A KID below this share of the best one before: the run gets better."""


LIMITS = Limits()


@dataclass
class Memory:
    """What a run was like so far."""

    critic: bool = False
    """Whether D is a Wasserstein critic."""
    learnt: bool = False
    """Whether its pictures ever differed as real ones do, in two looks one after the other."""
    _good: dict[str, int] = field(default_factory=dict)
    best_variety: float = 0.0
    best_kid: float | None = None
    better: bool = False
    """Whether the last evaluation's KID was clearly better than all before it."""
    best_recall: float | None = None
    step: float = 0
    images: int = 0
    evaluations: int = 0
    typical: dict[str, deque[float]] = field(default_factory=dict)
    """Norms and penalties of the last looks, by name."""

    def reach(self, images: int, values: Values) -> None:
        """How far the run is, before a look is judged."""
        self.images, self.step = images, values.get("step", self.step)
        self.evaluations += "kid" in values

    def add(self, values: Values) -> None:
        """Take in a look, after it was judged."""
        for source in SOURCES:
            if f"{source}variety" in values:
                variety, twins = values[f"{source}variety"], values[f"{source}twins"]
                few = values.get(f"{source}nearest", 1.0) < LIMITS.nearest
                good = variety >= LIMITS.learnt_variety and twins <= LIMITS.learnt_twins and not few
                self._good[source] = self._good.get(source, 0) + 1 if good else 0
                self.learnt = self.learnt or self._good[source] >= 2
                self.best_variety = max(self.best_variety, variety)
        if "kid" in values:
            self.better = self.best_kid is not None and values["kid"] < LIMITS.kid_fall * self.best_kid
            self.best_kid = values["kid"] if self.best_kid is None else min(self.best_kid, values["kid"])
        if "recall" in values:
            self.best_recall = max(self.best_recall or 0.0, values["recall"])
        for name in (*GRADIENTS, *PENALTIES):
            if name in values:
                self.typical.setdefault(name, deque(maxlen=50)).append(values[name])

    def usual(self, name: str) -> float | None:
        """The median of a number so far; None before there are five of it."""
        kept = self.typical.get(name, ())
        return median(kept) if len(kept) >= 5 else None

    @property
    def young(self) -> bool:
        """Whether it had no time to learn yet."""
        return self.images < LIMITS.young_images or 0 < self.step < LIMITS.young_steps

    @property
    def on_its_way(self) -> bool:
        """Whether its evaluations say that it gets better, or are too few to say that it does not."""
        return self.better or self.evaluations == 1


SOURCES = {"": "the fixed latents' pictures", GRID: "the average's pictures"}
"""What was looked at, by the prefix of its signals."""
GRADIENTS = ("gradient_g", "gradient_d")
PENALTIES = ("r1", "gradient_penalty", "orthogonality")
PLAYERS = {"gradient_g": "the generator", "gradient_d": "the discriminator"}


Verdict = str | None
"""What is seen, as a sentence without its full stop; None: all is well."""


@dataclass(frozen=True)
class Check:
    """One thing that can go wrong."""

    kind: str
    severity: Severity
    needs: tuple[str, ...]
    """The numbers without which a look says nothing about it."""
    judge: Callable[[Values, Memory], Verdict]
    looks: int
    """So many looks in a row must agree before it begins, or ends."""


def _of(values: Values, source: str) -> Values:
    """The signals of one source, without its prefix."""
    return {name.removeprefix(source): value for name, value in values.items() if name.startswith(source)}


def _repeated(values: Values, source: str) -> Verdict:
    """Whether the pictures are too alike."""
    seen = _of(values, source)
    if seen["variety"] < LIMITS.variety:
        return f"{SOURCES[source]} differ by only {seen['variety']:.0%} of what real ones do"
    if seen["twins"] > LIMITS.twins:
        return f"{seen['twins']:.0%} more of {SOURCES[source]} have a twin than real ones do"
    if seen.get("dimensions", 1.0) < LIMITS.dimensions:
        return f"{SOURCES[source]} are shades of one: they differ in {seen['dimensions']:.0%} of the directions in which real ones do"
    return None


def _few_kinds(values: Values, source: str) -> Verdict:
    """Whether the pictures are kinds of which each has many, such as one for each class, though none is quite another's twin."""
    near = _of(values, source).get("nearest", 1.0)
    if near >= LIMITS.nearest:
        return None
    return f"{SOURCES[source]} are few kinds, each in many shades: the one most like each is {near:.0%} as far away as among real ones"


def _mode_collapse(values: Values, memory: Memory, source: str) -> Verdict:
    repeated, few = _repeated(values, source), _few_kinds(values, source)
    if repeated is not None and memory.learnt:
        return f"{repeated}; they were varied before"
    # A slow run is no lost one: it may still be all alike when its pictures have long begun to get better.
    if (repeated is None and few is None) or memory.young or memory.on_its_way:
        return None
    return few if repeated is None else f"{repeated}, and never learnt to differ"


def _not_learnt(values: Values, memory: Memory, source: str) -> Verdict:
    if memory.learnt:
        return None
    seen = _repeated(values, source)
    return _few_kinds(values, source) if seen is None else f"{seen}, as they do before anything is learnt"


def _dead(values: Values, memory: Memory, source: str) -> Verdict:
    if memory.young and not memory.learnt:
        return None
    seen = _of(values, source)
    if seen["detail"] < LIMITS.detail:
        return f"{SOURCES[source]} are nearly plain: their contrast is {seen['detail']:.0%} of real ones'"
    if seen["saturated"] > LIMITS.saturated:
        return f"{seen['saturated']:.0%} more of the pixels of {SOURCES[source]} than of real ones are at the ends of the range"
    return None


def _noise(values: Values, memory: Memory, source: str) -> Verdict:
    rough = _of(values, source)["roughness"]
    if rough <= LIMITS.roughness or memory.young:
        return None
    return f"{SOURCES[source]} are noise: neighbouring pixels differ {rough:.1f} times as much as in real ones"


def _frozen(values: Values, memory: Memory) -> Verdict:
    rate = values.get("lr_g")
    if values["change"] >= LIMITS.frozen or memory.young or (rate is not None and rate < 1e-6):
        return None
    return f"the fixed latents' pictures have stopped changing ({values['change']:.2%} between two looks)"


def _restless(values: Values, memory: Memory) -> Verdict:
    share = values["change"] / max(values["variety"], 1e-6)
    if share <= LIMITS.restless or memory.young:
        return None
    return f"each latent's picture changes from look to look by {share:.0%} of what two pictures differ by: the generator hops about"


def _sure(values: Values, memory: Memory) -> Verdict:
    real, fake = values["d_accuracy_real"], values["d_accuracy_fake"]
    # A Wasserstein critic has no threshold and does not saturate: it may be as sure as it likes.
    if memory.critic or min(real, fake) < LIMITS.sure:
        return None
    return f"the discriminator tells {real:.1%} of the real pictures and {fake:.1%} of the fakes: the generator learns little from it"


def _overfit(values: Values, memory: Memory) -> Verdict:
    gap = values["d_accuracy_train"] - values["d_accuracy_heldout"]
    fall = _fall(values)
    if gap > LIMITS.overfit_gap:
        return (
            f"the discriminator takes {values['d_accuracy_train']:.0%} of its training pictures for real, "
            f"but {values['d_accuracy_heldout']:.0%} of held-out ones: it learns them by heart"
        )
    if fall is not None and fall > LIMITS.overfit_logit and values["d_accuracy_train"] > 0.9:
        return f"held-out pictures are {fall:.0%} of the way from training pictures to fakes for the discriminator: it learns them by heart"
    return None


def _fall(values: Values) -> float | None:
    """(train - held out) / (train - fake), of D's mean logits."""
    names = ("d_logit_train", "d_logit_heldout", "d_logit_fake")
    if any(name not in values for name in names):
        return None
    train, held, fake = (values[name] for name in names)
    return (train - held) / (train - fake) if train > fake else None


def _worse(values: Values, memory: Memory) -> Verdict:
    best = memory.best_kid
    if best is None or values["kid"] <= LIMITS.kid_rise * max(best, LIMITS.kid_floor):
        return None
    return f"KID rose from {best:.4f} to {values['kid']:.4f}"


def _no_recall(values: Values, memory: Memory) -> Verdict:
    return None if memory.young else _little(values["recall"], values["precision"])


def _no_final_recall(values: Values, memory: Memory) -> Verdict:
    return None if _unlike(values, memory) else _little(values["final_recall"], values["final_precision"])


def _unlike(values: Values, memory: Memory) -> Verdict:
    # Precision alone says little: textures of photographs' colours have a high one. Reports of old have no coverage.
    precision, recall, coverage = values["final_precision"], values["final_recall"], values.get("final_coverage")
    covers = coverage is None or coverage >= LIMITS.some_coverage
    if recall >= LIMITS.recall or (precision > LIMITS.some_precision and covers):
        return None
    numbers = f"recall is {recall:.1%} with a precision of {precision:.0%}" + (
        "" if coverage is None else f" and a coverage of {coverage:.1%}"
    )
    return f"{numbers}: there is hardly a real picture that any of the generated ones is like"


def _little(recall: float, precision: float) -> Verdict:
    # No sign of a collapse by itself: short runs that are well have it too, their pictures lying beside the real ones.
    if recall >= LIMITS.recall or precision <= LIMITS.some_precision:
        return None
    return f"recall is {recall:.1%} with a precision of {precision:.0%}: hardly any real picture lies among the generated ones"


def _recall_falls(values: Values, memory: Memory) -> Verdict:
    best = memory.best_recall
    if best is None or best < 0.05 or values["recall"] >= LIMITS.recall_fall * best:
        return None
    return f"recall fell from {best:.1%} to {values['recall']:.1%}: kinds of pictures are getting lost"


def _copies(values: Values, memory: Memory) -> Verdict:
    share, usual = values["near_copies"], values["near_copies_usual"]
    if share <= usual or share < LIMITS.copies:
        return None
    return f"{share:.1%} of new pictures are near-copies of a training picture; up to {usual:.1%} could be chance or the data itself"


def _gradients(values: Values, memory: Memory) -> Verdict:
    for name in GRADIENTS:
        usual = memory.usual(name)
        if usual is None or name not in values or usual <= 0:
            continue
        if values[name] > LIMITS.gradient_rise * usual:
            return f"the gradient of {PLAYERS[name]} is {values[name] / usual:,.0f} times its usual size"
        if values[name] < LIMITS.gradient_fall * usual:
            return f"the gradient of {PLAYERS[name]} has vanished: {values[name]:.2g}, usually {usual:.2g}"
    return None


def _penalties(values: Values, memory: Memory) -> Verdict:
    for name in PENALTIES:
        usual = memory.usual(name)
        if usual is None or name not in values:
            continue
        if values[name] > LIMITS.penalty_floor and values[name] > LIMITS.penalty_rise * max(usual, 1e-12):
            return f"{name} is {values[name]:.3g}, {values[name] / max(usual, 1e-12):,.0f} times its usual size"
    return None


def _of_source(judge: Callable[[Values, Memory, str], Verdict], source: str) -> Callable[[Values, Memory], Verdict]:
    return lambda values, memory: judge(values, memory, source)


def _pictures(
    kind: str, severity: Severity, needs: tuple[str, ...], judge: Callable[[Values, Memory, str], Verdict], looks: int
) -> list[Check]:
    """The check of what was looked at, for each source. Grids are rare, and show an average: two of them are enough."""
    return [
        Check(kind, severity, tuple(source + name for name in needs), _of_source(judge, source), min(looks, 2) if source else looks)
        for source in SOURCES
    ]


CHECKS = (
    *_pictures("mode collapse", "collapse", ("variety", "twins"), _mode_collapse, 3),
    *_pictures("dead pictures", "collapse", ("detail", "saturated"), _dead, 3),
    *_pictures("noise", "collapse", ("roughness",), _noise, 3),
    Check("little recall", "notice", ("recall", "precision"), _no_recall, 2),
    Check("little recall in the end", "notice", ("final_recall", "final_precision"), _no_final_recall, 1),
    Check("unlike real pictures", "warning", ("final_recall", "final_precision"), _unlike, 1),
    Check("frozen", "warning", ("change",), _frozen, 3),
    Check("restless", "warning", ("change", "variety"), _restless, 4),
    Check("discriminator wins", "warning", ("d_accuracy_real", "d_accuracy_fake"), _sure, 3),
    Check("learning by heart", "warning", ("d_accuracy_train", "d_accuracy_heldout"), _overfit, 3),
    Check("getting worse", "warning", ("kid",), _worse, 1),
    Check("recall falls", "warning", ("recall",), _recall_falls, 2),
    Check("near-copies", "warning", ("near_copies", "near_copies_usual"), _copies, 2),
    Check("gradients", "warning", (), _gradients, 2),
    Check("penalty explodes", "warning", (), _penalties, 2),
    *_pictures("not learnt yet", "notice", ("variety", "twins"), _not_learnt, 1),
)
