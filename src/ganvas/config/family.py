"""The families: what takes a step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ganvas.config.base import Part
from ganvas.config.matching import Comparison, Side
from ganvas.config.model import DcganDiscriminator, DcganGenerator, Discriminator, Generator
from ganvas.config.modern import FastganGenerator
from ganvas.config.objective import (
    AdaptiveAugment,
    BceLoss,
    ConsistencyRegulariser,
    CriticAugment,
    Loss,
    MatchingRegulariser,
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


class PlayersConfig(Part):
    """Two players: a generator and a discriminator."""

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
    def _consistent(self) -> PlayersConfig:
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
    def _critic_is_lipschitz(self) -> PlayersConfig:
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
    def _style_fits(self) -> PlayersConfig:
        styled = isinstance(self.generator, Stylegan2Generator)
        if isinstance(self.regulariser, PathLengthRegulariser) and not styled:
            raise ValueError("regulariser.kind is path_length, which needs a generator with styles: set family.generator.kind=stylegan2")
        if isinstance(self.critic_augment, AdaptiveAugment) and isinstance(self.loss, WassersteinLoss):
            raise ValueError(
                "critic_augment.kind is ada, which goes by the sign of D's logits, and a Wasserstein critic's zero has no meaning: "
                "use another loss, or critic_augment.kind=diffaugment"
            )
        return self

    @model_validator(mode="after")
    def _range_can_be_made(self) -> PlayersConfig:
        if self.pixel_range not in ((-1, 1), (0, 1)):
            raise ValueError(f"pixel_range is {list(self.pixel_range)}, expected [-1, 1] or [0, 1]")
        if getattr(self.generator, "output", "tanh") == "sigmoid" and self.pixel_range != (0, 1):
            raise ValueError("a sigmoid makes pixels in [0, 1] only: set family.pixel_range=[0, 1], or family.generator.output=tanh")
        return self


class GanConfig(PlayersConfig):
    """Two players, the generator's pictures made of latents that mean nothing."""

    kind: Literal["gan"] = "gan"
    latent: LatentConfig = LatentConfig()
    fake_labels: Literal["data", "uniform", "paired"] = Field(
        default="data",
        description="classes of fakes: as frequent as in the data, all alike, or each that of the real picture at its place in the batch",
    )

    @model_validator(mode="after")
    def _latents_fit(self) -> GanConfig:
        if isinstance(self.generator, Stylegan2Generator) and self.latent.distribution != "normal":
            raise ValueError("generator.kind is stylegan2, which draws normal latents: set family.latent.distribution=normal")
        return self


_STYLE_AND_CODES = (
    "generator.kind is stylegan2, which normalises its latents, and codes have lengths: set family.generator.kind=dcgan or fastgan"
)


class CodeConfig(Part):
    """Codes of real pictures: where a frozen network's features of them lie along their principal directions."""

    backbone: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    size: int = Field(default=64, ge=2, le=512, description="numbers in a code")
    input_size: Side = Field(default=64, description="side at which the frozen network sees pictures")
    fitted: int = Field(default=2048, ge=2, description="pictures, the first shown, whose features' directions are taken")
    remembered: int = Field(default=8192, ge=2, description="different pictures, the first shown, of whose codes new pictures are made")
    neighbours: int = Field(default=5, ge=1, description="nearest codes, one of which a picture's code is mixed with")
    blend: float = Field(default=0.5, ge=0, le=1, description="share of the neighbour in the mixture, at most")
    noise: float = Field(default=0.1, ge=0, description="deviation of what is added to each of a code's numbers, whose mean square is 1")


class InstanceConfig(PlayersConfig):
    """Two players, the generator's pictures made of codes of real ones, which it also learns to make again of theirs.

    Pictures new to the world are made of mixtures of neighbouring codes.
    """

    kind: Literal["instance"] = "instance"
    codes: CodeConfig = CodeConfig()
    classes: bool = Field(default=False, description="pictures can be asked for by class: made of codes of that class's pictures")
    reconstruction: float = Field(default=4.0, ge=0, description="weight of how far a real picture is from what is made of its code")

    @property
    def conditional(self) -> bool:
        """Whether pictures can be asked for by class."""
        return self.classes

    @property
    def backbones(self) -> tuple[str, ...]:
        """Feature networks that training goes by, by the names that `ganvas evaluate --features` has for them."""
        return tuple(dict.fromkeys((*super().backbones, self.codes.backbone)))

    @model_validator(mode="after")
    def _codes_enter(self) -> InstanceConfig:
        if self.generator.labels is not None:
            raise ValueError(
                "an instance family learns no labels, which codes tell already: set family.generator.labels=null and family.discriminator.labels=null, and family.classes=true"
            )
        if not isinstance(self.discriminator, DcganDiscriminator):
            raise ValueError(
                f"discriminator.kind is {self.discriminator.kind}: codes enter a DCGAN's only; set family.discriminator.kind=dcgan"
            )
        if isinstance(self.generator, Stylegan2Generator):
            raise ValueError(_STYLE_AND_CODES)
        if isinstance(self.regulariser, MatchingRegulariser | ConsistencyRegulariser):
            raise ValueError(f"regulariser.kind is {self.regulariser.kind}, which does not know codes: set family.regulariser=null")
        return self


