"""What the two players minimise, per picture, from logits.

Each loss is a pair: for D, given logits on real and on fake pictures; for G, given logits on fakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch.nn import functional as F

from ganvas.config.objective import BceLoss, HingeLoss, Loss
from ganvas.types import PerImage


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


LOSSES = {BceLoss: Bce, HingeLoss: Hinge}


def build_loss(config: Loss) -> Adversarial:
    """The loss that a config describes."""
    return LOSSES[type(config)](config)  # type: ignore[arg-type]
