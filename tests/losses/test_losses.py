"""Losses: identities and known values."""

from __future__ import annotations

import math

import pytest
import torch

from ganvas.config import (
    BceLoss,
    GradientPenalty,
    HingeLoss,
    LeastSquaresLoss,
    R1Penalty,
    R1R2Penalty,
    RelativisticHingeLoss,
    RelativisticPairingLoss,
    WassersteinLoss,
)
from ganvas.losses.adversarial import Adversarial, Relativistic, class_loss, cross_entropy, fake_loss, real_loss
from ganvas.losses.adversarial import build_loss as build
from ganvas.losses.penalties import build_penalties, gradient_penalty, mixture, r1


def build_loss(config: BceLoss | HingeLoss | LeastSquaresLoss | WassersteinLoss) -> Adversarial:
    loss = build(config)
    assert isinstance(loss, Adversarial)
    return loss


def relativistic(config: RelativisticPairingLoss | RelativisticHingeLoss) -> Relativistic:
    loss = build(config)
    assert isinstance(loss, Relativistic)
    return loss


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


def test_two_sided_smoothing_moves_both() -> None:
    loss, x = build_loss(BceLoss(real_target=0.9, fake_target=0.1)), torch.linspace(-5, 5, 10001)
    assert float(x[loss.fake(x).argmin()].sigmoid()) == pytest.approx(0.1, abs=1e-3)
    assert float(x[loss.real(x).argmin()].sigmoid()) == pytest.approx(0.9, abs=1e-3)


def test_bce_is_the_logistic_loss() -> None:
    loss, softplus = build_loss(BceLoss()), torch.nn.functional.softplus
    for side, sign in ((loss.real, -1), (loss.fake, 1), (loss.generator, -1)):
        assert torch.allclose(side(LOGITS), softplus(sign * LOGITS), atol=1e-6)


def test_least_squares_are_distances_to_targets() -> None:
    loss = build_loss(LeastSquaresLoss())
    assert loss.real(LOGITS[1:4]).tolist() == [4.5, 0.5, 2]
    assert loss.fake(LOGITS[1:4]).tolist() == [2, 0, 4.5]
    assert loss.generator(LOGITS[1:4]).tolist() == [4.5, 0.5, 2]
    # Mao et al. 2017, eq. 8: with b - c = 1 and b - a = 2 it is Pearson's chi-squared divergence.
    pearson = build_loss(LeastSquaresLoss(fake_target=-1, real_target=1, generator_target=0))
    assert pearson.generator(LOGITS[1:4]).tolist() == [2, 0, 4.5]
    assert pearson.belief(torch.tensor([-2.0, -1, 0, 1, 3])).tolist() == [0, 0, 0.5, 1, 1]


def test_wasserstein_is_the_difference_of_means() -> None:
    loss, real, fake = build_loss(WassersteinLoss()), torch.tensor([1.0, 3]), torch.tensor([-2.0, 1])
    assert float(loss.real(real).mean() + loss.fake(fake).mean()) == pytest.approx(-2.5)
    assert loss.generator(fake).tolist() == [2, -1]


@pytest.mark.parametrize("config", [BceLoss(), HingeLoss(), LeastSquaresLoss(), WassersteinLoss()])
def test_losses_are_per_picture_and_pull_where_they_should(config: BceLoss | HingeLoss | LeastSquaresLoss | WassersteinLoss) -> None:
    loss = build_loss(config)
    for side, sign in ((loss.real, -1), (loss.fake, 1), (loss.generator, -1)):
        logits = torch.tensor([-0.4, 0.3, 0.5], requires_grad=True)
        value = side(logits)
        assert value.shape == (3,)
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        alone = side(logits.detach()[1:2])
        assert torch.equal(alone, value.detach()[1:2])
        # D wants real pictures up and fakes down, G its fakes up; least squares pull towards a target in between.
        assert (gradient.sign()[1:] == sign).all()
    believed = loss.belief(torch.linspace(-4, 4, 9))
    assert 0 <= float(believed.min()) <= float(believed.max()) <= 1
    assert (believed.diff() >= 0).all()


def test_label_noise_swaps_the_sides_of_chosen_pictures() -> None:
    loss, logits, flipped = build_loss(HingeLoss()), torch.tensor([-2.0, 0.5]), torch.tensor([True, False])
    assert real_loss(loss, logits, flipped).tolist() == [0, 0.5]
    assert fake_loss(loss, logits, flipped).tolist() == [3, 1.5]
    assert torch.equal(real_loss(loss, logits, None), loss.real(logits))
    assert torch.equal(fake_loss(loss, logits, None), loss.fake(logits))


def test_gradient_penalty_of_a_linear_critic_is_known() -> None:
    weight = torch.randn(3, 4, 4)
    at = torch.randn(5, 3, 4, 4, requires_grad=True)
    logits = (at * weight).sum((1, 2, 3))
    assert torch.allclose(gradient_penalty(at, logits), (weight.norm() - 1).square().expand(5), atol=1e-5)
    unit = (at * (weight / weight.norm())).sum((1, 2, 3))
    assert gradient_penalty(at, unit).abs().max() < 1e-8


