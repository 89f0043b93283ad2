"""Pictures cut to their bounding boxes: a source of pictures joined with the PASCAL VOC annotations beside it.

As Stanford Dogs ships them: `images.tar` with `Images/<class>/<name>.jpg` and `annotation.tar` with
`Annotation/<class>/<name>`, without a suffix; or the folders Images and Annotation; or VOC's own JPEGImages and
Annotations; or files `<name>.xml` beside the pictures.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from ganvas.data.boxes import MAX_XML_BYTES, choose, parse_voc
from ganvas.data.decode import Box, Rejected
from ganvas.data.listing import Item, Listing
from ganvas.data.source import PICTURES, FolderSource, Source, ZipSource, junk
from ganvas.data.tar import TarSource, is_tar
from ganvas.errors import DataError, UsageError
from ganvas.progress import Progress

_IMAGES = frozenset({"images", "jpegimages", "all-dogs"})
_ANNOTATIONS = frozenset({"annotation", "annotations"})
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

_FILES_ANSWER = "annotation.tar or a folder Annotation beside the pictures, or a file .xml for each"


def images_of(folder: Path) -> Path | None:
    """The folder or archive of pictures, of a folder that holds one beside its annotations or nothing else to look at."""
    images, notes = _named(folder, _IMAGES), _named(folder, _ANNOTATIONS)
    if images is None or (notes is None and images.is_dir()):
        return None
    loose = any(entry.suffix.lower() in PICTURES for entry in folder.iterdir())
    return None if loose else images


def _named(folder: Path, names: frozenset[str]) -> Path | None:
    """A folder's folder or archive of one of these names, whatever their case; a folder before an archive of it."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), entry.name))
    except OSError:
        return None
    for entry in entries:
        if (entry.is_dir() and entry.name.lower() in names) or (entry.is_file() and _stem(entry.name) in names):
            return entry
    return None


def _stem(name: str) -> str | None:
    """The lower-case name of an archive without its suffix; None for other files."""
    lowered = name.lower()
    return next((lowered.removesuffix(suffix) for suffix in _ARCHIVES if lowered.endswith(suffix)), None)


class _Notes(Source):
    """Lists annotations where its source lists pictures."""

    suffixes: tuple[str, ...] = ("", ".xml")

    def _add(self, name: str, size: int, where: Any) -> None:
        name = name.replace("\\", "/")
        if not junk(name) and os.path.splitext(name)[1].lower() in self.suffixes:
            self.items.append(Item(name.removeprefix("./"), size, where))


class _FolderNotes(_Notes, FolderSource):
    pass


class _NotesAmongPictures(_Notes, FolderSource):
    suffixes = (".xml",)

    def _settle(self) -> None:
        """Names as they are: which folder wraps all is for the pictures to say."""


class _TarNotes(_Notes, TarSource):
    pass


class _ZipNotes(_Notes, ZipSource):
    pass


def _open_notes(path: Path, quiet: bool) -> Source:
    if path.is_dir():
        return _FolderNotes(str(path), path, quiet)
    if zipfile.is_zipfile(path):
        return _ZipNotes(str(path), path)
    if is_tar(path):
        return _TarNotes(str(path), path, quiet)
    raise DataError(f"{path} is no archive: expected a folder, a zip or a tar of annotations; copy or download it again")


