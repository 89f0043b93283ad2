"""Small runs for tests: generated pictures, narrow networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganvas.config import RunConfig, io

NARROW = {
    "family.generator.width": 8,
    "family.generator.max_width": 32,
    "family.discriminator.width": 8,
    "family.discriminator.max_width": 32,
}


def disks(folder: Path, count: int = 96, size: int = 20, classes: tuple[str, ...] = ("blue", "red")) -> Path:
    """A folder of class folders: coloured disks of random places and radii on white."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    for i in range(count):
        kind = classes[i % len(classes)]
        radius, y, x = generator.uniform(3, size / 3), *generator.uniform(size / 3, size * 2 / 3, 2)
        picture = np.full((size, size, 3), 255, np.uint8)
        picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = (220, 40, 30) if kind == classes[-1] else (30, 60, 200)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / kind / f"{i:03}.png")
    return folder


def config(recipe: str = "dcgan32", data: Path | str | None = None, **values: Any) -> RunConfig:
    """A recipe at 16 pixels with narrow networks and short everything; `values` use `__` for dots."""
    settings: dict[str, Any] = {
        "data.resolution": 16,
        **NARROW,
        "train.images": 128,
        "train.batch": 16,
        "train.device": "cpu",
        "train.precision": "fp32",
        "log.every": 32,
        "log.tensorboard": False,
        "samples.every": 64,
        "samples.rows": 2,
        "samples.columns": 4,
        "checkpoint.every": 64,
        "evaluation": None,
        **{key.replace("__", "."): value for key, value in values.items()},
    }
    if data is not None:
        settings["data.path"] = str(data)
    return io.load(recipe, (), settings)
