"""The best pictures for so many minutes of two cores: every attempt and what came of it, also of those that lost.

    python benchmarks/quality.py run ATTEMPT... --on emoji cifar10 cats --minutes 10 --seeds 0 --jobs 2
    python benchmarks/quality.py run ATTEMPT... --minutes 60 --longer 30
    python benchmarks/quality.py list
    python benchmarks/quality.py page

An attempt is a recipe with changes to its config, or `plain`, the DCGAN loop of tutorials (dcgan_loop.py). `run` trains
each on each set of pictures, scores 10,000 pictures of it on two feature networks, and keeps what is small in
`benchmarks/quality/SET/ATTEMPT-MINUTES-SEED/`: config, scores, a grid. `page` writes `benchmarks/quality.md` from these
folders and from what a person who looked at the grids wrote into `benchmarks/quality/notes.md`.

`--minutes` are minutes of two cores, start-up included. With `--jobs 2` two trainings go side by side, each on one
thread for twice as long: as many seconds of processor time, and nothing lost to threads that wait for each other.
`--longer 30` goes on with a copy of the same attempt's run of 30 minutes instead of beginning anew: the same run, to the
bit, where the rate is constant, and refused elsewhere.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

import machine
from ganvas.errors import UserError
from ganvas.metrics.compare import compare
from ganvas.runs import open_run, read_json
from ganvas.sampling.grid import grid, read_png
from ganvas.units import format_duration
from systems import Pictures, command, prepared, side_by_side, webp

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "quality"
PAGE = HERE / "quality.md"
JUDGES = ("efficientnet-lite2", "efficientnet-lite0")
"""The first decides: EfficientNet-Lite0 picks the best checkpoint of each run, and is in some recipes' loss."""
SHOWN = ("fd", "kid", "precision", "recall", "density", "coverage")
PLAIN = "plain"
SAMPLES = 10_000
ENDED = 0.9
"""A run of less than this share of its time was stopped."""
BEST = 3
"""So many attempts of each set and time are in the table at the top."""


@dataclass(frozen=True)
class Set:
    """Real pictures to learn from."""

    pictures: Pictures
    side: int
    classes: bool


SETS: Mapping[str, Set] = {
    "emoji": Set(Pictures("builtin:emoji", ("--resolution", "64")), 64, classes=True),
    "cifar10": Set(Pictures("cifar10.zip", ("--resolution", "32")), 32, classes=True),
    "cats": Set(Pictures("dogs-vs-cats.zip", ("--resolution", "64", "--classes", "cat", "--crop", "none")), 64, classes=False),
}


@dataclass(frozen=True)
class Attempt:
    """A recipe with changes."""

    recipe: str
    """With `{side}` where there is one for each resolution; or `auto`."""
    changes: tuple[str, ...] = ()
    """As `--set` takes them."""
    conditional: tuple[str, ...] = ()
    """Further changes for pictures with classes."""
    unconditional: tuple[str, ...] = ()
    """Further changes for pictures without."""

    def command(self, on: Set) -> list[str]:
        """What follows `ganvas train`."""
        settings = [f"data.resolution={on.side}", *self.changes, *(self.conditional if on.classes else self.unconditional)]
        return [self.recipe.format(side=on.side), *(word for setting in settings for word in ("--set", setting))]


