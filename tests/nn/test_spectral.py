"""Spectral normalisation: the largest singular value, its gradient, and when it iterates."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ganvas.nn.spectral import SpectralNorm, as_matrix, count_updates, follow, raw_weight, spectral_norm, warm_up

LAYERS = [
    lambda: nn.Conv2d(5, 7, 3),
    lambda: nn.ConvTranspose2d(5, 7, 4),
    lambda: nn.Linear(6, 9),
    lambda: nn.Embedding(8, 5),
]


def norm_of(layer: nn.Module) -> SpectralNorm:
    found = [m for m in layer.modules() if isinstance(m, SpectralNorm)]
    assert len(found) == 1
    return found[0]


def vectors(layer: nn.Module) -> list[Tensor]:
    return [norm_of(layer).left.clone(), norm_of(layer).right.clone()]


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_largest_singular_value_becomes_one(make: type, memory: torch.memory_format) -> None:
    torch.manual_seed(0)
    layer = spectral_norm(make()).to(memory_format=memory).eval()
    warm_up(layer, 200)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    largest = torch.linalg.matrix_norm(as_matrix(raw_weight(layer).detach(), transposed), 2)
    assert torch.allclose(layer.weight, raw_weight(layer) / largest, rtol=1e-4)
    assert float(torch.linalg.matrix_norm(as_matrix(layer.weight.detach(), transposed), 2)) == pytest.approx(1, abs=1e-4)


def test_outputs_of_a_transposed_convolution_are_its_matrixs_rows() -> None:
    weight = torch.randn(5, 7, 4, 4)
    assert torch.equal(as_matrix(weight, transposed=True)[3], weight[:, 3].permute(1, 2, 0).flatten())


@pytest.mark.parametrize("make", LAYERS)
def test_the_gradient_flows_through_sigma(make: type) -> None:
    torch.manual_seed(0)
    layer = spectral_norm(make()).to(memory_format=torch.channels_last).eval()
    weight, norm = raw_weight(layer), norm_of(layer)
    direction = torch.randn_like(weight)
    (layer.weight * direction).sum().backward()
    reference = weight.detach().clone().requires_grad_()
    matrix = as_matrix(reference, norm.transposed)
    (reference / (norm.left @ matrix @ norm.right) * direction).sum().backward()
    assert torch.allclose(weight.grad, reference.grad, rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]
    assert weight.grad.stride() == weight.stride()  # type: ignore[union-attr]


def test_one_iteration_for_each_update_and_one_weight_for_its_passes() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(6, 4))
    optimizer = torch.optim.Adam(layer.parameters(), 0.1, fused=True)
    before = vectors(layer)
    real = layer.weight
    once = vectors(layer)
    assert not torch.equal(before[0], once[0])
    assert layer.weight is real
    assert all(map(torch.equal, vectors(layer), once))
    layer(torch.randn(3, 6)).square().sum().backward()
    assert norm_of(layer)._kept.value is None
    optimizer.step()
    assert not torch.equal(layer.weight, real)
    assert not torch.equal(vectors(layer)[0], once[0])


def test_an_optimizers_step_outdates_the_weight() -> None:
    # The kept weight must not outlive an update that came without a backward pass through it.
    layer = spectral_norm(nn.Linear(6, 4))
    kept = layer.weight
    raw_weight(layer).grad = torch.ones(4, 6)
    optimizer = torch.optim.Adam(layer.parameters(), 0.1, fused=True)
    count_updates(optimizer)
    optimizer.step()
    assert layer.weight is not kept
    assert not torch.allclose(layer.weight, kept)


def test_frozen_evaluated_and_gradient_free_uses_do_not_iterate() -> None:
    layer = spectral_norm(nn.Linear(6, 4))
    before = vectors(layer)
    with torch.no_grad():
        _ = layer.weight
    layer.requires_grad_(False)
    _ = layer.weight
    layer.requires_grad_(True)
    layer.eval()
    _ = layer.weight
    assert all(map(torch.equal, before, vectors(layer)))
    layer.train()
    with torch.inference_mode():
        assert layer.weight.is_inference()
    layer(torch.randn(2, 6)).sum().backward()


def test_bf16_under_autocast_and_gradients_in_fp32() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(nn.Conv2d(3, 8, 3)).to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.weight.dtype == torch.bfloat16
        layer(x).float().sum().backward()
    assert raw_weight(layer).grad.dtype == torch.float32  # type: ignore[union-attr]
    assert layer.weight.dtype == torch.float32


def test_copies_have_weights_of_their_own() -> None:
    layer = spectral_norm(nn.Linear(6, 4))
    kept = layer.weight
    twin = copy.deepcopy(layer)
    assert twin.weight is not kept
    twin(torch.randn(2, 6)).sum().backward()
    assert raw_weight(layer).grad is None


def test_an_average_is_fitted_whatever_was_done_before() -> None:
    torch.manual_seed(0)
    source = nn.Sequential(spectral_norm(nn.Linear(6, 5)), nn.ReLU(), spectral_norm(nn.Linear(5, 4)))
    average = copy.deepcopy(source).requires_grad_(False).eval()
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.lerp_(torch.randn_like(parameter), 0.5)
    follow(average, source, 100)
    first = copy.deepcopy(average.state_dict())
    largest = torch.linalg.matrix_norm(average[0].weight, 2)
    assert float(largest) == pytest.approx(1, abs=1e-3)
    follow(average, source, 100)
    assert all(torch.equal(first[key], value) for key, value in average.state_dict().items())


def test_singular_vectors_are_state() -> None:
    layer = spectral_norm(nn.Linear(6, 4))
    assert set(layer.state_dict()) == {"bias", *(f"parametrizations.weight.{k}" for k in ("original", "0.left", "0.right"))}
