"""Pillow's Lanczos resizing with vector instructions, ten times as fast and with the same bits; compiled where that is possible.

Pillow's wheels resize without vector instructions, which takes most of the time of preparing a small photograph. `lanczos.c`
does the same arithmetic. There is no need of it: without a compiler, or where its bits are not Pillow's, Pillow resizes.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import numpy as np
from PIL import Image

from ganvas import native

_FLAGS = ("-O3", "-std=c11", "-ffp-contract=off")
"""No contraction: a fused multiplication and addition would give other bits than Pillow's."""
_VECTORS = (("avx512bw", "-mavx512bw"), ("avx2", "-mavx2"))
"""Instructions that `lanczos.c` knows, the best first, as Linux names them and as compilers do."""
REDUCING_GAP = 4.0
"""Pillow is asked to average whole pixels first, down to no less than this many times the target: from twice that on it does."""


class Lanczos:
    """The compiled resizing."""

    def __init__(self, library: ctypes.CDLL):
        """Raises AttributeError if the library is none of ours."""
        number, place, real = ctypes.c_int32, ctypes.c_void_p, ctypes.c_float
        self._weigh, self._resize = library.ganvas_weights, library.ganvas_resize
        self._weigh.argtypes = [number, real, real, number, number, place, place, place, place]
        self._weigh.restype = None
        self._resize.argtypes = [place, *[number] * 4, *[place] * 3, *[number] * 2, *[place] * 4]
        self._resize.restype = number
        self._weights = lru_cache(maxsize=256)(self._make_weights)

    @staticmethod
    def takes(width: int, height: int, side: int, box: Sequence[float]) -> bool:
        """Whether `resize` is for such a picture: Pillow averages pixels of much larger ones first, and may take high ones
        along columns before rows, where that is less work and rounds otherwise."""
        left, top, right, bottom = box
        much_larger = max(right - left, bottom - top) >= 2 * REDUCING_GAP * side
        return not much_larger and (height <= width or height + side <= 2 * width)

    def resize(self, pixels: np.ndarray, side: int, box: Sequence[float]) -> np.ndarray:
        """The `box` (left, top, right, bottom) of a picture, uint8 (H, W, 3), stretched to uint8 (side, side, 3).

        Where it `takes` the picture, the bits are those of Pillow's `resize((side, side), LANCZOS, box, REDUCING_GAP)`.

        Raises:
            MemoryError: there is too little.
        """
        height, width, _ = pixels.shape
        left, top, right, bottom = box
        pixels = np.ascontiguousarray(pixels)
        along_rows, along_columns = self._weights(width, left, right, side), self._weights(height, top, bottom, side)
        out = np.empty((side, side, 3), np.uint8)
        if self._resize(pixels.ctypes.data, width, height, *_given(along_rows), *_given(along_columns), out.ctypes.data):
            raise MemoryError
        return out

    def _make_weights(self, size: int, low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each of `count` values: the first pair of values that it is made of, how many, and their weights."""
        most = math.ceil(3 * max((high - low) / count, 1)) + 2
        single, first, number = np.zeros(2 * most, np.int32), np.zeros(count, np.int32), np.zeros(count, np.int32)
        weights = np.zeros((count, most, 2), np.int32)
        self._weigh(size, low, high, count, most, *(each.ctypes.data for each in (single, first, number, weights)))
        return first, number, weights


def _given(weights: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[int, ...]:
    return *weights[2].shape[:2], *(part.ctypes.data for part in weights)


def load(compiling: bool = True) -> Lanczos | None:
    """The compiled resizing, from the cache or, if `compiling`, made in half a second.

    None where it can't be had, or a picture's bits are not Pillow's.
    """
    source = resources.files("ganvas.data").joinpath("lanczos.c").read_bytes()
    known = native.instructions()
    vectors = next(([flag] for name, flag in _VECTORS if name in known), [])
    with contextlib.suppress(native.Unavailable, AttributeError):
        found = Lanczos(native.load("lanczos", source, [*_FLAGS, *vectors], compiling=compiling))
        if _same_bits(found):
            return found
    return None


def _same_bits(lanczos: Lanczos) -> bool:
    """Whether pictures of noise, larger and smaller, whole and in part, have the bits that Pillow gives."""
    random = np.random.default_rng(0)
    for height, width, side in ((33, 50, 16), (90, 64, 24), (20, 20, 32)):
        pixels = random.choice(np.array([0, 255], np.uint8), (height, width, 3))
        for box in ((0, 0, width, height), (1.3, 2.7, width - 0.4, height - 1.2)):
            expected = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS, box, REDUCING_GAP)
            if not np.array_equal(lanczos.resize(pixels, side, box), np.asarray(expected)):
                return False
    return True
