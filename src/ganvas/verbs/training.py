"""Train: from a config to a run folder, and on from its last checkpoint."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

import ganvas
from ganvas import artifact, runs
from ganvas.config import io
from ganvas.config.run import RunConfig
from ganvas.data.packed import PackedDataset
from ganvas.data.prepare import resolve_config
from ganvas.errors import RunError, UsageError
from ganvas.families import build_family
from ganvas.families.base import Family
from ganvas.features.backbone import load_features
from ganvas.metrics.copy_watch import CopyWatch
from ganvas.metrics.reference import TRAINING_CAP, reference
from ganvas.monitor.best import BestCheckpoint
from ganvas.monitor.health import HealthMonitor
from ganvas.nn.kernels import calls as kernels
from ganvas.rng import permutation
from ganvas.runs import RunFolder
from ganvas.training.checkpoint import Checkpoint
from ganvas.training.device import choose_device, choose_precision, set_up
from ganvas.training.loop import Outcome, Trainer
from ganvas.training.stream import class_weights
from ganvas.training.transfer import freeze_first, take_over
from ganvas.units import format_duration, parse_duration
from ganvas.verbs.real import write_real

REAL_LOOKS = 64
"""Real pictures that the looks of as many generated ones are compared with."""


@dataclass(frozen=True)
class Setting:
    """What a run needs beside its config, opened and checked before anything is written."""

    config: RunConfig
    data: PackedDataset
    family: Family
    device: torch.device
    precision: str
    transferred: dict[str, Any] | None = None
    """What was taken from an older run, for the provenance."""
    chosen: dict[str, Any] | None = None
    """Why the config is as it is, where `auto` chose it."""


def prepare_setting(config: RunConfig, family: Family | None = None, quiet: bool = False) -> Setting:
    """Open the data, choose the device, build the networks.

    Raises:
        UsageError: no data is named, or the config asks for what data or machine do not have.
        DataError: the data can't be used.
    """
    if config.data.path is None:
        raise UsageError("no pictures were named: use --data with a folder, an archive, a packed data set or builtin:emoji")
    device = choose_device(config.train.device)
    set_up(config.train.threads)
    data = resolve_config(config.data.path, config.data, quiet=quiet)
    pictures = len(data.split("train"))
    if pictures < config.train.batch:
        raise UsageError(
            f"{config.data.path} has {pictures:,} training pictures, fewer than a batch of {config.train.batch}: "
            f"use --batch {max(1, pictures)} or less, or more pictures"
        )
    if family is None:
        family = build_family(config.family, resolution=config.data.resolution, classes=len(data.classes), seed=config.seed, device=device)
    if config.transfer is not None and config.transfer.freeze:
        freeze_first(family, config.transfer.freeze)
    return Setting(config, data, family, device, choose_precision(config.train.precision, device))


def transfer(setting: Setting) -> Setting:
    """The setting with the weights of the run that its config names, if it names one.

    Raises:
        RunError: no such run, or its networks are others.
    """
    config = setting.config.transfer
    if config is None:
        return setting
    older = runs.open_run(config.run)
    saved = Checkpoint(older.checkpoints / (config.checkpoint or older.default_checkpoint))
    taken = take_over(setting.family, saved, older.config())
    facts = {"run": str(older.path.resolve()), "checkpoint": saved.path.name, "checkpoint_checksum": saved.checksum, "images": saved.images}
    return replace(setting, transferred={**facts, "modules": {name: asdict(part) for name, part in taken.items()}})


def parameters(family: Family) -> dict[str, int]:
    """How many parameters each module has, those left out that have none."""
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in family.modules().items()}
    return {name: count for name, count in counts.items() if count}


def provenance(setting: Setting, custom: bool) -> dict[str, Any]:
    """What made the run: versions, machine, data and its checksum."""
    train = setting.data.split("train")
    weights = class_weights(train.labels, len(setting.data.classes))
    held_out = setting.data.held_out()
    return {
        "ganvas": ganvas.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor_threads": torch.get_num_threads(),
        "device": str(setting.device),
        "precision": setting.precision,
        # Bits in bf16 depend on them: the same run on a machine without a compiler differs by rounding.
        "kernels": kernels.state(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "family": f"{type(setting.family).__module__}.{type(setting.family).__qualname__}" if custom else setting.config.family.kind,
        "parameters": parameters(setting.family),
        "data": {
            "path": str(setting.data.path.resolve()),
            "checksum": setting.data.checksum,
            "train": len(train),
            "held_out": len(held_out) if held_out else 0,
            "classes": list(setting.data.classes),
            "class_counts": None if weights is None else [int(w) for w in weights],
            "attribution": setting.data.attribution,
        },
        **({} if setting.transferred is None else {"transfer": setting.transferred}),
        **({} if setting.chosen is None else {"auto": setting.chosen}),
    }


@contextlib.contextmanager
def sole_writer(folder: RunFolder) -> Iterator[None]:
    """Hold the run's lock.

    Raises:
        RunError: another process trains this run.
    """
    lock = FileLock(folder.lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        status = folder.status()
        who = f" (process {status.pid} on {status.host})" if status else ""
        raise RunError(f"{folder.path} is being trained by another process{who}: stop it first, or use another --out") from error
    try:
        yield
    finally:
        lock.release()


def new_run(setting: Setting, out: Path | None, custom: bool) -> RunFolder:
    """Make the run folder, with its config and provenance.

    Raises:
        RunError: `out` holds a run or other files already.
    """
    if out is None:
        named = setting.config.data.path or ""
        out = runs.next_folder(setting.config.name, named.rpartition(":")[2] if named.startswith("builtin:") else Path(named).stem)
    runs.check_free(out)
    folder = RunFolder(out)
    with artifact.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    artifact.write_json(folder.provenance_file, provenance(setting, custom))
    write_config(folder, setting.config)
    write_real(folder, setting.data)
    return folder


def write_config(folder: RunFolder, config: RunConfig) -> None:
    """Write the run's complete config, its data and an older run named by absolute paths."""
    path = config.data.path
    if path is not None and not path.startswith("builtin:"):
        config = config.model_copy(update={"data": config.data.model_copy(update={"path": os.path.abspath(path)})})
    if config.transfer is not None:
        config = config.model_copy(update={"transfer": config.transfer.model_copy(update={"run": os.path.abspath(config.transfer.run)})})
    artifact.write_text(folder.config_file, io.dump(config))


