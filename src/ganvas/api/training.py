"""Runs: train, resume, plan, and averages made afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganvas import runs
from ganvas.api.names import AnyPath
from ganvas.config import io
from ganvas.config.run import RunConfig
from ganvas.errors import UsageError
from ganvas.notebook import Shown
from ganvas.runs import RunFolder, State

if TYPE_CHECKING:
    from ganvas.auto.choice import Choice
    from ganvas.families.base import Family
    from ganvas.verbs.averaging import Averaged


@dataclass(frozen=True, repr=False)
class Run(Shown):
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

    def summary(self) -> str:
        """What a user reads at the end."""
        return self.message

    def written(self) -> list[Path]:
        """The last grid."""
        return [path for _, path in self.folder.grids()[-1:]]


@dataclass(frozen=True)
class TrainPlan(Shown):
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


AUTO = "auto"
"""In place of a recipe's name: choose one."""


def choose(data: AnyPath, *, budget: str | None = None, settings: Mapping[str, Any] | None = None, quiet: bool = False) -> Choice:
    """What to train on these pictures: they are looked at, the machine is measured, and all is decided, with reasons.

    Print the choice to read it; `train` takes it in place of a config.

    Args:
        data: a packed data set, a source of pictures, or `builtin:emoji`.
        budget: how long the run may take, such as `30m`, which is the default.
        settings: dotted keys of the config with values that stand, such as `{"seed": 1}`; what depends on them follows.
        quiet: no progress.

    Raises:
        UsageError: a setting is wrong, or asks for what data or machine do not have.
        DataError: the data can't be used.
    """
    from ganvas.auto.choose import choose as chosen

    return chosen(str(data), overrides=dict(settings or {}) | ({} if budget is None else {"train.budget": budget}), quiet=quiet)


def _config(config: RunConfig | Choice | AnyPath, data: AnyPath | None, quiet: bool) -> tuple[RunConfig, dict[str, Any] | None]:
    """The config, and for one that was chosen how."""
    from ganvas.auto.choice import Choice

    if config == AUTO:
        if data is None:
            raise UsageError("auto chooses by the pictures, and none were named: give data=")
        config = choose(data, quiet=quiet)
    if isinstance(config, Choice):
        return config.config, config.to_json()
    loaded = config if isinstance(config, RunConfig) else io.load(str(config))
    if data is not None:
        loaded = loaded.model_copy(update={"data": loaded.data.model_copy(update={"path": str(data)})})
    return loaded, None


def train(
    config: RunConfig | Choice | AnyPath = AUTO,
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
        config: a `RunConfig`, a recipe's name, the path of a YAML file, what `choose` chose, or `auto` to choose now.
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
    where = None if out is None else Path(out)
    if where is not None:
        runs.check_free(where)  # said before choosing and preparing take their time
    loaded, chosen = _config(config, data, quiet)
    from ganvas.verbs import training

    folder, outcome = training.start(loaded, out=where, family=family, stop_after=stop_after, started=begun, quiet=quiet, chosen=chosen)
    return Run(folder, outcome.state, outcome.images, training.message(folder, outcome))


def resume(
    run: AnyPath,
    *,
    images: int | None = None,
    epochs: float | None = None,
    budget: str | None = None,
    stop_after: float | None = None,
    family: Family | None = None,
    quiet: bool = False,
    started: float | None = None,
) -> Run:
    """Go on with a run from its last checkpoint; the result equals that of a run that never stopped.

    At most one of `images`, `epochs` and `budget` gives it a new length, in place of that of its config; each counts
    what it has behind it.

    Args:
        run: the run folder.
        images: pictures seen in all.
        epochs: passes over the training pictures in all.
        budget: time in all, such as `2h`, over all sessions.
        stop_after: as for `train`.
        family: the run's own family, where it has one.
        quiet: no progress.
        started: as for `train`.

    Raises:
        UsageError: two lengths, or one that the run has behind it already.
        RunError: no run, a damaged checkpoint, other data, or another process trains it.
        TrainingFailed: NaN or Inf.
    """
    begun = time.time() if started is None else started
    runs.open_run(run)
    length = {name: value for name, value in (("images", images), ("epochs", epochs), ("budget", budget)) if value is not None}
    if len(length) > 1:
        raise UsageError(f"{' and '.join(length)} each say how long to train: give one of them")
    from ganvas.verbs import training

    folder, outcome = training.go_on(Path(run), length=length, stop_after=stop_after, family=family, started=begun, quiet=quiet)
    return Run(folder, outcome.state, outcome.images, training.message(folder, outcome))


def plan(config: RunConfig | Choice | AnyPath, *, data: AnyPath | None = None, quiet: bool = False) -> TrainPlan:
    """What `train` would do: data opened, networks built, nothing trained."""
    loaded, _ = _config(config, data, quiet)
    from ganvas.verbs import training

    setting = training.prepare_setting(loaded, quiet=quiet)
    held_out, pictures = setting.data.held_out(), len(setting.data.split("train"))
    return TrainPlan(
        loaded,
        str(setting.device),
        setting.precision,
        training.parameters(setting.family),
        pictures,
        len(held_out) if held_out else 0,
        setting.data.classes if setting.family.classes else (),
        loaded.train.total(pictures),
    )


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
