"""The built-in emoji: every one in a class that is no oddment, with its attribution."""

from __future__ import annotations

import numpy as np
import pytest

from ganvas.data.emoji import BUILTINS, categories, category_of
from ganvas.data.opening import open_source
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare
from ganvas.errors import UsageError


@pytest.fixture(scope="module")
def emoji(tmp_path_factory):
    out = tmp_path_factory.mktemp("emoji") / "emoji"
    return prepare("builtin:emoji", out, resolution=24, quiet=True), open_packed(out)


def test_all_are_there_in_nine_classes_none_of_them_small(emoji):
    made, dataset = emoji
    assert sum(made.splits.values()) == 4009
    assert dataset.classes == (
        "activities",
        "animals-nature",
        "flags",
        "food-drink",
        "objects",
        "people-body",
        "smileys-emotion",
        "symbols",
        "travel-places",
    )
    assert np.bincount(dataset.split().labels).min() > 70
    assert (made.rejected, made.enlarged) == (0, 0)


def test_the_attribution_is_shown_and_kept(emoji):
    made, dataset = emoji
    assert "CC-BY 4.0" in made.summary()
    assert "CC-BY 4.0" in dataset.attribution


def test_they_lie_on_white_without_dark_fringes(emoji):
    """The corners of a round face are white, and no edge pixel of a yellow face is darker than its outline colours."""
    _, dataset = emoji
    split = next(s for s in map(dataset.split, dataset.splits) if any(name.endswith("/1f636.png") for name in s.names))
    face = split.images[[name.rpartition("/")[2] for name in split.names].index("1f636.png")].astype(int)
    assert (face[[0, 0, -1, -1], [0, -1, 0, -1]] >= 250).all()
    assert face[:4, :, 0].min() > 200


def test_nothing_held_out_is_in_train_nor_are_variants_of_it(emoji):
    made, dataset = emoji
    assert made.splits["val"] == 200
    assert made.shared == 0
    assert made.duplicates > 0
    tones = ("-1f3fb", "-1f3fc", "-1f3fd", "-1f3fe", "-1f3ff")

    def bases(split: str) -> set[str]:
        found = set()
        for name in dataset.split(split).names:
            for tone in tones:
                name = name.replace(tone, "")
            found.add(name)
        return found

    assert not bases("train") & bases("val")


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("1F34E", "Food & Drink"),
        ("1F44D-1F3FD", "People & Body"),
        ("1F468-1F3FB-200D-1F430-200D-1F468-1F3FC", "People & Body"),
        ("1F1E8-1F1F6", "Flags"),
        ("1F1E6", "Symbols"),
        ("1F3FB", "Symbols"),
        ("1FA89", "Objects"),
        ("23-20E3", "Symbols"),
        ("FFFFF", "Symbols"),
    ],
)
def test_categories(code, category):
    assert category_of(code, categories()) == category


def test_larger_than_drawn_is_enlarged_and_said(tmp_path):
    made = prepare("builtin:emoji", tmp_path / "out", resolution=96, limit=20, holdout=0, quiet=True)
    assert made.splits == {"train": 20}
    assert "20 pictures were smaller than 96 pixels and enlarged" in made.summary()


def test_other_builtins():
    with pytest.raises(UsageError, match=BUILTINS[0]):
        open_source("builtin:cats")
