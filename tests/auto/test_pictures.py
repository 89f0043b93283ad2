"""What a choice sees in pictures."""

from __future__ import annotations

import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from ganvas.auto.pictures import effective_rank, flatness, handedness, looks, sizes
from ganvas.config.data import DataConfig
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare


def letters(folder: Path, count: int, mirrored: bool) -> Path:
    """Pictures of one capital letter each, on light grounds; `mirrored`: half of them are."""
    folder.mkdir()
    draw = random.Random(0)
    font = ImageFont.load_default(size=36)
    for index in range(count):
        picture = Image.new("RGB", (64, 64), tuple(draw.randrange(150, 256) for _ in range(3)))
        ImageDraw.Draw(picture).text(
            (draw.randrange(4, 30), draw.randrange(2, 16)), draw.choice("BCDEFGJKLPRS"), fill=(0, 0, 60), font=font
        )
        turned = mirrored and draw.random() < 0.5
        (picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if turned else picture).save(folder / f"{index:03}.png")
    return folder


@pytest.mark.parametrize("mirrored", [False, True])
def test_letters_are_told_from_their_mirror_images_unless_half_are_mirrored(tmp_path: Path, mirrored: bool) -> None:
    prepare(letters(tmp_path / "letters", 160, mirrored), tmp_path / "packed", resolution=64, holdout=0, quiet=True)
    share = handedness(open_packed(tmp_path / "packed").split("train"))
    assert share is not None
    assert share < 0.6 if mirrored else share > 0.75


def test_too_few_pictures_say_nothing_of_left_and_right(packed: Path) -> None:
    assert handedness(open_packed(packed).split("train")) is None


def test_effective_rank_of_known_spreads() -> None:
    rows = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
    assert effective_rank(rows) == pytest.approx(8, rel=0.01)
    rows[:, 3:] = 0
    assert effective_rank(rows) == pytest.approx(3, rel=0.01)
    assert effective_rank(rows[:, :1].expand(-1, 8)) == pytest.approx(1, abs=1e-3)


def test_drawings_are_flat_and_photographs_are_not(packed: Path, tmp_path: Path) -> None:
    assert flatness(open_packed(packed).split("train")) > 0.4
    noise = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    (tmp_path / "noise").mkdir()
    for index, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / "noise" / f"{index}.png")
    prepare(tmp_path / "noise", tmp_path / "packed", resolution=16, holdout=0, quiet=True)
    assert flatness(open_packed(tmp_path / "packed").split("train")) < 0.01


def test_looks_count_training_pictures_by_class(packed: Path) -> None:
    found = looks(open_packed(packed), torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    assert found.pictures == sum(found.counts.values()) == 80
    assert len(found.counts) == 2


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures of 40 x 90 pixels, and one that is none."""
    folder = tmp_path_factory.mktemp("tall") / "pictures"
    folder.mkdir()
    for index in range(9):
        Image.fromarray(np.full((90, 40, 3), 20 * index, np.uint8)).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_sizes_of_a_folder_a_zip_and_tars(tall: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for file in sorted(tall.iterdir()):
            archive.write(file, file.name)
    for suffix in ("tar", "tar.gz"):
        with tarfile.open(tmp_path / f"p.{suffix}", "w:gz" if suffix == "tar.gz" else "w") as archive:
            archive.add(tall, "p")
    for source in (tall, tmp_path / "p.zip", tmp_path / "p.tar", tmp_path / "p.tar.gz"):
        found = sizes(source, DataConfig())
        assert (found.side, found.most) == (40, None)


def test_sizes_of_a_packed_set_are_those_of_its_files(tall: Path, tmp_path: Path) -> None:
    prepare(tall, tmp_path / "packed", resolution=32, holdout=0, quiet=True)
    found = sizes(tmp_path / "packed", DataConfig())
    assert (found.side, found.most) == (40, 32)
