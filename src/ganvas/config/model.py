"""The networks: one class for each architecture, G beside D."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganvas.config.base import Part
from ganvas.config.residual import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator


class DcganGenerator(Part):
    """Transposed convolutions 4x4 from a latent to a picture (Radford et al. 2016)."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=64, ge=1, description="feature maps before the last layer; doubled towards the latent")
    max_width: int = Field(default=512, ge=1)
    norm: Literal["batch", "pixel"] | None = "batch"
    labels: Literal["onehot", "embedding"] | None = Field(
        default=None, description="how the class enters: appended to the latent as one-hot channels, or multiplied in as an embedding"
    )


class DcganDiscriminator(Part):
    """Convolutions 4x4 from a picture to a logit (Radford et al. 2016)."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=64, ge=1, description="feature maps after the first layer; doubled towards the logit")
    max_width: int = Field(default=512, ge=1)
    norm: Literal["batch"] | None = "batch"
    spectral_norm: bool = Field(default=False, description="divide each weight by its largest singular value (Miyato et al. 2018)")
    minibatch_std: bool = Field(
        default=False, description="append the batch's standard deviation before the last layer (Karras et al. 2018)"
    )
    slope: float = Field(default=0.2, ge=0, description="leaky ReLU's slope below zero")
    dropout: float = Field(default=0.0, ge=0, lt=1)
    labels: Literal["onehot", "projection"] | None = Field(
        default=None, description="how the class enters: as one-hot channels beside the picture, or by projection (Miyato and Koyama 2018)"
    )


Generator = Annotated[DcganGenerator | ResnetGenerator | BigganGenerator, Field(discriminator="kind")]
Discriminator = Annotated[DcganDiscriminator | ResnetDiscriminator | BigganDiscriminator, Field(discriminator="kind")]
