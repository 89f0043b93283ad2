"""One picture file to one square of pixels, whatever its format, mode and orientation."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from io import BufferedIOBase
from typing import Any, NamedTuple, cast

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL import __version__ as pillow_version

from ganvas.data.jpeg import decode_ordinary, read_ordinary
from ganvas.data.lanczos import REDUCING_GAP, Lanczos

MIN_SIDE = 8
MAX_PIXELS = 120_000_000
"""Larger pictures are refused before a pixel is decoded: a file of a few kilobytes can claim any size."""
MAX_FILE_BYTES = 512 * 2**20
"""Larger files (as unpacked from an archive) are refused before they are read."""

_LARGE_PIXELS = 25_000_000
_LARGE_FILE_BYTES = 64 * 2**20
_large = threading.RLock()

# Decoding a JPEG at 1/2, 1/4 or 1/8 while 3 times the target remains, and box-reducing while 4 times remains, differ
# from plain Lanczos by less than -50 dB and take a fifth of the time on a 12-megapixel photograph.
_DRAFT_GAP = 3
RESIZER = f"Pillow {pillow_version} Lanczos, antialiased (reducing_gap {REDUCING_GAP:g}, JPEG scaled down to no less than {_DRAFT_GAP}x)"

_READABLE = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
_ORIENTATION = ExifTags.Base.Orientation
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Rejected(Exception):
    """This one picture can't be used; the message is the reason, for `rejected.csv`."""


@dataclass(frozen=True)
class Target:
    """What every picture becomes: a square of `resolution` pixels, cropped as `crop` says ("none", "center" or "box")."""

    resolution: int
    crop: str
    background: tuple[int, int, int]


class Decoded(NamedTuple):
    """A picture as it is packed, uint8 (R, R, 3), RGB; whether it had to be enlarged; and the size that its file has."""

    pixels: np.ndarray
    enlarged: bool
    width: int
    height: int


