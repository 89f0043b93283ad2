"""Networks: one table for each of the two players, keyed by config type."""

from __future__ import annotations

from torch import nn

from ganvas.config.model import (
    DcganDiscriminator,
    DcganGenerator,
    Discriminator,
    Generator,
    MlpDiscriminator,
    MlpGenerator,
)
from ganvas.config.modern import FastganDiscriminator, FastganGenerator, ProjectedDiscriminator, R3ganDiscriminator, R3ganGenerator
from ganvas.config.residual import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator
from ganvas.config.stylegan import Stylegan2Discriminator, Stylegan2Generator
from ganvas.models import biggan, dcgan, fastgan, mlp, projected, r3gan, resnet, stylegan2
from ganvas.models.ranges import USUAL, Range, judge_pictures_in, make_pictures_in

GENERATORS = {
    DcganGenerator: dcgan.Generator,
    MlpGenerator: mlp.Generator,
    ResnetGenerator: resnet.Generator,
    BigganGenerator: biggan.Generator,
    Stylegan2Generator: stylegan2.Generator,
    FastganGenerator: fastgan.Generator,
    R3ganGenerator: r3gan.Generator,
}
DISCRIMINATORS = {
    DcganDiscriminator: dcgan.Discriminator,
    MlpDiscriminator: mlp.Discriminator,
    ResnetDiscriminator: resnet.Discriminator,
    BigganDiscriminator: biggan.Discriminator,
    Stylegan2Discriminator: stylegan2.Discriminator,
    FastganDiscriminator: fastgan.Discriminator,
    ProjectedDiscriminator: projected.Discriminator,
    R3ganDiscriminator: r3gan.Discriminator,
}


def build_generator(config: Generator, resolution: int, latent_size: int, classes: int, pixels: Range = USUAL) -> nn.Module:
    """The generator that a config describes: (latents, labels) to pictures in [-1, 1].

    `pixels`: the range in which the network itself holds them.
    """
    return make_pictures_in(GENERATORS[type(config)](config, resolution, latent_size, classes), pixels)  # type: ignore[arg-type]


def build_discriminator(config: Discriminator, resolution: int, classes: int, pixels: Range = USUAL) -> nn.Module:
    """The discriminator that a config describes: (pictures in [-1, 1], labels) to logits.

    `pixels`: the range in which the network itself sees them.
    """
    return judge_pictures_in(DISCRIMINATORS[type(config)](config, resolution, classes), pixels)  # type: ignore[arg-type]