class AloneConfig(Part):
    """A generator alone, whose pictures' features are to be distributed as real ones' in a frozen network."""

    latent: LatentConfig = LatentConfig()
    generator: Generator = FastganGenerator()
    comparison: Comparison = Comparison()
    optimizer_g: Optimizer = AdamConfig()

    @property
    def backbones(self) -> tuple[str, ...]:
        """Feature networks in the loss, by the names that `ganvas evaluate --features` has for them: a score on them flatters."""
        return (self.comparison.backbone,)


class MatchingConfig(AloneConfig):
    """A generator alone, which makes pictures of noise."""

    kind: Literal["matching"] = "matching"

    @property
    def conditional(self) -> bool:
        """Whether classes enter the generator."""
        return self.generator.labels is not None


class ToldAugment(Part):
    """Changes of real pictures that codes tell of: further pictures to learn, against learning few of them by heart.

    No new picture is made of a changed one's code (Jun et al. 2020, ICML; Karras et al. 2022, arXiv:2206.00364, appendix F.2).
    """

    share: float = Field(default=0.5, ge=0, lt=1, description="of real pictures that are changed")
    after: int = Field(default=0, ge=0, description="pictures, the first shown, of which none is changed")
    changes: tuple[Literal["mirror", "hue", "geometry"], ...] = Field(
        default=("mirror", "hue", "geometry"),
        min_length=1,
        description="left and right changed in half of them; other hues; scaled, stretched, turned and shifted a little",
    )


CHANGES_OF_DRAWINGS = ToldAugment(share=0.25)
"""What helped emoji against near-copies, at the least loss (decision 0007)."""
CHANGES_OF_PHOTOGRAPHS = ToldAugment(changes=("mirror", "geometry"))
"""The same of cats, which were learnt worse in other hues."""


class PairedCodeConfig(CodeConfig):
    """Codes of real pictures, of each of which two pictures are made and compared with the real one."""

    size: int = Field(default=128, ge=2, le=512, description="numbers in a code")
    blend: float = Field(default=1.0, ge=0, le=1, description="share of the neighbour in the mixture, at most")
    features: float = Field(default=0.3, ge=0, description="weight of how far their features are from the real picture's")
    pixels: float = Field(default=0.0, ge=0, description="weight of how far their pixels are from the real picture's")
    warmup: int = Field(
        default=0, ge=0, description="pictures, the first shown, whose pairs are compared by pixels alone, several times as fast"
    )
    mixtures: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of a step's fakes that are made of mixtures, as new pictures are: no pairs, compared as a whole",
    )
    augment: ToldAugment | None = Field(default=None, description="changes of real pictures that codes tell of; null: none")

    @model_validator(mode="after")
    def _pairs_count(self) -> PairedCodeConfig:
        if not self.features and not self.pixels:
            raise ValueError("codes.features and codes.pixels are 0: nothing would tie pictures to their codes; give one of them a weight")
        return self


class CodedConfig(AloneConfig):
    """A generator alone, which makes pictures of codes of real ones, and noise beside them (`latent`)."""

    kind: Literal["coded"] = "coded"
    codes: PairedCodeConfig = PairedCodeConfig()
    classes: bool = Field(default=False, description="pictures can be asked for by class: made of codes of that class's pictures")

    @property
    def conditional(self) -> bool:
        """Whether pictures can be asked for by class."""
        return self.classes

    @model_validator(mode="after")
    def _codes_enter(self) -> CodedConfig:
        if self.generator.labels is not None:
            raise ValueError(
                "a coded family learns no labels, which codes tell already: set family.generator.labels=null, and family.classes=true"
            )
        if isinstance(self.generator, Stylegan2Generator):
            raise ValueError(_STYLE_AND_CODES)
        if self.latent.distribution != "normal":
            raise ValueError("noise stands beside codes, which are not uniform: set family.latent.distribution=normal")
        return self


Family = Annotated[GanConfig | InstanceConfig | MatchingConfig | CodedConfig, Field(discriminator="kind")]
