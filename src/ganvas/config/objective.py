"""Losses, penalties and what the critic sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganvas.config.base import Part


class BceLoss(Part):
    """Binary cross-entropy on logits, G non-saturating (Goodfellow et al. 2014)."""

    kind: Literal["bce"] = "bce"
    real_target: float = Field(default=1.0, ge=0, le=1, description="D's target for real pictures (0.9: one-sided label smoothing)")
    fake_target: float = Field(default=0.0, ge=0, le=1, description="D's target for fakes")


class HingeLoss(Part):
    """Hinge (Lim and Ye 2017; Miyato et al. 2018)."""

    kind: Literal["hinge"] = "hinge"


Loss = Annotated[BceLoss | HingeLoss, Field(discriminator="kind")]


class R1Penalty(Part):
    """Squared gradient of D at real pictures (Mescheder et al. 2018), at every `every`-th step."""

    kind: Literal["r1"] = "r1"
    weight: float = Field(default=1.0, gt=0, description="gamma; the penalty is gamma/2 times the squared norm")
    every: int = Field(default=16, ge=1, description="steps between two penalties; each is multiplied by this (lazy regularisation)")


class OrthogonalRegulariser(Part):
    """Keeps a network's filters apart, so that truncated latents make sound pictures too (Brock et al. 2019, section 3.1)."""

    kind: Literal["orthogonal"] = "orthogonal"
    weight: float = Field(default=1e-4, gt=0, description="beta")
    diagonal: bool = Field(default=False, description="also keep the filters' norms at one (eq. 3); the paper's choice does not (eq. 4)")


class DiffAugment(Part):
    """The same differentiable change of real and fake pictures before D (Zhao et al. 2020)."""

    kind: Literal["diffaugment"] = "diffaugment"
    policy: tuple[Literal["color", "translation", "cutout"], ...] = ("color", "translation", "cutout")