def start(
    config: RunConfig,
    *,
    out: Path | None,
    family: Family | None,
    stop_after: float | None,
    started: float,
    quiet: bool,
    chosen: dict[str, Any] | None = None,
) -> tuple[RunFolder, Outcome]:
    """Train a new run; see `ganvas.train`. `chosen`: how its config was, for the provenance."""
    setting = replace(transfer(prepare_setting(config, family, quiet)), chosen=chosen)
    folder = new_run(setting, out, custom=family is not None)
    with sole_writer(folder):
        trainer = build_trainer(setting, folder, started, quiet)
        return folder, finish(folder, trainer.run(stop_after))


def build_trainer(setting: Setting, folder: RunFolder, started: float, quiet: bool) -> Trainer:
    """The trainer with its hooks."""
    evaluations = evaluation_hook(setting, quiet)
    # Health last: it judges by the evaluation of the same moment too.
    hooks = [*([evaluations] if evaluations else []), health_hook(setting)]
    return Trainer(
        setting.config,
        setting.family,
        setting.data,
        folder,
        device=setting.device,
        precision=setting.precision,
        hooks=hooks,
        started=started,
        quiet=quiet,
    )


def evaluation_hook(setting: Setting, quiet: bool) -> BestCheckpoint | None:
    """Scores while training, if the config wants them."""
    config = setting.config.evaluation
    if config is None:
        return None
    net = load_features(config.features, device=str(setting.device))
    split = setting.data.split("train")
    real = reference(split, setting.data.checksum, net, limit=TRAINING_CAP, quiet=quiet)
    pixels = torch.from_numpy(split.gather(torch.arange(min(64, len(split))).numpy()))
    net.features(pixels)
    begun = time.perf_counter()
    net.features(pixels)
    each = (time.perf_counter() - begun) / len(pixels)
    budget = setting.config.train.budget
    weights = class_weights(split.labels, len(setting.data.classes)) if setting.family.classes else None
    return BestCheckpoint(
        config,
        net,
        real,
        seed=setting.config.seed,
        device=setting.device,
        precision=setting.precision,
        weights=weights,
        budget=None if budget is None else parse_duration(budget),
        seconds_per_picture=each * 1.5,
        copies=CopyWatch.of(split, setting.data.held_out()),
    )


def health_hook(setting: Setting) -> HealthMonitor:
    """Signals while training, beside some real pictures that are the same whatever the seed."""
    split = setting.data.split("train")
    chosen = permutation(len(split), "health")[:REAL_LOOKS]
    weights = class_weights(split.labels, len(setting.data.classes)) if setting.family.classes else None
    real = split.gather(np.sort(chosen))
    return HealthMonitor(setting.config, real, device=setting.device, precision=setting.precision, weights=weights)


