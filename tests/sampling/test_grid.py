"""Grids taken apart again, and words beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ganvas.errors import UsageError
from ganvas.sampling.grid import cells, enlarged, grid, letters, read_png, titled

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("columns", [1, 2, 3, 6])
def test_a_grid_can_be_taken_apart(columns: int) -> None:
    assert np.array_equal(cells(grid(PICTURES, columns), 8), PICTURES)


def test_empty_places_come_back_white() -> None:
    found = cells(grid(PICTURES, 4), 8)
    assert np.array_equal(found[:6], PICTURES)
    assert (found[6:] == 255).all()


@pytest.mark.parametrize("shape", [(21, 22), (22, 21), (5, 5), (1, 1)])
def test_what_is_no_grid_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="is no grid"):
        cells(np.zeros((*shape, 3), np.uint8), 8)


def test_small_pictures_are_enlarged_by_whole_pixels() -> None:
    assert np.array_equal(enlarged(PICTURES, 20)[:, ::3, ::3], PICTURES)
    assert enlarged(PICTURES, 20).shape == (6, 24, 24, 3)
    assert enlarged(PICTURES, 8) is PICTURES


def test_words_stand_above_and_beside_and_hide_no_picture() -> None:
    sheet = np.full((2, 3, 64, 64, 3), 200, np.uint8)
    page = titled(sheet, ["a very long name", "", "another long name"], ["first", "second"])
    plain = grid(sheet.reshape(6, 64, 64, 3), 3)
    top, left = page.shape[0] - plain.shape[0], page.shape[1] - plain.shape[1]
    assert top > 0
    assert left > 0
    assert np.array_equal(page[top:, left:], plain)
    dark = (page < 100).all(2)
    assert dark[:top, left : left + 90].any()
    assert dark[:top, -60:].any()
    assert dark[top : top + 66, :left].any()
    assert dark[top + 66 :, :left].any()


def test_words_too_long_for_a_narrow_page_are_cut() -> None:
    page = titled(np.zeros((1, 2, 16, 16, 3), np.uint8), ["a very long name indeed", "b"])
    assert page.shape[1] == 38


def test_letters_are_dark_on_white() -> None:
    word = letters("20k", 12)
    assert word.max() == 255
    assert word.min() < 80


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no")
    assert read_png(tmp_path / "a.png") is None
    assert read_png(tmp_path / "b.png") is None
