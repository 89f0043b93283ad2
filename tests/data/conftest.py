"""Generated pictures, and ways to lay them out as folders and archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


class Pictures:
    """Makes pictures and lays files out."""

    @staticmethod
    def image(seed: int = 0, size: tuple[int, int] = (24, 24)) -> Image.Image:
        """An RGB picture that differs from seed to seed everywhere."""
        noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)

    @staticmethod
    def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    def png(self, seed: int = 0, size: tuple[int, int] = (24, 24)) -> bytes:
        return self.encode(self.image(seed, size))

    def many(self, names: list[str]) -> dict[str, bytes]:
        """A different picture for each name."""
        return {name: self.png(seed) for seed, name in enumerate(names)}

    @staticmethod
    def folder(path: Path, files: Mapping[str, bytes]) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path

    @staticmethod
    def zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path

    @staticmethod
    def tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
        with tarfile.open(path, mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, by name, for comparing before and after."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    return read
