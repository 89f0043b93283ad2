"""The same latents over a training: as a strip, and frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganvas.errors import RunError
from ganvas.runs import RunFolder
from ganvas.sampling.grid import cells, enlarged, grid, letters, read_png, titled

CELL = 64
"""Pictures are shown at this size or more."""
STRIP = 10
"""Moments in a strip, at most."""
FRAMES = 120
"""Frames of an animation, at most."""


def spread(items: Sequence[tuple[int, Path]], most: int) -> list[tuple[int, Path]]:
    """At most so many, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, most - 1))] for i in range(most)]


def moments(folder: RunFolder) -> list[tuple[int, Path]]:
    """(pictures seen, file) of the grids that can be read.

    Raises:
        RunError: there is none.
    """
    found = [(images, path) for images, path in folder.grids() if read_png(path) is not None]
    if not found:
        raise RunError(f"{folder.path} holds no grids of samples: they are made while it trains (samples.every in its config)")
    return found


def pictures_at(folder: RunFolder, path: Path) -> np.ndarray:
    """uint8 (N, R, R, 3): the pictures of one grid.

    Raises:
        RunError: the file is not a grid of this run's.
    """
    config, sheet = folder.config(), read_png(path)
    if sheet is None:
        raise RunError(f"{path} can't be read as a picture")
    return cells(sheet, config.data.resolution)[: config.samples.rows * config.samples.columns]


def strip(folder: RunFolder, pictures: int, most: int = STRIP) -> np.ndarray:
    """One row for each of the first latents, one column for each moment, the pictures seen above it."""
    chosen = spread(moments(folder), most)
    columns = [pictures_at(folder, path)[:pictures] for _, path in chosen]
    rows = min(map(len, columns))
    sheet = np.stack([column[:rows] for column in columns], 1)
    return titled(enlarged(sheet, CELL), [short(images) for images, _ in chosen])


def frames(folder: RunFolder, pictures: int | None = None, most: int = FRAMES) -> list[np.ndarray]:
    """The grid at each moment, with the pictures seen above it; of the first `pictures` only, if given."""
    made, columns = [], None if pictures is not None else folder.config().samples.columns
    for images, path in spread(moments(folder), most):
        sheet = grid(enlarged(pictures_at(folder, path)[:pictures], CELL), columns)
        head = letters(f"{images:,} pictures seen", 16)[:, : sheet.shape[1]]
        page = np.full((head.shape[0] + sheet.shape[0], sheet.shape[1], 3), 255, np.uint8)
        page[: head.shape[0], : head.shape[1]] = head
        page[head.shape[0] :] = sheet
        made.append(page)
    return made


def short(count: int) -> str:
    """A count in a few letters: 950, 20k, 1.5M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.3g}k" if count < 999_500 else f"{count / 1e6:.3g}M"
