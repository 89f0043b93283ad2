"""Residual networks: SNGAN and SAGAN, and BigGAN."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganvas.config.base import Part


class _Residual(Part):
    """What both players of all residual networks have."""

    width: int = Field(default=64, ge=1, description="feature maps at the pictures' resolution; doubled each time it halves")
    max_width: int = Field(default=1024, ge=1)
    attention: int | None = Field(
        default=None,
        ge=4,
        description="resolution of the maps with self-attention (Zhang et al. 2019), at most half the pictures'; null: none",
    )
    slope: float = Field(default=0.0, ge=0, lt=1, description="leaky ReLU's slope below zero; 0: ReLU")


class ResnetGenerator(_Residual):
    """Residual blocks from a latent to a picture: SNGAN's (Miyato et al. 2018), or SAGAN's (Zhang et al. 2019)."""

    kind: Literal["resnet"] = "resnet"
    spectral_norm: bool = Field(default=False, description="divide each weight by its largest singular value; SAGAN does, SNGAN does not")
    labels: Literal["batchnorm"] | None = Field(
        default=None, description="how the class enters: each has gains and offsets of its own in every batch norm"
    )


class ResnetDiscriminator(_Residual):
    """Residual blocks from a picture to a logit: SNGAN's and SAGAN's."""

    kind: Literal["resnet"] = "resnet"
    spectral_norm: bool = Field(default=True, description="divide each weight by its largest singular value (Miyato et al. 2018)")
    labels: Literal["projection"] | None = Field(default=None, description="how the class enters: by projection (Miyato and Koyama 2018)")


class BigganGenerator(_Residual):
    """BigGAN's residual blocks, each conditioned on a chunk of the latent and on the class (Brock et al. 2019)."""

    kind: Literal["biggan"] = "biggan"
    spectral_norm: bool = True
    embedding: int = Field(default=128, ge=1, description="size of the class embedding that all batch norms share")
    labels: Literal["shared"] | None = Field(
        default=None, description="how the class enters: a shared embedding beside each block's chunk of the latent; null: the chunks alone"
    )


class BigganDiscriminator(_Residual):
    """BigGAN's residual blocks from a picture to a logit (Brock et al. 2019)."""

    kind: Literal["biggan"] = "biggan"
    spectral_norm: bool = True
    labels: Literal["projection"] | None = Field(default=None, description="how the class enters: by projection (Miyato and Koyama 2018)")
