"""Losses: identities and known values."""

from __future__ import annotations

import math

import pytest
import torch

from ganvas.config import BceLoss, HingeLoss
from ganvas.losses.adversarial import build_loss, cross_entropy
from ganvas.losses.penalties import r1

LOGITS = torch.tensor([-80.0, -2.0, 0.0, 3.0, 80.0])


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_cross_entropy_is_pytorchs(target: float) -> None:
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, torch.full_like(LOGITS, target), reduction="none")
    assert torch.allclose(cross_entropy(LOGITS, target), expected)


def test_bce_of_an_undecided_critic_is_log_two() -> None:
    loss, zero = build_loss(BceLoss()), torch.zeros(3)
    for value in (loss.real(zero), loss.fake(zero), loss.generator(zero)):
        assert torch.allclose(value, torch.full((3,), math.log(2)))


def test_smoothing_moves_the_best_logit() -> None:
    # The minimum of the cross-entropy with target t lies where s(x) = t.
    loss, x = build_loss(BceLoss(real_target=0.9)), torch.linspace(-5, 5, 10001)
    assert float(x[loss.real(x).argmin()].sigmoid()) == pytest.approx(0.9, abs=1e-3)
    assert loss.generator(x).argmin() == len(x) - 1


def test_hinge_stops_at_the_margin() -> None:
    loss = build_loss(HingeLoss())
    assert loss.real(LOGITS).tolist() == [81, 3, 1, 0, 0]
    assert loss.fake(LOGITS).tolist() == [0, 0, 1, 4, 81]
    assert loss.generator(LOGITS).tolist() == [80, 2, 0, -3, -80]


def test_r1_of_a_linear_critic_is_the_square_of_its_weight() -> None:
    weight = torch.randn(3, 4, 4)
    real = torch.randn(5, 3, 4, 4, requires_grad=True)
    assert torch.allclose(r1(real, (real * weight).sum((1, 2, 3))), weight.square().sum().expand(5))


def test_r1_can_be_learnt_from() -> None:
    weight = torch.randn(3, 4, 4, requires_grad=True)
    real = torch.randn(2, 3, 4, 4, requires_grad=True)
    r1(real, (real * weight).sum((1, 2, 3))).mean().backward()
    assert torch.allclose(weight.grad, 2 * weight)  # type: ignore[arg-type]
