"""The public Python API: prepare, inspect, train, resume, load, sample, evaluate. Torch is imported when a function is called."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganvas import runs
from ganvas.config import io
from ganvas.config.data import Crop
from ganvas.config.run import RunConfig
from ganvas.errors import UserError
from ganvas.runs import RunFolder, State

if TYPE_CHECKING:
    import numpy as np

    from ganvas.data.inspect import Inspection
    from ganvas.data.prepare import Prepared
    from ganvas.families.base import Family
    from ganvas.metrics.compare import Comparison
    from ganvas.metrics.evaluate import Evaluation
    from ganvas.metrics.health import Health
    from ganvas.verbs.averaging import Averaged
    from ganvas.verbs.exploring import Sweep, Written
    from ganvas.verbs.model import Model
    from ganvas.verbs.neighbouring import Neighbours
    from ganvas.verbs.reporting import Reported
    from ganvas.verbs.sampling import Samples

AnyPath = str | PathLike[str]
CheckpointName = str
"""`best`, `last`, or what `ema` made, such as `ema-0.120`."""


@dataclass(frozen=True, repr=False)
class Run:
    """A run after a session of training."""

    folder: RunFolder
    state: State
    images: int
    message: str

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        import base64
        import html

        grids = self.folder.grids()
        text = f"<pre>{html.escape(self.message)}</pre>"
        if grids:
            text += f'<img src="data:image/png;base64,{base64.b64encode(grids[-1][1].read_bytes()).decode()}">'
        return text


@dataclass(frozen=True)
class TrainPlan:
    """What a training would do: `ganvas train --dry-run`."""

    config: RunConfig
    device: str
    precision: str
    parameters: dict[str, int]
    pictures: int
    held_out: int
    classes: tuple[str, ...]
    total_images: int | None

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "recipe": self.config.name,
            "device": self.device,
            "precision": self.precision,
            "parameters": self.parameters,
            "train_pictures": self.pictures,
            "held_out_pictures": self.held_out,
            "classes": list(self.classes),
            "images": self.total_images,
            "budget": self.config.train.budget,
            "config": self.config.model_dump(mode="json"),
        }

    def summary(self) -> str:
        """For people."""
        length = self.config.train.budget
        if self.total_images:
            length = f"{self.total_images:,} pictures ({self.total_images / self.pictures:,.1f} passes)"
        networks = ", ".join(f"{name} {count:,} parameters" for name, count in self.parameters.items())
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return "\n".join(
            [
                f"recipe    {self.config.name}: {self.config.about}",
                f"data      {self.pictures:,} pictures to train on, {self.held_out:,} held out{classes}, {self.config.data.resolution} px",
                f"networks  {networks}",
                f"machine   {self.device}, {self.precision}, batch {self.config.train.batch}",
                f"length    {length}",
            ]
        )


def prepare(
    source: AnyPath,
    out: AnyPath,
    *,
    resolution: int = 64,
    crop: Crop = "center",
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    holdout: float | None = None,
    boxes: str | None = None,
    labels: str | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    force: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Pack the pictures of a folder, an archive or `builtin:emoji` into a data set at `out`.

    Args:
        source: where the pictures are.
        out: the data set's folder.
        resolution: side of the square pictures, in pixels.
        crop: `none` stretches to a square, `center` crops to one first, `box` crops to the bounding boxes of the annotations.
        boxes: with the crop `box`, where a picture has several: `first`, `largest`, or `each` as a picture.
        labels: which labels, where the source has several, such as `fine` or `coarse` of CIFAR-100.
        classes: keep these only.
        limit: keep so many pictures of each split, balanced over the classes.
        holdout: share of the training pictures that is held out; None: as much as makes sense.
        background: what transparent pictures are laid on, RGB from 0 to 255.
        force: replace a data set that was made with other arguments.
        quiet: no progress.

    Raises:
        DataError: nothing readable, or `out` holds something else.
        UsageError: an option makes no sense.
    """
    from ganvas.data.prepare import prepare as run_prepare

    return run_prepare(
        fspath(source),
        fspath(out),
        resolution=resolution,
        crop=crop,
        classes=classes,
        limit=limit,
        holdout=holdout,
        boxes=boxes,
        labels=labels,
        background=background,
        force=force,
        quiet=quiet,
    )


