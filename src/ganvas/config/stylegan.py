"""StyleGAN2's two networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganvas.config.base import Part


class _Stylegan2(Part):
    """What both players have."""

    kind: Literal["stylegan2"] = "stylegan2"
    width: int = Field(default=32, ge=1, description="feature maps at the pictures' resolution; doubled each time it halves")
    max_width: int = Field(default=512, ge=1)


class Stylegan2Generator(_Stylegan2):
    """Styles from a mapped latent modulate every convolution; each resolution adds to the picture (Karras et al. 2020)."""

    style_size: int = Field(default=512, ge=1, description="size of w, the mapped latent")
    mapping_depth: int = Field(default=8, ge=1, le=16, description="fully connected layers from the latent to w")
    mapping_rate: float = Field(default=0.01, gt=0, description="the mapping's learning rate, as a share of the others'")
    mixing: float = Field(
        default=0.9, ge=0, le=1, description="share of fakes while training whose finer layers get the style of another latent"
    )
    noise: bool = Field(default=True, description="a picture of noise is added in each layer, as strongly as it learns; fixed in samples")
    embedding: int = Field(default=512, ge=1, description="size of the class embedding beside the latent")
    labels: Literal["embedding"] | None = Field(default=None, description="how the class enters: an embedding beside the latent")


class Stylegan2Discriminator(_Stylegan2):
    """Residual blocks from a picture to a logit, with the batch's standard deviation (Karras et al. 2020)."""

    minibatch_std: bool = Field(
        default=True, description="append the batch's standard deviation before the last layers (Karras et al. 2018)"
    )
    labels: Literal["projection"] | None = Field(default=None, description="how the class enters: by projection (Miyato and Koyama 2018)")
