"""Copies, known ones, are told from fresh pictures; the statistics against their definitions."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from ganvas.errors import UsageError
from ganvas.metrics.copying import SHARE, assign, cell_count, centres, copy_test, mann_whitney, relative_distance
from ganvas.metrics.neighbours import TensorRows, mirrored, nearest
from ganvas.metrics.training_set import TrainingSet


def compressed(pictures: np.ndarray) -> np.ndarray:
    """By JPEG, but with whole colours: halved, they would run into each other in pictures of 4 x 4 patches."""
    made = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=85, subsampling=0)
        with Image.open(buffer) as opened:
            made.append(np.asarray(opened.convert("RGB")))
    return np.stack(made)


def noisy(pictures: np.ndarray, deviation: float = 2.0) -> np.ndarray:
    noise = np.random.default_rng(5).normal(0, deviation, pictures.shape)
    return np.clip(pictures + noise, 0, 255).round().astype(np.uint8)


@pytest.fixture
def real(drawn) -> np.ndarray:
    return drawn(600, seed=1)


@pytest.fixture
def among(tiny, real, drawn, pictures, tmp_path: Path) -> TrainingSet:
    return TrainingSet(pictures(real), pictures(drawn(300, seed=2), "val"), "data", tiny, cache=tmp_path, quiet=True)


# -- Known cases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [np.array, mirrored, compressed, noisy], ids=["exact", "mirrored", "jpeg", "noise"])
def test_a_generator_that_returns_training_pictures_is_found_out(among: TrainingSet, real: np.ndarray, change) -> None:
    said = among.judge([change(real[:150]), change(real[150:200])]).memorisation
    assert said.near_copies.share > 0.97
    assert said.near_copies.excess > 0.97
    assert said.near_copies.certain
    assert min(said.features.z, said.pixels.z) < -10
    text = said.summary()
    assert "a sign of copying" in text
    assert "is copied" in text


def test_fresh_real_pictures_are_not(among: TrainingSet, drawn) -> None:
    said = among.judge([drawn(300, seed=3)]).memorisation
    assert said.near_copies.share < 0.04
    assert not said.near_copies.certain
    assert abs(said.features.z) < 3
    assert abs(said.pixels.z) < 3
    assert "no sign of copying" in said.summary()
    assert "no more than chance" in said.summary()
    assert (said.n, said.control_n, said.reference_n, said.held_out) == (300, 300, 600, True)


def test_the_control_has_the_share_that_it_is_given(among: TrainingSet, drawn) -> None:
    found = among.judge([drawn(50, seed=3)]).memorisation.near_copies
    assert 0 < found.control <= SHARE + 1 / 300


def test_of_a_mixture_the_share_is_found(among: TrainingSet, real: np.ndarray, drawn) -> None:
    mixed = np.concatenate([drawn(180, seed=3), noisy(real[:45]), compressed(real[45:75])])
    judged = among.judge([mixed])
    found = judged.memorisation.near_copies
    assert found.excess == pytest.approx(75 / 255, abs=0.03)
    assert "no sign of copying" not in judged.memorisation.summary()
    assert found.low < 75 / 255 < found.high
    assert judged.near[180:].all()
    assert set(judged.suspicion[:70].tolist()) <= set(range(180, 255)), "copies are the most suspicious"
    assert sorted(judged.suspicion.tolist()) == list(range(255))


def test_pictures_unlike_any_training_picture_are_called_so(among: TrainingSet) -> None:
    strange = np.random.default_rng(0).integers(0, 256, (150, 4, 4, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    said = among.judge([strange]).memorisation
    assert said.features.z > 10
    assert said.features.ct > 3
    assert "not like them yet" in said.summary()


def test_neighbours_and_percentiles_are_of_the_right_pictures(among: TrainingSet, real: np.ndarray, drawn) -> None:
    judged = among.judge([np.concatenate([real[40:42], mirrored(real[50:51]), drawn(20, seed=3)])])
    assert judged.side.pixels.indices[:3, 0].tolist() == [40, 41, 50]
    assert judged.side.pixels.turned[:3, 0].tolist() == [False, False, True]
    assert judged.nearer_pixels[:3].tolist() == [1.0, 1.0, 1.0]
    control = among.control.features.distances[:, 0]
    by_hand = (control > judged.side.features.distances[10, 0]).double().mean()
    assert judged.nearer_features[10] == pytest.approx(float(by_hand))


def test_without_held_out_pictures_training_pictures_are_the_control_and_it_is_said(tiny, real, drawn, pictures, tmp_path: Path) -> None:
    for held in (None, pictures(drawn(20, seed=2), "val")):
        among = TrainingSet(pictures(real), held, "data", tiny, cache=tmp_path, quiet=True)
        assert among.control.pixels.distances[:, 0].min() > 0, "no picture is its own neighbour"
        fresh, copied = (among.judge([p]).memorisation for p in (drawn(200, seed=3), noisy(real[:200])))
        assert not fresh.held_out
        assert abs(fresh.features.z) < 3.5
        assert not fresh.near_copies.certain
        assert copied.near_copies.excess > 0.95
        assert "Too few pictures were held out" in copied.summary()
        assert "each compared with all others" in copied.summary()


def test_data_that_repeats_itself_is_said_to(tiny, real, pictures, tmp_path: Path) -> None:
    held = np.concatenate([noisy(real[:60]), noisy(real[100:200], 60)])
    among = TrainingSet(pictures(real), pictures(held, "val"), "data", tiny, cache=tmp_path, quiet=True)
    said = among.judge([noisy(real[300:400], 60)]).memorisation
    assert said.near_copies.control > 0.3
    assert "The data repeats itself" in said.summary()
    assert said.near_copies.excess == 0


def test_the_batches_make_no_difference(among: TrainingSet, drawn) -> None:
    images = drawn(60, seed=3)
    assert among.judge([images]).memorisation == among.judge(np.split(images, [7, 31])).memorisation


def test_a_handful_of_training_pictures_is_refused(tiny, real, pictures, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neighbours need 10 or more"):
        TrainingSet(pictures(real[:5]), None, "data", tiny, cache=tmp_path, quiet=True)


def test_no_pictures_are_refused(among: TrainingSet) -> None:
    with pytest.raises(UsageError, match="there are no generated pictures"):
        among.judge([])


# -- Statistics ---------------------------------------------------------------------------------------------------


def test_mann_whitney_is_that_of_scipy_with_and_without_ties() -> None:
    draw = np.random.default_rng(0)
    for a, b in ((draw.normal(0, 1, 40), draw.normal(0.5, 1, 55)), (draw.integers(0, 5, 30), draw.integers(1, 6, 45))):
        expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=False, alternative="less")
        found = mann_whitney(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
        assert stats.norm.cdf(found) == pytest.approx(expected.pvalue, rel=1e-9)
    same = torch.ones(10)
    assert mann_whitney(same, same) == 0.0


def test_ct_is_the_weighted_mean_over_cells_and_z_is_standard() -> None:
    torch.manual_seed(0)
    ours, theirs = torch.rand(100, dtype=torch.float64), torch.rand(90, dtype=torch.float64)
    our_cells = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    their_cells = torch.tensor([0] * 40 + [1] * 45 + [2] * 5)  # too few in the last
    found = copy_test(ours, theirs, our_cells, their_cells, "distance")
    first, second = mann_whitney(ours[:60], theirs[:40]), mann_whitney(ours[60:90], theirs[40:85])
    assert found.cells == 2
    assert found.ct == pytest.approx((0.6 * first + 0.3 * second) / 0.9)
    assert found.z == pytest.approx((0.6 * first + 0.3 * second) / np.hypot(0.6, 0.3))


def test_few_control_pictures_are_one_cell_and_none_an_error() -> None:
    ours, theirs = torch.rand(30), torch.rand(9)
    cells = torch.arange(30) % 3, torch.arange(9) % 3
    assert copy_test(ours, theirs, *cells, "distance").ct == pytest.approx(mann_whitney(ours, theirs))
    with pytest.raises(UsageError, match="expected one or more of each"):
        copy_test(ours, theirs[:0], cells[0], cells[1][:0], "distance")


def test_z_is_normal_where_nothing_is_copied() -> None:
    torch.manual_seed(0)
    z = [copy_test(torch.rand(120), torch.rand(100), torch.randint(3, (120,)), torch.randint(3, (100,)), "distance").z for _ in range(300)]
    assert float(np.mean(z)) == pytest.approx(0, abs=0.2)
    assert float(np.std(z)) == pytest.approx(1, abs=0.12)


def test_relative_distances() -> None:
    base = TensorRows(torch.tensor([[0.0], [4.0], [8.0]]))
    found = relative_distance(nearest(torch.tensor([[[0.0]], [[1.0]]]), base, 3))
    assert found.tolist() == pytest.approx([0, 1 / ((1 + 3 + 7) / 3)])


def test_cells_part_what_lies_apart_and_are_the_same_each_time() -> None:
    torch.manual_seed(0)
    where = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    rows = (where[:, None] + 0.1 * torch.randn(3, 50, 2)).flatten(0, 1)
    found = centres(rows, 3)
    assert torch.cdist(found, where).amin(0).max() < 0.1
    cells = assign(rows, found).view(3, 50)
    assert all(len(part.unique()) == 1 for part in cells)
    assert torch.equal(centres(rows, 3), found)
    assert len(centres(torch.zeros(20, 2), 3)) == 1, "equal rows make one cell"
    assert [cell_count(n) for n in (10, 200, 5000)] == [1, 5, 10]
