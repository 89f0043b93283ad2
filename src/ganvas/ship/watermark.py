"""A visible mark on the copies of pictures that are given away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganvas.artifact import sha256
from ganvas.errors import UsageError

SMALLEST = 7
"""Letters below this height, in pixels, can't be read."""
SHARE = 7
"""A mark is about a seventh of the picture's height."""
WIDEST = 0.94
OPACITY = 0.85
MOST_PIXELS = 50_000_000


@dataclass(frozen=True)
class Watermark:
    """A mark for pictures of one size: RGBA, as large as they are, clear but for the mark at the bottom right."""

    overlay: np.ndarray
    record: dict[str, Any]
    """What `samples.json` says of it."""

    def stamp(self, picture: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3), a copy with the mark."""
        alpha = self.overlay[:, :, 3:].astype(np.float32) / 255
        marked = picture * (1 - alpha) + self.overlay[:, :, :3] * alpha
        return marked.round().astype(np.uint8)


def watermark(mark: str, height: int, width: int) -> Watermark:
    """A mark from a text, or from a picture if `mark` names a file.

    Raises:
        UsageError: the text is empty or too long to be read on such pictures, or the file is no picture.
    """
    path = Path(mark)
    if mark.strip() and _is_file(path):
        return Watermark(_of_file(path, height, width), {"file": path.name, "sha256": sha256(path)})
    text = " ".join(mark.split())
    if not text:
        raise UsageError("the watermark is empty: expected a text such as --watermark 'made by ganvas', or a picture's file")
    if path.suffix.lower() in (".png", ".webp", ".gif", ".jpg", ".jpeg", ".bmp"):
        raise UsageError(f"there is no picture {mark} to stamp: check the path (for a text, leave out the suffix)")
    return Watermark(_of_text(text, height, width), {"text": text})


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text too long for a path
        return False


def _of_text(text: str, height: int, width: int) -> np.ndarray:
    for size in range(max(SMALLEST, height // SHARE), SMALLEST - 1, -1):
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text)
        pad = max(1, size // 6)
        wide, tall = right - left + 2 * pad, bottom - top + 2 * pad
        if wide <= WIDEST * width and tall <= height // 2:
            sheet = Image.new("RGBA", (width, height), (0, 0, 0, 0))
            draw = ImageDraw.Draw(sheet)
            # White on a dark strip: it can be read on any picture.
            corner = (width - wide, height - tall)
            draw.rectangle((*corner, width, height), fill=(0, 0, 0, 150))
            draw.text((corner[0] + pad - left, corner[1] + pad - top), text, font=font, fill=(255, 255, 255, 255))
            return np.asarray(sheet)
    raise UsageError(
        f'"{text}" is too long to be read on pictures of {width}x{height} pixels: expected a shorter text, or a picture of your own mark'
    )


def _of_file(path: Path, height: int, width: int) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UsageError(f"{path} has {picture.width}x{picture.height} pixels, more than a mark needs: make it smaller")
            mark = picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} can't be read as a picture to stamp: expected a PNG, best with a clear background") from error
    scale = min(height / 4 / mark.height, width / 2 / mark.width)
    size = (max(1, round(mark.width * scale)), max(1, round(mark.height * scale)))
    mark = mark.resize(size, Image.Resampling.LANCZOS)
    mark.putalpha(mark.getchannel("A").point([round(a * OPACITY) for a in range(256)]))
    sheet = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    sheet.paste(mark, (width - size[0] - 1, height - size[1] - 1))
    return np.asarray(sheet)
