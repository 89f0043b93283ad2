"""Sample: PNG files, a grid, and the history of each picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ganvas
from ganvas import artifact
from ganvas.errors import UsageError
from ganvas.progress import Progress
from ganvas.sampling.grid import grid, write_png
from ganvas.sampling.render import class_labels
from ganvas.verbs.model import Model, check_numbers, load

GRID_PICTURES = 256
"""A grid shows at most so many."""


@dataclass(frozen=True)
class Samples:
    """What a call of sample wrote."""

    folder: Path
    paths: tuple[Path, ...]
    grid: Path | None
    record: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The record, with where the files are."""
        return {**self.record, "folder": str(self.folder), "grid": None if self.grid is None else str(self.grid)}

    def summary(self) -> str:
        """For people."""
        lines = [f"{len(self.paths):,} pictures in {self.folder}" if self.paths else f"samples in {self.folder}"]
        if self.grid is not None:
            lines.append(f"grid     {self.grid}")
        lines.append(f"history  {self.folder / 'samples.json'}")
        return "\n".join(lines)


def sample(
    run: str | Path,
    out: str | Path,
    *,
    n: int,
    seed: int,
    truncation: float | None,
    classes: Sequence[str | int] | None,
    checkpoint: str | None,
    ema: bool,
    with_grid: bool,
    quiet: bool,
) -> Samples:
    """See `ganvas.sample`."""
    check_numbers(n, seed, truncation)
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and is not empty: name a new folder, so that no picture is lost")
    model = load(run, checkpoint=checkpoint, ema=ema)
    chosen = model.class_indices(classes) if classes else None
    labels = class_labels(0, n, seed, model.class_weights, chosen)
    width = max(4, len(str(n - 1)))
    names, shown = [], []
    with artifact.new_folder(folder) as made, Progress("sampling", n, quiet=quiet) as progress:
        pictures = itertools.chain.from_iterable(model.batches(n, seed=seed, truncation=truncation, chosen=chosen))
        for i, picture in enumerate(pictures):
            names.append(f"{i:0{width}d}.png")
            write_png_into(made / names[-1], picture)
            if with_grid and i < GRID_PICTURES:
                shown.append(picture)
            progress.update()
        if with_grid:
            write_png(made / "grid.png", grid(np.stack(shown)))
        record = history(model, seed, truncation, ema, class_names(model, labels, n), names)
        artifact.write_json(made / "samples.json", record)
    return Samples(folder, tuple(folder / name for name in names), folder / "grid.png" if with_grid else None, record)


def write_png_into(path: Path, picture: np.ndarray) -> None:
    """Write a PNG into a folder that is itself temporary."""
    from PIL import Image

    Image.fromarray(picture).save(path, "PNG")


def history(
    model: Model, seed: int, truncation: float | None, ema: bool, classes: Sequence[str | None], names: Sequence[str]
) -> dict[str, Any]:
    """What `samples.json` holds: enough to draw each picture again."""
    return {
        "ganvas": ganvas.__version__,
        "torch": torch.__version__,
        "backend": f"torch-{model.device.type}-fp32",
        "run": str(model.folder.path),
        "recipe": model.folder.config().name,
        "checkpoint": model.checkpoint_name,
        "checkpoint_checksum": model.checkpoint.checksum,
        "images": model.checkpoint.images,
        "ema": ema,
        "seed": seed,
        "truncation": truncation,
        "n": len(names),
        "data": {k: model.folder.provenance().get("data", {}).get(k) for k in ("checksum", "attribution")},
        "samples": [
            {"file": name, "index": i, **({} if kind is None else {"class": kind})}
            for i, (name, kind) in enumerate(zip(names, classes, strict=True))
        ],
    }


def class_names(model: Model, labels: torch.Tensor | None, n: int) -> list[str | None]:
    """The class of each picture, None without classes."""
    return [None] * n if labels is None else [model.classes[int(label)] for label in labels]
