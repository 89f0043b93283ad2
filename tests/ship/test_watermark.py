"""Marks on the copies that are given away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganvas import artifact
from ganvas.errors import UsageError
from ganvas.ship.watermark import watermark


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_text_is_seen_at_the_bottom_right_of_any_picture_and_nowhere_else(level: int, size: int) -> None:
    picture = np.full((size, size, 3), level, np.uint8)
    mark = watermark("AI", size, size)
    stamped = mark.stamp(picture)
    changed = np.abs(stamped.astype(int) - level).max(2) > 60
    assert changed.sum() >= 10
    assert not changed[: size // 2].any()
    assert not changed[:, : size // 3].any()
    assert (picture == level).all()
    assert mark.record == {"text": "AI"}


def test_a_picture_is_stamped_with_its_clear_parts_clear(tmp_path: Path) -> None:
    logo = np.zeros((40, 40, 4), np.uint8)
    logo[:, :20] = (255, 0, 0, 255)
    Image.fromarray(logo).save(tmp_path / "logo.png")
    mark = watermark(str(tmp_path / "logo.png"), 64, 64)
    stamped = mark.stamp(np.full((64, 64, 3), 255, np.uint8))
    assert stamped[55, 50].tolist() == [255, 38, 38]
    assert stamped[55, 60].tolist() == [255, 255, 255]
    assert mark.record == {"file": "logo.png", "sha256": artifact.sha256(tmp_path / "logo.png")}


@pytest.mark.parametrize(
    ("text", "words"), [("", "empty"), ("   ", "empty"), ("a very long text indeed", "too long"), ("logo.png", "there is no picture")]
)
def test_what_can_not_be_stamped_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        watermark(text, 32, 32)


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_text("not really")
    with pytest.raises(UsageError, match="can't be read as a picture"):
        watermark(str(tmp_path / "logo.png"), 32, 32)
