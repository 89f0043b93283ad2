"""A generator alone: the features of its pictures are to be distributed as those of real ones.

A frozen network judges in a discriminator's place (Santos et al. 2019, arXiv:1904.02762, with means and variances; Deng
et al. 2026, arXiv:2602.04770, with kernels; Yang et al. 2026, arXiv:2604.28190, with the Fréchet distance). Here
distributions are compared by the energy distance between a step's fakes and the real pictures that were last seen.
No second player means no game that can be lost: a generator that makes one picture over and over is far from the real
ones in this very step, while a discriminator, or moments kept over many steps, must first learn of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.config.family import AloneConfig, MatchingConfig
from ganvas.families.base import Draw, StepState
from ganvas.families.comparing import Comparison
from ganvas.families.fakes import draw_inputs, learnt_classes, make
from ganvas.families.optimizers import anneal, build_optimizer
from ganvas.families.samplers import GanSampler, StyleSampler, sampler_of
from ganvas.models import build_generator
from ganvas.models.ranges import take_uniform_latents
from ganvas.nn.spectral import count_updates
from ganvas.sampling.render import Sampler
from ganvas.types import Batch


class Alone(ABC):
    """A generator and what its pictures are compared with; subclasses say what these are made of. Samples are of its average."""

    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, config: AloneConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels.

        Raises:
            UsageError: a conditional config without labels, a resolution that the frozen network can't take, or its weights
                are missing.
        """
        self.config = config
        self.classes = self._learnt_classes(classes)
        rng.seed_torch(seed, "weights")
        self.generator = self._built(resolution)
        if config.latent.distribution == "uniform":
            take_uniform_latents(self.generator)
        self.generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.comparison = Comparison(config.comparison, resolution, self.classes)
        self.comparison.memory.to(device)
        self._optimizer = build_optimizer(self.generator, config.optimizer_g)
        count_updates(self._optimizer)

    @abstractmethod
    def _learnt_classes(self, classes: int) -> int:
        """How many of the data's classes pictures can be asked for by."""

    @abstractmethod
    def _built(self, resolution: int) -> nn.Module:
        """The generator, on the processor."""

    def modules(self) -> Mapping[str, nn.Module]:
        """`generator`, and the `memory` of real pictures."""
        return {"generator": self.generator, "memory": self.comparison.memory}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The generator's."""
        return {"generator": self._optimizer}

    @abstractmethod
    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update of the generator."""

    def _learn(self, loss: Tensor, state: StepState) -> None:
        anneal(self._optimizer, self.config.optimizer_g, state.annealed)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()

    def settle(self, batch: Batch, state: StepState) -> None:
        """As many real pictures are remembered as there are places: from then on, most steps take none in."""
        with state.autocast():
            self.comparison.fill(batch.images, batch.labels)

    @torch.no_grad()
    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """Nothing: what judges has learnt from no picture of these, training or held out."""
        return {}

    @abstractmethod
    def sampler(self, modules: Mapping[str, nn.Module]) -> Sampler:
        """Samples with a generator (the family's own, or its average)."""


class Matching(Alone):
    """A generator that makes pictures of noise."""

    def __init__(self, config: MatchingConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels. It raises what `Alone` does."""
        self.settings = config
        super().__init__(config, resolution=resolution, classes=classes, seed=seed, device=device)

    def _learnt_classes(self, classes: int) -> int:
        return learnt_classes(self.settings.conditional, classes, "family.generator.labels=null")

    def _built(self, resolution: int) -> nn.Module:
        return build_generator(self.config.generator, resolution, self.config.latent.size, self.classes)

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update of the generator, on as many fakes as there are real pictures in a batch."""
        batch = draw()
        with state.autocast():
            self.comparison.see(batch.images, batch.labels, state.step)
        config, count = self.config, len(batch.images)
        # Classes as frequent as in the data, or those alone would keep the two distributions apart.
        latents, labels, chance = draw_inputs(config.latent, self.classes, "data", state, batch.start, count, "fake")
        images = make(self.generator, latents, labels, chance, state)
        with state.autocast():
            loss = self.comparison.distance(images, labels, state.step, state.images).mean()
        self._learn(loss, state)
        return {"loss_g": loss.detach()}

    def sampler(self, modules: Mapping[str, nn.Module]) -> GanSampler | StyleSampler:
        """Samples with a generator (the family's own, or its average)."""
        return sampler_of(modules["generator"], self.config.latent)
