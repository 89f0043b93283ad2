"""Pictures into folders, data sets and zips."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas.ship.export import Dataset, Folder, KaggleZip, folder_names


def test_a_folder_takes_back_what_is_dropped(tmp_path: Path) -> None:
    export = Dataset(tmp_path, 3, ["a", "b"])
    picture = np.zeros((4, 4, 3), np.uint8)
    names = [export.write(i, kind, picture) for i, kind in enumerate(["a", "b", "a"])]
    assert names == ["train/a/0000.png", "train/b/0001.png", "train/a/0002.png"]
    export.drop(names[1])
    export.drop(names[0])
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["train", "train/a", "train/a/0002.png"]
    assert Dataset(tmp_path, 20_000, []).place(7, None) == "train/00007.png"
    assert Folder(tmp_path, 5).place(3, "a") == "0003.png"


@pytest.mark.parametrize("size", [32, 64, 128])
def test_kaggles_zip_holds_rgb_png_of_64_pixels(tmp_path: Path, size: int) -> None:
    export = KaggleZip(tmp_path, 2)
    for i in range(2):
        export.write(i, None, np.full((size, size, 3), 90, np.uint8))
    export.close()
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert archive.namelist() == ["0000.png", "0001.png"]
        with Image.open(io.BytesIO(archive.read("0001.png"))) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (64, 64))
            assert np.asarray(picture)[30, 30].tolist() == [90, 90, 90]


def test_the_same_pictures_make_the_same_zip(tmp_path: Path) -> None:
    sums = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export = KaggleZip(tmp_path / name, 1)
        export.write(0, None, np.zeros((64, 64, 3), np.uint8))
        export.close()
        sums.append(hashlib.sha256((tmp_path / name / "images.zip").read_bytes()).hexdigest())
    assert sums[0] == sums[1]


def test_class_folders_lead_nowhere_else_and_differ() -> None:
    names = ["cat", "Cat", "../../etc", "a/b", "a:b", "..", "con", "", "x" * 3 + "."]
    found = folder_names(names)
    assert found["cat"] == "cat"
    assert list(found) == names
    assert len({value.lower() for value in found.values()}) == len(names)
    assert not any("/" in v or "\\" in v or v.startswith(".") or not v for v in found.values())
    assert found["con"] == "_con"
