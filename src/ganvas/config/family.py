"""The families: what takes a step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganvas.config.base import Part
from ganvas.config.matching import Comparison
from ganvas.config.model import DcganDiscriminator, DcganGenerator, Discriminator, Generator
from ganvas.config.modern import FastganGenerator
from ganvas.config.objective import (
    AdaptiveAugment,
    BceLoss,
    CriticAugment,
    Loss,
    PathLengthRegulariser,
    Penalty,
    Regulariser,
    WassersteinLoss,
)
from ganvas.config.optim import AdamConfig, Optimizer
from ganvas.config.stylegan import Stylegan2Generator


class LatentConfig(Part):
    """What the generator starts from."""

    size: int = Field(default=100, ge=1)
    distribution: Literal["normal", "uniform"] = Field(
        default="normal", description="N(0, 1), or uniform in [0, 1] (standardised as they enter the generator)"
    )


class GanConfig(Part):
    """Two players: a generator and a discriminator."""

    kind: Literal["gan"] = "gan"
    latent: LatentConfig = LatentConfig()
    generator: Generator = DcganGenerator()
    discriminator: Discriminator = DcganDiscriminator()
    pixel_range: tuple[float, float] = Field(
        default=(-1.0, 1.0), description="the range in which the networks hold pixels: [-1, 1] or [0, 1]; all else holds them in [-1, 1]"
    )
    loss: Loss = BceLoss()
    penalty: Penalty | None = None
    regulariser: Regulariser | None = Field(
        default=None,
        description="of the generator's weights (orthogonal), path lengths or pictures' features (matching), or of what the discriminator "
        "says (lecam, consistency)",
    )
    critic_augment: CriticAugment | None = None
    optimizer_g: Optimizer = AdamConfig()
    optimizer_d: Optimizer = AdamConfig()
    d_steps: int = Field(default=1, ge=1, description="discriminator steps for each generator step")
    d_every: int = Field(
        default=1, ge=1, description="the discriminator learns at every so many-th step only; pictures that it skips are counted as shown"
    )
    auxiliary_weight: float = Field(default=1.0, gt=0, description="weight of the class loss where discriminator.labels is auxiliary")
    reuse_fakes: bool = Field(
        default=True, description="the generator's step judges the fakes of the last discriminator step again, rather than new ones"
    )
    fake_labels: Literal["data", "uniform"] = Field(
        default="data", description="classes of fakes: as frequent as in the data, or all alike"
    )

    @property
    def conditional(self) -> bool:
        """Whether classes enter the networks."""
        return self.generator.labels is not None

    @property
    def backbones(self) -> tuple[str, ...]:
        """Feature networks in the loss, by the names that `ganvas evaluate --features` has for them: a score on them flatters."""
        found = [getattr(self.discriminator, "backbone", None), getattr(self.regulariser, "backbone", None)]
        return tuple(dict.fromkeys(name for name in found if name))

    @model_validator(mode="after")
    def _consistent(self) -> GanConfig:
        if (self.generator.labels is None) != (self.discriminator.labels is None):
            raise ValueError("generator.labels and discriminator.labels go together: set both, or neither")
        if self.penalty is not None and getattr(self.discriminator, "norm", None) == "batch":
            raise ValueError(
                "a gradient penalty needs a discriminator without batch norm, which mixes the pictures of a batch: set family.discriminator.norm=null"
            )
        if self.d_steps > 1 and self.d_every > 1:
            raise ValueError("d_steps and d_every contradict each other: more steps of the discriminator, or fewer; leave one of them at 1")
        return self

    @model_validator(mode="after")
    def _critic_is_lipschitz(self) -> GanConfig:
        if not isinstance(self.loss, WassersteinLoss):
            return self
        spectral, clip = getattr(self.discriminator, "spectral_norm", False), self.loss.clip is not None
        if clip and (spectral or self.penalty is not None):
            raise ValueError("loss.clip, a penalty and spectral norm each keep a critic Lipschitz: choose one of them")
        if not (clip or spectral or self.penalty is not None):
            raise ValueError(
                "a Wasserstein critic must be kept Lipschitz: set family.loss.clip=0.01, family.penalty={kind: gradient} or family.discriminator.spectral_norm=true"
            )
        return self

    @model_validator(mode="after")
    def _style_fits(self) -> GanConfig:
        styled = isinstance(self.generator, Stylegan2Generator)
        if isinstance(self.regulariser, PathLengthRegulariser) and not styled:
            raise ValueError("regulariser.kind is path_length, which needs a generator with styles: set family.generator.kind=stylegan2")
        if styled and self.latent.distribution != "normal":
            raise ValueError("generator.kind is stylegan2, which draws normal latents: set family.latent.distribution=normal")
        if isinstance(self.critic_augment, AdaptiveAugment) and isinstance(self.loss, WassersteinLoss):
            raise ValueError(
                "critic_augment.kind is ada, which goes by the sign of D's logits, and a Wasserstein critic's zero has no meaning: "
                "use another loss, or critic_augment.kind=diffaugment"
            )
        return self

    @model_validator(mode="after")
    def _range_can_be_made(self) -> GanConfig:
        if self.pixel_range not in ((-1, 1), (0, 1)):
            raise ValueError(f"pixel_range is {list(self.pixel_range)}, expected [-1, 1] or [0, 1]")
        if getattr(self.generator, "output", "tanh") == "sigmoid" and self.pixel_range != (0, 1):
            raise ValueError("a sigmoid makes pixels in [0, 1] only: set family.pixel_range=[0, 1], or family.generator.output=tanh")
        return self


class MatchingConfig(Part):
    """A generator alone, whose pictures' features are to be distributed as real ones' in a frozen network."""

    kind: Literal["matching"] = "matching"
    latent: LatentConfig = LatentConfig()
    generator: Generator = FastganGenerator()
    comparison: Comparison = Comparison()
    optimizer_g: Optimizer = AdamConfig()

    @property
    def conditional(self) -> bool:
        """Whether classes enter the generator."""
        return self.generator.labels is not None

    @property
    def backbones(self) -> tuple[str, ...]:
        """Feature networks in the loss, by the names that `ganvas evaluate --features` has for them: a score on them flatters."""
        return (self.comparison.backbone,)


Family = Annotated[GanConfig | MatchingConfig, Field(discriminator="kind")]
