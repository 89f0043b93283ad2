"""The families: what takes a step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ganvas.config.base import Part
from ganvas.config.model import DcganDiscriminator, DcganGenerator, Discriminator, Generator
from ganvas.config.objective import BceLoss, DiffAugment, Loss, OrthogonalRegulariser, R1Penalty
from ganvas.config.optim import AdamConfig


class LatentConfig(Part):
    """What the generator starts from."""

    size: int = Field(default=100, ge=1)
    distribution: Literal["normal", "uniform"] = Field(default="normal", description="N(0, 1), or uniform in [0, 1]")


class GanConfig(Part):
    """Two players: a generator and a discriminator."""

    kind: Literal["gan"] = "gan"
    latent: LatentConfig = LatentConfig()
    generator: Generator = DcganGenerator()
    discriminator: Discriminator = DcganDiscriminator()
    loss: Loss = BceLoss()
    penalty: R1Penalty | None = None
    regulariser: OrthogonalRegulariser | None = Field(default=None, description="of the generator's weights")
    critic_augment: DiffAugment | None = None
    optimizer_g: AdamConfig = AdamConfig()
    optimizer_d: AdamConfig = AdamConfig()
    d_steps: int = Field(default=1, ge=1, description="discriminator steps for each generator step")
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

    @model_validator(mode="after")
    def _consistent(self) -> GanConfig:
        if (self.generator.labels is None) != (self.discriminator.labels is None):
            raise ValueError("generator.labels and discriminator.labels go together: set both, or neither")
        if self.penalty is not None and getattr(self.discriminator, "norm", None) == "batch":
            raise ValueError(
                "a gradient penalty needs a discriminator without batch norm, which mixes the pictures of a batch: set family.discriminator.norm=null"
            )
        return self


Family = GanConfig
