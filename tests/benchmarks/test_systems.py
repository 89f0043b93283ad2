"""The page of the five reports' systems: complete, and made from what is kept of the runs."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from benchmark_modules import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def systems() -> ModuleType:
    return load("systems")


def test_it_trains_every_recipe_that_the_systems_document_names(systems: ModuleType) -> None:
    text = (ROOT / "docs" / "systems.md").read_text()
    reports = text[: text.index("## Beyond them")]
    named = set(re.findall(r"`((?:dogs|cats|churches|cifar10)-[a-z0-9-]+)`", reports))
    assert {name for name in named if (ROOT / "src" / "ganvas" / "recipes" / f"{name}.yaml").exists()} == set(systems.SYSTEMS)


def test_the_page_is_what_the_kept_results_make(systems: ModuleType) -> None:
    assert systems.PAGE.read_text() == systems.page()


def test_kept_results_hold_no_weights_and_no_real_pictures(systems: ModuleType) -> None:
    kept = {path.name for path in systems.RESULTS.glob("*/*")}
    assert kept <= {*systems.SMALL, "facts.json", "grid.webp", "timeline.webp", "curves.png", "notes.md"}
