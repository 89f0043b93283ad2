"""The attempts at the best pictures for so many minutes: each is a recipe that there is, and the page is what is kept."""

from __future__ import annotations

from types import ModuleType

import pytest

from benchmark_modules import load
from ganvas.config import io


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    return load("quality")


def test_every_attempt_is_a_config_for_every_set(quality: ModuleType) -> None:
    for on in quality.SETS.values():
        for name, attempt in quality.ATTEMPTS.items():
            recipe, *words = attempt.command(on)
            if recipe == "auto":  # looks at the pictures first
                continue
            config = io.load(recipe, words[1::2], {"train.budget": "10m"})
            assert config.data.resolution == on.side, name
            assert config.family.conditional == (on.classes and name != "projected-unlabelled"), name


def test_the_page_is_what_the_kept_results_make(quality: ModuleType) -> None:
    assert quality.PAGE.exists() == quality.RESULTS.exists()
    if quality.PAGE.exists():
        assert quality.PAGE.read_text() == quality.page()
