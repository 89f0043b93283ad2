"""How well a run's health is judged: verdicts beside what a person saw, on runs that did and did not collapse.

    python benchmarks/health.py                                      # judge the runs that are kept, write benchmarks/health.md
    python benchmarks/health.py train --cifar DATASET --work FOLDER [NAME...]   # make runs again from the configs that are kept
    python benchmarks/health.py keep NAME RUN                        # keep what is small of a run, beside those in tests/data/health

What is kept of a run: its config, and its numbers to four digits. No weights and no pictures: signals of grids stand for
them. `labels.yaml` says of each what a person saw in its grids before the verdict was asked for, and whether the thresholds
were set on it (calibration) or not (check).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import ganvas
from ganvas.config import io
from ganvas.errors import UserError
from ganvas.metrics.health import Health, judge, of_grids, with_grids
from ganvas.runs import RunFolder, read_json

HERE = Path(__file__).resolve().parent
KEPT = HERE.parent / "tests" / "data" / "health"
PAGE = HERE / "health.md"
LABELS = ("collapsed", "not learnt yet", "fine")
SETS = ("calibration", "check")
PROVOKED = "warnings"
"""A third set: runs that were made for a warning to be seen, and are judged by whether it came."""
CIFAR = "CIFAR-10"
"""Stands in kept configs for a packed CIFAR-10, which `train` is told."""
COLLAPSED_SYSTEMS: frozenset[str] = frozenset()
"""Which of systems.md's runs collapsed, by the eyes of whoever wrote its paragraphs."""
LINES = 60
"""Lines of numbers that are kept of a long run, at most."""


@dataclass(frozen=True)
class Case:
    """A run that is kept, with what a person saw."""

    name: str
    label: str
    set: str
    how: str
    seen: str
    expects: tuple[str, ...] = ()
    """Warnings that it was made for."""

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return KEPT / self.name


def cases() -> list[Case]:
    """All that are kept."""
    found = yaml.safe_load((KEPT / "labels.yaml").read_text(encoding="utf-8"))
    return [Case(name, **{**about, "expects": tuple(about.get("expects", ()))}) for name, about in found.items()]


def verdict(health: Health) -> str:
    """The detector's word, in the labels' words."""
    return "collapsed" if health.collapsed else "not learnt yet" if health.not_learnt else "fine"


# -- Making and keeping -------------------------------------------------------------------------------------------


def train(names: Iterable[str], cifar: str | None, work: Path) -> int:
    """Train runs again; how many could not be."""
    failed = 0
    for name in names:
        config = io.load(str(KEPT / name / "config.yaml"))
        path = cifar if config.data.path == CIFAR else config.data.path
        if path is None:
            print(f"{name} needs a packed CIFAR-10: --cifar DATASET", file=sys.stderr)
            failed += 1
            continue
        try:
            print(f"{name}: {ganvas.train(config, data=path, out=work / name).state}")
        except UserError as error:  # a run that blows up is one of them
            print(f"{name}: {error}")
    return failed


def keep(name: str, run: Path) -> Path:
    """Keep what is small of a run; the folder."""
    folder, target = RunFolder(run), KEPT / name
    config, status = folder.config(), folder.status()
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    path = config.data.path or ""
    config = config.model_copy(
        update={"data": config.data.model_copy(update={"path": CIFAR if "cifar" in path else path.rpartition("/")[2]})}
    )
    (target / "config.yaml").write_text(io.dump(config), encoding="utf-8")
    signals = with_grids(folder) if folder.signals() else of_grids(folder, folder.config())
    for file, lines in (("metrics", _thin(folder.metrics(), signals)), ("signals", signals), ("evaluations", folder.evaluations())):
        if lines:
            (target / f"{file}.jsonl").write_text("".join(json.dumps(_short(line)) + "\n" for line in lines), encoding="utf-8")
    if status is not None:
        kept = status.model_dump() | {"pid": 0, "host": "", "started": 0.0, "heartbeat": 0.0}
        kept["state"] = "failed" if status.state == "failed" else "finished"
        kept["reason"] = (status.reason or "").partition(";")[0] if status.state == "failed" else None
        (target / "status.json").write_text(json.dumps(kept) + "\n", encoding="utf-8")
    if (scores := folder.evaluation()) is not None:
        kept = {key: {"value": scores[key]["value"]} for key in ("precision", "recall", "coverage") if isinstance(scores.get(key), dict)}
        (target / "evaluation.json").write_text(json.dumps(kept) + "\n", encoding="utf-8")
    return target


