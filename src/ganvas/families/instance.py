"""A GAN whose pictures are made of codes of real ones, which the generator also learns to make again.

Both players are told a picture's code: a frozen network's features of a real picture (Casanova et al. 2021, arXiv:2109.05070).
Fakes are made of mixtures of neighbouring codes; and of a real picture's own code the generator is to make this very
picture (Bojanowski et al. 2018, arXiv:1707.05776, where codes are learnt instead). That gives it something to learn from
the first step on, of every picture, while a discriminator has first to learn what pictures are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.config.family import InstanceConfig
from ganvas.families.base import Draw, StepState
from ganvas.families.coding import CodeProjection, Coder, Instances, begin, reduced, settle
from ganvas.families.fakes import learnt_classes, make
from ganvas.families.gan import Game
from ganvas.families.regularising import Terms
from ganvas.families.samplers import InstanceSampler
from ganvas.features.pyramid import FrozenPyramid
from ganvas.models import build_discriminator, build_generator
from ganvas.rng import Draws
from ganvas.types import Batch, Codes, Images, Labels, Latents, PerImage


class InstanceGan(Game):
    """Two players who are told codes; `instances` are what samples are made of."""

    averaged: tuple[str, ...] = ("generator", "instances")

    def __init__(self, config: InstanceConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels.

        Raises:
            UsageError: pictures are to be asked for by class and have none, or the frozen network's weights are missing.
        """
        self.settings = config
        self.coder, self.instances = Coder(config.codes, resolution, FrozenPyramid()).to(device), Instances(config.codes).to(device)
        super().__init__(config, resolution=resolution, classes=classes, seed=seed, device=device)

    def _learnt_classes(self, classes: int) -> int:
        return learnt_classes(self.settings.classes, classes, "family.classes=false")

    def _build(self, resolution: int) -> tuple[nn.Module, nn.Module]:
        config = self.settings
        generator = build_generator(config.generator, resolution, config.codes.size, 0, config.pixel_range)
        told = config.discriminator.model_copy(update={"labels": "projection"})
        discriminator = build_discriminator(told, resolution, 1, config.pixel_range)
        table = discriminator.get_submodule("projection")
        projection = CodeProjection(config.codes.size, table.embedding_dim)  # type: ignore[arg-type]
        nn.init.normal_(projection.weight, 0, 0.02)
        discriminator.projection = projection
        return generator, discriminator

    def modules(self) -> Mapping[str, nn.Module]:
        """Both players, the `coder` and the `instances`."""
        return {**super().modules(), "coder": self.coder, "instances": self.instances}

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update of both players. Before the first, so many pictures are looked at that codes can be made."""
        if not len(self.instances):
            begin(self.coder, self.instances, draw, state)
        return super().step(lambda: self._told(draw(), state), state)

    def _told(self, batch: Batch, state: StepState) -> Batch:
        """A batch with its pictures' codes, with noise as fakes' have, in place of their classes."""
        with state.autocast():
            codes = self.coder(batch.images)
        self.instances.remember(codes, batch.labels)
        noise = rng.normals(state.seed, "code noise", batch.start, len(codes), codes.shape[1]).to(codes)
        return Batch(batch.images, codes + self.settings.codes.noise * noise, batch.start)

    def _latents(self, start: int, count: int, state: StepState, stream: str) -> tuple[Latents, Codes, Draws]:
        codes = self.instances.draw(state.seed, stream, start, count)
        return codes, codes, Draws(state.seed, stream, start, count, state.device)

    def _further(self, batch: Batch, state: StepState) -> Terms:
        """How far real pictures are from what is made of their codes: mean absolute differences, also of both made smaller."""
        if not self.settings.reconstruction or batch.labels is None:
            return {}
        made = make(self.generator, batch.labels, None, None, state).float()
        parts = [(a - b).abs().mean() for a, b in zip(reduced(made), reduced(batch.images), strict=True)]
        return {"reconstruction": (self.settings.reconstruction, torch.stack(parts).sum())}

    def settle(self, batch: Batch, state: StepState) -> None:
        """The coder has its rule, and all places are taken."""
        settle(self.coder, self.instances, batch, state)

    @torch.no_grad()
    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """D's accuracy on real pictures with their codes; see `Game.probe`."""
        with state.autocast():
            codes = self.coder(batch.images)
        return super().probe(Batch(batch.images, codes, batch.start), state)

    judges: tuple[str, ...] = ("discriminator", "coder")

    @torch.no_grad()
    def judge(self, images: Images, labels: Labels | None) -> PerImage:
        """D's logits of pictures with the codes that they have themselves; see `Game.judge`."""
        del labels
        return super().judge(images, self.coder(images))

    def sampler(self, modules: Mapping[str, nn.Module]) -> InstanceSampler:
        """Samples with a generator (the family's own, or its average)."""
        instances = modules["instances"]
        assert isinstance(instances, Instances)
        return InstanceSampler(modules["generator"], instances)
