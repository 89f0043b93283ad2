"""Generative adversarial networks: a generator and a discriminator take turns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.augment.diffaug import DiffAugment
from ganvas.config.family import GanConfig, LatentConfig
from ganvas.config.optim import AdamConfig
from ganvas.errors import UsageError
from ganvas.families.base import Draw, StepState
from ganvas.losses.adversarial import build_loss
from ganvas.losses.penalties import r1
from ganvas.losses.regularisers import orthogonal_penalty
from ganvas.models import build_discriminator, build_generator
from ganvas.nn.norm import batch_norms
from ganvas.nn.spectral import count_updates
from ganvas.sampling import latent
from ganvas.sampling.labels import draw_labels
from ganvas.types import Batch, Images, Labels, Latents, PerImage


class Gan:
    """The two players and how they step. Averages of G are what samples are drawn from."""

    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, config: GanConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels.

        Raises:
            UsageError: a conditional config without labels.
        """
        if config.conditional and not classes:
            raise UsageError(
                "this recipe is class-conditional, but the pictures have no labels: put each class in a folder of its own, "
                "or set family.generator.labels=null and family.discriminator.labels=null"
            )
        self.config = config
        self.classes = classes if config.conditional else 0
        rng.seed_torch(seed, "weights")
        self.generator = build_generator(config.generator, resolution, config.latent.size, self.classes)
        self.discriminator = build_discriminator(config.discriminator, resolution, self.classes)
        for module in (self.generator, self.discriminator):
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = build_loss(config.loss)
        self.augment = DiffAugment(config.critic_augment, seed) if config.critic_augment else None
        self._optimizers = {
            "generator": adam(self.generator, config.optimizer_g),
            "discriminator": adam(self.discriminator, config.optimizer_d),
        }
        for optimizer in self._optimizers.values():
            count_updates(optimizer)

    def modules(self) -> Mapping[str, nn.Module]:
        """`generator` and `discriminator`."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """One for each player."""
        return self._optimizers

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """`d_steps` updates of D on new pictures, then one of G."""
        for _ in range(self.config.d_steps - 1):
            batch = draw()
            with torch.no_grad():
                fakes, labels = self._fakes(batch, state, "fake")
            self._step_discriminator(batch, fakes, labels, state)
        batch, reuse = draw(), self.config.reuse_fakes
        # Where G's step judges the same fakes again instead of making others, their graph is kept for it.
        with contextlib.nullcontext() if reuse else torch.no_grad():
            fakes, labels = self._fakes(batch, state, "fake")
        metrics = self._step_discriminator(batch, fakes.detach(), labels, state)
        if not reuse:
            fakes, labels = self._fakes(batch, state, "fake_g")
        return metrics | self._step_generator(fakes, labels, batch.start, state)

    def _step_discriminator(self, batch: Batch, fakes: Images, labels: Labels | None, state: StepState) -> dict[str, Tensor]:
        real_logits = self.critic(batch.images, batch.labels, "real", batch.start, state)
        fake_logits = self.critic(fakes, labels, "fake", batch.start, state)
        loss = self.loss.real(real_logits).mean() + self.loss.fake(fake_logits).mean()
        metrics = {
            "loss_d": loss.detach(),
            "d_real": real_logits.detach().sigmoid().mean(),
            "d_fake": fake_logits.detach().sigmoid().mean(),
            "d_accuracy_real": (real_logits > 0).float().mean(),
            "d_accuracy_fake": (fake_logits < 0).float().mean(),
        }
        optimizer = self._optimizers["discriminator"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        penalty = self.config.penalty
        if penalty is not None and state.step % penalty.every == 0:
            real = batch.images.detach().requires_grad_()
            with state.full_precision():
                value = r1(real, self._judge(real, batch.labels, "real", batch.start)).mean()
            (value * (0.5 * penalty.weight * penalty.every)).backward()
            metrics["r1"] = value.detach()
        optimizer.step()
        return metrics

    def _step_generator(self, fakes: Images, labels: Labels | None, start: int, state: StepState) -> dict[str, Tensor]:
        with frozen(self.discriminator):
            logits = self.critic(fakes, labels, "generator", start, state)
            loss = self.loss.generator(logits).mean()
            optimizer = self._optimizers["generator"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        metrics = {"loss_g": loss.detach()} | self._regularise()
        optimizer.step()
        return metrics

    def _regularise(self) -> dict[str, Tensor]:
        """Add the gradient of the regulariser of G's weights to G's."""
        config = self.config.regulariser
        if config is None:
            return {}
        value = orthogonal_penalty(self.generator, config.diagonal)
        (config.weight * value).backward()
        return {"orthogonality": value.detach()}

    def critic(self, images: Images, labels: Labels | None, stream: str, start: int, state: StepState) -> PerImage:
        """D(T(x)): logits of pictures that were augmented first, in the run's precision."""
        with state.autocast():
            return self._judge(images, labels, stream, start)

    def _judge(self, images: Images, labels: Labels | None, stream: str, start: int) -> PerImage:
        if self.augment is not None:
            images = self.augment(images, stream, start)
        return self.discriminator(images, labels)

    def _fakes(self, batch: Batch, state: StepState, stream: str) -> tuple[Images, Labels | None]:
        count = batch.images.shape[0]
        latents = latent.draw(self.config.latent, state.seed, batch.start, count, stream=stream).to(state.device)
        labels = self._fake_labels(state, batch.start, count, stream)
        with state.autocast():
            return self.generator(latents, labels), labels

    def _fake_labels(self, state: StepState, start: int, count: int, stream: str) -> Labels | None:
        if not self.classes:
            return None
        weights = torch.ones(self.classes) if self.config.fake_labels == "uniform" or state.label_weights is None else state.label_weights
        return draw_labels(weights, state.seed, start, count, f"{stream}/label").to(state.device)

    @torch.no_grad()
    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """D's accuracy on real pictures, not augmented; its batch norms use the batch and remember nothing of it."""
        with remembering_nothing(self.discriminator), state.autocast():
            logits = self.discriminator(batch.images, batch.labels)
        return {"d_accuracy": (logits > 0).float().mean(), "d_logit": logits.float().mean()}

    def sampler(self, modules: Mapping[str, nn.Module]) -> GanSampler:
        """Samples with a generator (the family's own, or its average)."""
        return GanSampler(modules["generator"], self.config.latent)


