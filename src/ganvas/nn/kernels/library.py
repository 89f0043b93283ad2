"""`kernels.c` as a library of this machine: compiled on first use, kept in the cache, loaded by ctypes.

The file's name is made of everything that its bytes depend on, also the processor's instruction sets, so that a cache
that several machines share never gives one the other's. Threads are those of the OpenMP library that PyTorch has
loaded: its entry is handed over after loading, so that the library is linked to none.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import torch

from ganvas.artifact import cache_folder, write_bytes
from ganvas.errors import UserError

_COMPILERS = ("cc", "gcc", "clang")
_SECONDS = 60.0
# Sums keep their order, so no -ffast-math. Without errno and traps, loops with branches become vectors.
_FLAGS = ("-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
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
    "unfold": [*[_POINTER] * 2, *_SIZES, _INT],
    "fold": [*[_POINTER] * 2, *_SIZES, _INT],
    "transpose": [*[_POINTER] * 2, _COUNT, _COUNT, _INT],
}


class Unavailable(Exception):
    """Why there is no library, for `ganvas doctor`."""


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
    compiler = _compiler()
    path = cache_folder() / "kernels" / f"kernels-{_key(compiler)}.so"
    library = None
    if path.is_file():
        with contextlib.suppress(OSError):  # damaged: made again
            library = ctypes.CDLL(str(path))
    return _declared(library or _compiled(compiler, path))


def _compiler() -> list[str]:
    """The command of what `CC` names, or of the first compiler on the PATH."""
    given = shlex.split(os.environ.get("CC", ""))
    for name in given[:1] or _COMPILERS:
        found = shutil.which(name)
        if found:
            return [str(Path(found).resolve()), *given[1:]]
    raise Unavailable(f"no C compiler on the PATH (looked for {', '.join(given[:1] or _COMPILERS)})")


def _flags() -> tuple[str, ...]:
    return _FLAGS + _FLAGS_OF[platform.machine()]


def _key(compiler: list[str]) -> str:
    """Of source, flags, compiler and processor."""
    stat = Path(compiler[0]).stat()
    parts = [source().hex(), *_flags(), *compiler, str(stat.st_size), str(stat.st_mtime_ns), platform.machine(), *_processor()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _processor() -> list[str]:
    """What Linux says of the first processor's model and instruction sets."""
    lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    names = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return sorted(line for line in lines if line.partition(":")[0].strip() in names)


def _compiled(compiler: list[str], path: Path) -> ctypes.CDLL:
    name = Path(compiler[0]).name
    with tempfile.TemporaryDirectory(prefix="ganvas-kernels-") as folder:
        made = Path(folder, "kernels.so")
        command = [*compiler, *_flags(), "-x", "c", "-", "-o", str(made), "-lm"]
        try:
            ended = subprocess.run(command, input=source(), capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{name} did not run: {error}") from error
        if ended.returncode or not made.is_file():
            said = ended.stderr.decode(errors="replace").strip().splitlines()
            raise Unavailable(f"{name} could not compile them: {said[0] if said else f'status {ended.returncode}'}")
        with contextlib.suppress(UserError, OSError):  # a cache that can't be written: compiled again next time
            write_bytes(path, made.read_bytes())
        try:
            return ctypes.CDLL(str(path if path.is_file() else made))
        except OSError as error:
            raise Unavailable(f"what {name} made can't be loaded: {error}") from error


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Types of all arguments, and threads."""
    try:
        for name, arguments in _SIGNATURES.items():
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
