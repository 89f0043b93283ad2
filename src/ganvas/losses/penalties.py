"""Gradient penalties, per picture, at the pictures before any augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from ganvas.config.objective import GradientPenalty as GradientPenaltyConfig
from ganvas.config.objective import Penalty as PenaltyConfig
from ganvas.config.objective import R1Penalty, R1R2Penalty
from ganvas.types import Images, Logits, PerImage


def squared_gradient(at: Images, logits: Logits) -> PerImage:
    """|grad_x D(x)|^2 at each picture of `at`, which `logits` came from, in fp32."""
    (gradient,) = torch.autograd.grad(logits.sum(), at, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def r1(real: Images, logits: Logits) -> PerImage:
    """Squared gradient of D at real pictures, |grad_x D(x)|^2 (Mescheder et al. 2018, eq. 9).

    `real` must require gradients and `logits` must come from it, in fp32.
    """
    return squared_gradient(real, logits)


def gradient_penalty(mixed: Images, logits: Logits) -> PerImage:
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
    of: Literal["real", "fake"]
    """Whose labels and whose augmentation the pictures take that it looks at."""

    def factor(self, annealed: float) -> float:
        """What the mean is multiplied by; `annealed` says how far the schedule has come, 0 to 1."""
        ...

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """The pictures that it looks at; `share` (B,) are random numbers in (0, 1)."""
        ...

    def value(self, at: Images, logits: Logits) -> PerImage:
        """The penalty at each, before the factor."""
        ...


@dataclass(frozen=True)
class R1:
    """gamma / 2 times `r1`."""

    config: R1Penalty | R1R2Penalty
    name = "r1"
    of = "real"

    def factor(self, annealed: float) -> float:
        """Half of gamma, which may move to a final value."""
        final = self.config.final_weight if isinstance(self.config, R1R2Penalty) else None
        return (self.config.weight if final is None else self.config.weight + (final - self.config.weight) * annealed) / 2

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """Real pictures."""
        return real

    def value(self, at: Images, logits: Logits) -> PerImage:
        """See `r1`."""
        return r1(at, logits)


class R2(R1):
    """gamma / 2 times the squared gradient of D at fakes (Mescheder et al. 2018, eq. 10)."""

    name = "r2"
    of = "fake"

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """Fakes."""
        return fake.to(real.dtype)


@dataclass(frozen=True)
class Gradient:
    """lambda times `gradient_penalty`."""

    config: GradientPenaltyConfig
    name = "gradient_penalty"
    of = "real"

    def factor(self, annealed: float) -> float:
        """Lambda."""
        return self.config.weight

    def at(self, real: Images, fake: Images, share: Tensor) -> Images:
        """Between real pictures and fakes."""
        return mixture(real, fake, share)

    def value(self, at: Images, logits: Logits) -> PerImage:
        """See `gradient_penalty`."""
        return gradient_penalty(at, logits)


PENALTIES = {R1Penalty: (R1,), GradientPenaltyConfig: (Gradient,), R1R2Penalty: (R1, R2)}


def build_penalties(config: PenaltyConfig | None) -> tuple[Penalty, ...]:
    """The penalties that a config describes, each with its own pictures; none without a config."""
    return () if config is None else tuple(kind(config) for kind in PENALTIES[type(config)])  # type: ignore[arg-type]
