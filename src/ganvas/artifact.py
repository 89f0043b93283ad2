"""Files that are whole or absent: atomic writes, checksums, and folders that appear at once; the cache."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganvas.errors import UserError


def cache_folder() -> Path:
    """Where prepared copies and all else that can be made again is kept: the environment's GANVAS_CACHE, or the user's cache folder."""
    given = os.environ.get("GANVAS_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ganvas"))


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder and their like into a `UserError` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk is full: {path} could not be written, and nothing half-written was kept; "
                "free some space or choose another folder"
            ) from error
        if error.errno == errno.EFBIG:
            raise UserError(
                f"{path} may not grow so large (a limit of the disk's format, or of this session): nothing half-written was kept; "
                "choose another folder or raise the limit"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(f"{path} can't be written ({error.strerror}); choose another folder or mend its permissions") from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or, after any failure, as it was before."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` for a JSON value, indented for people."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def backup_of(path: Path) -> Path:
    """Where `new_folder` keeps the old folder for the instant in which it is replaced."""
    return path.with_name(f".{path.name}.old")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes `path`, replacing what was there, only if the block succeeds.

    A crash between the two renames leaves the old folder as `backup_of(path)`; `recover` puts it back.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.tmp-"))
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            for child in temporary.rglob("*"):
                if child.is_file():
                    _sync(child)
            old = backup_of(path)
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                os.rename(path, old)
            os.rename(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def recover(path: Path) -> None:
    """Put back the folder that a crash left as `backup_of(path)`, if `path` itself is missing."""
    old = backup_of(path)
    if not path.exists() and old.exists():
        os.rename(old, path)


def clear_leftovers(path: Path) -> None:
    """Remove temporary folders that a killed `new_folder(path)` left beside `path`."""
    for leftover in path.parent.glob(f".{path.name}.tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
