"""Networks: one table for each of the two players, keyed by config type."""

from __future__ import annotations

from torch import nn

from ganvas.config.model import DcganDiscriminator, DcganGenerator, Discriminator, Generator
from ganvas.config.residual import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator
from ganvas.models import biggan, dcgan, resnet

GENERATORS = {DcganGenerator: dcgan.Generator, ResnetGenerator: resnet.Generator, BigganGenerator: biggan.Generator}
DISCRIMINATORS = {
    DcganDiscriminator: dcgan.Discriminator,
    ResnetDiscriminator: resnet.Discriminator,
    BigganDiscriminator: biggan.Discriminator,
}


def build_generator(config: Generator, resolution: int, latent_size: int, classes: int) -> nn.Module:
    """The generator that a config describes: (latents, labels) to pictures."""
    return GENERATORS[type(config)](config, resolution, latent_size, classes)  # type: ignore[arg-type]


def build_discriminator(config: Discriminator, resolution: int, classes: int) -> nn.Module:
    """The discriminator that a config describes: (pictures, labels) to logits."""
    return DISCRIMINATORS[type(config)](config, resolution, classes)  # type: ignore[arg-type]
