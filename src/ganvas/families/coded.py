"""A generator alone that makes pictures of codes of real ones: two of each code, which are also compared with that picture.

What decision 0005 compares, fakes as a whole with real pictures as a whole, says nothing of which fake is to become which
picture. A code (Casanova et al. 2021, arXiv:2109.05070) says it: the two pictures of a code are to be distributed as
the pictures of that code are, by the energy score (Gneiting and Raftery 2007; as a loss of generators Shen and
Meinshausen 2024, arXiv:2307.00835), which does not ask for their mean. Each picture then teaches by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.augment.told import ToldAugment
from ganvas.config.family import CodedConfig
from ganvas.families.base import Draw, StepState
from ganvas.families.coding import Coder, Instances, begin, reduced, settle
from ganvas.families.comparing import View
from ganvas.families.fakes import learnt_classes, make
from ganvas.families.matching import Alone
from ganvas.families.samplers import InstanceSampler
from ganvas.losses.matching import ranked
from ganvas.models import build_generator
from ganvas.types import Batch, Codes, Images, Labels

TOLD = 3.0
"""What is added to the last number of a changed picture's code, that which varies least: by this the generator is told."""


class Coded(Alone):
    """A generator that is told codes; `instances` are what samples are made of."""

    averaged: tuple[str, ...] = ("generator", "instances")

    def __init__(self, config: CodedConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels.

        Raises:
            UsageError: pictures are to be asked for by class and have none, a resolution that the frozen network can't take, or
                its weights are missing.
        """
        self.settings, self.codes, self._warmup = config, config.codes, config.codes.warmup
        super().__init__(config, resolution=resolution, classes=classes, seed=seed, device=device)
        self.coder = Coder(self.codes, resolution, self.comparison.frozen).to(device)
        self.instances = Instances(self.codes).to(device)
        self._augment = None if self.codes.augment is None else ToldAugment(self.codes.augment, seed)

    def _learnt_classes(self, classes: int) -> int:
        return learnt_classes(self.settings.classes, classes, "family.classes=false")

    def _built(self, resolution: int) -> nn.Module:
        return build_generator(self.config.generator, resolution, self.codes.size + self.config.latent.size, 0)

    def modules(self) -> Mapping[str, nn.Module]:
        """`generator`, the `memory` of real pictures, the `coder` and the `instances`."""
        return {**super().modules(), "coder": self.coder, "instances": self.instances}

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update of the generator. Before the first, so many pictures are looked at that codes can be made.

        Of a batch's first half, two pictures are made of each code (of fewer codes, where mixtures have a share of the fakes);
        the rest is remembered where that is due. In the warm-up the frozen network sees no fakes, and there are no mixtures:
        shapes and colours are learnt from pixels, which takes a third of the time.
        """
        if not len(self.instances):
            begin(self.coder, self.instances, draw, state)
        batch, changed = self._changed(draw(), state)
        warming = state.images < self._warmup
        mixed = 0 if warming else int(self.codes.mixtures * len(batch.images))
        pairs = max(1, (len(batch.images) - mixed) // 2)
        view = None if warming else self.comparison.view(state.step, state.images - self._warmup)
        codes, reals = self._look(batch, changed, pairs, state, view)
        labels = None if batch.labels is None else torch.cat([batch.labels[:pairs].repeat(2), batch.labels[pairs : pairs + mixed]])
        latents = [self._latents(codes, batch.start, state)]
        if mixed:
            latents.append(self._mixtures(None if labels is None else labels[2 * pairs :], batch.start, mixed, state))
        images = make(self.generator, torch.cat(latents), None, None, state)
        terms: dict[str, tuple[float, Tensor]] = {}
        if view is not None:
            with state.autocast():
                fakes = self.comparison.by_rule(self.comparison.features(images, view), view)
                terms["distance"] = 1.0, self.comparison.compared(images, labels, fakes, view).mean()
            if self.codes.features:
                terms["features"] = self.codes.features, self.comparison.paired([x[: 2 * pairs] for x in fakes], reals, view).mean()
        if warming or self.codes.pixels:
            first, second = images[: 2 * pairs].split(pairs)
            terms["pixels"] = self.codes.pixels or 1.0, _pixels(first, second, batch.images[:pairs])
        loss = torch.stack([weight * term for weight, term in terms.values()]).sum()
        self._learn(loss, state)
        return {"loss_g": loss.detach(), **{name: term.detach() for name, (_, term) in terms.items()}}

    def _changed(self, batch: Batch, state: StepState) -> tuple[Batch, Tensor | None]:
        """The batch with some of its pictures changed, and which ones; None: they are as they were."""
        if self._augment is None:
            return batch, None
        images, changed = self._augment(batch.images, batch.start, state.images)
        return replace(batch, images=images), changed

    @torch.no_grad()
    def _look(self, batch: Batch, changed: Tensor | None, pairs: int, state: StepState, view: View | None) -> tuple[Codes, list[Tensor]]:
        """Codes, and a view's features by rule, of the first real pictures of a batch; where it is due, all of them are remembered.

        `changed`: which of them are, (B,); their codes say so, and are not remembered. `view`: None where no features are
        wanted, and codes are all that is made.
        """
        due = view is not None and self.comparison.due(state.step)
        seen = batch.images if due else batch.images[:pairs]
        features: list[Tensor] = []
        with state.autocast():
            if view is None:
                codes = self.coder(seen)
            else:
                looked = self.comparison.whole if due else view
                maps = self.comparison.maps(seen, looked.sides)
                codes = self.coder(seen, maps.get(self.codes.input_size))
                features = self.comparison.features(seen, looked, maps)
                if due:
                    self.comparison.take(seen, batch.labels, features)
                    features = [features[group] for group in view.groups]
                features = self.comparison.by_rule([x[:pairs] for x in features], view)
        labels = None if batch.labels is None else batch.labels[: len(seen)]
        if changed is None:
            self.instances.remember(codes, labels)
        else:
            own = ~changed[: len(seen)]
            self.instances.remember(codes[own], None if labels is None else labels[own])
            codes[:, -1] += TOLD * changed[: len(seen)]
        return codes[:pairs], features

    def _latents(self, codes: Codes, start: int, state: StepState) -> Tensor:
        """Two for each code, with noise as samples have."""
        size = codes.shape[1]
        noise = rng.normals(state.seed, "fake", start, 2 * len(codes), size + self.config.latent.size).to(codes)
        return torch.cat([codes.repeat(2, 1) + self.codes.noise * noise[:, :size], noise[:, size:]], 1)

    def _mixtures(self, labels: Labels | None, start: int, count: int, state: StepState) -> Tensor:
        """As samples are made of, of the classes of real pictures if these have any."""
        codes = self.instances.draw(state.seed, "mixture", start, count, labels=labels)
        noise = rng.normals(state.seed, "mixture/beside", start, count, self.config.latent.size).to(codes)
        return torch.cat([codes, noise], 1)

    def settle(self, batch: Batch, state: StepState) -> None:
        """As many real pictures are remembered as there are places, and codes have their rule."""
        super().settle(batch, state)
        settle(self.coder, self.instances, batch, state)

    def sampler(self, modules: Mapping[str, nn.Module]) -> InstanceSampler:
        """Samples with a generator (the family's own, or its average)."""
        instances = modules["instances"]
        assert isinstance(instances, Instances)
        return InstanceSampler(modules["generator"], instances, self.config.latent)


def _pixels(first: Images, second: Images, real: Images) -> Tensor:
    """How far pairs of fakes are from real pictures, also of all made smaller."""
    return torch.stack([ranked(*of) for of in zip(*(reduced(x.float()) for x in (first, second, real)), strict=True)]).sum()
