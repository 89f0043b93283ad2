"""The attempts at the best pictures for so many minutes: each is a recipe that there is, and the page is what is kept."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ganvas.config import io

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("quality", ROOT / "benchmarks" / "quality.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["quality"] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def test_every_attempt_is_a_config_for_every_set(quality: ModuleType) -> None:
    for on in quality.SETS.values():
        for name, attempt in quality.ATTEMPTS.items():
            recipe, *words = attempt.command(on)
            config = io.load(recipe, words[1::2], {"train.budget": "10m"})
            assert config.data.resolution == on.side, name
            assert config.family.conditional == on.classes, name


def test_the_page_is_what_the_kept_results_make(quality: ModuleType) -> None:
    assert quality.PAGE.exists() == quality.RESULTS.exists()
    if quality.PAGE.exists():
        assert quality.PAGE.read_text() == quality.page()
