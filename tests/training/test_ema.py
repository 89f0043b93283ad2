"""Averages: batch-norm statistics and singular vectors that fit them."""

from __future__ import annotations

import pytest
import torch

from ganvas.config import BigganGenerator, EmaConfig
from ganvas.models import build_generator
from ganvas.nn.norm import batch_norms
from ganvas.nn.spectral import SpectralNorm, as_matrix
from ganvas.training.ema import Ema, restimate_batch_norms


def averaged() -> tuple[torch.nn.Module, Ema]:
    torch.manual_seed(0)
    generator = build_generator(BigganGenerator(width=8, max_width=16, labels="shared"), 16, 12, 3)
    ema = Ema(EmaConfig(halflife_images=10, rampup=None), {"generator": generator})
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter))
    ema.update(100, 10)
    return generator, ema


def test_conditional_batch_norms_are_fitted() -> None:
    _, ema = averaged()
    average = ema.modules["generator"].eval()
    z, labels = torch.randn(64, 12), torch.arange(64) % 3
    ema.fit_spectral_norms()
    seen: list[torch.Tensor] = []
    norm = batch_norms(average)[1]
    handle = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    restimate_batch_norms(ema.modules, lambda: average(z, labels))
    handle.remove()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(norm.running_var, seen[0].var((0, 2, 3)), rtol=1e-3)
    assert not norm.training


def test_averaged_weights_are_normalised_by_their_own_singular_value() -> None:
    generator, ema = averaged()
    ema.fit_spectral_norms()
    for name, module in ema.modules["generator"].named_modules():
        if isinstance(module, SpectralNorm):
            weight = ema.modules["generator"].get_submodule(name.removesuffix(".parametrizations.weight.0")).weight
            largest = float(torch.linalg.matrix_norm(as_matrix(weight), 2))  # type: ignore[arg-type]
            assert largest == pytest.approx(1, abs=0.1)
    before = [m.left.clone() for m in generator.modules() if isinstance(m, SpectralNorm)]
    ema.fit_spectral_norms()
    assert all(map(torch.equal, before, (m.left for m in generator.modules() if isinstance(m, SpectralNorm))))
