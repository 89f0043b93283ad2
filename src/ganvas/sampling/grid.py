"""Pictures side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganvas import artifact
from ganvas.errors import UsageError


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


def cells(sheet: np.ndarray, size: int, gap: int = 2) -> np.ndarray:
    """uint8 (N, size, size, 3) of a picture that `grid` made of squares, row by row; places left empty are white.

    Raises:
        UsageError: the picture is no such grid.
    """
    rows, columns = ((side - gap) // (size + gap) for side in sheet.shape[:2])
    if rows < 1 or columns < 1 or sheet.shape[:2] != (rows * (size + gap) + gap, columns * (size + gap) + gap):
        raise UsageError(f"a picture of {sheet.shape[1]}x{sheet.shape[0]} pixels is no grid of {size}x{size} pictures with {gap} between")
    tops, lefts = (range(gap, side - size, size + gap) for side in sheet.shape[:2])
    return np.stack([sheet[top : top + size, left : left + size] for top in tops for left in lefts])


def enlarged(pictures: np.ndarray, least: int) -> np.ndarray:
    """uint8 (..., H, W, 3) with each pixel repeated until the sides are `least` or more, so that small pictures can be seen."""
    factor = math.ceil(least / min(pictures.shape[-3:-1]))
    return pictures if factor <= 1 else pictures.repeat(factor, -3).repeat(factor, -2)


def letters(text: str, size: int) -> np.ndarray:
    """uint8 (H, W, 3): a line of text, dark on white, with its letters about `size` pixels high."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("RGB", (math.ceil(right - left) + 4, math.ceil(size * 1.5)), "white")
    ImageDraw.Draw(picture).text((2 - left, (picture.height - bottom - top) / 2), text, fill=(28, 32, 36), font=font)
    return np.asarray(picture)


def titled(pictures: np.ndarray, above: Sequence[str], beside: Sequence[str] = (), gap: int = 2) -> np.ndarray:
    """uint8 (rows, columns, H, W, 3) as one picture on white, with a word above each column and one beside each row."""
    rows, columns, height, width = pictures.shape[:4]
    size = max(9, min(14, width // 5))
    sheet = grid(pictures.reshape(rows * columns, height, width, 3), columns, gap)
    names = [letters(word, size) for word in beside]
    margin = max((name.shape[1] for name in names), default=0)
    heads = [letters(word, size) for word in above]
    top = max((head.shape[0] for head in heads), default=0)
    page = np.full((top + sheet.shape[0], margin + sheet.shape[1], 3), 255, np.uint8)
    page[top:, margin:] = sheet
    free = margin
    for i, head in enumerate(heads):
        if above[i]:
            # Over the middle of its column, but not beyond the page and not into the word before.
            left = margin + gap + i * (width + gap) + (width - head.shape[1]) // 2
            left = max(free, min(left, page.shape[1] - head.shape[1]))
            cut = head[:, : page.shape[1] - left]
            page[: head.shape[0], left : left + cut.shape[1]] = cut
            free = left + cut.shape[1]
    for i, name in enumerate(names):
        down = top + gap + i * (height + gap) + max(0, (height - name.shape[0]) // 2)
        tall = min(name.shape[0], page.shape[0] - down)
        page[down : down + tall, margin - name.shape[1] : margin] = name[:tall]
    return page


def png(picture: np.ndarray) -> bytes:
    """A uint8 (H, W, 3) picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a PNG, whole or not at all."""
    artifact.write_bytes(path, png(picture))


def read_png(path: Path) -> np.ndarray | None:
    """A picture as uint8 (H, W, 3), or None if it is missing or damaged."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError:
        return None
