from __future__ import annotations

import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics import manifold
from ganvas.metrics.manifold import precision_recall


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
    monkeypatch.setattr(manifold, "_ROWS", 128)
    monkeypatch.setattr(manifold, "_COLUMNS", 3)
    assert precision_recall(real, fake, k) == found


def test_too_few_pictures_are_named() -> None:
    with pytest.raises(UsageError, match="more than 3 generated pictures, not 2"):
        precision_recall(_modes(10, 0), _modes(2, 0))
