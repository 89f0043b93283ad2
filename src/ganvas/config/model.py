"""The networks: one class for each architecture, G beside D."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganvas.config.base import Part, kind_or
from ganvas.config.modern import FastganDiscriminator, FastganGenerator, ProjectedDiscriminator, R3ganDiscriminator, R3ganGenerator
from ganvas.config.residual import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator
from ganvas.config.stylegan import Stylegan2Discriminator, Stylegan2Generator

Kernel = Literal[3, 4, 5]
Output = Literal["tanh", "sigmoid"]
Init = Literal["normal", "torch"]


class _Dcgan(Part):
    """What both players of a DCGAN have."""

    kind: Literal["dcgan"] = "dcgan"
    width: int = Field(default=64, ge=1, description="feature maps at half the picture's size; doubled as the size halves")
    max_width: int = Field(default=512, ge=1)
    kernel: Kernel = Field(default=4, description="side of the kernels of stride 2; the layer at the latent or the logit is always 4x4")
    extra_layers: int = Field(default=0, ge=0, le=8, description="3x3 convolutions of stride 1 after each change of size")
    norm: Literal["batch", "pixel"] | None = "batch"
    norm_momentum: float = Field(default=0.1, gt=0, le=1, description="share of each batch in the running statistics of batch norm")
    norm_eps: float | None = Field(default=None, gt=0, description="null: 1e-5 for batch norm, 1e-8 for pixelwise norm")
    spectral_norm: bool = Field(default=False, description="divide each weight by its largest singular value (Miyato et al. 2018)")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of feature maps dropped after each activation")
    init: Init = Field(default="normal", description="normal: N(0, 0.02), batch norms N(1, 0.02); torch: PyTorch's own")


class DcganGenerator(_Dcgan):
    """Transposed convolutions from a latent to a picture (Radford et al. 2016)."""

    slope: float = Field(default=0.0, ge=0, description="leaky ReLU's slope below zero; 0: ReLU")
    output: Output = Field(default="tanh", description="sigmoid goes with family.pixel_range: [0, 1]")
    labels: Literal["onehot", "embedding"] | None = Field(
        default=None, description="how the class enters: appended to the latent as one-hot channels, or multiplied in as an embedding"
    )


class DcganDiscriminator(_Dcgan):
    """Convolutions from a picture to a logit (Radford et al. 2016); no normalisation in the first and last layer."""

    slope: float = Field(default=0.2, ge=0, description="leaky ReLU's slope below zero; 0: ReLU")
    minibatch_std: bool = Field(
        default=False, description="append the batch's standard deviation before the last layer (Karras et al. 2018)"
    )
    labels: Literal["onehot", "projection", "auxiliary"] | None = Field(
        default=None,
        description="how the class enters: as one-hot channels beside the picture, by projection (Miyato and Koyama 2018), or guessed by an auxiliary classifier (Odena et al. 2017)",
    )


class _Mlp(Part):
    """What both players of a fully connected GAN have."""

    kind: Literal["mlp"] = "mlp"
    init: Literal["torch", "normal", "equalized"] = Field(
        default="torch",
        description="torch: PyTorch's own, fit for layers of any size; normal: N(0, 0.02); equalized: N(0, 1), divided by the root of their number when used (Karras et al. 2018)",
    )
    norm: Literal["batch"] | None = Field(
        default=None, description="batch: batch norm in each hidden layer, before its activation; it keeps large rates in check"
    )
    labels: Literal["onehot"] | None = Field(default=None, description="the class is appended to the latent and to the pixels, one-hot")


class MlpGenerator(_Mlp):
    """Fully connected layers from a latent to all pixels (Goodfellow et al. 2014, section 5)."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1200, 1200), min_length=1, description="units of each hidden layer")
    slope: float = Field(default=0.0, ge=0, description="leaky ReLU's slope below zero; 0: ReLU")
    output: Output = Field(default="tanh", description="sigmoid goes with family.pixel_range: [0, 1]")


class MlpDiscriminator(_Mlp):
    """Fully connected layers from all pixels to a logit (Goodfellow et al. 2014, section 5)."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(240, 240), min_length=1, description="units of each hidden layer")
    pieces: int = Field(default=5, ge=1, description="linear pieces of each maxout unit (Goodfellow et al. 2013); 1: leaky ReLU instead")
    slope: float = Field(default=0.2, ge=0, description="leaky ReLU's slope where pieces is 1")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of units dropped after each hidden layer")


Generator = Annotated[
    DcganGenerator | MlpGenerator | ResnetGenerator | BigganGenerator | Stylegan2Generator | FastganGenerator | R3ganGenerator,
    Field(discriminator="kind"),
    kind_or("dcgan"),
]
Discriminator = Annotated[
    DcganDiscriminator
    | MlpDiscriminator
    | ResnetDiscriminator
    | BigganDiscriminator
    | Stylegan2Discriminator
    | FastganDiscriminator
    | ProjectedDiscriminator
    | R3ganDiscriminator,
    Field(discriminator="kind"),
    kind_or("dcgan"),
]
