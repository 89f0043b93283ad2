"""Pictures side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ganvas import artifact


def grid(pictures: Sequence[np.ndarray] | np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """uint8 (N, H, W, 3) as one picture, row by row, on white; as square as it gets without `columns`."""
    pictures = np.asarray(pictures)
    n, height, width, channels = pictures.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, columns)
        top, left = gap + y * (height + gap), gap + x * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def png(picture: np.ndarray) -> bytes:
    """A uint8 (H, W, 3) picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a PNG, whole or not at all."""
    artifact.write_bytes(path, png(picture))