class AnnotatedSource(Source):
    """The pictures of another source, each as the part of it that is in a box.

    A picture without an annotation, or with one that is broken, is rejected; so is later one with a box outside of it.
    With the choice "each", the pictures cut from one are `a.jpg#1`, `a.jpg#2`, and are held out together.
    """

    def __init__(self, images: Source, notes: Source, choice: str, quiet: bool = False):
        super().__init__(images.given)
        self.kind, self.sequential, self.attribution = images.kind, images.sequential, images.attribution
        self.path = getattr(images, "path", None)
        self.rejected, self.ignored, self.packed = list(images.rejected), images.ignored, images.packed
        self._images = images
        self._identity = f"{images.fingerprint()} {notes.fingerprint()} {choice}"
        found = _Annotations(notes, {_key(item.name) for item in images.items}, quiet)
        for row, item in enumerate(images.items):
            try:
                boxes = choose(found.boxes(_key(item.name)), choice)
            except Rejected as error:
                self.rejected.append((item.name, str(error)))
                continue
            for number, box in enumerate(boxes, 1):
                name = item.name if len(boxes) == 1 else f"{item.name}#{number}"
                self.items.append(Item(name, item.size, row, box))
        self.rejected.sort()

    @classmethod
    def beside(cls, images: Source, choice: str, quiet: bool = False) -> AnnotatedSource:
        """The pictures with the annotations that are in their folder, or beside their archive or folder.

        Raises:
            UsageError: there are none.
            DataError: their archive is damaged.
        """
        path = getattr(images, "path", None)
        if isinstance(path, Path) and images.kind in ("folder", "zip", "tar"):
            within = [path] if path.is_dir() else []
            for folder in [*within, path.parent] if not within or path.name.lower() in _IMAGES else within:
                where = _named(folder, _ANNOTATIONS)
                if where is not None:
                    with _open_notes(where, quiet) as notes:
                        return cls(images, notes, choice, quiet)
            if within:
                with _NotesAmongPictures(images.given, path, quiet=True) as notes:
                    if notes.items:
                        prefix = _wrapped(images)
                        notes.items = Listing(replace(item, name=item.name.removeprefix(prefix)) for item in notes.items)
                        return cls(images, notes, choice, quiet)
        raise UsageError(
            f"crop box needs a source with bounding boxes (PASCAL VOC): expected {_FILES_ANSWER}, and found none at {images.given}; "
            "use --crop center or none"
        )

    def fingerprint(self) -> str:
        """Of the pictures, the annotations and the choice."""
        return hashlib.sha256(self._identity.encode()).hexdigest()

    def open(self, item: Item) -> BufferedIOBase:
        """The bytes of the whole picture."""
        return self._images.open(self._images.items[item.where])

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
        """The bytes of the whole picture for each of its boxes."""
        parts: dict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            parts[item.where].append(index)
        rows = list(parts)
        for whole, data in self._images.stream([self._images.items[row] for row in rows]):
            for index in parts[rows[whole]]:
                yield index, data

    def group(self, item: Item) -> str:
        """The whole picture's group."""
        return self._images.group(self._images.items[item.where])

    def close(self) -> None:
        """Close the pictures' source."""
        self._images.close()


def _key(name: str) -> str:
    return os.path.splitext(name)[0]


def _wrapped(images: Source) -> str:
    """The folder that was taken off the names of a folder's pictures, with a slash."""
    if not images.items:
        return ""
    item = images.items[0]
    return os.path.relpath(item.where, images.path).replace(os.sep, "/").removesuffix(item.name)  # type: ignore[attr-defined]


class _Annotations:
    """The boxes of some pictures, by the pictures' names without suffix: the same path, or a file name that is unique."""

    def __init__(self, notes: Source, wanted: set[str], quiet: bool):
        last = {key.rpartition("/")[2] for key in wanted}
        items = [item for item in notes.items if _key(item.name).rpartition("/")[2] in last]
        self._found: dict[str, list[Box] | str] = {}
        self._by_file: dict[str, list[str]] = defaultdict(list)
        with Progress("reading annotations", len(items), "files", quiet) as progress:
            for item, data in _contents(notes, items):
                key = _key(item.name)
                try:
                    self._found[key] = data if isinstance(data, str) else parse_voc(data)
                except Rejected as error:
                    self._found[key] = str(error)
                self._by_file[key.rpartition("/")[2]].append(key)
                progress.update()

    def boxes(self, key: str) -> list[Box]:
        """The boxes of the picture of that name without suffix.

        Raises:
            Rejected: there is no annotation, or it is broken.
        """
        if key not in self._found:
            others = self._by_file.get(key.rpartition("/")[2], [])
            if len(others) != 1:
                raise Rejected("it has no annotation" if not others else f"it has {len(others)} annotations, in different folders")
            key = others[0]
        found = self._found[key]
        if isinstance(found, str):
            raise Rejected(found)
        return found


def _contents(notes: Source, items: list[Item]) -> Iterator[tuple[Item, bytes | str]]:
    """The bytes of each annotation, or why they can't be had."""
    small = [item for item in items if item.size <= MAX_XML_BYTES]
    yield from ((item, f"its annotation is larger than {MAX_XML_BYTES // 2**20} MiB") for item in items if item.size > MAX_XML_BYTES)
    if notes.sequential:
        yield from ((small[index], data) for index, data in notes.stream(small))
        return
    for item in small:
        try:
            with notes.open(item) as file:
                data = file.read(MAX_XML_BYTES + 1)
        except (Rejected, OSError) as error:
            yield item, f"its annotation can't be read: {error}"
        else:
            yield item, data