def go_on(
    path: Path, *, length: Mapping[str, Any], stop_after: float | None, family: Family | None, started: float, quiet: bool
) -> tuple[RunFolder, Outcome]:
    """Resume a run, of another `length` if one of `io.LENGTHS` is given; see `ganvas.resume`."""
    folder = runs.open_run(path)
    with sole_writer(folder):
        before = folder.config()
        config = io.load(str(folder.config_file), (), {f"train.{name}": value for name, value in length.items()}) if length else before
        made = folder.provenance()
        custom = "." in made.get("family", "")
        if custom and family is None:
            raise UsageError(f"{path} has a family of its own, {made['family']}: resume it from Python, ganvas.resume(run, family=...)")
        saved = Checkpoint(folder.checkpoints / "last") if has_checkpoint(folder) else None
        setting = prepare_setting(same_data(config, made), family, quiet)
        check_same(setting, made, folder)
        longer = config.train != before.train
        if longer:
            check_longer(setting, saved, folder)
            write_config(folder, config)
        trainer = build_trainer(setting, folder, started, quiet)
        if saved is not None:
            trainer.load(saved)
            if longer:
                trainer.plan.prolong(saved.images, saved.facts["seconds"])
        else:
            # It ended before its first checkpoint: from the start again, with the plan that it had.
            folder.forget(-1)
        return folder, finish(folder, trainer.run(stop_after))


def has_checkpoint(folder: RunFolder) -> bool:
    """Whether the run saved a checkpoint, counting one that a crash left half-way through its replacement."""
    artifact.recover(folder.checkpoints / "last")
    return (folder.checkpoints / "last").exists()


def same_data(config: RunConfig, made: dict[str, Any]) -> RunConfig:
    """The config with the packed data that the run began with, if that is still there."""
    packed = made.get("data", {}).get("path")
    if packed and Path(packed).exists():
        return config.model_copy(update={"data": config.data.model_copy(update={"path": packed})})
    return config


def check_same(setting: Setting, made: dict[str, Any], folder: RunFolder) -> None:
    """A resume that could not give the same run is refused.

    Raises:
        RunError: the data changed.
    """
    before = made.get("data", {}).get("checksum")
    if before is not None and before != setting.data.checksum:
        raise RunError(
            f"{setting.data.path} is not what {folder.path} was trained on (checksum {setting.data.checksum[:12]}, was {before[:12]}): "
            "bring the old pictures back, or start a new run"
        )


def check_longer(setting: Setting, saved: Checkpoint | None, folder: RunFolder) -> None:
    """A length that the run has behind it already is refused.

    Raises:
        UsageError: it has shown more pictures, or trained for longer.
    """
    if saved is None:
        return
    train, seconds = setting.config.train, saved.facts["seconds"]
    total = train.total(len(setting.data.split("train")))
    if train.budget is not None and parse_duration(train.budget) <= seconds:
        raise UsageError(
            f"{folder.path} has trained for {format_duration(seconds)} already, and a budget is a run's time in all: "
            f"give more than {train.budget}, such as {format_duration(2 * seconds)}"
        )
    if total is not None and total < saved.images:
        asked = f"{total:,} pictures" if train.epochs is None else f"{train.epochs:g} passes, {total:,} pictures,"
        raise UsageError(
            f"{folder.path} has shown {saved.images:,} pictures already, and a run's length is all that it shows: "
            f"{asked} would be fewer; give more than it has shown"
        )


def finish(folder: RunFolder, outcome: Outcome) -> Outcome:
    """Write the report of a session that ended."""
    from ganvas.metrics.report import write_report

    write_report(folder)
    return outcome


def message(folder: RunFolder, outcome: Outcome) -> str:
    """What a user reads at the end of a session."""
    status = folder.status()
    took = f" in {format_duration(status.seconds)}" if status else ""
    grids = folder.grids()
    lines = [f"{outcome.state} after {outcome.images:,} pictures{took}" + (f" ({outcome.reason})" if outcome.reason else "")]
    lines.append(f"run     {folder.path}")
    if grids:
        lines.append(f"grid    {grids[-1][1]}")
    lines.append(f"report  {folder.report_file}")
    if (fresh := folder.fresh()) is not None:
        images = fresh["images"]
        lines.append(
            f"fresh   more of the best one's pictures than usual are near-copies, not so after {images:,} pictures: --checkpoint fresh"
        )
    if outcome.state == "finished":
        nexts = (f"evaluate {folder.path}", f"neighbours {folder.path}", f"sample {folder.path} pictures")
        lines.append("next    " + "    ".join(f"ganvas {words}" for words in nexts))
        lines.append(f"longer  ganvas train --resume {folder.path} {folder.config().train.twice} (all that it has behind it counts)")
    else:
        lines.append(f"go on   ganvas train --resume {folder.path}")
    return "\n".join(lines)