class Box(NamedTuple):
    """The edges of a part of a picture, in pixels of its file before any rotation, left < right and top < bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def __str__(self) -> str:
        return f"({self.left:g}, {self.top:g}) to ({self.right:g}, {self.bottom:g})"

    def within(self, width: int, height: int) -> Box:
        """The box cut to its picture of so many pixels. An edge may lie one pixel outside: some count from 1, some from 0.

        Raises:
            Rejected: it lies further out, or nothing of it is left.
        """
        if self.left < -1 or self.top < -1 or self.right > width + 1 or self.bottom > height + 1:
            raise Rejected(f"its box {self} is outside of the picture ({width} x {height})")
        cut = Box(max(self.left, 0), max(self.top, 0), min(self.right, width), min(self.bottom, height))
        if cut.right - cut.left < 1 or cut.bottom - cut.top < 1:
            raise Rejected(f"its box {self} is smaller than a pixel")
        return cut


@cache
def formats() -> tuple[str, ...]:
    """The formats read, as this Pillow knows them."""
    Image.init()
    return tuple(name for name in _READABLE if name in Image.OPEN)


def one_at_a_time(size: int) -> ExitStack:
    """A context in which a file of `size` bytes may be held: the large ones wait for each other, which bounds memory."""
    stack = ExitStack()
    if size > _LARGE_FILE_BYTES:
        stack.enter_context(_large)
    return stack


def decode(file: BufferedIOBase, target: Target, box: Box | None = None, lanczos: Lanczos | None = None) -> Decoded:
    """Read a picture from a seekable binary file, or only what is in its `box`, which is stretched to the square.

    Transparency is laid on the background before resizing, so that edges get no dark fringes; greyscale of 16 bits is
    scaled to 8; a rotation in the EXIF data is applied; colour profiles are not. Of animations the first frame counts.
    With `lanczos` it is faster, and the pixels are the same.

    Pillow's warnings (on damaged metadata, on large pictures) are the caller's to silence: only one who starts the
    threads can.

    Raises:
        Rejected: it can't be read, is too small or too large, or has no such box.
    """
    ordinary = _ordinary(file, target, box)
    if ordinary is not None:
        height, width, _ = ordinary.shape
        kept, enlarged = _kept((width, height), width, height, target, box and box.within(width, height))
        return Decoded(_resized(ordinary, target.resolution, kept, lanczos), enlarged, width, height)
    with ExitStack() as held:
        image, width, height, box = _open(file, target, box, held)
        orientation = _orientation(image)
        try:
            image = _flatten(image, target.background)
        except (ValueError, OSError) as error:
            raise Rejected(_reason(error)) from error
        kept, enlarged = _kept(image.size, width, height, target, box)
        pixels = _resized(image, target.resolution, kept, lanczos)
        if orientation in _TRANSPOSE:  # after cropping to the centre and resizing to a square it costs nothing
            pixels = np.asarray(Image.fromarray(pixels).transpose(_TRANSPOSE[orientation]))
        return Decoded(pixels, enlarged, width, height)


def decode_whole(file: BufferedIOBase, background: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """A picture at its own size, uint8 (H, W, 3), RGB; otherwise read as `decode` does.

    Raises:
        Rejected: it can't be read, is too small or too large.
    """
    with ExitStack() as held:
        # A JPEG is decoded at a fraction of its size only where that is still larger than the target.
        image, *_ = _open(file, Target(MAX_PIXELS, "none", background), None, held)
        orientation = _orientation(image)
        try:
            image = _flatten(image, background)
        except (ValueError, OSError) as error:
            raise Rejected(_reason(error)) from error
        if orientation in _TRANSPOSE:
            image = image.transpose(_TRANSPOSE[orientation])
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _ordinary(file: BufferedIOBase, target: Target, box: Box | None) -> np.ndarray | None:
    """The pixels of an ordinary JPEG that is decoded at its own size, uint8 (H, W, 3); None of all else, which `_open` is for.

    Raises:
        Rejected: the box is not in the picture.
    """
    found = read_ordinary(file)
    if found is None:
        return None
    data, width, height = found
    if min(width, height) < MIN_SIDE or width * height > _LARGE_PIXELS:
        return None
    box = box and box.within(width, height)
    return decode_ordinary(data) if min(width, height) < 2 * _draft_side(target, width, height, box) else None


def _draft_side(target: Target, width: int, height: int, box: Box | None) -> int:
    """The side that a JPEG must keep when it is decoded at a fraction of its size."""
    share = min((box.right - box.left) / width, (box.bottom - box.top) / height) if box else 1
    return math.ceil(_DRAFT_GAP * target.resolution / share)


def _resized(image: Image.Image | np.ndarray, side: int, kept: Box, lanczos: Lanczos | None) -> np.ndarray:
    """What is kept of a picture in mode L or RGB, or of uint8 (H, W, 3), as uint8 (side, side, 3)."""
    width, height = image.size if isinstance(image, Image.Image) else image.shape[1::-1]
    coloured = isinstance(image, np.ndarray) or image.mode == "RGB"
    if lanczos is not None and coloured and lanczos.takes(width, height, side, kept):
        return lanczos.resize(np.asarray(image), side, kept)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image = image.resize((side, side), Image.Resampling.LANCZOS, box=kept, reducing_gap=REDUCING_GAP)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _open(file: BufferedIOBase, target: Target, box: Box | None, held: ExitStack) -> tuple[Image.Image, int, int, Box | None]:
    """The decoded picture (a JPEG perhaps at a fraction of its size), the size it has in the file, and its box cut to that."""
    try:
        image = Image.open(cast(Any, file), formats=formats())
        width, height = image.size
        _check_size(width, height)
        box = box and box.within(width, height)
        if width * height > _LARGE_PIXELS:
            held.enter_context(_large)
        if image.format == "PNG":
            image.verify()  # Pillow checks the sums of the pixel chunks only here
            file.seek(0)
            image = Image.open(cast(Any, file), formats=("PNG",))
        elif image.format in ("JPEG", "MPO"):
            side = _draft_side(target, width, height, box)
            image.draft(None, (side, side))
        image.load()
    except Rejected:
        raise
    except Image.DecompressionBombError as error:
        raise Rejected(_too_large()) from error
    except UnidentifiedImageError as error:
        raise Rejected("no picture in a format that can be read") from error
    except MemoryError as error:
        raise Rejected("needs more memory than there is") from error
    except Exception as error:  # on malformed data Pillow's plugins raise nearly anything
        raise Rejected(_reason(error)) from error
    return image, width, height, box


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Rejected(f"{_too_large()} ({width} x {height})")
    if min(width, height) < MIN_SIDE:
        raise Rejected(f"smaller than {MIN_SIDE} pixels ({width} x {height})")


def _too_large() -> str:
    return f"larger than {MAX_PIXELS // 1_000_000} million pixels"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated"
    return f"damaged: {text or type(error).__name__}"


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or it is damaged. After loading: TIFF applies its own then."""
    if image.format in ("JPEG", "MPO", "WEBP") and "exif" not in image.info:
        return 1  # saves parsing, for small pictures a tenth of the time
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF data raise nearly anything, and are no reason to lose the picture
        return 1


def _flatten(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The picture in mode L or RGB, without transparency."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):
        values = np.asarray(image).astype(np.uint32).clip(0, 65535)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if mode in ("I", "F"):
        raise Rejected(f"pixels are {'whole numbers of 32 bits' if mode == 'I' else 'floating point'}, whose range is not known")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        flat = Image.new("RGB", image.size, background)
        flat.paste(rgba, mask=rgba.getchannel("A"))
        return flat
    if mode in ("L", "RGB"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _kept(decoded: tuple[int, int], width: int, height: int, target: Target, box: Box | None) -> tuple[Box, bool]:
    """The part that is kept, in pixels of the picture as it was `decoded` (width and height), and whether it has to be enlarged.

    The crop is placed on whole pixels of the file's own size, so that one of the right size is copied unchanged.
    """
    if target.crop == "none":
        return Box(0, 0, *decoded), min(width, height) < target.resolution
    if box is None:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = Box(left, top, left + side, top + side)
    scale = max(1, round(width / decoded[0]))  # 2, 4 or 8 where a JPEG was decoded at that fraction
    right, bottom = min(box.right / scale, decoded[0]), min(box.bottom / scale, decoded[1])
    return Box(box.left / scale, box.top / scale, right, bottom), min(box.right - box.left, box.bottom - box.top) < target.resolution