def inspect(
    data: AnyPath,
    *,
    out: AnyPath | None = None,
    resolution: int | None = None,
    crop: str | None = None,
    boxes: str | None = None,
    quiet: bool = False,
) -> Inspection:
    """What a data set holds: classes, sizes, colours, copies, and whether it will do for training, with reasons.

    Args:
        data: a packed data set, or a source of pictures, which is prepared into the cache.
        out: an HTML file to write it to, with pictures.
        resolution: side of the pictures looked at; None: that of the data set, and 64 for a source.
        crop: for a source, none, center (the default) or box.
        boxes: for a source with the crop box: first, largest or each.
        quiet: no progress.

    Raises:
        DataError: the data can't be used.
        UsageError: an option makes no sense.
    """
    from ganvas.verbs.inspecting import inspect as run_inspect

    where = None if out is None else Path(out)
    return run_inspect(fspath(data), where, resolution=resolution, crop=crop, boxes=boxes, quiet=quiet)


def _config(config: RunConfig | AnyPath, data: AnyPath | None) -> RunConfig:
    loaded = config if isinstance(config, RunConfig) else io.load(str(config))
    if data is not None:
        loaded = loaded.model_copy(update={"data": loaded.data.model_copy(update={"path": str(data)})})
    return loaded


def train(
    config: RunConfig | AnyPath,
    *,
    data: AnyPath | None = None,
    out: AnyPath | None = None,
    family: Family | None = None,
    stop_after: float | None = None,
    quiet: bool = False,
    started: float | None = None,
) -> Run:
    """Train a new run.

    Args:
        config: a `RunConfig`, a recipe's name, or the path of a YAML file.
        data: a packed data set, a source of pictures or `builtin:emoji`, in place of the config's.
        out: the run folder; default `runs/00001-recipe-data`.
        family: your own networks and objectives; see `ganvas.families.base.Family`.
        stop_after: seconds after which the run is saved and stopped, to be resumed.
        quiet: no progress.
        started: Unix time from which a budget and `stop_after` count; default now.

    Raises:
        UsageError: the config does not fit the data or the machine.
        DataError: the data can't be used.
        RunError: `out` is taken.
        TrainingFailed: NaN or Inf; the last good checkpoint is kept.
    """
    begun = time.time() if started is None else started
    loaded = _config(config, data)
    from ganvas.verbs import training

    where = None if out is None else Path(out)
    folder, outcome = training.start(loaded, out=where, family=family, stop_after=stop_after, started=begun, quiet=quiet)
    return Run(folder, outcome.state, outcome.images, training.message(folder, outcome))


def resume(
    run: AnyPath,
    *,
    images: int | None = None,
    stop_after: float | None = None,
    family: Family | None = None,
    quiet: bool = False,
    started: float | None = None,
) -> Run:
    """Go on with a run from its last checkpoint; the result equals that of a run that never stopped.

    Args:
        run: the run folder.
        images: a new length in pictures seen.
        stop_after: as for `train`.
        family: the run's own family, where it has one.
        quiet: no progress.
        started: as for `train`.

    Raises:
        RunError: no run, a damaged checkpoint, other data, or another process trains it.
        TrainingFailed: NaN or Inf.
    """
    begun = time.time() if started is None else started
    runs.open_run(run)
    from ganvas.verbs import training

    folder, outcome = training.go_on(Path(run), images=images, stop_after=stop_after, family=family, started=begun, quiet=quiet)
    return Run(folder, outcome.state, outcome.images, training.message(folder, outcome))


