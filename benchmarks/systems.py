"""Every system of the five reports, trained on real pictures, and the page that shows what came of it.

    python benchmarks/systems.py train [RECIPE...] --pictures ../shared/data --minutes 20 --threads 1 --jobs 2
    python benchmarks/systems.py keep --work runs/systems
    python benchmarks/systems.py page

`train` prepares each recipe's pictures, trains it with the command line as a user would, scores it, and keeps what is
small of its run in `benchmarks/results/RECIPE`: config, numbers, scores, a grid, the same latents over time, curves.
Weights and real pictures stay where they are. `keep` does the last part again for runs that are there. `page` writes
`benchmarks/systems.md` from those folders alone, with what a person who looked at the pictures wrote into `notes.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import machine
from ganvas.errors import UserError
from ganvas.explore.timeline import strip
from ganvas.metrics.compare import compare
from ganvas.metrics.curves import KID, PLOTS, all_series, draw_lines, ordered
from ganvas.runs import RunFolder, open_run, read_json
from ganvas.sampling.grid import read_png
from ganvas.units import format_duration

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE / "systems.md"
SMALL = ("config.yaml", "metrics.jsonl", "evaluations.jsonl", "evaluation.json", "provenance.json", "status.json")
QUALITY = 85
"""WebP quality of the grids that are kept."""


@dataclass(frozen=True)
class Pictures:
    """Real pictures as their owner ships them, and how they are prepared."""

    source: str
    options: tuple[str, ...]
    grid_every: int = 10_000
    """Pictures shown between two grids of the same latents."""


DOGS = Pictures("stanford-dogs", ("--resolution", "64", "--crop", "box"))
CIFAR = Pictures("cifar10.zip", ("--resolution", "32"), grid_every=50_000)


@dataclass(frozen=True)
class System:
    """One row of docs/systems.md."""

    pictures: Pictures
    says: str
    """What the report shows of it."""
    kaggle: bool = False


SYSTEMS: Mapping[str, System] = {
    "dogs-simple": System(DOGS, "pictures after epochs 1 and 9; no score", kaggle=True),
    "dogs-improved": System(DOGS, "pictures at epochs 201 and 401 of 750; no score", kaggle=True),
    "dogs-biggan": System(DOGS, "pictures at epochs 10, 50, 160 and 200; no score", kaggle=True),
    "cifar10-dcgan64": System(Pictures("cifar10.zip", ("--resolution", "64")), "real and generated grids by epoch, 30 epochs"),
    "cats-dcgan": System(
        Pictures("dogs-vs-cats.zip", ("--resolution", "64", "--classes", "cat", "--crop", "none")),
        "1200 epochs; D overfits small data",
    ),
    "churches-dcgan128": System(Pictures("churches.zip", ("--resolution", "128")), "uncurated samples after 100 epochs of 126k"),
    "cifar10-dcgan-1": System(CIFAR, "collapses after epoch 200"),
    "cifar10-dcgan-2": System(CIFAR, "better than the first, by eye"),
    "cifar10-dcgan-3": System(CIFAR, "converges by 200 to 400 epochs, diverges after"),
    "cifar10-dcgan-4": System(CIFAR, "FID 2.31, of features that are not named"),
    "cifar10-cgan-1": System(CIFAR, "500 epochs"),
    "cifar10-cgan-2": System(CIFAR, "collapses"),
    "cifar10-sncgan": System(CIFAR, "the winner: FID 2.22, of features that are not named"),
    "cifar10-wgan": System(CIFAR, "compared with the others"),
    "cifar10-wgan-gp": System(CIFAR, "compared with the others"),
}


# -- Training -----------------------------------------------------------------------------------------------------


def command(options: argparse.Namespace, *words: str | Path) -> None:
    """One `ganvas` command, as a user gives it."""
    threads = str(options.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    line = [sys.executable, "-m", "ganvas", *map(str, words)]
    print("+ ganvas", *map(str, words), flush=True)
    subprocess.run(line, check=True, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def kept_page(head: str, folder: Path, section: Callable[[Mapping[str, Any]], list[str]], what: str) -> str:
    """A page of Markdown with a section for each study that a folder keeps; `what` says what each must hold, and who makes it.

    Raises:
        UserError: one holds none.
    """
    parts = [head]
    for path in sorted(folder.glob("*.json")):
        kept = read_json(path)
        if not kept or not kept["trials"]:
            raise UserError(f"{path} holds no {what}")
        parts += section(kept)
    return "\n".join(parts).rstrip() + "\n"


def prepared(options: argparse.Namespace, pictures: Pictures) -> Path:
    """The packed data set, made if it is not there."""
    builtin = pictures.source.startswith("builtin:")
    source = pictures.source if builtin else options.pictures / pictures.source
    stem = pictures.source.partition(":")[2] if builtin else Path(pictures.source).stem
    out = options.work / "data" / "-".join([stem, *(option.removeprefix("--") for option in pictures.options)])
    if not out.exists():
        command(options, "prepare", source, out, *pictures.options, "--quiet")
    return out


def train(options: argparse.Namespace, recipe: str, data: Path) -> None:
    """Train, score and keep one recipe."""
    run = options.work / "runs" / recipe
    words = ["--budget", f"{options.minutes:g}m", "--threads", str(options.threads)]
    words += ["--set", f"samples.every={SYSTEMS[recipe].pictures.grid_every}", "--quiet"]
    if not run.exists():
        command(options, "train", recipe, "--data", data, "--out", run, *words)
    if not (run / "evaluation.json").exists():
        command(options, "evaluate", run, "--quiet")
    entry = options.work / "kaggle" / recipe
    if SYSTEMS[recipe].kaggle and not entry.exists():
        command(options, "sample", run, entry, "--kaggle", "--quiet")
    keep(options, recipe)


def keep(options: argparse.Namespace, recipe: str) -> None:
    """Copy what is small of a run, and what says how it was made, into the results."""
    run, entry = options.work / "runs" / recipe, options.work / "kaggle" / recipe
    folder = open_run(run)
    out = RESULTS / run.name
    out.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        shutil.copyfile(run / name, out / name)
    row = compare([folder]).rows[0]
    facts = {key: row[key] for key in ("images", "seconds", "cpu_seconds", "joules", "pictures_per_second", "parameters", "health")}
    history = read_json(entry / "samples.json") or {}
    facts["mifid"] = history.get("kaggle")
    facts["machine"] = machine.describe() | {"threads": folder.config().train.threads}
    (out / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")
    latest = read_png(folder.grids()[-1][1])
    if latest is None:
        raise UserError(f"{folder.grids()[-1][1]} can't be read")
    webp(out / "grid.webp", latest)
    webp(out / "timeline.webp", strip(folder, 4, 8))
    (out / "curves.png").write_bytes(curves(folder))


def webp(path: Path, pixels: Any) -> None:
    """Write a small file of uint8 (H, W, 3)."""
    from PIL import Image

    Image.fromarray(pixels).save(path, quality=QUALITY, method=6)


def curves(folder: RunFolder) -> bytes:
    """Losses, D's predictions and accuracies, and KID, in one PNG."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    shown = [(plot, ordered(folder.metrics())) for plot in PLOTS[:3]] + [(KID, ordered(folder.evaluations()))]
    drawing = Figure(figsize=(10, 2.3), dpi=100, layout="constrained")
    FigureCanvasAgg(drawing)
    for axes, (plot, lines) in zip(drawing.subplots(1, len(shown)), shown, strict=True):
        axes.set_title(plot.title, fontsize=9)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25, linewidth=0.6)
        if found := all_series(plot, lines):
            draw_lines(found, plot.limits)(axes)
        if legend := axes.get_legend():
            for text in legend.get_texts():
                text.set_fontsize(7)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png")
    return buffer.getvalue()


