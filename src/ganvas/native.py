"""C compiled on this machine, by whatever compiler there is, kept in the cache and loaded by ctypes.

A library's name is made of everything that its bytes depend on, also the processor's instruction sets, so that a cache
that several machines share never gives one the other's.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ganvas.artifact import cache_folder, write_bytes
from ganvas.errors import UserError

COMPILERS = ("cc", "gcc", "clang")
"""Those that are looked for on the PATH, in this order, where `CC` names none."""
_SECONDS = 60.0


class Unavailable(Exception):
    """Why there is no library, for `ganvas doctor`."""


def load(name: str, source: bytes, flags: Sequence[str], *, compiling: bool = True) -> ctypes.CDLL:
    """The library made of a C source, from the cache or, if `compiling`, compiled now.

    Raises:
        Unavailable: there is no compiler or it fails, or the cache has none and it must not be compiled.
    """
    command = _compiler()
    path = cache_folder() / "compiled" / f"{name}-{key(source, flags, command)}.so"
    if path.is_file():
        with contextlib.suppress(OSError):  # damaged: made again
            return ctypes.CDLL(str(path))
    if not compiling:
        raise Unavailable("it has not been compiled yet")
    return _compiled(command, source, flags, path)


def _compiler() -> list[str]:
    """The command of what `CC` names, or of the first compiler on the PATH."""
    if sys.platform == "win32":
        raise Unavailable("Windows' compilers are not looked for")
    given = shlex.split(os.environ.get("CC", ""))
    for name in given[:1] or COMPILERS:
        found = shutil.which(name)
        if found:
            return [str(Path(found).resolve()), *given[1:]]
    raise Unavailable(f"no C compiler on the PATH (looked for {', '.join(given[:1] or COMPILERS)})")


def key(source: bytes, flags: Sequence[str], compiler: Sequence[str]) -> str:
    """Of source, flags, compiler and processor."""
    stat = Path(compiler[0]).stat()
    parts = [source.hex(), *flags, *compiler, str(stat.st_size), str(stat.st_mtime_ns), sys.platform, platform.machine(), *_processor()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def instructions() -> set[str]:
    """The instruction sets of the first processor, by Linux' names; none elsewhere."""
    flags = (line.partition(":")[2] for line in _processor() if line.startswith(("flags", "Features")))
    return set(" ".join(flags).split())


def _processor() -> list[str]:
    """What Linux says of the first processor's model and instruction sets."""
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    names = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return sorted(line for line in said.split("\n\n", 1)[0].splitlines() if line.partition(":")[0].strip() in names)


def _compiled(compiler: Sequence[str], source: bytes, flags: Sequence[str], path: Path) -> ctypes.CDLL:
    name = Path(compiler[0]).name
    with tempfile.TemporaryDirectory(prefix="ganvas-compiled-") as folder:
        made = Path(folder, path.name)
        command = [*compiler, *flags, "-shared", "-fPIC", "-x", "c", "-", "-o", str(made), "-lm"]
        try:
            ended = subprocess.run(command, input=source, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{name} did not run: {error}") from error
        if ended.returncode or not made.is_file():
            said = ended.stderr.decode(errors="replace").strip().splitlines()
            raise Unavailable(f"{name} could not compile: {said[0] if said else f'status {ended.returncode}'}")
        with contextlib.suppress(UserError, OSError):  # a cache that can't be written: compiled again next time
            write_bytes(path, made.read_bytes())
        try:
            return ctypes.CDLL(str(path if path.is_file() else made))
        except OSError as error:
            raise Unavailable(f"what {name} made can't be loaded: {error}") from error
