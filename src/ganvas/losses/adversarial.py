"""What the two players minimise, per picture, from logits.

Each loss is a pair: for D, given logits on real and on fake pictures; for G, given logits on fakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.config.objective import BceLoss, HingeLoss, LeastSquaresLoss, Loss, WassersteinLoss
from ganvas.types import ClassLogits, Labels, PerImage


@runtime_checkable
class Adversarial(Protocol):
    """The two sides of a game."""

    def real(self, logits: PerImage) -> PerImage:
        """D's loss at real pictures."""
        ...

    def fake(self, logits: PerImage) -> PerImage:
        """D's loss at fakes."""
        ...

    def generator(self, logits: PerImage) -> PerImage:
        """G's loss at its fakes."""
        ...

    def belief(self, logits: PerImage) -> PerImage:
        """How real D takes pictures for, 0 to 1; above one half it says real. For people: nothing is learnt from it."""
        ...


def cross_entropy(logits: PerImage, target: float) -> PerImage:
    """-t log s(x) - (1 - t) log(1 - s(x)), with s the logistic function, computed without overflow."""
    return F.softplus(logits) - target * logits


@dataclass(frozen=True)
class Bce:
    """Goodfellow et al. 2014, eq. 1, G non-saturating (section 3); targets below one smooth D's labels (Salimans et al. 2016)."""

    config: BceLoss

    def real(self, logits: PerImage) -> PerImage:
        """Cross-entropy with the real target."""
        return cross_entropy(logits, self.config.real_target)

    def fake(self, logits: PerImage) -> PerImage:
        """Cross-entropy with the fake target."""
        return cross_entropy(logits, self.config.fake_target)

    def generator(self, logits: PerImage) -> PerImage:
        """-log D(G(z)): G's target is one, whatever D's smoothing."""
        return cross_entropy(logits, 1.0)

    def belief(self, logits: PerImage) -> PerImage:
        """The logistic function of the logit."""
        return logits.sigmoid()


@dataclass(frozen=True)
class Hinge:
    """Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    config: HingeLoss

    def real(self, logits: PerImage) -> PerImage:
        """max(0, 1 - D(x))."""
        return F.relu(1 - logits)

    def fake(self, logits: PerImage) -> PerImage:
        """max(0, 1 + D(G(z)))."""
        return F.relu(1 + logits)

    def generator(self, logits: PerImage) -> PerImage:
        """-D(G(z))."""
        return -logits

    def belief(self, logits: PerImage) -> PerImage:
        """The logistic function of the logit: one half at zero, between the two margins."""
        return logits.sigmoid()


@dataclass(frozen=True)
class LeastSquares:
    """Mao et al. 2017, eq. 2 and, with its targets, 9."""

    config: LeastSquaresLoss

    def real(self, logits: PerImage) -> PerImage:
        """(D(x) - b)^2 / 2."""
        return (logits - self.config.real_target).square() / 2

    def fake(self, logits: PerImage) -> PerImage:
        """(D(G(z)) - a)^2 / 2."""
        return (logits - self.config.fake_target).square() / 2

    def generator(self, logits: PerImage) -> PerImage:
        """(D(G(z)) - c)^2 / 2."""
        return (logits - self.config.generator_target).square() / 2

    def belief(self, logits: PerImage) -> PerImage:
        """Where the answer lies between the fake target and the real one."""
        low, high = self.config.fake_target, self.config.real_target
        return ((logits - low) / (high - low)).clamp(0, 1)


@dataclass(frozen=True)
class Wasserstein:
    """Arjovsky et al. 2017, eq. 2 and algorithm 1, for a critic that is kept Lipschitz."""

    config: WassersteinLoss

    def real(self, logits: PerImage) -> PerImage:
        """-f(x)."""
        return -logits

    def fake(self, logits: PerImage) -> PerImage:
        """f(G(z))."""
        return logits

    def generator(self, logits: PerImage) -> PerImage:
        """-f(G(z))."""
        return -logits

    def belief(self, logits: PerImage) -> PerImage:
        """The logistic function, though a critic's zero has no meaning: read `d_logit_real` and `d_logit_fake` instead."""
        return logits.sigmoid()


LOSSES = {BceLoss: Bce, HingeLoss: Hinge, LeastSquaresLoss: LeastSquares, WassersteinLoss: Wasserstein}


def build_loss(config: Loss) -> Adversarial:
    """The loss that a config describes."""
    return LOSSES[type(config)](config)  # type: ignore[arg-type]


def real_loss(loss: Adversarial, logits: PerImage, flipped: Tensor | None) -> PerImage:
    """D's loss at real pictures, those that are `flipped` (B,) taken for fakes: label noise (Salimans et al. 2016 smooth instead)."""
    return loss.real(logits) if flipped is None else torch.where(flipped, loss.fake(logits), loss.real(logits))


def fake_loss(loss: Adversarial, logits: PerImage, flipped: Tensor | None) -> PerImage:
    """D's loss at fakes, those that are `flipped` (B,) taken for real."""
    return loss.fake(logits) if flipped is None else torch.where(flipped, loss.real(logits), loss.fake(logits))


def class_loss(logits: ClassLogits, labels: Labels) -> PerImage:
    """-log P(C = c | X) of an auxiliary classifier (Odena et al. 2017, eq. 3, which both players want small)."""
    return F.cross_entropy(logits, labels, reduction="none")
