"""Small runs for tests: generated pictures, narrow networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganvas.config import RunConfig, io

NARROW: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 8, "max_width": 32},
    "mlp": {"hidden": [16, 16]},
    "resnet": {"width": 8, "max_width": 16},
    "biggan": {"width": 8, "max_width": 16},
    "stylegan2": {"width": 8, "max_width": 16},
    "fastgan": {"width": 8, "max_width": 16},
    "projected": {"width": 4, "max_width": 8},
    "r3gan": {"width": 8, "max_width": 16, "blocks": 1},
}
"""For each kind of network, what makes it small."""


def narrow_networks(recipe: str) -> dict[str, Any]:
    """Settings that make a recipe's networks small."""
    family = io.recipe(recipe).family
    players = {name: part.kind for name in ("generator", "discriminator") if (part := getattr(family, name, None)) is not None}
    few = {"family.comparison.remembered": 20, "family.comparison.input_sizes": [64]} if hasattr(family, "comparison") else {}
    few |= {"family.codes.fitted": 12, "family.codes.remembered": 20, "family.codes.size": 8} if hasattr(family, "codes") else {}
    few |= {"family.codes.warmup": 40} if getattr(getattr(family, "codes", None), "warmup", 0) else {}
    return few | {f"family.{player}.{key}": value for player, kind in players.items() for key, value in NARROW[kind].items()}


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
        **narrow_networks(recipe),
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