def test_gradient_penalty_can_be_learnt_from_and_is_finite_at_zero() -> None:
    weight = torch.full((3, 4, 4), 0.5, requires_grad=True)
    at = torch.randn(2, 3, 4, 4, requires_grad=True)
    gradient_penalty(at, (at * weight).sum((1, 2, 3))).mean().backward()
    norm = weight.detach().norm()
    assert torch.allclose(weight.grad, 2 * (norm - 1) * weight.detach() / norm)  # type: ignore[arg-type]
    flat = torch.zeros(3, 4, 4, requires_grad=True)
    gradient_penalty(at, (at * flat).sum((1, 2, 3))).mean().backward()
    assert torch.isfinite(flat.grad).all()  # type: ignore[arg-type]


def test_mixtures_lie_on_the_line() -> None:
    real, fake = torch.randn(3, 3, 2, 2), torch.randn(3, 3, 2, 2)
    mixed = mixture(real, fake.bfloat16(), torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64))
    assert mixed.dtype == real.dtype
    assert torch.allclose(mixed[0], fake[0], atol=0.02)
    assert torch.allclose(mixed[1], real[1])
    assert torch.allclose(mixed[2], 0.25 * real[2] + 0.75 * fake[2], atol=0.02)


def test_penalties_say_where_and_how_much() -> None:
    real, fake, share = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2), torch.tensor([0.5, 0.5])
    (first,), (second,) = build_penalties(R1Penalty(weight=10)), build_penalties(GradientPenalty(weight=10))
    assert (first.factor(0), second.factor(0)) == (5, 10)
    assert torch.equal(first.at(real, fake, share), real)
    torch.testing.assert_close(second.at(real, fake, share), (real + fake) / 2)


def test_class_loss_is_the_surprise() -> None:
    assert torch.allclose(class_loss(torch.zeros(2, 4), torch.tensor([0, 3])), torch.full((2,), math.log(4)))
    assert class_loss(torch.tensor([[50.0, 0, 0]]), torch.tensor([0])).item() == pytest.approx(0, abs=1e-6)


def test_relativistic_pairing_is_the_logistic_loss_of_differences() -> None:
    loss, real, fake = relativistic(RelativisticPairingLoss()), torch.tensor([2.0, -1, 80]), torch.tensor([2.0, 1, -80])
    assert loss.discriminator(real, fake).tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(2)), 0])
    assert loss.generator(real, fake).tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(-2)), 160])
    # With one picture on each side it is Goodfellow's loss of the difference.
    assert torch.allclose(loss.discriminator(real, fake), build_loss(BceLoss()).real(real - fake), atol=1e-6)


def test_relativistic_hinge_compares_with_the_mean_of_the_others() -> None:
    loss, real, fake = relativistic(RelativisticHingeLoss()), torch.tensor([1.0, 3]), torch.tensor([0.0, -1])
    # Means 2 and -0.5: real pictures are 1.5 and 3.5 above fakes, fakes 2 and 3 below real ones.
    assert loss.discriminator(real, fake).tolist() == [0, 0]
    assert loss.generator(real, fake).tolist() == [1 + 1.5 + 1 + 2, 1 + 3.5 + 1 + 3]
    assert loss.against(real, fake).tolist() == [1.5, 3.5]


@pytest.mark.parametrize("config", [RelativisticPairingLoss(), RelativisticHingeLoss()])
def test_relativistic_losses_see_differences_only_and_pull_apart(config: RelativisticPairingLoss | RelativisticHingeLoss) -> None:
    loss = relativistic(config)
    real, fake = torch.tensor([0.1, -0.3, 0.2], requires_grad=True), torch.tensor([0.0, 0.2, -0.1], requires_grad=True)
    for side, sign in ((loss.discriminator, -1), (loss.generator, 1)):
        assert torch.allclose(side(real, fake), side(real + 7, fake + 7), atol=1e-5)
        up, down = torch.autograd.grad(side(real, fake).sum(), (real, fake))
        assert (up.sign() == sign).all()
        assert (down.sign() == -sign).all()
    # Several logits for a picture are judged apart.
    many = loss.discriminator(torch.stack([real, fake], 1), torch.stack([fake, real], 1))
    assert torch.allclose(many[:, 0], loss.discriminator(real, fake))


def test_label_noise_turns_all_logits_of_a_picture() -> None:
    loss, logits, flipped = build_loss(HingeLoss()), torch.tensor([[2.0, 3], [2, 3]]), torch.tensor([True, False])
    assert real_loss(loss, logits, flipped).tolist() == [[3, 4], [0, 0]]
    assert fake_loss(loss, logits, flipped).tolist() == [[0, 0], [3, 4]]


def test_r1_and_r2_look_at_either_side_and_their_weight_may_move() -> None:
    real, fake, share = torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2).bfloat16(), torch.tensor([0.5, 0.5])
    first, second = build_penalties(R1R2Penalty(weight=2, final_weight=0.2))
    assert [(p.name, p.of) for p in (first, second)] == [("r1", "real"), ("r2", "fake")]
    assert torch.equal(first.at(real, fake, share), real)
    assert torch.equal(second.at(real, fake, share), fake.float())
    for penalty in (first, second):
        assert [penalty.factor(t) for t in (0, 0.5, 1)] == pytest.approx([1, 0.55, 0.1])
    assert build_penalties(R1R2Penalty(weight=2))[0].factor(1) == 1
    weight = torch.randn(3, 2, 2)
    at = second.at(real, fake, share).requires_grad_()
    assert torch.allclose(second.value(at, (at * weight).sum((1, 2, 3))), weight.square().sum().expand(2))
    assert build_penalties(None) == ()
