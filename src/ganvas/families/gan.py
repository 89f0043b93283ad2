"""Generative adversarial networks: a generator and a discriminator take turns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.augment import build_critic_augment
from ganvas.augment.ada import AdaptiveAugment
from ganvas.config.family import GanConfig
from ganvas.config.objective import OrthogonalRegulariser, PathLengthRegulariser, WassersteinLoss
from ganvas.errors import UsageError
from ganvas.families.base import Draw, StepState
from ganvas.families.optimizers import build_optimizer
from ganvas.families.samplers import GanSampler, StyleSampler
from ganvas.losses.adversarial import build_loss, class_loss, fake_loss, real_loss
from ganvas.losses.penalties import build_penalty
from ganvas.losses.regularisers import PathLength, orthogonal_penalty
from ganvas.models import build_discriminator, build_generator
from ganvas.models.ranges import take_uniform_latents
from ganvas.models.stylegan2 import Generator as StyleGenerator
from ganvas.nn.norm import batch_norms
from ganvas.nn.spectral import count_updates
from ganvas.rng import Draws
from ganvas.sampling import latent
from ganvas.sampling.labels import draw_labels
from ganvas.types import Batch, ClassLogits, Images, Labels, Latents, PerImage


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
        self.generator = build_generator(config.generator, resolution, config.latent.size, self.classes, config.pixel_range)
        if config.latent.distribution == "uniform":
            take_uniform_latents(self.generator)
        self.discriminator = build_discriminator(config.discriminator, resolution, self.classes, config.pixel_range)
        for module in (self.generator, self.discriminator):
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = build_loss(config.loss)
        self.penalty = build_penalty(config.penalty) if config.penalty else None
        self.clip = config.loss.clip if isinstance(config.loss, WassersteinLoss) else None
        self.label_noise = 0.0 if isinstance(config.loss, WassersteinLoss) else config.loss.label_noise
        self.auxiliary = config.discriminator.labels == "auxiliary"
        self.augment = build_critic_augment(config.critic_augment, seed) if config.critic_augment else None
        self.path_length = PathLength(config.regulariser, resolution) if isinstance(config.regulariser, PathLengthRegulariser) else None
        self._optimizers = {
            "generator": build_optimizer(self.generator, config.optimizer_g),
            "discriminator": build_optimizer(self.discriminator, config.optimizer_d),
        }
        for optimizer in self._optimizers.values():
            count_updates(optimizer)

    def modules(self) -> Mapping[str, nn.Module]:
        """`generator` and `discriminator`."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """One for each player."""
        return self._optimizers

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on beside modules and optimizers: the augmentation's probability, the mean path length."""
        owners = {"augment": self.augment, "path_length": self.path_length}
        return {name: owner.state_dict() for name, owner in owners.items() if isinstance(owner, AdaptiveAugment | PathLength)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`."""
        if isinstance(self.augment, AdaptiveAugment):
            self.augment.load_state_dict(state["augment"])
        if self.path_length is not None:
            self.path_length.load_state_dict(state["path_length"])

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """`d_steps` updates of D on new pictures, then one of G; D rests at all but every `d_every`-th step."""
        for _ in range(self.config.d_steps - 1):
            batch = draw()
            with torch.no_grad():
                fakes, labels = self._fakes(batch, state, "fake")
            self._step_discriminator(batch, fakes, labels, state)
        learns = state.step % self.config.d_every == 0
        # Pictures that D skips were drawn and count as shown: lengths and schedules mean the same for all recipes.
        batch, reuse = draw(), self.config.reuse_fakes or not learns
        # Where G's step judges the same fakes again instead of making others, their graph is kept for it.
        with contextlib.nullcontext() if reuse else torch.no_grad():
            fakes, labels = self._fakes(batch, state, "fake")
        metrics = self._step_discriminator(batch, fakes.detach(), labels, state) if learns else {}
        if not reuse:
            fakes, labels = self._fakes(batch, state, "fake_g")
        return metrics | self._step_generator(fakes, labels, batch, state)

    def _step_discriminator(self, batch: Batch, fakes: Images, labels: Labels | None, state: StepState) -> dict[str, Tensor]:
        real_logits, real_classes = self.critic(batch.images, batch.labels, "real", batch.start, state)
        fake_logits, fake_classes = self.critic(fakes, labels, "fake", batch.start, state)
        loss_real = real_loss(self.loss, real_logits, self._flips("real", batch, state)).mean()
        loss_fake = fake_loss(self.loss, fake_logits, self._flips("fake", batch, state)).mean()
        metrics = {"loss_d_real": loss_real.detach(), "loss_d_fake": loss_fake.detach()}
        loss = loss_real + loss_fake
        metrics["loss_d"] = loss.detach()
        if real_classes is not None and fake_classes is not None and batch.labels is not None and labels is not None:
            guesses = class_loss(real_classes, batch.labels).mean() + class_loss(fake_classes, labels).mean()
            loss = loss + self.config.auxiliary_weight * guesses
            metrics["loss_classes"] = guesses.detach()
        metrics |= self._judgement(real_logits.detach(), fake_logits.detach())
        optimizer = self._optimizers["discriminator"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        metrics |= self._penalise(batch, fakes, state)
        optimizer.step()
        if self.clip is not None:
            clip_parameters(self.discriminator, self.clip)
        if isinstance(self.augment, AdaptiveAugment):
            metrics |= self.augment.observe(self.loss.belief(real_logits.detach()))
        return metrics

    def _judgement(self, real: PerImage, fake: PerImage) -> dict[str, Tensor]:
        """What D thinks of both kinds of pictures."""
        believed_real, believed_fake = self.loss.belief(real), self.loss.belief(fake)
        return {
            "d_real": believed_real.mean(),
            "d_fake": believed_fake.mean(),
            "d_accuracy_real": (believed_real > 0.5).float().mean(),
            "d_accuracy_fake": (believed_fake < 0.5).float().mean(),
            "d_logit_real": real.mean(),
            "d_logit_fake": fake.mean(),
        }

    def _flips(self, kind: str, batch: Batch, state: StepState) -> Tensor | None:
        """Which pictures D learns as their opposite; a picture's lot depends on its place in the stream alone."""
        if not self.label_noise:
            return None
        count = batch.images.shape[0]
        lots = rng.uniforms(state.seed, f"label_noise/{kind}", batch.start, count, 1)[:, 0]
        return (lots < self.label_noise).to(state.device)

    def _penalise(self, batch: Batch, fakes: Images, state: StepState) -> dict[str, Tensor]:
        """Add a penalty's gradient to D's, at the updates where it is due."""
        config, penalty = self.config.penalty, self.penalty
        if config is None or penalty is None or (state.step // self.config.d_every) % config.every:
            return {}
        share = rng.uniforms(state.seed, "penalty", batch.start, batch.images.shape[0], 1)[:, 0].to(state.device, torch.float32)
        at = penalty.at(batch.images.detach(), fakes, share).detach().requires_grad_()
        with state.full_precision():
            logits, _ = self._judge(at, batch.labels, "real", batch.start)
            value = penalty.value(at, logits).mean()
        (value * (penalty.factor * config.every)).backward()
        return {penalty.name: value.detach()}

    def _step_generator(self, fakes: Images, labels: Labels | None, batch: Batch, state: StepState) -> dict[str, Tensor]:
        with frozen(self.discriminator):
            logits, classes = self.critic(fakes, labels, "generator", batch.start, state)
            loss = self.loss.generator(logits).mean()
            metrics = {"loss_g": loss.detach()}
            if classes is not None and labels is not None:
                loss = loss + self.config.auxiliary_weight * class_loss(classes, labels).mean()
            optimizer = self._optimizers["generator"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        metrics |= self._regularise(batch, state)
        optimizer.step()
        return metrics

    def _regularise(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """Add the gradient of G's regulariser to G's."""
        config = self.config.regulariser
        if isinstance(config, OrthogonalRegulariser):
            value = orthogonal_penalty(self.generator, config.diagonal)
            (config.weight * value).backward()
            return {"orthogonality": value.detach()}
        generator = self.generator
        if config is None or self.path_length is None or not isinstance(generator, StyleGenerator) or state.step % config.every:
            return {}
        count = max(1, len(batch.images) // config.shrink)
        latents, labels, draws = self._latents(batch.start, count, state, "path")
        with state.full_precision():
            styles = generator.styles(latents, labels, draws)
            pictures = generator(latents, labels, chance=draws, styles=styles)
            directions = draws.normals("direction", pictures[0].numel()).view_as(pictures)
            lengths = self.path_length.lengths(pictures, styles, directions)
            value = self.path_length.penalty(lengths).mean()
        (value * (self.path_length.weight * config.every)).backward()
        return {"path_length": lengths.detach().mean(), "path_length_penalty": value.detach()}

    def critic(
        self, images: Images, labels: Labels | None, stream: str, start: int, state: StepState
    ) -> tuple[PerImage, ClassLogits | None]:
        """D(T(x)): logits of pictures that were augmented first, in the run's precision, and an auxiliary classifier's."""
        with state.autocast():
            return self._judge(images, labels, stream, start)

    def _judge(self, images: Images, labels: Labels | None, stream: str, start: int) -> tuple[PerImage, ClassLogits | None]:
        if self.augment is not None:
            images = self.augment(images, stream, start)
        return self.discriminator(images, labels, with_classes=True) if self.auxiliary else (self.discriminator(images, labels), None)

    def _fakes(self, batch: Batch, state: StepState, stream: str) -> tuple[Images, Labels | None]:
        latents, labels, draws = self._latents(batch.start, batch.images.shape[0], state, stream)
        # What a generator draws beside its latents.
        more = {"chance": draws} if isinstance(self.generator, StyleGenerator) else {}
        with state.autocast():
            return self.generator(latents, labels, **more), labels

    def _latents(self, start: int, count: int, state: StepState, stream: str) -> tuple[Latents, Labels | None, Draws]:
        """Latents and classes of fakes, and all further random numbers that theirs are."""
        latents = latent.draw(self.config.latent, state.seed, start, count, stream=stream).to(state.device)
        return latents, self._fake_labels(state, start, count, stream), Draws(state.seed, stream, start, count, state.device)

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
        return {"d_accuracy": (self.loss.belief(logits) > 0.5).float().mean(), "d_logit": logits.float().mean()}

    judges: tuple[str, ...] = ("discriminator",)

    @torch.no_grad()
    def judge(self, images: Images, labels: Labels | None) -> PerImage:
        """D's logits of pictures as they are, in eval mode and fp32: higher for what looks more real to it."""
        was = self.discriminator.training
        self.discriminator.eval()
        try:
            return self.discriminator(images, labels).float()
        finally:
            self.discriminator.train(was)

    def sampler(self, modules: Mapping[str, nn.Module]) -> GanSampler | StyleSampler:
        """Samples with a generator (the family's own, or its average)."""
        generator = modules["generator"]
        if isinstance(generator, StyleGenerator):
            return StyleSampler(generator, self.config.latent)
        return GanSampler(generator, self.config.latent)


@torch.no_grad()
def clip_parameters(module: nn.Module, limit: float) -> None:
    """Every parameter clipped to [-limit, limit] (Arjovsky et al. 2017, algorithm 1, line 7)."""
    for parameter in module.parameters():
        parameter.clamp_(-limit, limit)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradients for a module's parameters: in G's step, D's would be work thrown away."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


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
