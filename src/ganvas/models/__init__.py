"""Networks: one table for each of the two players, keyed by config type."""

from __future__ import annotations

from torch import nn

from ganvas.config.model import DcganDiscriminator, DcganGenerator
from ganvas.models import dcgan

GENERATORS = {DcganGenerator: dcgan.Generator}
DISCRIMINATORS = {DcganDiscriminator: dcgan.Discriminator}


def build_generator(config: DcganGenerator, resolution: int, latent_size: int, classes: int) -> nn.Module:
    """The generator that a config describes: (latents, labels) to pictures."""
    return GENERATORS[type(config)](config, resolution, latent_size, classes)


def build_discriminator(config: DcganDiscriminator, resolution: int, classes: int) -> nn.Module:
    """The discriminator that a config describes: (pictures, labels) to logits."""
    return DISCRIMINATORS[type(config)](config, resolution, classes)
