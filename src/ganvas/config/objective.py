"""Losses, penalties and what the critic sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganvas.config.base import Part, kind_or
from ganvas.config.matching import Comparison


class _Noisy(Part):
    label_noise: float = Field(
        default=0.0, ge=0, le=0.5, description="share of D's pictures, real and fake, that it learns as their opposite (0.1: every tenth)"
    )


class BceLoss(_Noisy):
    """Binary cross-entropy on logits, G non-saturating (Goodfellow et al. 2014). With targets 1 and 0 it is the logistic loss."""

    kind: Literal["bce"] = "bce"
    real_target: float = Field(default=1.0, ge=0, le=1, description="D's target for real pictures (0.9: one-sided label smoothing)")
    fake_target: float = Field(default=0.0, ge=0, le=1, description="D's target for fakes (0.1, with 0.9 for real: two-sided)")


class HingeLoss(_Noisy):
    """Hinge (Lim and Ye 2017; Miyato et al. 2018)."""

    kind: Literal["hinge"] = "hinge"


class LeastSquaresLoss(_Noisy):
    """Least squares (Mao et al. 2017, eq. 2 and 9)."""

    kind: Literal["least_squares"] = "least_squares"
    real_target: float = Field(default=1.0, description="b: what D should say of real pictures")
    fake_target: float = Field(default=0.0, description="a: what D should say of fakes")
    generator_target: float = Field(default=1.0, description="c: what G wants D to say of its fakes")

    @model_validator(mode="after")
    def _real_is_above_fake(self) -> LeastSquaresLoss:
        if not self.real_target > self.fake_target:
            raise ValueError(f"real_target ({self.real_target:g}) must be above fake_target ({self.fake_target:g})")
        return self


class WassersteinLoss(Part):
    """The critic's mean on real pictures less that on fakes (Arjovsky et al. 2017); something must keep the critic Lipschitz."""

    kind: Literal["wasserstein"] = "wasserstein"
    clip: float | None = Field(
        default=None, gt=0, description="D's parameters are clipped to [-clip, clip] after each step (0.01 in the paper); null: not"
    )


class RelativisticPairingLoss(Part):
    """D says how much more real a picture is than a fake, in pairs (Jolicoeur-Martineau 2019, RpGAN; Huang et al. 2024, eq. 2)."""

    kind: Literal["relativistic_pairing"] = "relativistic_pairing"


class RelativisticHingeLoss(Part):
    """Hinge on how much more real a picture is than the mean fake, and the other way round (Jolicoeur-Martineau 2019, RaHingeGAN)."""

    kind: Literal["relativistic_hinge"] = "relativistic_hinge"


Loss = Annotated[
    BceLoss | HingeLoss | LeastSquaresLoss | WassersteinLoss | RelativisticPairingLoss | RelativisticHingeLoss,
    Field(discriminator="kind"),
]


class R1Penalty(Part):
    """Squared gradient of D at real pictures (Mescheder et al. 2018), at every `every`-th step."""

    kind: Literal["r1"] = "r1"
    weight: float = Field(default=1.0, gt=0, description="gamma; the penalty is gamma/2 times the squared norm")
    every: int = Field(default=16, ge=1, description="steps between two penalties; each is multiplied by this (lazy regularisation)")


class GradientPenalty(Part):
    """(|grad D| - 1)^2 between real pictures and fakes (Gulrajani et al. 2017)."""

    kind: Literal["gradient"] = "gradient"
    weight: float = Field(default=10.0, gt=0, description="lambda")
    every: int = Field(default=1, ge=1, description="steps between two penalties; each is multiplied by this (lazy regularisation)")


class R1R2Penalty(Part):
    """Squared gradients of D at real pictures and at fakes (Mescheder et al. 2018, eq. 9 and 10; Huang et al. 2024, eq. 3)."""

    kind: Literal["r1r2"] = "r1r2"
    weight: float = Field(default=1.0, gt=0, description="gamma; each of the two is gamma/2 times the squared norm")
    final_weight: float | None = Field(
        default=None, gt=0, description="gamma moves to this as the schedule's rate moves to its final one; null: it stays"
    )
    every: int = Field(default=1, ge=1, description="steps between two penalties; each is multiplied by this (lazy regularisation)")


Penalty = Annotated[R1Penalty | GradientPenalty | R1R2Penalty, Field(discriminator="kind"), kind_or("r1")]


class OrthogonalRegulariser(Part):
    """Keeps a network's filters apart, so that truncated latents make sound pictures too (Brock et al. 2019, section 3.1)."""

    kind: Literal["orthogonal"] = "orthogonal"
    weight: float = Field(default=1e-4, gt=0, description="beta")
    diagonal: bool = Field(default=False, description="also keep the filters' norms at one (eq. 3); the paper's choice does not (eq. 4)")


