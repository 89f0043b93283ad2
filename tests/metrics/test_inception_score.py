from __future__ import annotations

import pytest
import torch

from ganvas.metrics.inception_score import inception_score


def test_sure_and_varied_is_the_number_of_classes() -> None:
    mean, std = inception_score(torch.eye(10).repeat(500, 1) * 100, splits=1)
    assert mean == pytest.approx(10, rel=1e-6)
    assert std == 0


def test_unsure_or_alike_is_one() -> None:
    assert inception_score(torch.zeros(100, 10))[0] == pytest.approx(1)
    assert inception_score(torch.eye(10)[:1].repeat(100, 1) * 100)[0] == pytest.approx(1)


def test_it_is_torch_fidelitys() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_isc", reason="needs torch-fidelity, of the test extra")
    logits = torch.randn(505, 1008, generator=torch.Generator().manual_seed(0)) * 3
    expected = fidelity.isc_features_to_metric(logits)
    mean, std = inception_score(logits)
    assert mean == pytest.approx(expected[fidelity.KEY_METRIC_ISC_MEAN], rel=1e-6)
    assert std == pytest.approx(expected[fidelity.KEY_METRIC_ISC_STD], rel=1e-6)
