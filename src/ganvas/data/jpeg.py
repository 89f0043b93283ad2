"""Ordinary JPEG files straight from their bytes to pixels, where simplejpeg is installed.

simplejpeg and Pillow carry the same library, libjpeg-turbo, and give the same bits. On a small photograph Pillow's way there
(plugins, markers, its own layout of pixels and out of that again) takes half as long again as the decoding, much of it
under the interpreter's lock. Whatever is not ordinary is left to Pillow.
"""

from __future__ import annotations

from io import BufferedIOBase

import numpy as np

try:
    import simplejpeg
except ImportError:  # no wheel for this platform
    simplejpeg = None

MAX_BYTES = 4 * 2**20
"""Of longer files the decoding takes so much of the time that Pillow is as good."""
_START = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_COLOURS = ("YCbCr", "Gray")


def read_ordinary(file: BufferedIOBase) -> tuple[bytes, int, int] | None:
    """The bytes, width and height of an ordinary JPEG of 8 bits, in colour or grey, without EXIF data; None of anything else.

    The file is then where it was, at its start.
    """
    if simplejpeg is None:
        return None
    data = file.read(MAX_BYTES + 1)
    file.seek(0)
    if not data.startswith(_START) or len(data) > MAX_BYTES or _EXIF in data:
        return None
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (data, int(width), int(height)) if colour in _COLOURS else None


def decode_ordinary(data: bytes) -> np.ndarray | None:
    """The pixels of an ordinary JPEG, uint8 (H, W, 3), RGB; None if libjpeg finds the least fault, of which Pillow has to judge."""
    if simplejpeg is None:
        return None
    try:
        return simplejpeg.decode_jpeg(data, strict=True)
    except ValueError:
        return None
