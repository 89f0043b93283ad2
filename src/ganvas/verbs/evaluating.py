"""Evaluate: scores of a run's samples against its data, or of any pictures against any data set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ganvas import artifact, runs
from ganvas.config import AloneConfig, CodedConfig, GanConfig, InstanceConfig
from ganvas.data.given import Given, open_given
from ganvas.data.layout import shown
from ganvas.data.packed import is_packed, open_packed
from ganvas.data.prepare import RESOLUTIONS, resolve, resolve_config
from ganvas.errors import RunError, UsageError
from ganvas.explore.walks import usual
from ganvas.features.backbone import Wanted
from ganvas.metrics.appearance import Appearance
from ganvas.metrics.evaluate import YARDSTICK_MOST, Classes, Evaluation, HeldOut, reference
from ganvas.metrics.evaluate import evaluate as score
from ganvas.metrics.path_length import PathLength, path_length
from ganvas.metrics.reference import kept
from ganvas.metrics.report import write_report
from ganvas.metrics.scores import GivenPictures, judged_by_itself
from ganvas.runs import RunFolder, is_run
from ganvas.sampling.render import class_labels
from ganvas.training.device import choose_device, choose_precision, set_up
from ganvas.verbs.model import Model, load
from ganvas.verbs.real import write_real

if TYPE_CHECKING:
    from ganvas.data.packed import PackedDataset
    from ganvas.features.network import FeatureNetwork

SAMPLES = 10_000
SEED = 1
"""Not the training's evaluation seed: the best checkpoint was chosen on that."""
PATHS = 1_000
"""Paths between latents whose length is measured."""
FEATURES = "efficientnet-lite0"
_SIZES_SHOWN = 5


def evaluate(
    what: str | Path | np.ndarray,
    *,
    data: str | Path | None,
    samples: int | None,
    checkpoint: str | None,
    noise: float | None,
    wanted: Wanted,
    resolution: int | None,
    out: str | Path | None,
    quiet: bool,
) -> Evaluation:
    """See `ganvas.evaluate`."""
    if samples is not None and samples < 100:
        raise UsageError(f"{samples} samples are too few for scores: expected 100 or more (10,000 is the default)")
    if out is not None and Path(out).is_dir():
        raise UsageError(f"{out} is a folder: expected the name of a JSON file to write, such as {Path(out) / 'evaluation.json'}")
    if not isinstance(what, np.ndarray) and (data is None or is_run(Path(what))):
        if resolution is not None:
            raise UsageError("--resolution is for pictures that are given: a run has its own; leave it out")
        result = _evaluate_run(what, data, samples, checkpoint, noise, wanted, quiet)
    else:
        for option, value in {"--checkpoint": checkpoint, "--noise": noise}.items():
            if value is not None:
                raise UsageError(f"{option} is for runs, and {_called(what)} is none: leave it out")
        result = _evaluate_given(what, data, samples, wanted, resolution, quiet)
    if out is not None:
        artifact.write_json(Path(out), result.to_json())
    return result


def _evaluate_run(
    run: str | Path,
    data: str | Path | None,
    samples: int | None,
    checkpoint: str | None,
    noise: float | None,
    wanted: Wanted,
    quiet: bool,
) -> Evaluation:
    begun = time.monotonic()
    _check_run(Path(run))
    model = load(run, checkpoint=checkpoint, noise=noise)
    opened = open_data(model.folder, data)
    config = model.folder.config()
    net = wanted.load(config.evaluation.features if config.evaluation else FEATURES, str(model.device))
    n = samples or SAMPLES
    result = _score(_drawn(model, n, opened.classes), opened, net, n, quiet)
    caution = judged_by_itself(config, net.name)
    result = result.model_copy(
        update={
            "data": str(opened.path),
            "checkpoint": model.checkpoint_name,
            "checkpoint_checksum": model.checkpoint.checksum,
            "images": model.checkpoint.images,
            "seed": SEED,
            "noise": model.noise,
            "path_length": _path_length(model, net, quiet),
            "warnings": [*result.warnings, *([] if caution is None else [caution])],
            "seconds": time.monotonic() - begun,
        }
    )
    if noise is not None:
        told = f"noise of deviation {noise:g} was added to the codes that pictures are made of, and {_own_noise(model):g} in training"
        result = result.model_copy(update={"notes": [*result.notes, told]})
    if data is None:
        write_real(model.folder, opened)
    artifact.write_json(model.folder.evaluation_file, result.to_json())
    write_report(model.folder)
    return result


def _own_noise(model: Model) -> float:
    """That of the run's config."""
    family = model.folder.config().family
    assert isinstance(family, InstanceConfig | CodedConfig)
    return family.codes.noise


def _check_run(path: Path) -> None:
    """Raise where the path is no run; where it may hold pictures, say how to score these."""
    if path.exists() and not is_run(path):
        raise RunError(
            f"{path} holds no run: expected a config.yaml in it; where it holds pictures to score, "
            "name the real ones that they are compared with: --data DATASET"
        )
    runs.open_run(path)


def _drawn(model: Model, n: int, classes: tuple[str, ...]) -> Iterator[Any]:
    """The run's pictures, with their classes where the data has the same."""
    labels = class_labels(0, n, SEED, model.class_weights, None) if model.classes and model.classes == classes else None
    done = 0
    for pixels in model.batches(n, seed=SEED, precision=choose_precision("auto", model.device)):
        yield pixels if labels is None else (pixels, labels[done : done + len(pixels)])
        done += len(pixels)


