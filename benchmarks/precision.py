"""Whether bf16 learns as well as fp32: short trainings of equally many pictures in both, by seeds.

    python benchmarks/precision.py run codes --on cifar10 --images 30000 --seeds 0 1 2 --jobs 2
    python benchmarks/precision.py page

Each training is one of quality.py's attempts, scored by 10,000 pictures on EfficientNet-Lite2. What was found is kept in
`benchmarks/quality/precision/ATTEMPT-SET-IMAGES.json`, from which a call goes on; `page` writes `benchmarks/precision.md`. An
interval of a difference is Welch's (1947), of the seeds' distances: what seeds and precision do together, in 95 of 100 cases.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, variance
from typing import Any

import machine
from ganvas import artifact
from ganvas.metrics.compare import compare
from ganvas.runs import open_run, read_json
from quality import ATTEMPTS, JUDGES, RESULTS, SAMPLES, SETS, SHOWN
from systems import command, kept_page, prepared, side_by_side

KEPT = RESULTS / "precision"
PAGE = Path(__file__).resolve().parent / "precision.md"
JUDGE = JUDGES[0]
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Trial:
    """One training."""

    attempt: str
    on: str
    images: int
    precision: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.attempt}-{self.on}-{self.images}-{self.precision}-s{self.seed}"

    @property
    def kept(self) -> Path:
        """Where it and its like are kept."""
        return KEPT / f"{self.attempt}-{self.on}-{self.images}.json"


def run(options: argparse.Namespace, trial: Trial, lock: threading.Lock) -> None:
    """Train, score and keep; the run itself is thrown away."""
    if any((line["precision"], line["seed"]) == (trial.precision, trial.seed) for line in lines(trial.kept)):
        return
    with lock:
        data = prepared(options, SETS[trial.on].pictures)
    work = options.work / "precision" / trial.name
    shutil.rmtree(work, ignore_errors=True)
    words = ["--data", data, "--out", work, "--images", str(trial.images), "--seed", str(trial.seed), "--precision", trial.precision]
    command(options, "train", *ATTEMPTS[trial.attempt].command(SETS[trial.on]), *words, "--threads", str(options.threads), "--quiet")
    out = work / "judged.json"
    command(options, "evaluate", work, "--checkpoint", "last", "--features", JUDGE, "--samples", str(SAMPLES), "--out", out, "--quiet")
    judged, row = read_json(out) or {}, compare([open_run(work)]).rows[0]
    line = {"precision": trial.precision, "seed": trial.seed, "scores": {name: judged[name] for name in SHOWN}}
    line |= {key: row[key] for key in ("images", "cpu_seconds")}
    with lock:
        found = sorted([*lines(trial.kept), line], key=lambda each: (each["precision"], each["seed"]))
        about = {"attempt": trial.attempt, "on": trial.on, "images": trial.images}
        about["machine"] = machine.describe() | {"threads": options.threads, "side_by_side": options.jobs}
        KEPT.mkdir(parents=True, exist_ok=True)
        artifact.write_json(trial.kept, about | {"trials": found})
    shutil.rmtree(work)


def lines(kept: Path) -> list[dict[str, Any]]:
    """Trials that are kept."""
    return (read_json(kept) or {}).get("trials", [])


# -- Page ---------------------------------------------------------------------------------------------------------

HEAD = """# bf16 beside fp32

Made by `python benchmarks/precision.py page` from `benchmarks/quality/precision/`. The same recipe, seeds and number of pictures in
both precisions, the last checkpoint scored by 10,000 pictures on EfficientNet-Lite2; means and 95% intervals of seeds (Welch 1947).
Evaluation is in the precision that the processor is faster in, for both alike.
"""


def page() -> str:
    """The page as Markdown."""
    return kept_page(HEAD, KEPT, _section, "training: expected those of `python benchmarks/precision.py run`")


def _section(kept: Mapping[str, Any]) -> list[str]:
    found = [f"## `{kept['attempt']}` on {kept['on']}, {kept['images']:,} pictures", "", f"On {kept['machine']['processor']}.", ""]
    found += ["| precision | seed | FD | 95%, of pictures | KID x 1000 | recall | processor time, s |", "|" + "---|" * 7]
    for line in kept["trials"]:
        scores = line["scores"]
        fd = scores["fd"]
        cells = [line["precision"], str(line["seed"]), f"{fd['value']:.1f}", f"{fd['low']:.1f} to {fd['high']:.1f}"]
        cells += [f"{1000 * scores['kid']['value']:.2f}", f"{scores['recall']['value']:.1%}", f"{line['cpu_seconds']:.0f}"]
        found.append(f"| {' | '.join(cells)} |")
    sides = [[line["scores"]["fd"]["value"] for line in kept["trials"] if line["precision"] == name] for name in PRECISIONS]
    if all(len(side) >= 2 for side in sides):
        difference, half = welch(*sides)
        word = "The difference may be none" if abs(difference) <= half else "**The difference is more than chance**"
        means = ", ".join(f"{name} {mean(side):.1f}" for name, side in zip(PRECISIONS, sides, strict=True))
        found += [
            "",
            f"Mean FD: {means}; bf16 less fp32 {difference:+.1f}, 95% from {difference - half:+.1f} to {difference + half:+.1f}. {word}.",
        ]
    return [*found, ""]


def welch(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Mean of the second less that of the first, and half of the 95% interval's width (Welch 1947, with Satterthwaite's freedom)."""
    from scipy.stats import t

    parts = [variance(side) / len(side) for side in (first, second)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return mean(second) - mean(first), 0.0
    freedom = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (first, second), strict=True))
    return mean(second) - mean(first), float(t.ppf(0.975, freedom)) * error


def main() -> int:
    """Train, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    running = parts.add_parser("run", help="train in both precisions")
    running.add_argument("attempt", choices=[name for name, attempt in ATTEMPTS.items() if attempt.recipe != "auto"])
    running.add_argument("--on", choices=SETS, required=True)
    running.add_argument("--images", type=int, default=30_000, help="pictures shown to each")
    running.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    running.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="trainings side by side, each on one thread")
    running.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="folder of the real pictures")
    running.add_argument("--work", type=Path, default=Path("runs/quality"), help="where data sets and runs are")
    parts.add_parser("page", help="write precision.md")
    options = parser.parse_args()
    if options.what == "page":
        PAGE.write_text(page())
        return 0
    options.work, options.threads = options.work.resolve(), 1
    lock = threading.Lock()
    trials = [Trial(options.attempt, options.on, options.images, name, seed) for seed in options.seeds for name in PRECISIONS]
    return side_by_side(options.jobs, {trial.name: partial(run, options, trial, lock) for trial in trials})


if __name__ == "__main__":
    sys.exit(main())
