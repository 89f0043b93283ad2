"""Gradient penalties, per picture, at the pictures before any augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ganvas.config.objective import GradientPenalty as GradientPenaltyConfig
from ganvas.config.objective import Penalty as PenaltyConfig
from ganvas.config.objective import R1Penalty
from ganvas.types import Images, PerImage


def squared_gradient(at: Images, logits: PerImage) -> PerImage:
    """|grad_x D(x)|^2 at each picture of `at`, which `logits` came from, in fp32."""
    (gradient,) = torch.autograd.grad(logits.sum(), at, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def r1(real: Images, logits: PerImage) -> PerImage:
    """Squared gradient of D at real pictures, |grad_x D(x)|^2 (Mescheder et al. 2018, eq. 9).

    `real` must require gradients and `logits` must come from it, in fp32.
    """
    return squared_gradient(real, logits)


def gradient_penalty(mixed: Images, logits: PerImage) -> PerImage:
    """(|grad_x D(x)| - 1)^2 between real pictures and fakes (Gulrajani et al. 2017, eq. 3); as `r1` otherwise."""
    # The root of zero has no gradient: far below any norm that matters, it is left at a constant.
    return (squared_gradient(mixed, logits).clamp_min(1e-12).sqrt() - 1).square()


def mixture(real: Images, fake: Images, share: Tensor) -> Images:
    """Points on the lines from fakes (share 0) to real pictures (share 1), `share` (B,) one for each."""
    return torch.lerp(fake.to(real.dtype), real, share.to(real.dtype).view(-1, 1, 1, 1))


@runtime_checkable
class Penalty(Protocol):
    """A term of D's loss: at which pictures, what, and how much of it."""

    name: str
    factor: float

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """The pictures that it looks at; `share` (B,) are random numbers in (0, 1)."""
        ...

    def value(self, at: Images, logits: PerImage) -> PerImage:
        """The penalty at each, before the factor."""
        ...


@dataclass(frozen=True)
class R1:
    """gamma / 2 times `r1`."""

    config: R1Penalty
    name = "r1"

    @property
    def factor(self) -> float:
        """Half of gamma."""
        return self.config.weight / 2

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """Real pictures."""
        return real

    def value(self, at: Images, logits: PerImage) -> PerImage:
        """See `r1`."""
        return r1(at, logits)


@dataclass(frozen=True)
class Gradient:
    """lambda times `gradient_penalty`."""

    config: GradientPenaltyConfig
    name = "gradient_penalty"

    @property
    def factor(self) -> float:
        """Lambda."""
        return self.config.weight

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """Between real pictures and fakes."""
        return mixture(real, fake, share)

    def value(self, at: Images, logits: PerImage) -> PerImage:
        """See `gradient_penalty`."""
        return gradient_penalty(at, logits)


PENALTIES = {R1Penalty: R1, GradientPenaltyConfig: Gradient}


def build_penalty(config: PenaltyConfig) -> Penalty:
    """The penalty that a config describes."""
    return PENALTIES[type(config)](config)  # type: ignore[arg-type]
