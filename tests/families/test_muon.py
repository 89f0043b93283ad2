"""Muon: what it makes of a gradient, what it moves, and that it learns."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ganvas.config.optim import MuonConfig
from ganvas.families.muon import Muon, orthogonal
from ganvas.families.optimizers import build_optimizer
from ganvas.training.checkpoint import load_optimizer, optimizer_state


def networks() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Embedding(9, 16), nn.BatchNorm2d(8), nn.Linear(16, 24), nn.Conv2d(16, 24, 3), nn.Conv2d(24, 3, 3), nn.Linear(8, 130)
    )
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def optimizer(module: nn.Module, **values: object) -> torch.optim.Optimizer:
    return build_optimizer(module, MuonConfig.model_validate(values))


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_singular_values_come_near_one_and_directions_stay(shape) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape) * 1e-4
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    found = orthogonal(x).float()
    along = left.T @ found @ right.T
    assert along.diagonal().min() > 0.5
    assert along.diagonal().max() < 1.3
    assert (along - along.diagonal().diag()).abs().max() < 0.1


def test_a_gradient_of_nothing_moves_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(8, 16)), torch.zeros(8, 16, dtype=torch.bfloat16))


def test_matrices_are_muons_and_the_rest_is_adams() -> None:
    layers = networks()
    found = optimizer(layers)
    assert isinstance(found, Muon)
    names = {id(p): name for name, p in layers.named_parameters()}
    adams, muons = ([names[id(p)] for p in group["params"]] for group in found.param_groups)
    assert muons == ["2.weight", "3.weight"]
    assert adams == ["0.weight", "1.weight", "1.bias", "2.bias", "3.bias", "4.weight", "4.bias", "5.weight", "5.bias"]


def test_a_matrix_moves_as_far_as_adam_would_move_it() -> None:
    layers = networks()
    found = optimizer(layers, lr=1e-2, betas=(0.0, 0.99))
    before = {name: p.detach().clone() for name, p in layers.named_parameters()}
    for p in layers.parameters():
        p.grad = torch.randn_like(p)
    found.step()
    moved = {name: float((p.detach() - before[name]).square().mean().sqrt()) for name, p in layers.named_parameters()}
    for name in ("2.weight", "3.weight"):
        assert moved[name] == pytest.approx(0.2 * 1e-2, rel=0.3)
    assert moved["4.weight"] == pytest.approx(1e-2, rel=1e-3)  # Adam's first step
    assert all(p.grad is not None for p in layers.parameters())


def test_memory_formats_make_no_difference() -> None:
    results = []
    for form in (torch.channels_last, torch.contiguous_format):
        torch.manual_seed(0)
        layer = nn.Conv2d(16, 24, 3).to(memory_format=form)  # type: ignore[call-overload]
        found = optimizer(layer, lr=1e-2)
        for _ in range(3):
            layer.weight.grad = torch.randn(24, 16, 3, 3).to(memory_format=form)
            found.step()
        results.append(layer.weight.detach())
    assert results[0].is_contiguous(memory_format=torch.channels_last)
    # Columns lie in another order, so that sums are rounded otherwise.
    assert torch.allclose(results[0], results[1], atol=2e-4)


def test_it_goes_on_from_a_checkpoint_as_if_nothing_had_been() -> None:
    def step(layers: nn.Module, found: torch.optim.Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        for p in layers.parameters():
            p.grad = torch.randn_like(p)
        found.step()

    layers, others = networks(), networks()
    found, other = optimizer(layers), optimizer(others)
    for seed in range(3):
        step(layers, found, seed)
    others.load_state_dict(layers.state_dict())
    load_optimizer(other, copy.deepcopy(optimizer_state(found)))
    step(layers, found, 3)
    step(others, other, 3)
    assert all(torch.equal(a, b) for a, b in zip(layers.parameters(), others.parameters(), strict=True))


def test_it_learns() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 16, bias=False)
    found = optimizer(layer, lr=0.1)
    inputs = torch.randn(512, 32)
    target = inputs @ torch.randn(32, 16)
    losses = []
    for _ in range(150):
        found.zero_grad()
        loss = (layer(inputs) - target).square().mean()
        loss.backward()
        found.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 * losses[0]
