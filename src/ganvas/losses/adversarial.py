"""What the two players minimise, per picture, from logits.

Most losses judge one picture at a time: for D, given logits on real and on fake pictures; for G, given logits on fakes.
Relativistic ones judge real pictures and fakes against each other. Where a discriminator gives several logits for a
picture, each has its own loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.config.objective import (
    BceLoss,
    HingeLoss,
    LeastSquaresLoss,
    Loss,
    RelativisticHingeLoss,
    RelativisticPairingLoss,
    WassersteinLoss,
)
from ganvas.types import ClassLogits, Labels, Logits, PerImage


@runtime_checkable
class Adversarial(Protocol):
    """The two sides of a game in which pictures are judged one by one."""

    def real(self, logits: Logits) -> Logits:
        """D's loss at real pictures."""
        ...

    def fake(self, logits: Logits) -> Logits:
        """D's loss at fakes."""
        ...

    def generator(self, logits: Logits) -> Logits:
        """G's loss at its fakes."""
        ...

    def belief(self, logits: Logits) -> Logits:
        """How real D takes pictures for, 0 to 1; above one half it says real. For people: nothing is learnt from it."""
        ...


@runtime_checkable
class Relativistic(Protocol):
    """The two sides of a game in which real pictures and fakes are judged against each other."""

    def discriminator(self, real: Logits, fake: Logits) -> Logits:
        """D's loss, given its logits on as many real pictures as fakes."""
        ...

    def generator(self, real: Logits, fake: Logits) -> Logits:
        """G's loss, given the same."""
        ...

    def against(self, logits: Logits, others: Logits) -> Logits:
        """How much more real than the others D takes pictures for."""
        ...

    def belief(self, logits: Logits) -> Logits:
        """The logistic function. Of a logit alone it has no meaning: it says how surely one picture is more real than others."""
        ...


def cross_entropy(logits: Logits, target: float) -> Logits:
    """-t log s(x) - (1 - t) log(1 - s(x)), with s the logistic function, computed without overflow."""
    return F.softplus(logits) - target * logits


@dataclass(frozen=True)
class Bce:
    """Goodfellow et al. 2014, eq. 1, G non-saturating (section 3); targets below one smooth D's labels (Salimans et al. 2016)."""

    config: BceLoss

    def real(self, logits: Logits) -> Logits:
        """Cross-entropy with the real target."""
        return cross_entropy(logits, self.config.real_target)

    def fake(self, logits: Logits) -> Logits:
        """Cross-entropy with the fake target."""
        return cross_entropy(logits, self.config.fake_target)

    def generator(self, logits: Logits) -> Logits:
        """-log D(G(z)): G's target is one, whatever D's smoothing."""
        return cross_entropy(logits, 1.0)

    def belief(self, logits: Logits) -> Logits:
        """The logistic function of the logit."""
        return logits.sigmoid()


@dataclass(frozen=True)
class Hinge:
    """Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    config: HingeLoss

    def real(self, logits: Logits) -> Logits:
        """max(0, 1 - D(x))."""
        return F.relu(1 - logits)

    def fake(self, logits: Logits) -> Logits:
        """max(0, 1 + D(G(z)))."""
        return F.relu(1 + logits)

    def generator(self, logits: Logits) -> Logits:
        """-D(G(z))."""
        return -logits

    def belief(self, logits: Logits) -> Logits:
        """The logistic function of the logit: one half at zero, between the two margins."""
        return logits.sigmoid()


@dataclass(frozen=True)
class LeastSquares:
    """Mao et al. 2017, eq. 2 and, with its targets, 9."""

    config: LeastSquaresLoss

    def real(self, logits: Logits) -> Logits:
        """(D(x) - b)^2 / 2."""
        return (logits - self.config.real_target).square() / 2

    def fake(self, logits: Logits) -> Logits:
        """(D(G(z)) - a)^2 / 2."""
        return (logits - self.config.fake_target).square() / 2

    def generator(self, logits: Logits) -> Logits:
        """(D(G(z)) - c)^2 / 2."""
        return (logits - self.config.generator_target).square() / 2

    def belief(self, logits: Logits) -> Logits:
        """Where the answer lies between the fake target and the real one."""
        low, high = self.config.fake_target, self.config.real_target
        return ((logits - low) / (high - low)).clamp(0, 1)


@dataclass(frozen=True)
class Wasserstein:
    """Arjovsky et al. 2017, eq. 2 and algorithm 1, for a critic that is kept Lipschitz."""

    config: WassersteinLoss

    def real(self, logits: Logits) -> Logits:
        """-f(x)."""
        return -logits

    def fake(self, logits: Logits) -> Logits:
        """f(G(z))."""
        return logits

    def generator(self, logits: Logits) -> Logits:
        """-f(G(z))."""
        return -logits

    def belief(self, logits: Logits) -> Logits:
        """The logistic function, though a critic's zero has no meaning: read `d_logit_real` and `d_logit_fake` instead."""
        return logits.sigmoid()


