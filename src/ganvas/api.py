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
from ganvas.config.run import RunConfig
from ganvas.errors import UserError
from ganvas.runs import RunFolder, State

if TYPE_CHECKING:
    from ganvas.data.inspect import Inspection
    from ganvas.data.prepare import Prepared
    from ganvas.families.base import Family
    from ganvas.metrics.evaluate import Evaluation
    from ganvas.verbs.model import Model
    from ganvas.verbs.sampling import Samples

AnyPath = str | PathLike[str]
CheckpointName = Literal["best", "last"]


@dataclass(frozen=True)
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


def prepare(source: AnyPath, out: AnyPath, **options: Any) -> Prepared:
    """Pack pictures into a data set; see `ganvas.data.prepare.prepare` for the options.

    Raises:
        DataError: nothing readable, or `out` holds something else.
        UsageError: an option makes no sense.
    """
    from ganvas.data.prepare import prepare as run_prepare

    return run_prepare(fspath(source), fspath(out), **options)


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
        checkpoint: `best` or `last`; default: best where there is one.
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
    n: int = 64,
    seed: int = 0,
    truncation: float | None = None,
    classes: Sequence[str | int] | None = None,
    checkpoint: CheckpointName | None = None,
    ema: bool = True,
    grid: bool = False,
    quiet: bool = False,
) -> Samples:
    """Write `n` PNG pictures, `samples.json` with their history and, if wanted, `grid.png` into the new folder `out`.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: `out` is not empty, no such class, or a number that makes no sense.
    """
    runs.open_run(run)
    from ganvas.verbs.sampling import sample as run_sample

    return run_sample(
        Path(run),
        Path(out),
        n=n,
        seed=seed,
        truncation=truncation,
        classes=classes,
        checkpoint=checkpoint,
        ema=ema,
        with_grid=grid,
        quiet=quiet,
    )


def evaluate(
    run: AnyPath,
    *,
    data: AnyPath | None = None,
    samples: int | None = None,
    checkpoint: CheckpointName | None = None,
    features: str | None = None,
    weights: AnyPath | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Score a run's samples against its training pictures; writes `evaluation.json` and `report.html` into the run.

    Args:
        run: the run folder.
        data: other pictures to compare with.
        samples: how many to draw; default 10,000.
        checkpoint: `best` or `last`; default: best where there is one.
        features: `efficientnet-lite0` (default, offline) or `inception`.
        weights: the weights file that `inception` needs.
        quiet: no progress.

    Raises:
        RunError: no run, or a missing or damaged checkpoint.
        UsageError: unknown features, or their weights are missing.
    """
    runs.open_run(run)
    from ganvas.verbs.evaluating import evaluate as run_evaluate

    return run_evaluate(
        Path(run),
        data=None if data is None else str(data),
        samples=samples,
        checkpoint=checkpoint,
        features=features,
        weights=None if weights is None else Path(weights),
        quiet=quiet,
    )


__all__ = [
    "AnyPath",
    "CheckpointName",
    "Run",
    "TrainPlan",
    "UserError",
    "evaluate",
    "inspect",
    "load",
    "plan",
    "prepare",
    "resume",
    "sample",
    "train",
]
