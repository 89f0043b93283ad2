"""Sweeps: the same latents at several values of a setting of sampling, scored and shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganvas import artifact, runs
from ganvas.errors import UsageError
from ganvas.explore import truncation
from ganvas.explore.noise import NOISES, parse_noises
from ganvas.explore.sweeps import Point, copies_no_more, plots, table
from ganvas.explore.walks import distribution
from ganvas.features.backbone import load_features
from ganvas.metrics.evaluate import evaluate as score
from ganvas.metrics.evaluate import reference
from ganvas.metrics.report import write_report
from ganvas.metrics.training_set import TrainingSet
from ganvas.progress import Progress
from ganvas.sampling.engines import REFERENCE
from ganvas.sampling.grid import enlarged, png, titled
from ganvas.sampling.render import Truncating
from ganvas.training.device import choose_precision
from ganvas.verbs.evaluating import open_data
from ganvas.verbs.exploring import LARGE, Written, put
from ganvas.verbs.model import Model, load
from ganvas.verbs.sampling import feature_name, free_folder, origin

SAMPLES = 2_000
SEED = 1
"""That of `ganvas evaluate`."""
ROW = 8
"""Pictures shown of each value."""


@dataclass(frozen=True)
class Sweep(Written):
    """What a sweep found and wrote."""

    axis: str
    points: tuple[Point, ...]

    def summary(self) -> str:
        """For people."""
        first = self.points[0].scores
        distance = "FID" if first.is_fid else "FD"
        head = f"{self.axis:>10}  {distance:>8}  {'KID x 1000':>10}  {'precision':>9}  {'recall':>7}"
        lines = [head if self.points[0].copies is None else f"{head}  near-copies"]
        for p in self.points:
            s = p.scores
            line = f"{p.name:>10}  {s.fd.value:>8.2f}  {1000 * s.kid.value:>10.2f}  {s.precision.value:>9.1%}  {s.recall.value:>7.1%}"
            lines.append(line if p.copies is None else f"{line}  {p.copies.share:>11.1%}")
        lines.append(f"On {first.fd.features}, {first.fd.n:,} generated pictures of the same latents each.")
        lines += [*([self.text] if self.text else []), *(f"Beware: {caution}." for caution in first.cautions())]
        return "\n".join([*lines, *(str(path) for path in self.paths)])


def sweep_truncation(
    run: str | Path, out: str | Path, *, truncations: Sequence[float | None] | None, samples: int, checkpoint: str | None, quiet: bool
) -> Sweep:
    """See `ganvas.sweep_truncation`."""
    folder, model = _begun(run, out, samples, truncations, "truncations to sweep: expected some such as 0.5, 1 and none", checkpoint)
    if distribution(model.folder.config().family) == "uniform":
        raise UsageError(f"{model.folder.path} draws uniform latents, which have no tails to cut off: truncation is for normal ones")
    if truncations is None:
        truncations = truncation.PSIS if isinstance(model.sampler, Truncating) else truncation.TRUNCATIONS
    record = origin(model, SEED, None, True, REFERENCE)
    points, sheet = _points(model, "truncation", truncations, lambda value: value, samples, False, quiet)
    return _written(model, folder, "truncation", points, sheet, record, "", model.folder.truncation_file)


def sweep_noise(
    run: str | Path, out: str | Path, *, noises: Sequence[float] | None, samples: int, checkpoint: str | None, quiet: bool
) -> Sweep:
    """See `ganvas.sweep_noise`."""
    folder, model = _begun(run, out, samples, noises, "noises to sweep: expected some such as 0.1, 0.2 and 0.3", checkpoint)
    own = model.noise
    if own is None:
        raise UsageError(f"{model.folder.path} is told no codes of real pictures: there is no noise on them to sweep")
    values = parse_noises([own, *NOISES] if noises is None else noises)
    record = origin(model, SEED, None, True, REFERENCE)

    def at(value: float | None) -> None:
        assert value is not None
        model.add_noise(value)

    points, sheet = _points(model, "noise", values, at, samples, True, quiet)
    return _written(model, folder, "noise", points, sheet, record, advice(points, own), model.folder.noise_file)


def advice(points: Sequence[Point], own: float) -> str:
    """Which noise keeps near-copies as rare as they are among real pictures, and what it costs."""
    found, now = copies_no_more(points), next((p for p in points if p.value == own), points[0])
    if found is None or found.copies is None:
        return f"At each of these noises there are more near-copies than among real pictures{_beside(points[-1])}: try a larger one."
    if found is points[0] and (found.value or 0.0) <= own:
        return f"At each of these noises near-copies are as rare as among real pictures{_beside(found)}: nothing speaks for more."
    distance = "FID" if found.scores.is_fid else "FD"
    cost = "" if found is now else f", for {distance} {found.scores.fd.value:.2f} instead of {now.scores.fd.value:.2f} at noise {now.name}"
    return f"From noise {found.name} on near-copies are as rare as among real pictures{_beside(found)}{cost}: --noise {found.name}."


def _beside(point: Point) -> str:
    copies = point.copies
    return "" if copies is None else f" ({copies.share:.1%} at noise {point.name}, {copies.control:.1%} of the control pictures)"


def _begun(
    run: str | Path, out: str | Path, samples: int, values: Sequence[Any] | None, wanted: str, checkpoint: str | None
) -> tuple[Path, Model]:
    """Where a sweep is written, and what it is of."""
    if samples < 100:
        raise UsageError(f"{samples} samples are too few for scores: expected 100 or more ({SAMPLES:,} is the default)")
    if values is not None and not values:
        raise UsageError(f"there are no {wanted}")
    runs.open_run(run)
    return free_folder(out), load(run, checkpoint=checkpoint)


def _points(
    model: Model,
    axis: str,
    values: Sequence[float | None],
    at: Callable[[float | None], float | None],
    samples: int,
    copies: bool,
    quiet: bool,
) -> tuple[list[Point], np.ndarray]:
    """The scores at each value, and a sheet of pictures. `at` brings the model there, and gives the truncation."""
    data = open_data(model.folder, None)
    net = load_features(feature_name(model.folder), device=str(model.device))
    real = reference(data.split("train"), data.checksum, net, quiet=quiet)
    among = TrainingSet(data.split("train"), data.held_out(), data.checksum, net, quiet=True) if copies else None
    precision = choose_precision("auto", model.device)
    points: list[Point] = []
    shown = []
    with Progress(f"{axis}s", len(values), f"{axis}s", quiet=quiet) as progress:
        for value in values:
            t = at(value)
            batches = model.batches(samples, seed=SEED, truncation=t, precision=precision)
            if among is None:
                points.append(Point(value, score(batches, real, net, brief=True, total=samples, quiet=True)))
            else:
                pictures = list(batches)
                near = among.judge(pictures, samples).memorisation.near_copies
                points.append(Point(value, score(pictures, real, net, brief=True, total=samples, quiet=True), near))
            shown.append(np.concatenate(list(model.batches(ROW, seed=SEED, truncation=t, precision="fp32"))))
            progress.update()
    return points, titled(enlarged(np.stack(shown), LARGE), [], [p.name for p in points])


def _written(
    model: Model, folder: Path, axis: str, points: Sequence[Point], sheet: np.ndarray, origin_: dict[str, Any], text: str, kept: Path
) -> Sweep:
    """The folder, and what the run's report is made of."""
    record = origin_ | {"n": points[0].scores.fd.n, "points": [p.to_json(axis) for p in points]}
    files = plots(points, axis) | {"pictures.png": png(sheet), "sweep.csv": table(points, axis).encode()}
    paths = put(folder, {folder / name: data for name, data in files.items()}, record, "sweep")
    artifact.write_json(kept, record)
    write_report(model.folder)
    return Sweep(folder, paths, record, text, axis, tuple(points))
