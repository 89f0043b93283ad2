"""What is added to the two players' losses beside their game: one class for each kind of regulariser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.augment.diffaug import DiffAugment
from ganvas.config.objective import (
    ConsistencyRegulariser,
    LecamRegulariser,
    MatchingRegulariser,
    OrthogonalRegulariser,
    PathLengthRegulariser,
)
from ganvas.config.objective import DiffAugment as DiffAugmentConfig
from ganvas.config.objective import Regulariser as RegulariserConfig
from ganvas.families.base import StepState
from ganvas.families.comparing import Comparison
from ganvas.losses.regularisers import Anchors, PathLength, consistency, distance, orthogonal_penalty, path_lengths, usual_weight
from ganvas.models.stylegan2 import Generator as StyleGenerator
from ganvas.rng import Draws
from ganvas.types import Conditions, Images, Latents, Logits


@dataclass(frozen=True)
class Shown:
    """Pictures that the critic is shown in one update, and all that decides what it makes of them."""

    stream: str
    """Whose random changes they take first: "real", "fake" or "generator"."""
    start: int
    """The place of the first in the run's stream of pictures."""
    images: Images
    labels: Conditions | None = None
    latents: Latents | None = None
    """What fakes were made of."""
    chance: Draws | None = None
    """What else they were made of, where a generator draws more than latents."""


@dataclass(frozen=True)
class Players:
    """What a regulariser asks of a family: both networks, in the run's precision, and more latents."""

    generator: nn.Module
    ask: Callable[[Shown], Logits]
    """The critic's logits."""
    make: Callable[[Latents, Shown], Images]
    """The generator's pictures of latents, with the classes of fakes and whatever else these were made of."""
    draw: Callable[[int, int, str], tuple[Latents, Conditions | None, Draws]]
    """New latents, classes and chance for the pictures from a place in the stream on, so many, by a name of their own."""
    state: StepState
    """Where the step stands."""


Terms = dict[str, tuple[float, Tensor]]
"""By name: a weight, and a number without a shape."""


@runtime_checkable
class Regulariser(Protocol):
    """Terms of the two players' losses."""

    state: nn.Module | None
    """What it remembers, for checkpoints; None if nothing."""

    def discriminator(self, players: Players, real: Shown, fake: Shown, logits: tuple[Logits, Logits]) -> Terms:
        """At an update of D, which said `logits` of the real pictures and of the fakes."""
        ...

    def generator(self, players: Players, fake: Shown) -> Terms:
        """At an update of G."""
        ...


class Orthogonal:
    """Filters of the generator kept apart (Brock et al. 2019, section 3.1)."""

    state: nn.Module | None = None

    def __init__(self, config: OrthogonalRegulariser, seed: int):
        self.config = config

    def discriminator(self, players: Players, real: Shown, fake: Shown, logits: tuple[Logits, Logits]) -> Terms:
        """Nothing: it is of the generator's weights."""
        return {}

    def generator(self, players: Players, fake: Shown) -> Terms:
        """`orthogonal_penalty`."""
        return {"orthogonality": (self.config.weight, orthogonal_penalty(players.generator, self.config.diagonal))}


class Lecam:
    """Tseng et al. 2021: D's answers drawn to the average answer for the other kind."""

    def __init__(self, config: LecamRegulariser, seed: int):
        self.config, self.anchors = config, Anchors(config.decay)
        self.state: nn.Module | None = self.anchors

    def discriminator(self, players: Players, real: Shown, fake: Shown, logits: tuple[Logits, Logits]) -> Terms:
        """The averages take in this batch, then its distance from them."""
        self.anchors.update(*logits)
        return {"lecam": (self.config.weight, self.anchors(*logits).mean())}

    def generator(self, players: Players, fake: Shown) -> Terms:
        """Nothing: it is of the discriminator's answers."""
        return {}


