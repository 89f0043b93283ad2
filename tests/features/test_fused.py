from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from ganvas.features import fused as module
from ganvas.features.efficientnet import EfficientNetLite
from ganvas.features.fused import fused
from ganvas.features.lite import LiteFeatures
from ganvas.features.network import FeatureNetwork

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


@pytest.fixture(scope="module")
def network(net: FeatureNetwork) -> EfficientNetLite:
    assert isinstance(net, LiteFeatures)
    return net.network


@pytest.fixture
def images() -> torch.Tensor:
    return (torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1).contiguous(memory_format=torch.channels_last)


@needs_onednn
def test_it_computes_the_same(network: EfficientNetLite, images: torch.Tensor) -> None:
    pooled = fused(network, torch.zeros_like(images))
    assert pooled != network.pooled
    with torch.inference_mode():
        torch.testing.assert_close(pooled(images), network.pooled(images), rtol=1e-5, atol=1e-5)


@needs_onednn
def test_the_network_itself_stays_differentiable(network: EfficientNetLite, images: torch.Tensor) -> None:
    fused(network, images)
    images.requires_grad_()
    network.pooled(images).square().mean().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def _absent(*_: object) -> None:
    raise RuntimeError("no such operator")


@pytest.mark.parametrize(
    "operators",
    [
        SimpleNamespace(),
        SimpleNamespace(_convolution_pointwise=_absent, _reorder_convolution_weight=_absent),
        SimpleNamespace(_convolution_pointwise=lambda x, *_: x[:1], _reorder_convolution_weight=lambda weight, *_: weight),
    ],
    ids=["missing", "refusing", "others of the same name"],
)
def test_without_the_operators_the_plain_network_runs(
    network: EfficientNetLite, images: torch.Tensor, operators: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.torch.ops, "mkldnn", operators, raising=False)
    assert fused(network, images) == network.pooled


@needs_onednn
def test_operators_that_give_other_numbers_are_not_used(
    network: EfficientNetLite, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = network.pooled
    monkeypatch.setattr(network, "pooled", lambda given: honest(given) * 1.001)
    assert fused(network, images) == network.pooled
