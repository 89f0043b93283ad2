"""A generator alone: the features of its pictures are to be distributed as those of real ones.

A frozen network judges in a discriminator's place (Santos et al. 2019, arXiv:1904.02762, with means and variances; Deng
et al. 2026, arXiv:2602.04770, with kernels; Yang et al. 2026, arXiv:2604.28190, with the Fréchet distance). Here
distributions are compared by the energy distance between a step's fakes and the real pictures that were last seen.
No second player means no game that can be lost: a generator that makes one picture over and over is far from the real
ones in this very step, while a discriminator, or moments kept over many steps, must first learn of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.config.family import MatchingConfig
from ganvas.families.base import Draw, StepState
from ganvas.families.comparing import Comparison
from ganvas.families.fakes import draw_inputs, learnt_classes, make
from ganvas.families.optimizers import anneal, build_optimizer
from ganvas.families.samplers import GanSampler, StyleSampler, sampler_of
from ganvas.models import build_generator
from ganvas.models.ranges import take_uniform_latents
from ganvas.nn.spectral import count_updates
from ganvas.types import Batch


class Matching:
    """A generator and how it steps. Its average is what samples are drawn from."""

    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, config: MatchingConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels.

        Raises:
            UsageError: a conditional config without labels, a resolution that the frozen network can't take, or its weights
                are missing.
        """
        self.config = config
        self.classes = learnt_classes(config.conditional, classes, "family.generator.labels=null")
        rng.seed_torch(seed, "weights")
        self.generator = build_generator(config.generator, resolution, config.latent.size, self.classes)
        if config.latent.distribution == "uniform":
            take_uniform_latents(self.generator)
        self.generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.comparison = Comparison(config.comparison, resolution, self.classes)
        self.comparison.memory.to(device)
        self._optimizer = build_optimizer(self.generator, config.optimizer_g)
        count_updates(self._optimizer)

    def modules(self) -> Mapping[str, nn.Module]:
        """`generator`, and the `memory` of real pictures."""
        return {"generator": self.generator, "memory": self.comparison.memory}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The generator's."""
        return {"generator": self._optimizer}

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update of the generator, on as many fakes as there are real pictures in a batch."""
        anneal(self._optimizer, self.config.optimizer_g, state.annealed)
        batch = draw()
        with state.autocast():
            self.comparison.see(batch.images, batch.labels, state.step)
        config, count = self.config, len(batch.images)
        # Classes as frequent as in the data, or those alone would keep the two distributions apart.
        latents, labels, chance = draw_inputs(config.latent, self.classes, "data", state, batch.start, count, "fake")
        images = make(self.generator, latents, labels, chance, state)
        with state.autocast():
            loss = self.comparison.distance(images, labels).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return {"loss_g": loss.detach()}

    def settle(self, batch: Batch, state: StepState) -> None:
        """As many real pictures are remembered as there are places: from then on, most steps take none in."""
        with state.autocast():
            self.comparison.fill(batch.images, batch.labels)

    @torch.no_grad()
    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """Nothing: what judges has learnt from no picture of these, training or held out."""
        return {}

    def sampler(self, modules: Mapping[str, nn.Module]) -> GanSampler | StyleSampler:
        """Samples with a generator (the family's own, or its average)."""
        return sampler_of(modules["generator"], self.config.latent)