class Consistency:
    """CR (Zhang et al. 2020), bCR and zCR (Zhao et al. 2021): the same answer for what is nearly the same.

    A picture's change comes before the critic's augmentation, which treats both versions alike.
    """

    state: nn.Module | None = None

    def __init__(self, config: ConsistencyRegulariser, seed: int):
        self.config, self.seed = config, seed
        self.change = DiffAugment(DiffAugmentConfig(policy=config.policy), seed)

    def discriminator(self, players: Players, real: Shown, fake: Shown, logits: tuple[Logits, Logits]) -> Terms:
        """D's answers for pictures and changed pictures, and for fakes of neighbouring latents."""
        terms: Terms = {}
        for weight, shown, said in ((self.config.real, real, logits[0]), (self.config.fake, fake, logits[1])):
            if weight:
                changed = replace(shown, images=self.change(shown.images, f"consistency/{shown.stream}", shown.start))
                terms[f"consistency_{shown.stream}"] = weight, consistency(said, players.ask(changed)).mean()
        if self.config.latent:
            with torch.no_grad():
                neighbours = replace(fake, images=players.make(self._neighbours(fake), fake))
            terms["consistency_latent"] = self.config.latent, consistency(logits[1], players.ask(neighbours)).mean()
        return terms

    def generator(self, players: Players, fake: Shown) -> Terms:
        """G's pictures of neighbouring latents kept apart, or it would ignore its latent where D does."""
        if not self.config.spread:
            return {}
        return {"spread": (-self.config.spread, distance(fake.images, players.make(self._neighbours(fake), fake)).mean())}

    def _neighbours(self, fake: Shown) -> Latents:
        """Latents with a little noise of their own place in the stream."""
        if fake.latents is None:
            raise ValueError("fakes without their latents have no neighbours")
        count, size = fake.latents.shape
        noise = rng.normals(self.seed, f"consistency/latent/{fake.stream}", fake.start, count, size)
        return fake.latents + self.config.noise * noise.to(fake.latents)


class PathLengths:
    """Steps of w of one size move the picture alike everywhere (Karras et al. 2020, StyleGAN2, section 3.2)."""

    def __init__(self, config: PathLengthRegulariser, resolution: int):
        self.config, self.penalty = config, PathLength(config.decay)
        self.weight = usual_weight(resolution) if config.weight is None else config.weight
        self.state: nn.Module | None = self.penalty

    def discriminator(self, players: Players, real: Shown, fake: Shown, logits: tuple[Logits, Logits]) -> Terms:
        """Nothing: it is of the generator's derivatives."""
        return {}

    def generator(self, players: Players, fake: Shown) -> Terms:
        """The variance of lengths about their moving mean, at fakes of its own, where it is due; their mean is only logged."""
        generator, config = players.generator, self.config
        if not isinstance(generator, StyleGenerator) or players.state.step % config.every:
            return {}
        latents, labels, draws = players.draw(fake.start, max(1, len(fake.images) // config.shrink), "path")
        with players.state.full_precision():
            styles = generator.styles(latents, labels, draws)
            pictures = generator(latents, labels, chance=draws, styles=styles)
            directions = draws.normals("direction", pictures[0].numel()).view_as(pictures)
            lengths = path_lengths(pictures, styles, directions)
            value = self.penalty(lengths).mean()
        return {"path_length": (0.0, lengths.detach().mean()), "path_length_penalty": (self.weight * config.every, value)}


class Matching:
    """Fakes' features drawn to the distribution of real ones', which says at once where all fakes are alike."""

    def __init__(self, config: MatchingRegulariser, resolution: int, classes: int):
        self.config, self.comparison = config, Comparison(config, resolution, classes)
        self.state: nn.Module | None = self.comparison.memory

    def discriminator(self, players: Players, real: Shown, fake: Shown, logits: tuple[Logits, Logits]) -> Terms:
        """Nothing, but the real pictures are remembered."""
        with players.state.autocast():
            self.comparison.see(real.images, real.labels, players.state.step)
        return {}

    def generator(self, players: Players, fake: Shown) -> Terms:
        """The energy distance of the fakes, as they are, from the real pictures."""
        with players.state.autocast():
            apart = self.comparison.distance(fake.images, fake.labels, players.state.step, players.state.images)
            return {"matching": (self.config.weight, apart.mean())}


REGULARISERS = {OrthogonalRegulariser: Orthogonal, LecamRegulariser: Lecam, ConsistencyRegulariser: Consistency}


def build_regulariser(config: RegulariserConfig | None, seed: int, resolution: int, classes: int) -> Regulariser | None:
    """The regulariser that a config describes, for pictures of `resolution` pixels a side and `classes` classes; None without one.

    Raises:
        UsageError: the weights of a frozen network that it needs are missing.
    """
    if config is None:
        return None
    if isinstance(config, PathLengthRegulariser):
        return PathLengths(config, resolution)
    if isinstance(config, MatchingRegulariser):
        return Matching(config, resolution, classes)
    return REGULARISERS[type(config)](config, seed)  # type: ignore[arg-type]
