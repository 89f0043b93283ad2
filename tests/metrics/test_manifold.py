from __future__ import annotations

import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics import manifold
from ganvas.metrics.intervals import FOLDS, jackknife
from ganvas.metrics.manifold import Manifold, manifold_scores, precision_recall
from ganvas.rng import permutation


def _modes(n: int, seed: int, kept: int = 4) -> torch.Tensor:
    """Points around the first `kept` of four far corners."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.eye(4).repeat_interleave(4, 1) * 50
    return corners[torch.randint(0, kept, (n,), generator=random)] + torch.randn(n, 16, generator=random)


def test_a_set_covers_itself() -> None:
    x = _modes(200, 0)
    found = precision_recall(x, x)
    assert (found.precision, found.recall) == (1.0, 1.0)


def test_dropped_modes_lower_recall_and_not_precision() -> None:
    real = _modes(800, 0)
    whole, half = precision_recall(real, _modes(800, 1)), precision_recall(real, _modes(800, 1, kept=2))
    assert half.recall == pytest.approx(whole.recall / 2, abs=0.07)
    assert half.precision == pytest.approx(whole.precision, abs=0.07)


def test_pictures_beside_the_data_lower_precision_and_not_recall() -> None:
    real, fake = _modes(800, 0), _modes(800, 1)
    beside = torch.cat([fake, torch.full((800, 16), -100.0) + torch.randn(800, 16, generator=torch.Generator().manual_seed(2))])
    clean, mixed = precision_recall(real, fake), precision_recall(real, beside)
    assert mixed.precision == pytest.approx(clean.precision / 2, abs=0.05)
    assert mixed.recall == pytest.approx(clean.recall, abs=0.05)


def test_one_picture_repeated_has_no_recall() -> None:
    real = _modes(300, 0)
    found = precision_recall(real, real[:1].repeat(300, 1))
    assert found.precision == 1.0
    # Balls of radius zero hold only the very picture, however float32 rounds.
    assert found.recall == pytest.approx(1 / 300)


@pytest.mark.parametrize("k", [3, 5])
def test_it_is_torch_fidelitys_whatever_the_blocks(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_prc", reason="needs torch-fidelity, of the test extra")
    real = torch.randn(300, 32, generator=torch.Generator().manual_seed(0)) + 20
    fake = torch.randn(250, 32, generator=torch.Generator().manual_seed(1)) * 0.8 + 20.1
    expected = fidelity.prc_features_to_metric(fake.double(), real.double(), prc_neighborhood=k, verbose=False)
    found = precision_recall(real, fake, k)
    assert 0.02 < found.recall < found.precision < 1
    assert found.precision == pytest.approx(expected[fidelity.KEY_METRIC_PRECISION], rel=1e-3)
    assert found.recall == pytest.approx(expected[fidelity.KEY_METRIC_RECALL], rel=1e-3)
    monkeypatch.setattr(manifold, "_BLOCK", 2000)
    monkeypatch.setattr(manifold, "_PAIRS", 7)
    assert precision_recall(real, fake, k) == found


def _by_brute_force(real: torch.Tensor, fake: torch.Tensor, k: int, density_k: int) -> dict[str, float]:
    """As the papers define them, from whole matrices."""
    within, among, across = (torch.cdist(a.double(), b.double()) for a, b in ((real, real), (fake, fake), (real, fake)))
    reach, wide = (within.kthvalue(n + 1, 1).values[:, None] for n in (k, density_k))
    radii = among.kthvalue(k + 1, 1).values
    return {
        "precision": float((across <= reach).any(0).double().mean()),
        "recall": float((across <= radii).any(1).double().mean()),
        "density": float((across <= wide).sum(0).double().mean()) / density_k,
        "coverage": float((across <= wide).any(1).double().mean()),
    }


def _values(found: Manifold) -> dict[str, float]:
    return {name: getattr(found, name).value for name in ("precision", "recall", "density", "coverage")}


@pytest.mark.parametrize(("n", "m", "k", "density_k"), [(400, 300, 3, 5), (120, 400, 5, 3), (90, 30, 2, 5)])
def test_all_four_are_their_definitions(n: int, m: int, k: int, density_k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(n)
    real, fake = torch.randn(n, 6, generator=random) + 5, torch.randn(m, 6, generator=random) * 0.8 + 5.1
    expected = _by_brute_force(real, fake, k, density_k)
    assert _values(manifold_scores(real, fake, k, density_k)) == pytest.approx(expected)
    monkeypatch.setattr(manifold, "_BLOCK", 7 * m)
    assert _values(manifold_scores(real, fake, k, density_k)) == pytest.approx(expected)


def test_the_intervals_are_of_folds_left_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(5)
    real, fake = torch.randn(300, 6, generator=random), torch.randn(240, 6, generator=random) * 0.8
    folds = torch.from_numpy(permutation(240, "neighbour folds") % FOLDS)
    found = manifold_scores(real, fake)
    for name in ("recall", "coverage"):
        share = getattr(found, name)
        without = torch.tensor([_by_brute_force(real, fake[folds != fold], 3, 5)[name] for fold in range(FOLDS)])
        expected = jackknife(share.value, without).within(0, 1)
        assert (share.interval.low, share.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-6), name
    monkeypatch.setattr(manifold, "_BLOCK", 999)
    monkeypatch.setattr(manifold, "_PAIRS", 13)
    assert manifold_scores(real, fake).recall.interval == found.recall.interval


def test_the_intervals_hold_what_other_pictures_of_the_generator_score() -> None:
    """19 of 20, or more: the jackknife errs on the wide side."""
    random = torch.Generator().manual_seed(3)
    real = torch.randn(400, 8, generator=random)
    found = [manifold_scores(real, torch.randn(300, 8, generator=random) * 0.9) for _ in range(40)]
    for name in ("precision", "recall", "density", "coverage"):
        shares = [getattr(scores, name) for scores in found]
        middle = sum(share.value for share in shares) / len(shares)
        assert sum(share.interval.low <= middle <= share.interval.high for share in shares) >= 36, name
        spread = torch.tensor([share.value for share in shares]).std()
        width = sum(share.interval.high - share.interval.low for share in shares) / len(shares)
        assert width < 10 * spread, f"{name}: an interval that wide says nothing"


def test_a_set_covers_itself_with_density_about_one() -> None:
    x = _modes(200, 0)
    found = manifold_scores(x, x)
    assert found.coverage.value == 1.0
    # Each ball to the fifth neighbour holds that five and its own picture.
    assert found.density.value == pytest.approx(6 / 5)
    other = manifold_scores(_modes(2000, 0), _modes(2000, 1))
    assert other.density.value == pytest.approx(1, abs=0.05)
    assert other.coverage.value > 0.94


def test_a_dropped_mode_lowers_recall_and_coverage_but_not_precision_and_density() -> None:
    real = _modes(800, 0)
    whole, less = manifold_scores(real, _modes(800, 1)), manifold_scores(real, _modes(800, 1, kept=3))
    for name in ("recall", "coverage"):
        assert getattr(less, name).interval.high < getattr(whole, name).interval.low, name
        assert getattr(less, name).value == pytest.approx(0.75 * getattr(whole, name).value, abs=0.07), name
    for name in ("precision", "density"):
        assert getattr(less, name).value == pytest.approx(getattr(whole, name).value, rel=0.1), name


def test_an_outlier_among_real_pictures_raises_precision_and_hardly_density() -> None:
    """What density is for (Naeem et al. 2020, figure 2)."""
    random = torch.Generator().manual_seed(4)
    real, away = torch.randn(500, 8, generator=random), torch.randn(500, 8, generator=random) + 4
    outlier = torch.full((1, 8), 6.0)
    before, after = manifold_scores(real, away), manifold_scores(torch.cat([real, outlier]), away)
    assert after.precision.value > before.precision.value + 0.9
    assert after.density.value < before.density.value + 0.25


def test_no_recall_is_known_to_a_picture_only() -> None:
    found = manifold_scores(_modes(100, 0), _modes(100, 1) + 1000)
    assert (found.precision.value, found.recall.value, found.density.value, found.coverage.value) == (0, 0, 0, 0)
    for share in (found.precision, found.recall, found.coverage):
        assert share.interval is not None
        assert share.interval.low == 0
        assert 0.005 < share.interval.high < 0.05


def test_too_few_generated_pictures_have_no_interval() -> None:
    assert manifold_scores(_modes(50, 0), _modes(30, 1)).recall.interval is None


def test_too_few_pictures_are_named() -> None:
    with pytest.raises(UsageError, match="more than 3 generated pictures, not 2"):
        precision_recall(_modes(10, 0), _modes(2, 0))