ALONE = ("family.generator.labels=embedding",)
PROJECTION = ("family.discriminator.labels=projection",)
EMBEDDED = (*ALONE, *PROJECTION)
BESIDE = ("family.regulariser.kind=matching", "family.regulariser.weight=20", "family.regulariser.input_sizes=[96]")
ADAM = (
    "family.optimizer_g.kind=adam",
    "family.optimizer_g.lr=6.0e-4",
    "family.optimizer_g.betas=[0.0,0.99]",
    "family.generator.spectral_norm=true",
)
CLASSES = ("family.classes=true",)
TOGETHER = ("family.comparison.in_turn=0",)
TURNS = ("family.comparison.in_turn=true",)
AVERAGES = "ema={kind: power}"
ATTEMPTS: Mapping[str, Attempt] = {
    "auto": Attempt("auto"),
    "dcgan": Attempt("dcgan{side}", conditional=EMBEDDED),
    "emoji": Attempt("emoji", unconditional=("family.generator.labels=null", "family.discriminator.labels=null")),
    "drawings": Attempt("drawings64", conditional=CLASSES),
    "codes": Attempt("codes{side}", TOGETHER, CLASSES),
    "codes-turns": Attempt("codes{side}", TURNS, CLASSES),
    "codes-turns-60k": Attempt("codes{side}", ("family.comparison.in_turn=60000",), CLASSES),
    "codes-averages": Attempt("codes{side}", ("family.comparison.in_turn=60000", AVERAGES), CLASSES),
    "codes-wide": Attempt("codes{side}", ("family.comparison.in_turn=60000", "family.generator.width=24", AVERAGES), CLASSES),
    "codes-pixels": Attempt(
        "codes{side}", (*TOGETHER, "family.codes.features=1", "family.codes.pixels=0.5", "augment.flip=false"), CLASSES
    ),
    "drawings-told": Attempt(
        "codes64-drawings", ("family.comparison.in_turn=120000", AVERAGES, "family.codes.augment={share: 0.5, after: 152000}"), CLASSES
    ),
    "codes-mixtures": Attempt("codes{side}", (*TOGETHER, "family.codes.mixtures=0.5", "family.codes.blend=1"), CLASSES),
    "codes-drawings": Attempt("codes64-drawings", TOGETHER, CLASSES),
    "drawings-turns": Attempt("codes64-drawings", TURNS, CLASSES),
    "drawings-turns-120k": Attempt("codes64-drawings", ("family.comparison.in_turn=120000",), CLASSES),
    "drawings-averages": Attempt("codes64-drawings", ("family.comparison.in_turn=120000", AVERAGES), CLASSES),
    "sngan-diffaug": Attempt("sngan32-diffaug", conditional=("family.generator.labels=batchnorm", *PROJECTION)),
    "biggan-diffaug": Attempt("biggan64-diffaug", conditional=("family.generator.labels=shared", *PROJECTION)),
    "stylegan2": Attempt("stylegan2-{side}", conditional=EMBEDDED),
    "fastgan": Attempt("fastgan64", conditional=EMBEDDED),
    "projected": Attempt("projected{side}", conditional=EMBEDDED),
    "r3gan": Attempt("r3gan{side}", ("family.fake_labels=data",), EMBEDDED),
    "r3gan-paired": Attempt("r3gan{side}", conditional=EMBEDDED),
    "matching": Attempt("matching{side}", conditional=ALONE),
    "matching-96": Attempt("matching{side}", ("family.comparison.input_sizes=[96]",), ALONE),
    "matching-adam": Attempt("matching{side}", ADAM, ALONE),
    "matching-adam-96": Attempt("matching{side}", (*ADAM, "family.comparison.input_sizes=[96]"), ALONE),
    "matching-adam-128": Attempt("matching{side}", (*ADAM, "family.comparison.input_sizes=[128]"), ALONE),
    "projected-matching": Attempt("projected{side}", BESIDE, EMBEDDED),
    "emoji-matching": Attempt("emoji", BESIDE, unconditional=("family.generator.labels=null", "family.discriminator.labels=null")),
    # What is tried on Projected GAN, one thing at a time.
    "projected-pixels": Attempt("projected{side}", ("family.discriminator.pixels=32",), EMBEDDED),
    "projected-96": Attempt("projected{side}", ("family.discriminator.input_size=96",), EMBEDDED),
    "projected-d64": Attempt("projected{side}", ("family.discriminator.width=64",), EMBEDDED),
    "projected-g32": Attempt("projected{side}", ("family.generator.width=32",), EMBEDDED),
    "projected-lr4": Attempt("projected{side}", ("family.optimizer_g.lr=4.0e-4", "family.optimizer_d.lr=4.0e-4"), EMBEDDED),
    "projected-b64": Attempt("projected{side}", ("train.batch=64",), EMBEDDED),
    "projected-steady": Attempt(
        "projected{side}",
        (
            "family.discriminator.norm=layer",
            "family.discriminator.width=64",
            "family.optimizer_g.lr=1.0e-4",
            "family.optimizer_d.lr=8.0e-4",
            "family.optimizer_g.betas=[0.5,0.99]",
            "family.optimizer_d.betas=[0.5,0.99]",
        ),
        EMBEDDED,
    ),
    "projected-unlabelled": Attempt("projected{side}"),
}


