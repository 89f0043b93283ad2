"""`kernels.c` as a library of this machine, and PyTorch's threads for it.

Threads are those of the OpenMP library that PyTorch has loaded: its entry is handed over after loading, so that the
library is linked to none.
"""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from importlib import resources
from pathlib import Path

import torch

from ganvas import native
from ganvas.native import Unavailable

# Sums keep their order, so no -ffast-math. Without errno and traps, loops with branches become vectors.
_FLAGS = ("-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math")
_FLAGS_OF = {"x86_64": ("-march=native", "-mprefer-vector-width=512"), "aarch64": ("-mcpu=native",)}

_POINTER, _COUNT, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_int
_SIZES = [_COUNT] * 4
_SIGNATURES = {
    "set_pool": [_POINTER] * 3,
    "norm_forward": [*[_POINTER] * 10, *_SIZES, _FLOAT, _FLOAT, _FLOAT, _INT],
    "norm_backward": [*[_POINTER] * 10, *_SIZES, _FLOAT, _INT],
    "activate": [*[_POINTER] * 2, _COUNT, _FLOAT, _INT],
    "activate_backward": [*[_POINTER] * 3, _COUNT, _FLOAT, _INT],
    "clamp": [*[_POINTER] * 2, _COUNT, _FLOAT, _INT],
    "clamp_backward": [*[_POINTER] * 3, _COUNT, _FLOAT, _INT],
    "gate": [*[_POINTER] * 2, _COUNT, _COUNT, _INT],
    "gate_backward": [*[_POINTER] * 3, _COUNT, _COUNT, _INT],
    "depthwise_backward": [*[_POINTER] * 5, _FLOAT, _INT],
    "unfold": [*[_POINTER] * 2, *_SIZES, _INT],
    "fold": [*[_POINTER] * 2, *_SIZES, _INT],
    "transpose": [*[_POINTER] * 2, _COUNT, _COUNT, _INT],
    "attention": [*[_POINTER] * 3, *_SIZES, _INT],
    "attention_backward": [*[_POINTER] * 2, _COUNT, _COUNT, _INT],
}
_WITH_HALVES = {"noisy_gate": [*[_POINTER] * 3, *[_COUNT] * 3, _INT]}
"""What is left out where there is no AVX-512."""


def source() -> bytes:
    """The text of `kernels.c`."""
    return resources.files("ganvas.nn.kernels").joinpath("kernels.c").read_bytes()


def load() -> ctypes.CDLL:
    """The library, from the cache or compiled now.

    Raises:
        Unavailable: another system, no compiler, or one that fails.
    """
    if sys.platform != "linux" or platform.machine() not in _FLAGS_OF:
        raise Unavailable(f"they are for Linux on {' and '.join(_FLAGS_OF)}")
    return _declared(native.load("kernels", source(), _flags()))


def _flags() -> tuple[str, ...]:
    return _FLAGS + _FLAGS_OF[platform.machine()]


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Types of all arguments, and threads."""
    try:
        halves = _WITH_HALVES if hasattr(library, "ganvas_noisy_gate") else {}
        for name, arguments in (_SIGNATURES | halves).items():
            function = getattr(library, f"ganvas_{name}")
            function.argtypes, function.restype = arguments, None
    except AttributeError as error:
        raise Unavailable(f"the library in the cache is another one: {error}") from error
    pool = openmp()
    if pool is not None:
        entries = (getattr(pool, name) for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"))
        library.ganvas_set_pool(*(ctypes.cast(entry, _POINTER) for entry in entries))
    return library


def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that PyTorch computes with, if it is one of those that have GNU's entries."""
    mapped = mapped_openmp()
    own = [path for path in mapped if path.is_relative_to(Path(torch.__file__).parents[1])]
    if len(own or mapped) != 1:
        return None
    pool = ctypes.CDLL(str((own or mapped)[0]))
    return pool if hasattr(pool, "GOMP_parallel") else None


def mapped_openmp() -> list[Path]:
    """The OpenMP libraries that this process has loaded."""
    maps = Path("/proc/self/maps").read_text()
    return sorted({Path(path) for path in re.findall(r"(/\S*/lib(?:gomp|iomp5|omp)[^/\s]*\.so[^/\s]*)$", maps, re.MULTILINE)})
