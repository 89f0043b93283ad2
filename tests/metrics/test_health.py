"""Collapsed or not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ganvas.metrics import health
from ganvas.runs import RunFolder
from ganvas.sampling.grid import grid, write_png
from small import config


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    from ganvas.config import io

    run = RunFolder(tmp_path)
    run.config_file.write_text(io.dump(config(samples__rows=4)))
    return run


def varied(seed: int = 0) -> np.ndarray:
    """16 pictures of plain colours."""
    colours = np.random.default_rng(seed).integers(0, 256, (16, 1, 1, 3))
    return np.broadcast_to(colours, (16, 16, 16, 3)).astype(np.uint8)


def show(folder: RunFolder, made: np.ndarray, real: np.ndarray | None = None, images: int = 64) -> None:
    write_png(folder.samples / f"{images:09d}.png", grid(made, 4))
    if real is not None:
        write_png(folder.real_file, grid(real, 4))


def test_a_run_that_has_nothing_is_unknown(folder: RunFolder) -> None:
    found = health.judge(folder)
    assert (found.collapsed, found.diverged, found.word) == (None, None, "unknown")
    show(folder, varied() // 100, varied(), images=0)
    assert health.judge(folder).collapsed is None  # the untrained networks say nothing


def test_varied_pictures_are_no_collapse(folder: RunFolder) -> None:
    show(folder, varied(1), varied())
    found = health.judge(folder)
    assert (found.collapsed, found.word, found.reasons) == (False, "no", ())
    assert found.variety == pytest.approx(1, abs=0.3)


def test_pictures_that_hardly_differ_are(folder: RunFolder) -> None:
    show(folder, 100 + varied(1) // 20, varied())
    found = health.judge(folder)
    assert found.collapsed is True
    assert "of what real ones do" in found.reasons[0]


def test_pictures_that_come_twice_are(folder: RunFolder) -> None:
    show(folder, varied(1)[np.arange(16) % 4], varied())
    found = health.judge(folder)
    assert found.collapsed is True
    assert found.twins == 1
    assert "twin" in found.reasons[-1]


def test_without_real_pictures_only_sameness_counts(folder: RunFolder) -> None:
    show(folder, np.full((16, 16, 16, 3), 90, np.uint8))
    assert health.judge(folder).collapsed is True
    show(folder, varied(), images=128)
    assert health.judge(folder).collapsed is False


def test_recall_near_zero_with_precision_is_a_collapse(folder: RunFolder) -> None:
    folder.evaluation_file.write_text(json.dumps({"precision": {"value": 0.8}, "recall": {"value": 0.001}}))
    assert health.judge(folder).collapsed is True
    folder.evaluation_file.write_text(json.dumps({"precision": {"value": 0.01}, "recall": {"value": 0.001}}))
    assert health.judge(folder).collapsed is False  # it made nothing yet that could be always the same


def test_a_kid_that_rises_again_is_divergence(folder: RunFolder) -> None:
    folder.evaluations_file.write_text("".join(json.dumps({"images": i, "kid": k}) + "\n" for i, k in enumerate([0.3, 0.1, 0.5])))
    found = health.judge(folder)
    assert (found.diverged, found.collapsed, found.word) == (True, None, "diverged")
    assert found.reasons == ("KID rose from 0.1000 to 0.5000",)