def plan(config: RunConfig | AnyPath, *, data: AnyPath | None = None, quiet: bool = False) -> TrainPlan:
    """What `train` would do: data opened, networks built, nothing trained."""
    loaded = _config(config, data)
    from ganvas.verbs import training

    setting = training.prepare_setting(loaded, quiet=quiet)
    held_out, pictures, length = setting.data.held_out(), len(setting.data.split("train")), loaded.train
    total = length.images or (round(length.epochs * pictures) if length.epochs else None)
    return TrainPlan(
        loaded,
        str(setting.device),
        setting.precision,
        training.parameters(setting.family),
        pictures,
        len(held_out) if held_out else 0,
        setting.data.classes if setting.family.classes else (),
        total,
    )


def load(
    run: AnyPath, *, checkpoint: CheckpointName | None = None, ema: bool = True, device: str = "auto", family: Family | None = None
) -> Model:
    """A run's model, with `.generator` and `.sample(...)`.

    Args:
        run: the run folder.
        checkpoint: `best`, `last` or what `ema` made; default: best where there is one.
        ema: the average of the generator's parameters, rather than the last ones.
        device: auto, cpu, cuda or mps.
        family: the run's own family, where it has one.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
    """
    runs.open_run(run)
    from ganvas.verbs.model import load as load_model

    return load_model(Path(run), checkpoint=checkpoint, ema=ema, device=device, family=family)


def sample(
    run: AnyPath,
    out: AnyPath,
    *,
    n: int | None = None,
    seed: int = 0,
    truncation: float | None = None,
    classes: Sequence[str | int] | None = None,
    balanced: bool = False,
    best: str | None = None,
    by: Literal["logit", "realism", "both"] | None = None,
    watermark: str | None = None,
    kaggle: bool = False,
    as_dataset: bool = False,
    checkpoint: CheckpointName | None = None,
    ema: bool = True,
    grid: bool = False,
    quiet: bool = False,
) -> Samples:
    """Write PNG pictures, `samples.json` with their history and, if wanted, `grid.png` into the new folder `out`.

    Args:
        run: the run folder.
        out: a folder that is not there yet, or is empty.
        n: how many are drawn; default 64, or 10,000 for Kaggle.
        seed: picture i of a seed is the same whatever `n` is.
        truncation: normal latents stay within [-t, t]; a StyleGAN draws its styles towards their mean, psi from 0 to 1.
        classes: only these, in turn.
        balanced: as many pictures of each class.
        best: `10%` or a number: only the best of the `n` are kept (of each class, with `balanced`).
        by: what the best go by: the discriminator's `logit`, `realism` in feature space (default), or `both`.
        watermark: a text, or a picture's file, stamped on every copy that is written.
        kaggle: `images.zip` as "Generative Dog Images" took it, and its score.
        as_dataset: `train/<class>/` folders, as `prepare` takes them.
        checkpoint: `best`, `last` or what `ema` made; default: best where there is one.
        ema: the average of the generator's parameters.
        grid: also one picture of the first 256.
        quiet: no progress.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is not empty, no such class, or options that make no sense (together).
        DataError: realism and Kaggle's score need the run's data, and it is gone.
    """
    runs.open_run(run)
    from ganvas.verbs.sampling import Wish
    from ganvas.verbs.sampling import sample as run_sample

    wish = Wish(
        n=n,
        seed=seed,
        truncation=truncation,
        classes=classes,
        balanced=balanced,
        best=best,
        by=by,
        watermark=watermark,
        kaggle=kaggle,
        as_dataset=as_dataset,
        checkpoint=checkpoint,
        ema=ema,
        grid=grid,
        quiet=quiet,
    )
    return run_sample(Path(run), Path(out), wish)