class PathLengthRegulariser(Part):
    """Steps of w of one size move the picture alike everywhere (Karras et al. 2020, StyleGAN2, eq. 4)."""

    kind: Literal["path_length"] = "path_length"
    weight: float | None = Field(
        default=None, gt=0, description="gamma; null: ln 2 / (r^2 (ln r - ln 2)) for pictures of r pixels a side (appendix B)"
    )
    every: int = Field(default=8, ge=1, description="generator steps between two; each is multiplied by this (lazy regularisation)")
    decay: float = Field(default=0.99, ge=0, lt=1, description="share of the mean length so far in the next one")
    shrink: int = Field(default=2, ge=1, description="it looks at one fake for so many of a batch")


class LecamRegulariser(Part):
    """Keeps D's answers for real pictures near its average answer for fakes, and the other way round (Tseng et al. 2021)."""

    kind: Literal["lecam"] = "lecam"
    weight: float = Field(default=0.3, gt=0, description="lambda; 0.3 in the paper, 0.01 beside StyleGAN2's R1")
    decay: float = Field(default=0.99, gt=0, lt=1, description="share of the old value in each moving average of D's answers")


Change = Literal["color", "translation", "cutout", "flip"]


class ConsistencyRegulariser(Part):
    """D should say the same of a picture and of the picture changed a little.

    CR is of real pictures (Zhang et al. 2020), bCR also of fakes, zCR of fakes whose latents lie close together, and
    ICR is bCR and zCR (Zhao et al. 2021). A weight of zero leaves a term and its cost away.
    """

    kind: Literal["consistency"] = "consistency"
    real: float = Field(default=10.0, ge=0, description="weight at real pictures: CR")
    fake: float = Field(default=0.0, ge=0, description="weight at fakes: bCR (10 in the paper)")
    latent: float = Field(default=0.0, ge=0, description="weight at fakes of neighbouring latents: zCR (5 in the paper)")
    spread: float = Field(
        default=0.0, ge=0, description="weight with which G keeps fakes of neighbouring latents apart: zCR (0.5 in the paper)"
    )
    noise: float = Field(default=0.05, gt=0, description="deviation of the noise that makes a latent its neighbour")
    policy: tuple[Change, ...] = Field(default=("flip", "translation"), min_length=1, description="what changes a picture a little")

    @model_validator(mode="after")
    def _does_something(self) -> ConsistencyRegulariser:
        if not (self.real or self.fake or self.latent or self.spread):
            raise ValueError("a consistency regulariser without any weight does nothing: set real, fake, latent or spread above zero")
        return self


class MatchingRegulariser(Comparison):
    """G's pictures should have features that are distributed as real ones' in a frozen network, beside what D says."""

    kind: Literal["matching"] = "matching"
    weight: float = Field(default=20.0, gt=0)


Regulariser = Annotated[
    OrthogonalRegulariser | PathLengthRegulariser | LecamRegulariser | ConsistencyRegulariser | MatchingRegulariser,
    Field(discriminator="kind"),
    kind_or("orthogonal"),
]


class DiffAugment(Part):
    """The same differentiable change of real and fake pictures before D (Zhao et al. 2020)."""

    kind: Literal["diffaugment"] = "diffaugment"
    policy: tuple[Change, ...] = ("color", "translation", "cutout")


class AdaptiveAugment(Part):
    """Adaptive discriminator augmentation: as much of it as keeps D from overfitting (Karras et al. 2020, ADA)."""

    kind: Literal["ada"] = "ada"
    groups: tuple[Literal["blit", "geometry", "color"], ...] = Field(
        default=("blit", "geometry", "color"), min_length=1, description="pixel blitting, geometric and colour transformations"
    )
    target: float = Field(default=0.6, gt=-1, lt=1, description="of r, the mean sign of D's logits of real pictures")
    every: int = Field(default=4, ge=1, description="batches after which the probability is adjusted")
    images: int = Field(default=500_000, ge=1, description="real pictures in which the probability can rise from 0 to 1")
    start: float = Field(default=0.0, ge=0, le=1, description="the probability at first")
    maximum: float = Field(default=0.8, gt=0, le=1, description="the probability stays below it: above 0.8, changes leak into the fakes")

    @model_validator(mode="after")
    def _starts_below_its_maximum(self) -> AdaptiveAugment:
        if self.start > self.maximum:
            raise ValueError(f"start ({self.start:g}) must not be above maximum ({self.maximum:g})")
        return self


CriticAugment = Annotated[DiffAugment | AdaptiveAugment, Field(discriminator="kind"), kind_or("diffaugment")]