def _score(batches: Iterator[Any], data: PackedDataset, net: FeatureNetwork, total: int, quiet: bool) -> Evaluation:
    train, held_out = data.split("train"), data.held_out()
    real = reference(train, data.checksum, net, quiet=quiet)
    others = None
    if held_out is not None:
        others = HeldOut(held_out.name, reference(held_out, data.checksum, net, limit=YARDSTICK_MOST, quiet=quiet).features)
    classes = None
    if train.labels is not None and data.classes:
        classes = Classes(data.classes, torch.from_numpy(train.labels[kept(len(train), train.name, real)]))
    side = data.resolution
    looks = Appearance(side, side)
    result = score(looks.watch(batches), real, net, classes=classes, held_out=others, total=total, quiet=quiet)
    found = looks.beside(train, quiet)
    return result if found is None else result.model_copy(update={"spectrum": found[0], "artefacts": found[1]})


def _path_length(model: Model, net: FeatureNetwork, quiet: bool) -> PathLength | None:
    """How smoothly the run's pictures change; None for features that take whole levels only, and families without a generator's latents."""
    family = model.folder.config().family
    if net.name == "inception-2015" or not isinstance(family, AloneConfig | GanConfig | InstanceConfig):
        return None
    mode = usual(family)
    return path_length(model.sampler, net, n=PATHS, mode=mode, weights=model.class_weights, device=model.device, quiet=quiet)


def open_data(folder: RunFolder, data: str | Path | None) -> PackedDataset:
    """The data set to compare with: the one named, or the one that the run was trained on."""
    config = folder.config()
    packed = folder.provenance().get("data", {}).get("path")
    own = packed if packed and Path(packed).exists() else config.data.path
    named = own if data is None else data
    if named is None:
        raise RunError(f"{folder.path} does not say what it was trained on: name the pictures with --data")
    return resolve_config(named, config.data, quiet=True)


# -- Pictures that are given --------------------------------------------------------------------------------------


def _evaluate_given(
    what: str | Path | np.ndarray,
    data: str | Path | None,
    samples: int | None,
    wanted: Wanted,
    resolution: int | None,
    quiet: bool,
) -> Evaluation:
    if data is None:
        raise UsageError("pictures that are given need real ones to be compared with: name them with data=")
    begun = time.monotonic()
    given = open_given(what, quiet)
    set_up(None)
    net = wanted.load(FEATURES, str(choose_device("auto")))
    opened = _real_pictures(data, given, resolution, quiet)
    total = given.found if samples is None else min(samples, given.found)
    square = opened.description.crop != "none"
    result = _score(_read(given, opened.classes, samples, square), opened, net, total, quiet)
    sizes = [f"{width}x{height}" for (width, height), _ in given.sizes.most_common(_SIZES_SHOWN)]
    known = list(given.classes) if result.per_class is not None else []
    about = GivenPictures(path=given.path, kind=given.kind, found=given.found, unreadable=len(given.rejected), sizes=sizes, classes=known)
    return result.model_copy(
        update={
            "data": str(opened.path),
            "pictures": about,
            "notes": _notes(given, opened, about),
            "seconds": time.monotonic() - begun,
        }
    )


def _called(what: str | Path | np.ndarray) -> str:
    return "an array" if isinstance(what, np.ndarray) else str(what)


def _real_pictures(data: str | Path, given: Given, resolution: int | None, quiet: bool) -> PackedDataset:
    """The data set; a source of pictures is packed at the side of the pictures that are scored."""
    if not str(data).startswith("builtin:") and is_packed(data):
        packed = open_packed(data)
        return packed if resolution is None else packed.resized(resolution, quiet=quiet)
    if isinstance(data, (str, Path)) and is_run(Path(data)):
        raise UsageError(f"{data} is a run: expected real pictures; name the data set that it was trained on")
    low, high = RESOLUTIONS
    return resolve(data, resolution=resolution or min(max(given.side(), low), high), quiet=quiet)


def _read(given: Given, classes: tuple[str, ...], samples: int | None, square: bool) -> Iterator[tuple[np.ndarray, Tensor | None]]:
    for pixels, labels in given.batches(classes, samples, square):
        yield pixels, None if labels is None else torch.from_numpy(labels)


def _notes(given: Given, data: PackedDataset, about: GivenPictures) -> list[str]:
    """What was done with the pictures that a reader may not expect."""
    found, side = [], data.resolution
    others = {size for size in given.sizes if size != (side, side)}
    if others:
        sizes = ", ".join(about.sizes) + (", ..." if len(given.sizes) > _SIZES_SHOWN else "")
        found.append(
            f"the pictures are of {sizes} and the real ones of {side}x{side}: the features resize each from its own size, "
            "so that a difference in sharpness counts"
        )
    if given.cropped:
        found.append(f"{given.cropped:,} pictures were cut to the middle square, as the real ones were")
    elif any(width != height for width, height in given.sizes):
        found.append("pictures that are not square are stretched to the features' square, as the real ones were")
    if given.rejected:
        name, reason = given.rejected[0]
        found.append(f"{len(given.rejected):,} files could not be read and are left out (first: {shown(name)}: {reason})")
    if given.classes and not about.classes:
        strange = [name for name in given.classes if name not in data.classes]
        if strange and data.classes:
            found.append(f"no distances by class: {shown(strange[0])} is no class of the data set")
    return found