def interpolate(
    run: AnyPath,
    out: AnyPath,
    *,
    rows: int = 8,
    steps: int = 8,
    mode: Literal["slerp", "linear"] | None = None,
    classes: Sequence[str | int] | None = None,
    seed: int = 0,
    truncation: float | None = None,
    formats: Sequence[Literal["png", "gif", "mp4"]] | None = None,
    checkpoint: CheckpointName | None = None,
    ema: bool = True,
) -> Written:
    """Walk between latents, or with two classes or more from class to class, row by row.

    Args:
        run: the run folder.
        out: a new folder, or a file that ends in .png, .gif or .mp4.
        rows: how many walks; row r goes from picture 2r of the seed to 2r + 1 (between classes: picture r stays).
        steps: pictures in a row, both ends among them.
        mode: `slerp` keeps to where normal latents lie; default: slerp, or linear for uniform latents.
        classes: one: its pictures only; more: from the first to the last.
        seed, truncation, checkpoint, ema: as for `sample`.
        formats: `png` (a grid), `gif`, `mp4` (needs `ganvas[video]`); default png and gif.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is taken, no such class, or the networks can't mix classes.
    """
    from ganvas.verbs.exploring import interpolate as run_interpolate

    return run_interpolate(
        Path(run),
        Path(out),
        rows=rows,
        steps=steps,
        mode=mode,
        classes=classes,
        seed=seed,
        truncation=truncation,
        formats=formats,
        checkpoint=checkpoint,
        ema=ema,
    )


def timeline(
    run: AnyPath,
    out: AnyPath,
    *,
    pictures: int = 8,
    moments: int = 10,
    formats: Sequence[Literal["png", "gif", "mp4"]] | None = None,
) -> Written:
    """Show what the same latents became over training: a strip of some, and an animation of all.

    Args:
        run: the run folder.
        out: a new folder, or a file that ends in .png, .gif or .mp4.
        pictures: rows of the strip.
        moments: columns of the strip, at most.
        formats: as for `interpolate`.

    Raises:
        RunError: no run, or one without grids.
        UsageError: `out` is taken.
    """
    from ganvas.verbs.exploring import over_training

    return over_training(Path(run), Path(out), pictures=pictures, moments=moments, formats=formats)


def sweep_truncation(
    run: AnyPath,
    out: AnyPath,
    *,
    truncations: Sequence[float | None] | None = None,
    samples: int = 2_000,
    checkpoint: CheckpointName | None = None,
    quiet: bool = False,
) -> Sweep:
    """Score the same latents at several truncations: fidelity against variety, in tables, plots and pictures.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is taken, or the run's latents are uniform.
        DataError: the run's data is gone.
    """
    from ganvas.verbs.exploring import sweep_truncation as run_sweep

    return run_sweep(Path(run), Path(out), truncations=truncations, samples=samples, checkpoint=checkpoint, quiet=quiet)


def ema(run: AnyPath, sigma: float, *, family: Family | None = None) -> Averaged:
    """Average the generator over another share of the run, after training, as a checkpoint that all commands take.

    The run must have been trained with `ema: {kind: power}`. The checkpoint is named by the width, such as `ema-0.120`.

    Args:
        run: the run folder.
        sigma: the average's relative width (Karras et al. 2024): its standard deviation in time, as a share of the run,
            above 0 and below 0.289.
        family: the run's own family, where it has one.

    Raises:
        RunError: no run, a damaged snapshot, or another process trains it.
        UsageError: no such width, or the run kept no averages of which others can be made.
    """
    runs.open_run(run)
    from ganvas.verbs.averaging import average

    return average(Path(run), sigma, family)


def report(run: AnyPath, *, plots: bool = False) -> Reported:
    """Write a run's `report.html` again and, if wanted, each plot as a PNG into `plots/` in the run.

    Raises:
        RunError: no run.
    """
    from ganvas.verbs.reporting import report as run_report

    return run_report(Path(run), plots)


def diagnose(run: AnyPath) -> Health:
    """Say how a run is: what is wrong with it, since when, and what usually helps. Also for runs that still go on.

    Raises:
        RunError: no run.
    """
    from ganvas.verbs.reporting import diagnose as run_diagnose

    return run_diagnose(Path(run))


def compare(*paths: AnyPath, out: AnyPath | None = None) -> Comparison:
    """Put runs beside each other: scores, parameters, pictures, time, whether they collapsed.

    Args:
        paths: run folders.
        out: an HTML page to be written, with the table, grids and curves.

    Raises:
        RunError: one of them is no run.
    """
    from ganvas.verbs.reporting import compare as run_compare

    return run_compare([Path(path) for path in paths], None if out is None else Path(out))