@dataclass(frozen=True)
class RelativisticPairing:
    """f(D(G(z)) - D(x)) with f the logistic loss, over pairs (Huang et al. 2024, eq. 2; Jolicoeur-Martineau 2019)."""

    config: RelativisticPairingLoss

    def discriminator(self, real: Logits, fake: Logits) -> Logits:
        """-log s(D(x) - D(G(z)))."""
        return F.softplus(fake - real)

    def generator(self, real: Logits, fake: Logits) -> Logits:
        """-log s(D(G(z)) - D(x))."""
        return F.softplus(real - fake)

    def against(self, logits: Logits, others: Logits) -> Logits:
        """The difference in each pair."""
        return logits - others

    def belief(self, logits: Logits) -> Logits:
        """See `Relativistic`."""
        return logits.sigmoid()


@dataclass(frozen=True)
class RelativisticHinge:
    """Hinge on differences from the other side's mean (Jolicoeur-Martineau 2019, appendix D, RaHingeGAN)."""

    config: RelativisticHingeLoss

    def discriminator(self, real: Logits, fake: Logits) -> Logits:
        """max(0, 1 - (D(x) - E D(G(z)))) + max(0, 1 + (D(G(z)) - E D(x)))."""
        return F.relu(1 - self.against(real, fake)) + F.relu(1 + self.against(fake, real))

    def generator(self, real: Logits, fake: Logits) -> Logits:
        """The same with real pictures and fakes changed round."""
        return self.discriminator(fake, real)

    def against(self, logits: Logits, others: Logits) -> Logits:
        """The difference from the others' mean over the batch."""
        return logits - others.mean(0)

    def belief(self, logits: Logits) -> Logits:
        """See `Relativistic`."""
        return logits.sigmoid()


LOSSES = {
    BceLoss: Bce,
    HingeLoss: Hinge,
    LeastSquaresLoss: LeastSquares,
    WassersteinLoss: Wasserstein,
    RelativisticPairingLoss: RelativisticPairing,
    RelativisticHingeLoss: RelativisticHinge,
}


def build_loss(config: Loss) -> Adversarial | Relativistic:
    """The loss that a config describes."""
    return LOSSES[type(config)](config)  # type: ignore[arg-type]


def real_loss(loss: Adversarial, logits: Logits, flipped: Tensor | None) -> Logits:
    """D's loss at real pictures, those that are `flipped` (B,) taken for fakes: label noise (Salimans et al. 2016 smooth instead)."""
    return loss.real(logits) if flipped is None else torch.where(_beside(flipped, logits), loss.fake(logits), loss.real(logits))


def fake_loss(loss: Adversarial, logits: Logits, flipped: Tensor | None) -> Logits:
    """D's loss at fakes, those that are `flipped` (B,) taken for real."""
    return loss.fake(logits) if flipped is None else torch.where(_beside(flipped, logits), loss.real(logits), loss.fake(logits))


def _beside(flags: Tensor, logits: Logits) -> Tensor:
    """(B,) as it broadcasts over (B, ...)."""
    return flags.view(-1, *[1] * (logits.ndim - 1))


def class_loss(logits: ClassLogits, labels: Labels) -> PerImage:
    """-log P(C = c | X) of an auxiliary classifier (Odena et al. 2017, eq. 3, which both players want small)."""
    return F.cross_entropy(logits, labels, reduction="none")