class GanSampler:
    """Latents to pictures through a generator."""

    def __init__(self, generator: nn.Module, config: LatentConfig):
        self.generator, self.config, self.latent_size = generator, config, config.size

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Latents:
        """(count, size), each of its (seed, stream, index)."""
        return latent.draw(self.config, seed, start, count, truncation=truncation, stream=stream)

    def __call__(self, latents: Latents, labels: Labels | None) -> Images:
        """Pictures in [-1, 1]."""
        return self.generator(latents, labels)


def adam(module: nn.Module, config: AdamConfig) -> torch.optim.Optimizer:
    """Adam over a module's parameters, all of them updated by one fused kernel."""
    return torch.optim.Adam(module.parameters(), lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradients for a module's parameters: in G's step, D's would be work thrown away."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


@contextlib.contextmanager
def remembering_nothing(module: nn.Module) -> Iterator[None]:
    """Batch norms normalise by the batch and leave their running statistics alone."""
    norms = batch_norms(module)
    for norm in norms:
        norm.track_running_stats = False
    training = [(m, m.training) for m in module.modules()]
    module.eval()
    kept = [(n, n.running_mean, n.running_var) for n in norms]
    for norm in norms:
        norm.running_mean = norm.running_var = None
    try:
        yield
    finally:
        for norm, mean, var in kept:
            norm.running_mean, norm.running_var, norm.track_running_stats = mean, var, True
        for m, was in training:
            m.training = was