def evaluate(
    run: AnyPath | np.ndarray,
    *,
    data: AnyPath | None = None,
    samples: int | None = None,
    checkpoint: CheckpointName | None = None,
    features: str | None = None,
    weights: AnyPath | None = None,
    weights_sha256: str | None = None,
    resolution: int | None = None,
    out: AnyPath | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Score a run's samples against its training pictures, or any generator's pictures against any data set.

    Of a run, writes `evaluation.json` and `report.html` into it.

    Args:
        run: a run folder; or, with `data`, pictures: a folder, an archive, a packed data set, or uint8 (N, H, W, 3).
        data: real pictures to compare with, packed or not; default: those that the run was trained on.
        samples: how many to draw of a run, default 10,000; of given pictures, how many to score at most, default all.
        checkpoint: `best`, `last` or what `ema` made; default: best where there is one.
        features: `efficientnet-lite0` (default, offline), `efficientnet-lite2`, `inception`, `dinov2`; see docs/guide/features.md.
        weights: the weights file that `inception` and `dinov2` need.
        weights_sha256: what that file's SHA-256 must begin with, 8 hexadecimal digits or more.
        resolution: of real pictures that are not packed, beside given ones; default: the given pictures' own.
        out: a JSON file to write the evaluation to.
        quiet: no progress.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        DataError: there are no pictures, or none that can be read.
        UsageError: unknown features, their weights are missing, or an option makes no sense.
    """
    from ganvas.features.backbone import Wanted
    from ganvas.verbs.evaluating import evaluate as run_evaluate

    return run_evaluate(
        Path(run) if isinstance(run, (str, PathLike)) else run,
        data=None if data is None else str(data),
        samples=samples,
        checkpoint=checkpoint,
        wanted=Wanted(features, None if weights is None else Path(weights), weights_sha256),
        resolution=resolution,
        out=None if out is None else Path(out),
        quiet=quiet,
    )


def neighbours(
    what: AnyPath,
    out: AnyPath | None = None,
    *,
    data: AnyPath | None = None,
    samples: int | None = None,
    seed: int = 1,
    shown: int = 24,
    checkpoint: CheckpointName | None = None,
    features: str | None = None,
    weights: AnyPath | None = None,
    weights_sha256: str | None = None,
    quiet: bool = False,
) -> Neighbours:
    """Whether generated pictures are copies: each is compared with all training pictures, in features and in pixels.

    Args:
        what: a run folder; or, with `data`, pictures of any generator: a folder, an archive or a packed data set.
        out: an HTML page to be written, with the most suspicious pictures and some others beside their nearest real ones.
        data: the training pictures; default: those that the run was trained on.
        samples: how many generated pictures: 2,000 of a run, all that are given.
        seed: of the run's pictures; picture i of a seed is that of `sample`.
        shown: how many suspicious pictures the page shows.
        checkpoint: `best` or `last`; default: best where there is one.
        features: the network in whose features is searched; default: that of the run's config.
        weights, weights_sha256: as for `evaluate`.
        quiet: no progress.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        DataError: the pictures or the data can't be used.
        UsageError: an option makes no sense, or there are too few pictures.
    """
    from ganvas.features.backbone import Wanted
    from ganvas.verbs.neighbouring import neighbours as run_neighbours

    return run_neighbours(
        fspath(what),
        None if out is None else Path(out),
        data=None if data is None else fspath(data),
        samples=samples,
        seed=seed,
        shown=shown,
        checkpoint=checkpoint,
        wanted=Wanted(features, None if weights is None else Path(weights), weights_sha256),
        quiet=quiet,
    )


__all__ = [
    "AnyPath",
    "CheckpointName",
    "Run",
    "TrainPlan",
    "UserError",
    "compare",
    "diagnose",
    "ema",
    "evaluate",
    "inspect",
    "interpolate",
    "load",
    "neighbours",
    "plan",
    "prepare",
    "report",
    "resume",
    "sample",
    "sweep_truncation",
    "timeline",
    "train",
]