# -- Running ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One training."""

    attempt: str
    on: str
    minutes: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.attempt}-{self.minutes:g}m-s{self.seed}"

    @property
    def kept(self) -> Path:
        """Where its results are."""
        return RESULTS / self.on / self.name


def run(options: argparse.Namespace, job: Job, data: Path) -> None:
    """Train, score and keep one attempt."""
    work = options.work / "quality" / job.on / job.name
    work.mkdir(parents=True, exist_ok=True)
    minutes = job.minutes * 2 / options.threads
    trained = plain if job.attempt == PLAIN else ours
    facts = trained(options, job, data, work, minutes)
    facts |= {"attempt": job.attempt, "on": job.on, "minutes": job.minutes, "seed": job.seed}
    facts["machine"] = machine.describe() | {"threads": options.threads, "side_by_side": options.jobs}
    job.kept.mkdir(parents=True, exist_ok=True)
    (job.kept / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")


def plain(options: argparse.Namespace, job: Job, data: Path, work: Path, minutes: float) -> dict[str, Any]:
    """The loop of tutorials."""
    pictures = work / "pictures.zip"
    words = [HERE / "dcgan_loop.py", data, pictures, "--minutes", minutes, "--seed", job.seed, "--threads", options.threads]
    found = subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True)
    facts = json.loads(found.stdout)
    facts["scores"] = scores(options, [pictures, "--data", data], work)
    job.kept.mkdir(parents=True, exist_ok=True)
    webp(job.kept / "grid.webp", grid(first(pictures, 64)))
    return facts


def first(pictures: Path, count: int) -> np.ndarray:
    """uint8 (count, H, W, 3) of an archive."""
    import io
    import zipfile

    with zipfile.ZipFile(pictures) as archive:
        return np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()[:count]])


def ours(options: argparse.Namespace, job: Job, data: Path, work: Path, minutes: float) -> dict[str, Any]:
    """A recipe."""
    folder, on = work / "run", SETS[job.on]
    if not folder.exists() and options.longer is not None:
        go_on(options, replace(job, minutes=options.longer), folder, minutes)
    elif not folder.exists():
        words = ["--data", data, "--out", folder, "--budget", f"{minutes:g}m", "--seed", str(job.seed), "--threads", str(options.threads)]
        command(options, "train", *ATTEMPTS[job.attempt].command(on), *words, "--quiet")
    row = compare([open_run(folder)]).rows[0]
    status = open_run(folder).status()
    if status is None or status.state != "finished" or row["seconds"] < ENDED * 60 * minutes:
        raise UserError(f"{folder} was not trained for {minutes:g} minutes: delete it to begin anew, or ganvas train --resume {folder}")
    facts: dict[str, Any] = {"scores": scores(options, [folder], work)}
    facts |= {key: row[key] for key in ("images", "seconds", "cpu_seconds", "parameters", "health")}
    facts["settings"] = [*ATTEMPTS[job.attempt].command(on)]
    if options.longer is not None:
        facts["went_on_from_minutes"] = options.longer
    job.kept.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "config.yaml", job.kept / "config.yaml")
    latest = read_png(open_run(folder).grids()[-1][1])
    if latest is None:
        raise UserError(f"{folder} has no grid")
    webp(job.kept / "grid.webp", latest)
    return facts


