"""Which numbers of a recipe are best for a short training: Optuna's search (TPE, Bergstra et al. 2011), every trial kept.

    pip install optuna
    python benchmarks/search.py run codes --on cifar10 --minutes 2.5 --trials 12 --jobs 2
    python benchmarks/search.py page

A trial is one training of an attempt of quality.py, with numbers that TPE proposes from those before it, scored by the
Frechet distance of 5,000 pictures on EfficientNet-Lite2. The first trial has the recipe's own numbers. Trials are kept in
`benchmarks/quality/search/ATTEMPT-SET-MINUTES.json`, from which a search goes on when it is called again; `page` writes
`benchmarks/search.md` from them. `--minutes` are of two cores, as in quality.py.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import machine
from ganvas import artifact
from ganvas.config import io
from ganvas.metrics.compare import compare
from ganvas.runs import open_run, read_json
from quality import ATTEMPTS, RESULTS, SETS, SHOWN
from systems import command, kept_page, prepared, side_by_side

KEPT = RESULTS / "search"
PAGE = Path(__file__).resolve().parent / "search.md"
JUDGE = "efficientnet-lite2"
SAMPLES = 5_000
SEED = 0

Values = Mapping[str, Any]
"""Dotted keys of a config."""


@dataclass(frozen=True)
class Range:
    """From `low` to `high`; in proportion, not in steps."""

    low: float
    high: float


Space = Mapping[str, Range | tuple[Any, ...]]
"""For each key a range, or the values to choose from; the recipe's own is among them."""

CODES: Space = {
    "family.optimizer_g.lr": Range(3e-4, 3e-3),
    "family.codes.features": Range(0.1, 3.0),
    "family.codes.noise": (0.05, 0.1, 0.2, 0.4),
    "family.codes.size": (64, 128, 256),
    "family.comparison.remembered": (512, 1024, 2048),
    "train.batch": (16, 32, 64),
    "family.generator.max_width": (128, 256, 512),
}
SPACES: Mapping[str, Space] = {
    "codes": CODES,
    "codes-drawings": {**CODES, "family.codes.pixels": Range(0.1, 2.0), "family.codes.warmup": (0, 15_000, 30_000, 60_000)},
}


# -- Running ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """One search."""

    attempt: str
    on: str
    minutes: float

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.attempt}-{self.on}-{self.minutes:g}m"

    @property
    def kept(self) -> Path:
        """Where its trials are."""
        return KEPT / f"{self.name}.json"

    def trials(self) -> list[dict[str, Any]]:
        """Those that are kept."""
        return (read_json(self.kept) or {}).get("trials", [])

    def own(self) -> Values:
        """The recipe's numbers, of those that are searched for."""
        words = ATTEMPTS[self.attempt].command(SETS[self.on])
        config = io.load(words[0], words[2::2]).model_dump(mode="json")
        return {key: _at(config, key) for key in SPACES[self.attempt]}


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