def _thin(lines: list[dict[str, Any]], signals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All lines of a short run; of a long one those at its looks, and some between."""
    step = -(-len(lines) // LINES)
    at = {line["images"] for line in signals} if step > 1 else set()
    return [line for i, line in enumerate(lines) if i % step == 0 or line.get("images") in at]


def _short(line: dict[str, Any]) -> dict[str, Any]:
    drop = ("seconds", "pictures_per_second", "cpu_seconds", "joules", "loss_d_real", "loss_d_fake", "lr_d")
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items() if k not in drop}


# -- The page -----------------------------------------------------------------------------------------------------


def confusion(pairs: Iterable[tuple[str, str]]) -> str:
    """(label, verdict) as a table."""
    counts = Counter(pairs)
    lines = ["| by eye | " + " | ".join(f"judged {v}" for v in LABELS) + " |", "|---|" + "---|" * len(LABELS)]
    lines += [f"| {label} | " + " | ".join(str(counts[label, v]) for v in LABELS) + " |" for label in LABELS]
    return "\n".join(lines)


def judged() -> list[tuple[Case, Health]]:
    """Each case with its verdict."""
    return [(case, judge(RunFolder(case.folder))) for case in cases()]


def page(found: list[tuple[Case, Health]]) -> str:
    """The results as Markdown; the words above them are `HEAD`."""
    parts = [HEAD]
    for which in SETS:
        part = [(case, health) for case, health in found if case.set == which]
        parts.append(f"## {which.capitalize()}: {len(part)} runs\n\n" + confusion((case.label, verdict(health)) for case, health in part))
        rows = ["| run | how | seen | by eye | judged | since | warnings at the end |", "|---|---|---|---|---|---|---|"]
        for case, health in part:
            worst = [f for f in health.going_on if f.severity == "collapse"]
            since = f"{worst[0].kind}, {min(f.since for f in worst):,}" if worst else ""
            warnings = ", ".join(dict.fromkeys(f.kind for f in health.going_on if f.severity == "warning"))
            word = verdict(health)
            shown = word if word == case.label else f"**{word}**"
            rows.append(f"| {case.name} | {case.how} | {case.seen} | {case.label} | {shown} | {since} | {warnings} |")
        parts.append("\n".join(rows))
    return "\n\n".join([*parts, *provoked(found), *systems()]) + "\n"


def provoked(found: list[tuple[Case, Health]]) -> list[str]:
    """Runs that were made for a warning."""
    part = [(case, health) for case, health in found if case.set == PROVOKED]
    rows = ["| run | how | seen | made for | told, since how many pictures |", "|---|---|---|---|---|"]
    for case, health in part:
        told = [f for f in health.findings if f.severity != "notice"]
        since = {kind: min(f.since for f in told if f.kind == kind) for kind in dict.fromkeys(f.kind for f in told)}
        missing = "".join(f", **not {kind}**" for kind in case.expects if kind not in since)
        words = ", ".join(f"{kind} {at:,}" for kind, at in sorted(since.items(), key=lambda item: item[1]))
        rows.append(f"| {case.name} | {case.how} | {case.seen} | {', '.join(case.expects)} | {words}{missing} |")
    head = f"""## Warnings: {len(part)} runs made for them

Runs that were spoilt on purpose, each made for a warning named beforehand; no threshold was moved for them. The two of *unlike real
pictures* were not: that warning was made for them."""
    return [head, "\n".join(rows)] if part else []


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def systems() -> list[str]:
    """Verdicts on the runs of systems.md, as their results keep them."""
    found = {path.parent.name: read_json(path) or {} for path in sorted((HERE / "results").glob("*/facts.json"))}
    judged = {name for name, facts in found.items() if facts["health"]["collapsed"]}
    rows = ["| run | judged collapsed at the end | told on the way |", "|---|---|---|"]
    for name, facts in found.items():
        told = [one for one in facts["health"]["findings"] if one["severity"] != "notice"]
        warnings = dict.fromkeys(one["kind"] if one["until"] is None else f"{one['kind']} (over)" for one in told)
        rows.append(f"| [{name}](systems.md#{name}) | {facts['health']['word']} | {', '.join(warnings)} |")
    alarms, missed = judged - COLLAPSED_SYSTEMS, (COLLAPSED_SYSTEMS & set(found)) - judged
    head = f"""## The systems of the reports: {len(found)} runs

The runs of `benchmarks/systems.md`, at the size and length that users train. Thresholds were set on three of them, half-way
through (`older-` above, in the calibration). By eye, collapsed: {_listed(COLLAPSED_SYSTEMS & set(found))}. False alarms:
{_listed(alarms)}. Missed: {_listed(missed)}."""
    return [head, "\n".join(rows)]


HEAD = """# Is it collapsing?

`ganvas diagnose` and the monitor of a training judge by the same rules: thresholds are in `src/ganvas/metrics/checks.py`, signals in
`src/ganvas/metrics/signals.py`. This page says how often they are right. It is written by

```bash
python benchmarks/health.py
```

from what is kept of each run in `tests/data/health` (config, numbers to four digits, no pictures), and a test holds every verdict.
`python benchmarks/health.py train --cifar DATASET --work FOLDER` makes the runs again from those configs.

How the runs were made: pictures of 16 pixels, narrow networks, 8,000 to 100,000 pictures, one thread, emoji or CIFAR-10; a look every
2,500 pictures (early ones: 1,000). Runs whose names begin with `older-` are those of `benchmarks/systems.md`, of 32 to 128 pixels and
20 minutes each, made before there were signals: their grids stand for them. Those that begin with `projected` were attempts at the best
pictures in little time, at the size and length that users train.

How they were labelled: one person looked at the grids half-way and at the end, beside real pictures, before the verdict was computed.
*Collapsed*: the pictures are (nearly) all alike, plain, or shades of a few, or the run ended in NaN. *Not learnt yet*: grey, blobs or
noise of a run that had no time. *Fine*: they differ as real ones do, however poor they are.
Of eleven runs, `older-cats-*`, `projected*`, `rates-*` and `r3gan32-cifar`, the verdict was known before.

How the thresholds were set: on the runs marked calibration, which were the first to be ready; after that none was moved.
The rest are the check. Three rules were changed after it had been seen: little recall is a notice and no warning any more,
since fine short runs have it too; a run that never learnt stays *not learnt yet* until it counts as collapsed; and it does not
count as collapsed while its KID falls by 5% from one evaluation to the next, since cifar10-dcgan-4 recovered after it had been
called collapsed (no verdict below changed by that).

On 2026-11-24 a run was found that had one picture for each class, each in a few shades, so that none was quite another's twin:
`r3gan32-cifar` was judged fine. Since then it counts how far each picture is from the one most like it, the median, for how much two of
them differ. On the grids of 64 in `benchmarks/quality` and `benchmarks/results` of the same pictures (66 of CIFAR-10, emoji and cats, each
beside 12 draws of 64 real ones) that is 0.18 to 0.42 of what it is among real ones for the four that a person calls few pictures repeated,
0.61 for cifar10-dcgan-4, of "about five kinds of pictures", and 0.74 to 1.10 for all others; the limit is 0.55. As blots of one for each
class are also a stage that runs pass through, it is a collapse only where the run had its time and its KID does not fall. The other
runs below were kept before: they hold no such number, and nothing was tried on them.

On the same day runs were found that differ as real pictures do and show nothing that anybody can name, and were told no more than that
they had not collapsed: `biggan-emoji` and `stylegan2-cats`. Since then a run whose report, at its end, has a recall under 1% and a
precision or a coverage under 20% is told that its pictures are unlike real ones. Of the 63 reports on EfficientNet-Lite0
that `benchmarks/quality` keeps, 15 are: all of them textures, blots or patterns by eye, or collapsed.

The warnings *recall falls*, *getting worse*, *gradients* and *penalty explodes*, which no other run had, were seen on
two that were made for them. *Frozen* was only seen to work on made-up numbers: a generator that learnt at a rate of 1e-5, by gradient
descent, still changed by 1% from look to look."""


def main() -> int:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    again = commands.add_parser("train")
    again.add_argument("names", nargs="*")
    again.add_argument("--cifar")
    again.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ganvas-health")
    kept = commands.add_parser("keep")
    kept.add_argument("name")
    kept.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    if words.command == "train":
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        mine = [case.name for case in cases() if not case.name.startswith("older-")]
        return 1 if train(words.names or mine, words.cifar, words.work) else 0
    if words.command == "keep":
        print(keep(words.name, words.run))
        return 0
    found = judged()
    if words.json:
        print(json.dumps([{"run": c.name, "set": c.set, "label": c.label, "verdict": verdict(h)} for c, h in found], indent=2))
        return 0
    PAGE.write_text(page(found), encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
