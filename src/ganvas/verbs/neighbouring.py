"""Neighbours: does a generator copy what it learnt from? Its pictures beside the training pictures nearest to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganvas import artifact, rng
from ganvas.data.packed import PackedDataset, Split, is_packed, open_packed
from ganvas.data.prepare import resolve
from ganvas.errors import RunError, UsageError
from ganvas.features.backbone import Wanted
from ganvas.metrics.copying import Memorisation
from ganvas.metrics.neighbours_page import render, sheet
from ganvas.metrics.report import write_report
from ganvas.metrics.training_set import TrainingSet
from ganvas.notebook import Shown
from ganvas.runs import RunFolder, is_run, open_run
from ganvas.sampling.grid import write_png
from ganvas.training.device import choose_device, choose_precision, set_up
from ganvas.verbs.evaluating import open_data
from ganvas.verbs.model import load
from ganvas.verbs.sampling import feature_name

SAMPLES = 2000
FEWEST = 100
SHOWN = 24
SUSPECTS = 6
"""Pictures that the run's report shows beside their neighbours."""
DRAWN = 8
"""Pictures of the random sample on the page."""
_BLOCK = 256


@dataclass(frozen=True)
class Neighbours(Shown):
    """What was found, and where the page is."""

    memorisation: Memorisation
    suspicious: tuple[int, ...]
    """Indices of the generated pictures that the page shows, the most suspicious first."""
    origin: dict[str, Any]
    """What made the generated pictures, and what they were compared with."""
    page: Path | None

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        page = None if self.page is None else str(self.page)
        return {**self.memorisation.model_dump(), **self.origin, "suspicious": list(self.suspicious), "page": page}

    def summary(self) -> str:
        """For people."""
        lines = [self.memorisation.summary()]
        if self.page is not None:
            lines += ["", f"page     {self.page}"]
        return "\n".join(lines)


class Generated:
    """Generated pictures in memory, as a split is: by index."""

    name = "generated"

    def __init__(self, images: np.ndarray, names: list[str] | None = None):
        self.images, self.names = images, names

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), H, W, 3)."""
        return self.images[indices]


def neighbours(
    what: str | Path,
    out: str | Path | None,
    *,
    data: str | Path | None,
    samples: int | None,
    seed: int,
    shown: int,
    checkpoint: str | None,
    noise: float | None,
    wanted: Wanted,
    quiet: bool,
) -> Neighbours:
    """See `ganvas.neighbours`."""
    if samples is not None and samples < FEWEST:
        raise UsageError(
            f"{samples} samples are too few to tell copies from chance: expected {FEWEST} or more ({SAMPLES:,} is the default)"
        )
    if out is not None and Path(out).is_dir():
        raise UsageError(f"{out} is a folder: expected the name of an HTML file to write, such as {Path(out) / 'neighbours.html'}")
    if is_run(Path(what)):
        pictures, dataset, name, device, origin = _of_run(Path(what), data, samples or SAMPLES, seed, checkpoint, noise)
    else:
        pictures, dataset, name, device, origin = _of_given(what, data, samples, {"--checkpoint": checkpoint, "--noise": noise}, quiet)
    net = wanted.load(name, device)
    among = TrainingSet(dataset.split("train"), dataset.held_out(), dataset.checksum, net, quiet=quiet)
    judged = among.judge((pictures.gather(part) for part in _parts(len(pictures))), len(pictures))
    suspicious = judged.suspicion[: min(shown, len(pictures))].tolist()
    page = None
    if out is not None:
        page = Path(out)
        drawn = rng.permutation(len(pictures), seed, "random sample")[:DRAWN].tolist()
        artifact.write_text(page, render(Path(what).resolve().name, judged, among, pictures, suspicious, drawn))
    if pictures.names is not None:
        origin["suspicious_names"] = [pictures.names[i] for i in suspicious]
    origin |= {"data": str(dataset.path), "data_checksum": dataset.checksum}
    found = Neighbours(judged.memorisation, tuple(suspicious), origin, page)
    if data is None:
        _keep(open_run(what), found, sheet(judged, among, pictures, suspicious[:SUSPECTS]))
    return found


def _keep(folder: RunFolder, found: Neighbours, suspects: np.ndarray) -> None:
    """For the run's report, which is written again."""
    artifact.write_json(folder.neighbours_file, found.to_json())
    write_png(folder.neighbours_sheet, suspects)
    write_report(folder)


def _parts(n: int) -> list[np.ndarray]:
    return np.array_split(np.arange(n), max(1, -(-n // _BLOCK)))


Found = tuple[Generated | Split, PackedDataset, str, str, dict[str, Any]]


def _of_run(run: Path, data: str | Path | None, samples: int, seed: int, checkpoint: str | None, noise: float | None) -> Found:
    model = load(run, checkpoint=checkpoint, noise=noise)
    blocks = model.batches(samples, seed=seed, precision=choose_precision("auto", model.device))
    origin = {
        "run": str(run),
        "checkpoint": model.checkpoint_name,
        "checkpoint_checksum": model.checkpoint.checksum,
        "images": model.checkpoint.images,
        "seed": seed,
        "noise": model.noise,
    }
    dataset = open_data(model.folder, data)
    return Generated(np.concatenate(list(blocks))), dataset, feature_name(model.folder), str(model.device), origin


def _of_given(what: str | Path, data: str | Path | None, samples: int | None, of_runs: Mapping[str, Any], quiet: bool) -> Found:
    """Pictures of any generator, brought to the size of the data set's as these were; `of_runs` are options that are for runs alone."""
    path = Path(what)
    if data is None:
        if path.exists():
            raise RunError(
                f"{what} holds no run: expected a config.yaml in it; where it holds pictures, name the ones that their generator "
                "learnt from: --data DATASET"
            )
        raise RunError(f"there is no run {what}: expected a run folder, or pictures with --data")
    for option, value in of_runs.items():
        if value is not None:
            raise UsageError(f"{option} is for runs, and {what} is none: leave it out")
    if is_run(Path(data)):
        raise UsageError(f"{data} is a run: expected training pictures; name the data set that it was trained on")
    dataset = open_packed(data) if not str(data).startswith("builtin:") and is_packed(data) else resolve(data, resolution=64, quiet=quiet)
    crop = "none" if dataset.description.crop == "none" else "center"
    given = resolve(what, resolution=dataset.resolution, crop=crop, holdout=0.0, quiet=quiet)
    split = given.split("train" if "train" in given.splits else given.splits[0])
    if samples is not None and samples < len(split):
        chosen = np.sort(rng.permutation(len(split), "given pictures")[:samples])
        pictures: Generated | Split = Generated(split.gather(chosen), [split.names[i] for i in chosen])
    else:
        pictures = split
    set_up(None)
    return pictures, dataset, "efficientnet-lite0", str(choose_device("auto")), {"pictures": str(what)}
