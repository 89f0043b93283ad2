"""Evaluate: scores of a run's samples against its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganvas import artifact
from ganvas.data.prepare import resolve_config
from ganvas.errors import RunError, UsageError
from ganvas.features.backbone import load_features
from ganvas.metrics.evaluate import Evaluation, reference
from ganvas.metrics.evaluate import evaluate as score
from ganvas.metrics.report import write_report
from ganvas.training.device import choose_precision
from ganvas.verbs.model import load
from ganvas.verbs.real import write_real

if TYPE_CHECKING:
    from ganvas.data.packed import PackedDataset
    from ganvas.runs import RunFolder

SAMPLES = 10_000
SEED = 1
"""Not the training's evaluation seed: the best checkpoint was chosen on that."""


def evaluate(
    run: str | Path,
    *,
    data: str | Path | None,
    samples: int | None,
    checkpoint: str | None,
    features: str | None,
    weights: str | Path | None,
    quiet: bool,
) -> Evaluation:
    """See `ganvas.evaluate`."""
    if samples is not None and samples < 100:
        raise UsageError(f"{samples} samples are too few for scores: expected 100 or more (10,000 is the default)")
    model = load(run, checkpoint=checkpoint)
    opened = open_data(model.folder, data)
    config = model.folder.config().evaluation
    name = features or (config.features if config else "efficientnet-lite0")
    net = load_features(name, weights=None if weights is None else Path(weights), device=str(model.device))
    real = reference(opened.split("train"), opened.checksum, net, quiet=quiet)
    n = samples or SAMPLES
    pictures = model.batches(n, seed=SEED, precision=choose_precision("auto", model.device))
    result = score(pictures, real, net, total=n, quiet=quiet)
    if data is None:
        write_real(model.folder, opened)
    compared = {"data_checksum": result.data_checksum, "features_identity": result.features_identity}
    judged = {"checkpoint": model.checkpoint_name, "checkpoint_checksum": model.checkpoint.checksum, "images": model.checkpoint.images}
    artifact.write_json(model.folder.evaluation_file, {**result.to_json(), **judged, **compared})
    write_report(model.folder)
    return result


def open_data(folder: RunFolder, data: str | Path | None) -> PackedDataset:
    """The data set to compare with: the one named, or the one that the run was trained on."""
    config = folder.config()
    packed = folder.provenance().get("data", {}).get("path")
    own = packed if packed and Path(packed).exists() else config.data.path
    named = own if data is None else data
    if named is None:
        raise RunError(f"{folder.path} does not say what it was trained on: name the pictures with --data")
    return resolve_config(named, config.data, quiet=True)
