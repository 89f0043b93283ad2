"""How good it is: evaluate, neighbours, report, diagnose, compare."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.api.names import AnyPath, CheckpointName

if TYPE_CHECKING:
    import numpy as np

    from ganvas.metrics.compare import Comparison
    from ganvas.metrics.evaluate import Evaluation
    from ganvas.metrics.health import Health
    from ganvas.verbs.neighbouring import Neighbours
    from ganvas.verbs.reporting import Reported


def evaluate(
    run: AnyPath | np.ndarray,
    *,
    data: AnyPath | None = None,
    samples: int | None = None,
    checkpoint: CheckpointName | None = None,
    noise: float | None = None,
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
        checkpoint: `best`, `last`, `fresh` or what `ema` made; default: best where there is one.
        noise: on the codes that a run's pictures are made of; see `load`.
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
        noise=noise,
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
    noise: float | None = None,
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
        checkpoint: `best`, `last`, `fresh` or what `ema` made; default: best where there is one.
        noise: on the codes that a run's pictures are made of; see `load`.
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
        noise=noise,
        wanted=Wanted(features, None if weights is None else Path(weights), weights_sha256),
        quiet=quiet,
    )


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
