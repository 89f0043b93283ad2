"""The ranges in which networks hold pixels and latents, where they are not those of the outside.

Everything outside the two networks holds pictures in [-1, 1]: data, augmentation, samples, scores, penalties. Only the
networks themselves may be made for [0, 1], as two reports have it. Hooks on their two borders translate, so that
whoever calls a network, for whatever end, passes and gets [-1, 1]; its parameters, attributes and files don't change.
Penalties differentiate with respect to pictures in [-1, 1], and R1's size is to be read so.

Uniform latents are in [0, 1] everywhere, and enter the generator with mean 0 and variance 1. Their mean of 0.5 would
be three quarters of what its first layer makes: the same for each picture, and batch norm, whose statistics are of all
pixels together, does not take it away. DCGANs then made near-identical pictures for hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Range = tuple[float, float]
UNIFORM_DEVIATION = 12**-0.5
"""Of numbers that are uniform in [0, 1]."""
USUAL: Range = (-1.0, 1.0)


@dataclass(frozen=True)
class _Outward:
    """From the network's range to [-1, 1], after a generator's forward."""

    low: float
    high: float

    def __call__(self, module: nn.Module, entered: tuple[Any, ...], pictures: Tensor) -> Tensor:
        return (pictures - self.low) * (2 / (self.high - self.low)) - 1


@dataclass(frozen=True)
class _Inward:
    """From [-1, 1] to the network's range, before a discriminator's forward."""

    low: float
    high: float

    def __call__(self, module: nn.Module, entered: tuple[Any, ...]) -> tuple[Any, ...]:
        return ((entered[0] + 1) * ((self.high - self.low) / 2) + self.low, *entered[1:])


def _standardised(module: nn.Module, entered: tuple[Any, ...]) -> tuple[Any, ...]:
    return ((entered[0] - 0.5) / UNIFORM_DEVIATION, *entered[1:])


def take_uniform_latents(generator: nn.Module) -> nn.Module:
    """The generator as one that takes latents uniform in [0, 1] (first, by position), standardised as they enter."""
    generator.register_forward_pre_hook(_standardised)
    return generator


def make_pictures_in(generator: nn.Module, pixels: Range) -> nn.Module:
    """The generator, whose own pixels are in `pixels`, as one that makes pictures in [-1, 1]."""
    if pixels != USUAL:
        generator.register_forward_hook(_Outward(*pixels))
    return generator


def judge_pictures_in(discriminator: nn.Module, pixels: Range) -> nn.Module:
    """The discriminator, which looks at pixels in `pixels`, as one that takes pictures in [-1, 1] (first, by position)."""
    if pixels != USUAL:
        discriminator.register_forward_pre_hook(_Inward(*pixels))
    return discriminator