def go_on(options: argparse.Namespace, shorter: Job, folder: Path, minutes: float) -> None:
    """A shorter run's copy, trained for `minutes` in all.

    Raises:
        UserError: there is no such run, it did not end, or its rate depends on its length.
    """
    older = open_run(options.work / "quality" / shorter.on / shorter.name / "run")
    status, schedule = older.status(), older.config().schedule
    if status is None or status.state != "finished":
        raise UserError(f"{older.path} did not end: train it first, with --minutes {shorter.minutes:g}")
    if schedule.kind != "constant":
        raise UserError(f"{older.path} has a {schedule.kind} rate, which depends on its length: leave out --longer")
    copy = folder.with_name("copying")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(older.path, copy)
    copy.rename(folder)
    command(options, "train", "--resume", folder, "--budget", f"{minutes:g}m", "--quiet")


def scores(options: argparse.Namespace, what: Sequence[str | Path], work: Path) -> dict[str, Any]:
    """What `ganvas evaluate` says by each judge, last by that of the run's own report."""
    found = {}
    for judge in JUDGES:
        out = work / f"{judge}.json"
        command(options, "evaluate", *what, "--features", judge, "--samples", str(SAMPLES), "--out", out, "--quiet")
        evaluation = read_json(out) or {}
        found[judge] = {name: evaluation[name] for name in SHOWN} | {"warnings": evaluation["warnings"]}
    return found


# -- Page ---------------------------------------------------------------------------------------------------------

HEAD = """# The best pictures for so many minutes

Made by `python benchmarks/quality.py page` from what `benchmarks/quality/` keeps of each training; the paragraphs were
written by somebody who looked at the grids. `python benchmarks/quality.py run` makes the trainings again.

Minutes are of two cores of the processor named, start-up included (the Xeon has AMX, the EPYC AVX512-BF16 alone); scores
are of 10,000 pictures, not truncated, beside those trained on. FD by EfficientNet-Lite2 decides. EfficientNet-Lite0 picks
each run's best checkpoint, and is in the loss of Projected GAN and of matching (marked with a dagger), which both judges
may flatter: they are relatives. `plain` is the DCGAN loop of tutorials in fp32 (`dcgan_loop.py`). None of these is an FID.
"""


COLUMNS = (
    "attempt",
    "seed",
    "FD (Lite2)",
    "95%",
    "FD (Lite0)",
    "precision",
    "recall",
    "coverage",
    "pictures shown",
    "processor",
    "processor time",
    "parameters (G + D)",
    "collapsed",
)


def page() -> str:
    """The page as Markdown."""
    sections: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for on in SETS:
        found = [facts for path in (RESULTS / on).glob("*/facts.json") if (facts := read_json(path))]
        for minutes in sorted({facts["minutes"] for facts in found}):
            sections[on, minutes] = [facts for facts in found if facts["minutes"] == minutes]
    lines = [HEAD, *_in_short(sections)]
    notes = RESULTS / "notes.md"
    if notes.exists():
        lines += [notes.read_text().strip(), ""]
    for (on, minutes), found in sections.items():
        lines += _section(on, minutes, found)
    return "\n".join(lines).rstrip() + "\n"


