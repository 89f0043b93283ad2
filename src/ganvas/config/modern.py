"""Networks since 2021: FastGAN, Projected GAN's discriminators, R3GAN."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganvas.config.base import Part


class FastganGenerator(Part):
    """One convolution for each resolution, gated linear units, early maps that excite late ones (Liu et al. 2021)."""

    kind: Literal["fastgan"] = "fastgan"
    width: int = Field(default=32, ge=1, description="feature maps at the pictures' resolution; doubled each time it halves")
    max_width: int = Field(default=256, ge=1)
    spectral_norm: bool = Field(default=True, description="divide each weight by its largest singular value (Miyato et al. 2018)")
    noise: bool = Field(default=True, description="add noise of a learnt strength to the maps of each resolution")
    labels: Literal["embedding"] | None = Field(default=None, description="how the class enters: as an embedding beside the latent")
    embedding: int = Field(default=64, ge=1, description="size of the class's embedding")


class FastganDiscriminator(Part):
    """Residual halving to patches of 8x8, and small decoders that must see the real picture again (Liu et al. 2021)."""

    kind: Literal["fastgan"] = "fastgan"
    width: int = Field(default=32, ge=1, description="feature maps at half the pictures' resolution; doubled each time it halves")
    max_width: int = Field(default=256, ge=1)
    spectral_norm: bool = True
    norm: Literal["batch"] | None = "batch"
    slope: float = Field(default=0.2, ge=0, lt=1, description="leaky ReLU's slope below zero")
    reconstruction: float = Field(default=1.0, ge=0, description="weight of the decoders' loss at real pictures; 0: no decoders")
    decoder_width: int = Field(default=16, ge=1, description="feature maps of the decoders' last layer; doubled at each one before")
    labels: Literal["projection"] | None = Field(default=None, description="how the class enters: by projection (Miyato and Koyama 2018)")


class ProjectedDiscriminator(Part):
    """One small discriminator for each scale of a frozen network's mixed features (Sauer et al. 2021)."""

    kind: Literal["projected"] = "projected"
    backbone: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    input_size: int | None = Field(
        default=None, ge=32, le=512, multiple_of=32, description="side that the frozen network sees; null: the pictures', at least 64"
    )
    mixing: Literal["none", "channels", "scales"] = Field(
        default="scales", description="random projections of the features: none, across channels, or across channels and scales"
    )
    width: int = Field(default=32, ge=1, description="maps of the finest scale after mixing; doubled at each coarser one")
    max_width: int = Field(default=256, ge=1)
    norm: Literal["batch", "layer"] | None = Field(
        default=None,
        description="what follows each convolution but the last: statistics of each map over the batch, or of all maps of a picture",
    )
    slope: float = Field(default=0.2, ge=0, lt=1, description="leaky ReLU's slope below zero")
    r1: float = Field(
        default=0.0,
        ge=0,
        description="weight of the squared gradient of the discriminators at the mixed features of real pictures; 0: none",
    )
    pixels: int | None = Field(
        default=None, ge=1, description="first maps of a further discriminator, which sees the picture itself; null: there is none"
    )
    labels: Literal["projection"] | None = Field(default=None, description="how the class enters: by projection (Miyato and Koyama 2018)")


class _R3gan(Part):
    """What both players of R3GAN have: residual blocks 1x1, grouped 3x3, 1x1 without any normalisation."""

    kind: Literal["r3gan"] = "r3gan"
    width: int = Field(default=16, ge=1, description="feature maps at the pictures' resolution; doubled each time it halves")
    max_width: int = Field(default=128, ge=1)
    blocks: int = Field(default=2, ge=1, le=8, description="residual blocks for each resolution")
    expansion: float = Field(default=2.0, gt=0, description="maps of the 3x3 convolution, as a multiple of the block's own")
    group: int | None = Field(default=16, ge=1, description="maps in a group of the 3x3 convolution; null: one group")
    slope: float = Field(default=0.2, ge=0, lt=1, description="leaky ReLU's slope below zero")
    embedding: int = Field(default=64, ge=1, description="size of the class's embedding")


class R3ganGenerator(_R3gan):
    """From a latent to a picture (Huang et al. 2024, configuration E)."""

    labels: Literal["embedding"] | None = Field(default=None, description="how the class enters: as an embedding beside the latent")


class R3ganDiscriminator(_R3gan):
    """From a picture to a logit: the generator's mirror (Huang et al. 2024, configuration E)."""

    labels: Literal["projection"] | None = Field(default=None, description="how the class enters: by projection (Miyato and Koyama 2018)")
