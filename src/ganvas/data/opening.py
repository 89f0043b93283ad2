"""Which kind of source a path is: the one place that knows them all."""

from __future__ import annotations

import contextlib
import re
import zipfile
from pathlib import Path

from ganvas.data import arrow, cifar, lsun
from ganvas.data.annotated import AnnotatedSource, images_of
from ganvas.data.emoji import open_builtin
from ganvas.data.source import FolderSource, Source, ZipSource, file_fingerprint, looks_like_picture
from ganvas.data.tar import TarSource, is_tar
from ganvas.errors import DataError, UsageError


def open_source(source: str | Path, quiet: bool = False, *, boxes: str | None = None, labels: str | None = None) -> Source:
    """The source that `source` names.

    Args:
        source: a folder, a zip, a tar (also .gz, .bz2, .xz), `builtin:emoji`, or the layout of a well-known data set:
            Stanford Dogs (images and annotations, as archives or folders), LSUN (LMDB), CIFAR (pickles, in their archive
            or out of it), Hugging Face (Arrow or Parquet).
        quiet: no progress.
        boxes: which of a picture's annotated boxes to cut it to (`boxes.BOX_CHOICES`); None: none.
        labels: which labels, where a source has several: fine or coarse of CIFAR-100, a column of a table.

    Raises:
        DataError: there is none, or it is damaged.
        UsageError: an unknown built-in, no boxes, no such labels, or a package is missing that reads it.
    """
    given = str(source)
    if given.startswith("builtin:"):
        found: Source = open_builtin(given)
    else:
        path = _existing(given)
        found = _folder(given, path, labels, quiet) if path.is_dir() else _file(given, path, labels, quiet)
    try:
        if labels is not None and not isinstance(found, (arrow.ArrowSource, cifar.CifarSource)):
            raise UsageError(f"{given} has no labels to choose from: expected no --labels; leave it out")
        return found if boxes is None else AnnotatedSource.beside(found, boxes, quiet)
    except BaseException:
        found.close()
        raise


def fingerprint_of(source: str | Path) -> str | None:
    """The fingerprint of the archive that `source` names, without listing it; None where only opening it tells."""
    given = str(source)
    with contextlib.suppress(DataError, OSError):
        if not given.startswith("builtin:") and (path := _existing(given)).is_file():
            return file_fingerprint(path)
    return None


def _existing(given: str) -> Path:
    if re.match(r"[a-z]+://", given):
        raise DataError(f"{given} is an address: expected a folder or an archive on this machine; download it first")
    path = Path(given).expanduser()
    with contextlib.suppress(OSError, RuntimeError):
        path = path.resolve()
    if not path.exists():
        raise DataError(
            f"{given} does not exist: expected a folder of pictures, a zip or tar archive of them, or builtin:emoji; check the path"
        )
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{given} is neither a folder nor a file: expected a folder of pictures or an archive of them")
    return path


def _folder(given: str, path: Path, labels: str | None, quiet: bool) -> Source:
    if cifar.is_cifar_folder(path):
        return cifar.CifarSource(given, path, labels, quiet)
    if lsun.is_lmdb(path):
        return lsun.LmdbSource(given, path, quiet)
    if arrow.is_arrow(path):
        return arrow.ArrowSource(given, path, labels, quiet)
    images = images_of(path)
    if images is not None:
        return _folder(given, images, labels, quiet) if images.is_dir() else _file(given, images, labels, quiet)
    return FolderSource(given, path, quiet)


def _file(given: str, path: Path, labels: str | None, quiet: bool) -> Source:
    try:
        if lsun.is_lmdb(path):
            return lsun.LmdbSource(given, path, quiet)
        if arrow.is_arrow(path):
            return arrow.ArrowSource(given, path, labels, quiet)
        if is_tar(path):
            return cifar.CifarSource(given, path, labels, quiet) if cifar.is_cifar_tar(path) else TarSource(given, path, quiet)
        if zipfile.is_zipfile(path):
            return ZipSource(given, path)
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DataError(f"{given} can't be read ({error.strerror or error}); check its permissions") from error
    raise DataError(_no_archive(given, head))


def _no_archive(given: str, head: bytes) -> str:
    if not head:
        return f"{given} is an empty file: expected a folder of pictures or an archive of them; copy or download it again"
    if looks_like_picture(head):
        return f"{given} is a single picture: expected a folder of pictures, or a zip or tar archive of them; give its folder"
    if head.startswith((b"7z\xbc\xaf", b"Rar!")):
        return f"{given} is an archive that can't be read here: expected a zip or tar; unpack it and give the folder"
    if head.startswith(b"PK"):
        return f"{given} is a damaged zip file: its end is missing; copy or download it again"
    return f"{given} is no archive: expected a folder of pictures, or a zip or tar (also .tar.gz, .tar.bz2, .tar.xz) of them"