def _in_short(sections: Mapping[tuple[str, float], list[dict[str, Any]]]) -> list[str]:
    """The best attempts of each set and time beside `plain`, by the means of their seeds."""
    columns = ("pictures", "minutes", "attempt", "seeds", "FD (Lite2), mean", "lowest to highest", "recall, mean", "of `plain`'s FD")
    lines = ["## In short", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for (on, minutes), found in sections.items():
        seeds: dict[str, list[tuple[float, float]]] = {}
        for facts in found:
            scores = facts["scores"][JUDGES[0]]
            seeds.setdefault(facts["attempt"], []).append((scores["fd"]["value"], scores["recall"]["value"]))
        means = {attempt: [fmean(column) for column in zip(*rows, strict=True)] for attempt, rows in seeds.items()}
        best = sorted((attempt for attempt in means if attempt != PLAIN), key=lambda attempt: means[attempt][0])[:BEST]
        for attempt in [*best, *([PLAIN] if PLAIN in means else [])]:
            fd, recall = means[attempt]
            distances = [distance for distance, _ in seeds[attempt]]
            spread = f"{min(distances):.1f} to {max(distances):.1f}" if len(distances) > 1 else ""
            share = f"{fd / means[PLAIN][0]:.0%}" if PLAIN in means else ""
            lines.append(f"| {on} | {minutes:g} | `{attempt}` | {len(distances)} | {fd:.1f} | {spread} | {recall:.1%} | {share} |")
    return [*lines, ""]


def _section(on: str, minutes: float, found: list[dict[str, Any]]) -> list[str]:
    ranked = sorted(found, key=lambda facts: (facts["scores"][JUDGES[0]]["fd"]["value"], facts["attempt"], facts["seed"]))
    lines = [f"## {on}, {minutes:g} minutes", "", f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(_cells(facts))} |" for facts in ranked]
    lines.append("")
    for facts in ranked:
        name = Job(facts["attempt"], on, facts["minutes"], facts["seed"]).name
        lines += [f"`{name}`:", "", f"![64 pictures of {name}, not picked](quality/{on}/{name}/grid.webp)", ""]
    return lines


def _cells(facts: Mapping[str, Any]) -> list[str]:
    first_judge, second = (facts["scores"][judge] for judge in JUDGES)
    fd = first_judge["fd"]
    return [
        f"`{facts['attempt']}`" + (" †" if any("in its loss" in warning for warning in second["warnings"]) else ""),
        str(facts["seed"]),
        f"{fd['value']:.1f}",
        f"{fd['low']:.1f} to {fd['high']:.1f}",
        f"{second['fd']['value']:.1f}",
        *(f"{first_judge[name]['value']:.1%}" for name in ("precision", "recall", "coverage")),
        f"{facts['images']:,}",
        _processor(facts["machine"]),
        format_duration(facts["cpu_seconds"]),
        " + ".join(f"{count / 1e6:.1f}M" for count in facts["parameters"].values()),
        facts["health"]["word"] if "health" in facts else "",
    ]


def _processor(facts: Mapping[str, Any]) -> str:
    return facts["processor"].replace("(R)", "").replace(" Processor", "")


def main() -> int:
    """Run attempts, list them, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    running = parts.add_parser("run", help="train, score and keep attempts")
    running.add_argument("attempts", nargs="+", metavar="ATTEMPT", choices=[PLAIN, *ATTEMPTS])
    running.add_argument("--on", nargs="+", choices=SETS, default=list(SETS))
    running.add_argument("--minutes", type=float, default=10, help="of two cores")
    running.add_argument("--seeds", type=int, nargs="+", default=[0])
    running.add_argument("--longer", type=float, metavar="MINUTES", help="go on with the runs of so many minutes")
    running.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="trainings side by side")
    running.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="folder of the real pictures")
    running.add_argument("--work", type=Path, default=Path("runs/quality"), help="where data sets and runs are")
    parts.add_parser("list", help="the attempts")
    parts.add_parser("page", help="write quality.md")
    options = parser.parse_args()
    if options.what == "page":
        PAGE.write_text(page())
        return 0
    if options.what == "list":
        for name, attempt in ATTEMPTS.items():
            print(f"{name:20} {attempt.recipe} {' '.join((*attempt.changes, *attempt.conditional))}")
        return 0
    if options.longer is not None and not (0 < options.longer < options.minutes and PLAIN not in options.attempts):
        parser.error(f"--longer is less than --minutes, and of recipes: {PLAIN} can't go on")
    options.work, options.threads = options.work.resolve(), 2 // options.jobs
    jobs = [Job(a, on, options.minutes, seed) for seed in options.seeds for on in options.on for a in options.attempts]
    return train_all(options, [job for job in jobs if not (job.kept / "facts.json").exists()])


def train_all(options: argparse.Namespace, jobs: list[Job]) -> int:
    """All jobs, `options.jobs` at a time; 1 if one failed, which stops no other."""
    data = {on: prepared(options, SETS[on].pictures) for on in dict.fromkeys(job.on for job in jobs)}
    return side_by_side(options.jobs, {f"{job.on}, {job.name}": partial(run, options, job, data[job.on]) for job in jobs})


if __name__ == "__main__":
    sys.exit(main())