def search(options: argparse.Namespace, study: Study) -> int:
    """Go on with a study for so many trials; 1 if one of them failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {
        key: optuna.distributions.FloatDistribution(range_.low, range_.high, log=True)
        if isinstance(range_, Range)
        else optuna.distributions.CategoricalDistribution(range_)
        for key, range_ in SPACES[study.attempt].items()
    }
    known = study.trials()
    sampler = optuna.samplers.TPESampler(seed=len(known), n_startup_trials=6, multivariate=True, constant_liar=True)
    found = optuna.create_study(sampler=sampler, direction="minimize")
    for line in known:
        found.add_trial(optuna.trial.create_trial(params=line["values"], distributions=distributions, value=line["fd"]["value"]))
    if not known:
        found.enqueue_trial(dict(study.own()))
    data, lock = prepared(options, SETS[study.on].pictures), threading.Lock()

    def one(number: int) -> None:
        with lock:
            trial = found.ask(distributions)
        try:
            line = tried(options, study, number, trial.params, data)
        except BaseException:
            with lock:
                found.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        with lock:
            found.tell(trial, line["fd"]["value"])
            _keep(options, study, line)

    first = 1 + max((line["trial"] for line in known), default=-1)
    return side_by_side(options.jobs, {f"{study.name}, trial {n}": partial(one, n) for n in range(first, first + options.trials)})


def tried(options: argparse.Namespace, study: Study, number: int, values: Values, data: Path) -> dict[str, Any]:
    """Train and score with these numbers; the run itself is thrown away."""
    work = options.work / "search" / study.name / str(number)
    shutil.rmtree(work, ignore_errors=True)
    settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    words = ["--data", data, "--out", work, "--budget", f"{study.minutes * 2 / options.threads:g}m", "--seed", str(SEED)]
    words += ["--threads", str(options.threads), "--quiet"]
    command(options, "train", *ATTEMPTS[study.attempt].command(SETS[study.on]), *settings, *words)
    out = work / "judged.json"
    command(options, "evaluate", work, "--features", JUDGE, "--samples", str(SAMPLES), "--out", out, "--quiet")
    judged, row = read_json(out) or {}, compare([open_run(work)]).rows[0]
    shutil.rmtree(work)
    return {
        "trial": number,
        "values": dict(values),
        **{name: judged[name] for name in SHOWN},
        **{key: row[key] for key in ("images", "cpu_seconds")},
        "health": row["health"]["word"],
        "date": time.strftime("%Y-%m-%d"),
    }


def _keep(options: argparse.Namespace, study: Study, line: dict[str, Any]) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = read_json(study.kept) or {
        "attempt": study.attempt,
        "on": study.on,
        "minutes": study.minutes,
        "seed": SEED,
        "machine": machine.describe() | {"threads": options.threads, "side_by_side": options.jobs},
        "trials": [],
    }
    kept["trials"] = sorted([*kept["trials"], line], key=lambda each: each["trial"])
    artifact.write_json(study.kept, kept)


# -- Page ---------------------------------------------------------------------------------------------------------

HEAD = """# Searches for a recipe's numbers

Made by `python benchmarks/search.py page` from `benchmarks/quality/search/`. Each row is one training of so many minutes of
two cores (one core for twice as long), with seed 0, and numbers that Optuna's TPE proposed; trial 0 has the recipe's own. FD
and recall are of 5,000 pictures on EfficientNet-Lite2. Short trainings favour what learns fast, and one seed each leaves
some of the order to chance: what is taken from here is trained longer first, in [quality.md](quality.md).
"""


def page() -> str:
    """The page as Markdown."""
    return kept_page(HEAD, KEPT, _section, "trial: expected those of `python benchmarks/search.py run`")


def _section(kept: Mapping[str, Any]) -> list[str]:
    keys = list(kept["trials"][0]["values"])
    columns = ["trial", "FD", "95%", "recall", "pictures shown", *(f"`{key}`" for key in keys)]
    lines = [f"## `{kept['attempt']}` on {kept['on']}, {kept['minutes']:g} minutes", "", f"On {kept['machine']['processor']}.", ""]
    lines += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for line in sorted(kept["trials"], key=lambda each: each["fd"]["value"]):
        fd = line["fd"]
        cells = [str(line["trial"]), f"{fd['value']:.1f}", f"{fd['low']:.1f} to {fd['high']:.1f}", f"{line['recall']['value']:.1%}"]
        cells += [f"{line['images']:,}", *(_number(line["values"][key]) for key in keys)]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Search, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    running = parts.add_parser("run", help="go on with a search")
    running.add_argument("attempt", choices=SPACES)
    running.add_argument("--on", choices=SETS, required=True)
    running.add_argument("--minutes", type=float, default=2.5, help="of two cores, for each trial")
    running.add_argument("--trials", type=int, default=12, help="further ones")
    running.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="trainings side by side, each on one thread")
    running.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="folder of the real pictures")
    running.add_argument("--work", type=Path, default=Path("runs/quality"), help="where data sets and runs are")
    parts.add_parser("page", help="write search.md")
    options = parser.parse_args()
    if options.what == "page":
        PAGE.write_text(page())
        return 0
    options.work, options.threads = options.work.resolve(), 1
    return search(options, Study(options.attempt, options.on, options.minutes))


if __name__ == "__main__":
    sys.exit(main())
