"""Pictures into files: a folder of PNG, a data set of class folders, or Kaggle's zip."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

KAGGLE_SIDE = 64
KAGGLE_PICTURES = 10_000
"""What "Generative Dog Images" took: so many RGB PNG of so many pixels a side, in `images.zip`."""
KAGGLE_FILE = "images.zip"
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


@runtime_checkable
class Export(Protocol):
    """Where pictures go, one after the other."""

    def write(self, index: int, kind: str | None, picture: np.ndarray) -> str:
        """Write uint8 (H, W, 3) of a class; its name within the folder."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


def number(index: int, total: int) -> str:
    """An index with leading zeros, so that names sort as numbers do."""
    return f"{index:0{max(4, len(str(total - 1)))}d}"


def encoded(picture: np.ndarray) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


class Folder:
    """PNG files side by side: `0000.png`, `0001.png`, ..."""

    def __init__(self, folder: Path, total: int):
        self.folder, self.total = folder, total

    def place(self, index: int, kind: str | None) -> str:
        """The name of a picture within the folder."""
        return f"{number(index, self.total)}.png"

    def write(self, index: int, kind: str | None, picture: np.ndarray) -> str:
        """Write one PNG."""
        name = self.place(index, kind)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture))
        return name

    def drop(self, name: str) -> None:
        """Remove it again, and its class's folder if that was all of it."""
        path = self.folder / name
        path.unlink()
        if path.parent != self.folder and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def close(self) -> None:
        """Nothing is open."""


class Dataset(Folder):
    """`train/<class>/0000.png`, or `train/0000.png` without classes: a source as `ganvas prepare` and others take it."""

    def __init__(self, folder: Path, total: int, classes: Sequence[str]):
        super().__init__(folder, total)
        self.folders = folder_names(classes)

    def place(self, index: int, kind: str | None) -> str:
        """Below the class's folder."""
        return f"train/{'' if kind is None else self.folders[kind] + '/'}{super().place(index, kind)}"


class KaggleZip:
    """`images.zip` of 64x64 RGB PNG; pictures of another size are resized by anti-aliased Lanczos."""

    def __init__(self, folder: Path, total: int):
        self.total = total
        # PNG is compressed already.
        self._zip = zipfile.ZipFile(folder / KAGGLE_FILE, "w", zipfile.ZIP_STORED)

    def write(self, index: int, kind: str | None, picture: np.ndarray) -> str:
        """Add one PNG."""
        name = f"{number(index, self.total)}.png"
        # A fixed date: the same pictures make the same file.
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), encoded(kaggle_size(picture)))
        return name

    def close(self) -> None:
        """Write the zip's table."""
        self._zip.close()


def kaggle_size(picture: np.ndarray) -> np.ndarray:
    """uint8 (64, 64, 3)."""
    if picture.shape[:2] == (KAGGLE_SIDE, KAGGLE_SIDE):
        return picture
    return np.asarray(Image.fromarray(picture).resize((KAGGLE_SIDE, KAGGLE_SIDE), Image.Resampling.LANCZOS))


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """A folder's name for each class, fit for every system and leading nowhere else; no two alike."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in classes:
        plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(". ") or "_"
        if plain.partition(".")[0].lower() in _RESERVED:
            plain = f"_{plain}"
        unique, i = plain, 2
        while unique.lower() in taken:
            unique, i = f"{plain}-{i}", i + 1
        taken.add(unique.lower())
        found[name] = unique
    return found