def side_by_side(count: int, trainings: Mapping[str, Callable[[], None]]) -> int:
    """Run all trainings, `count` at a time; 1 if one failed, which is told and stops no other."""
    failed = []

    def one(name: str) -> None:
        try:
            trainings[name]()
        except (subprocess.CalledProcessError, UserError) as error:
            failed.append(name)
            print(f"{name}: {error}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(one, trainings))
    return 1 if failed else 0


# -- Page ---------------------------------------------------------------------------------------------------------

HEAD = """# Every system of the five reports, on real pictures

Made by `python benchmarks/systems.py page` from what `benchmarks/results/` keeps of each run; nothing here is written by
hand but the paragraphs under the pictures, by somebody who looked at them. `python benchmarks/systems.py train` makes the
runs again. The pictures learnt from are those that `docs/systems.md` names, in their owners' layouts; they are not shown.

FD, KID, precision and recall compare 10,000 new pictures with those trained on, on the offline features (EfficientNet-Lite0):
they compare runs on the same pictures with each other, and are no FID. Precision is the share of new pictures that look
like real ones, recall the share of real ones that the generator could have made. MiFID is the Kaggle competition's score
as `docs/systems.md` defines it, by the thresholds of its public and of its private board, on the offline features in
place of both boards' networks; d is the distance of memorisation that it divides by where d is below the threshold.

Ten minutes of two cores are twenty of one: the runs were trained on one thread each, two side by side, while other work
went on with lower priority. The time in parentheses is the processor time that each had; two that had got little of it in
their twenty minutes went on for ten more.
"""


def page() -> str:
    """The page as Markdown."""
    found = {name: system for name, system in SYSTEMS.items() if (RESULTS / name / "facts.json").exists()}
    missing = [name for name in SYSTEMS if name not in found]
    lines = [HEAD]
    if missing:
        lines.append(f"Not trained yet: {', '.join(missing)}.\n")
    lines += [*_table(found), ""]
    for name, system in found.items():
        lines += _section(name, system)
    return "\n".join(lines)


def _facts(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return read_json(RESULTS / name / "facts.json") or {}, read_json(RESULTS / name / "evaluation.json") or {}


def _table(found: Mapping[str, System]) -> list[str]:
    lines = [
        "| recipe | trained on | pictures shown | time (of processor) | FD | KID x 1000 | precision | recall | MiFID | collapsed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, system in found.items():
        facts, scores = _facts(name)
        mifid = facts.get("mifid")
        cells = [
            f"[`{name}`](#{name})",
            system.pictures.source,
            f"{facts['images']:,}",
            f"{format_duration(facts['seconds'])} ({format_duration(facts['cpu_seconds'])})",
            f"{scores['fd']['value']:.1f}",
            f"{1000 * scores['kid']['value']:.1f}",
            f"{scores['precision']['value']:.1%}",
            f"{scores['recall']['value']:.1%}",
            _mifid(mifid) if mifid else "",
            facts["health"]["word"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _mifid(mifid: Mapping[str, Any]) -> str:
    return f"{mifid['public']['value']:.1f} / {mifid['private']['value']:.1f} (d {mifid['d']:.3f})"


def _section(name: str, system: System) -> list[str]:
    facts, scores = _facts(name)
    folder = RunFolder(RESULTS / name)
    config = folder.config()
    parameters = " + ".join(f"{count / 1e6:.2f}M" for count in facts["parameters"].values())
    where, train = facts["machine"], config.train
    # A run that was given more time afterwards has a length in pictures.
    length = f"--budget {train.budget}" if train.budget else f"--images {train.images}"
    lines = [
        f"## {name}",
        "",
        f"{config.about[0].upper()}{config.about[1:]}. In the report: {system.says}.",
        "",
        f"`ganvas prepare {system.pictures.source} DATA {' '.join(system.pictures.options)}`, then "
        f"`ganvas train {name} --data DATA {length} --threads {where['threads']}`: {facts['images']:,} pictures in "
        f"{format_duration(facts['seconds'])}, {parameters} parameters (G + D), checkpoint scored: {scores['checkpoint']} "
        f"({scores['images']:,} pictures). {where['processor']}, {where['cores']} cores, torch {where['torch']}, {where['date']}.",
        "",
        f"![64 pictures of {name}, not picked](results/{name}/grid.webp)",
        "",
        f"![the same latents over the training](results/{name}/timeline.webp)",
        "",
        f"![curves of {name}](results/{name}/curves.png)",
        "",
    ]
    if reasons := facts["health"]["reasons"]:
        lines += [f"By `ganvas compare`'s rule: {'; '.join(reasons)}.", ""]
    notes = RESULTS / name / "notes.md"
    if notes.exists():
        lines += [notes.read_text().strip(), ""]
    return lines


def main() -> int:
    """Train recipes, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    training = parts.add_parser("train", help="train, score and keep recipes")
    training.add_argument("recipes", nargs="*", metavar="RECIPE", help="which; default: all that have no results")
    training.add_argument("--pictures", type=Path, default=Path("../shared/data"), help="folder of the real pictures")
    training.add_argument("--minutes", type=float, default=10, help="for each recipe")
    training.add_argument("--threads", type=int, default=2, help="processor threads of each training")
    training.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    keeping = parts.add_parser("keep", help="keep what is small of runs that are there")
    for part in (training, keeping):
        part.add_argument("--work", type=Path, default=Path("runs/systems"), help="where data sets and runs are")
    parts.add_parser("page", help="write systems.md")
    options = parser.parse_args()
    if options.what == "page":
        PAGE.write_text(page())
        return 0
    options.work = options.work.resolve()
    if options.what == "keep":
        for name in SYSTEMS:
            if (options.work / "runs" / name / "evaluation.json").exists():
                keep(options, name)
        return 0
    if unknown := set(options.recipes) - set(SYSTEMS):
        parser.error(f"no such system: {', '.join(sorted(unknown))}; there are {', '.join(SYSTEMS)}")
    chosen = options.recipes or [name for name in SYSTEMS if not (RESULTS / name / "facts.json").exists()]
    data = {name: prepared(options, SYSTEMS[name].pictures) for name in chosen}
    return side_by_side(options.jobs, {name: partial(train, options, name, data[name]) for name in chosen})


if __name__ == "__main__":
    sys.exit(main())
