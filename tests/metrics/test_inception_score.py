from __future__ import annotations

import pytest
import torch

from ganvas.metrics.inception_score import inception_score


def test_sure_and_varied_is_the_number_of_classes() -> None:
    found = inception_score(torch.eye(10).repeat(500, 1) * 100, splits=1)
    assert found.value == pytest.approx(10, rel=1e-6)
    assert found.std == 0


def test_unsure_or_alike_is_one() -> None:
    assert inception_score(torch.zeros(100, 10)).value == pytest.approx(1)
    assert inception_score(torch.eye(10)[:1].repeat(100, 1) * 100).value == pytest.approx(1)


def test_logits_however_sure_are_numbers() -> None:
    assert inception_score(torch.eye(10).repeat(20, 1) * 5_000, splits=1).value == pytest.approx(10)


def test_its_influence_is_its_derivative() -> None:
    """Counting the pictures of one part twice moves the score as their influence says."""
    logits = torch.randn(4000, 10, generator=torch.Generator().manual_seed(0))
    found = inception_score(logits, splits=1)
    sure = found.influence.argsort()[-20:]
    moved = inception_score(torch.cat([logits, logits[sure]]), splits=1).value - found.value
    assert moved == pytest.approx(float(found.influence[sure].sum()) / 4020, rel=0.03)
    assert float(found.influence.mean()) == pytest.approx(0, abs=1e-9)


def test_it_is_torch_fidelitys() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_isc", reason="needs torch-fidelity, of the test extra")
    logits = torch.randn(505, 1008, generator=torch.Generator().manual_seed(0)) * 3
    expected = fidelity.isc_features_to_metric(logits)
    found = inception_score(logits)
    assert found.value == pytest.approx(expected[fidelity.KEY_METRIC_ISC_MEAN], rel=1e-6)
    assert found.std == pytest.approx(expected[fidelity.KEY_METRIC_ISC_STD], rel=1e-6)
