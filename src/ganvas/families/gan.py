"""Generative adversarial networks: a generator and a discriminator take turns."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganvas import rng
from ganvas.augment import build_critic_augment
from ganvas.augment.ada import AdaptiveAugment
from ganvas.config.family import GanConfig, PlayersConfig
from ganvas.config.objective import WassersteinLoss
from ganvas.families.base import Draw, StepState
from ganvas.families.fakes import Frequencies, draw_inputs, learnt_classes, make
from ganvas.families.optimizers import anneal, build_optimizer
from ganvas.families.regularising import Players, Shown, Terms, build_regulariser
from ganvas.families.samplers import GanSampler, StyleSampler, sampler_of
from ganvas.losses.adversarial import Relativistic, build_loss, class_loss, fake_loss, real_loss
from ganvas.losses.penalties import build_penalties
from ganvas.losses.regularisers import per_picture
from ganvas.models import build_discriminator, build_generator
from ganvas.models.common import SelfSupervised
from ganvas.models.ranges import take_uniform_latents
from ganvas.nn.norm import batch_norms
from ganvas.nn.spectral import count_updates
from ganvas.rng import Draws
from ganvas.types import Batch, ClassLogits, Conditions, Images, Latents, Logits, PerImage


@dataclass(frozen=True)
class Opinion:
    """What a discriminator says of a batch."""

    logits: Logits
    classes: ClassLogits | None = None
    """An auxiliary classifier's."""
    own: Terms = field(default_factory=dict)
    """Terms that it adds to its own loss: how well it draws the real pictures again."""


class Game(ABC):
    """The two players and how they step; subclasses say what pictures are made of. Averages of G are what samples are drawn from."""

    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, config: PlayersConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """`classes`: how many the data has; 0 if it has no labels.

        Raises:
            UsageError: a conditional config without labels.
        """
        self.config = config
        self.classes = self._learnt_classes(classes)
        self.loss = build_loss(config.loss)
        self.penalties = build_penalties(config.penalty)
        self.regulariser = build_regulariser(config.regulariser, seed, resolution, self.classes)
        rng.seed_torch(seed, "weights")
        self.generator, self.discriminator = self._build(resolution)
        for module in self.modules().values():
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.clip = config.loss.clip if isinstance(config.loss, WassersteinLoss) else None
        self.label_noise: float = getattr(config.loss, "label_noise", 0.0)
        self.auxiliary = config.discriminator.labels == "auxiliary"
        self.augment = build_critic_augment(config.critic_augment, seed) if config.critic_augment else None
        self._optimizers = {
            "generator": build_optimizer(self.generator, config.optimizer_g),
            "discriminator": build_optimizer(self.discriminator, config.optimizer_d),
        }
        for optimizer in self._optimizers.values():
            count_updates(optimizer)

    @abstractmethod
    def _learnt_classes(self, classes: int) -> int:
        """How many classes it learns, of those that the data has; raises `UsageError` where it lacks them."""

    @abstractmethod
    def _build(self, resolution: int) -> tuple[nn.Module, nn.Module]:
        """Generator and discriminator."""

    @abstractmethod
    def _latents(self, start: int, count: int, state: StepState, stream: str) -> tuple[Latents, Conditions | None, Draws]:
        """What fakes are made of, what D is told of them, and all further random numbers that theirs are."""

    def modules(self) -> Mapping[str, nn.Module]:
        """`generator` and `discriminator`, and `regulariser` where it remembers something."""
        state = self.regulariser.state if self.regulariser else None
        return {"generator": self.generator, "discriminator": self.discriminator} | ({"regulariser": state} if state else {})

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """One for each player."""
        return self._optimizers

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on beside modules and optimizers: the augmentation's probability."""
        return {"augment": self.augment.state_dict()} if isinstance(self.augment, AdaptiveAugment) else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`."""
        if isinstance(self.augment, AdaptiveAugment):
            self.augment.load_state_dict(state["augment"])

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """`d_steps` updates of D on new pictures, then one of G; D rests at all but every `d_every`-th step."""
        anneal(self._optimizers["generator"], self.config.optimizer_g, state.annealed)
        anneal(self._optimizers["discriminator"], self.config.optimizer_d, state.annealed)
        for _ in range(self.config.d_steps - 1):
            batch = draw()
            with torch.no_grad():
                fakes = self._fakes(batch, state, "fake")
            self._step_discriminator(batch, fakes, state)
        learns = state.step % self.config.d_every == 0
        # Pictures that D skips were drawn and count as shown: lengths and schedules mean the same for all recipes.
        batch, reuse = draw(), self.config.reuse_fakes or not learns
        # Where G's step judges the same fakes again instead of making others, their graph is kept for it.
        with contextlib.nullcontext() if reuse else torch.no_grad():
            fakes = self._fakes(batch, state, "fake")
        metrics = self._step_discriminator(batch, replace(fakes, images=fakes.images.detach()), state) if learns else {}
        if not reuse:
            fakes = self._fakes(batch, state, "fake_g")
        return metrics | self._step_generator(batch, replace(fakes, stream="generator"), state)

    def _step_discriminator(self, batch: Batch, fakes: Shown, state: StepState) -> dict[str, Tensor]:
        shown = Shown("real", batch.start, batch.images, batch.labels)
        real, fake = self.critic(shown, state, learns=True), self.critic(fakes, state)
        loss, metrics = self._play(real.logits, fake.logits, batch, state)
        if real.classes is not None and fake.classes is not None and batch.labels is not None and fakes.labels is not None:
            guesses = class_loss(real.classes, batch.labels).mean() + class_loss(fake.classes, fakes.labels).mean()
            loss = loss + self.config.auxiliary_weight * guesses
            metrics["loss_classes"] = guesses.detach()
        terms = real.own
        if self.regulariser is not None:
            terms |= self.regulariser.discriminator(self._players(state), shown, fakes, (real.logits, fake.logits))
        loss = _added(loss, terms, metrics)
        metrics |= self._judgement(real.logits.detach(), fake.logits.detach())
        optimizer = self._optimizers["discriminator"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        metrics |= self._penalise(shown, fakes, state)
        optimizer.step()
        if self.clip is not None:
            clip_parameters(self.discriminator, self.clip)
        if isinstance(self.augment, AdaptiveAugment):
            metrics |= self.augment.observe(self._beliefs(per_picture(real.logits.detach()), per_picture(fake.logits.detach()))[0])
        return metrics

    def _play(self, real: Logits, fake: Logits, batch: Batch, state: StepState) -> tuple[Tensor, dict[str, Tensor]]:
        """D's loss in the game itself."""
        if isinstance(self.loss, Relativistic):
            loss = self.loss.discriminator(real, fake).mean()
            return loss, {"loss_d": loss.detach()}
        loss_real = real_loss(self.loss, real, self._flips("real", batch, state)).mean()
        loss_fake = fake_loss(self.loss, fake, self._flips("fake", batch, state)).mean()
        loss = loss_real + loss_fake
        return loss, {"loss_d_real": loss_real.detach(), "loss_d_fake": loss_fake.detach(), "loss_d": loss.detach()}

    def _judgement(self, real: Logits, fake: Logits) -> dict[str, Tensor]:
        """What D thinks of both kinds of pictures."""
        believed_real, believed_fake = self._beliefs(real, fake)
        return {
            "d_real": believed_real.mean(),
            "d_fake": believed_fake.mean(),
            "d_accuracy_real": (believed_real > 0.5).float().mean(),
            "d_accuracy_fake": (believed_fake < 0.5).float().mean(),
            "d_logit_real": real.mean(),
            "d_logit_fake": fake.mean(),
        }

    def _beliefs(self, real: Logits, fake: Logits) -> tuple[Logits, Logits]:
        """How real D takes both kinds of pictures for, 0 to 1: each other's comparison, in a relativistic game."""
        if isinstance(self.loss, Relativistic):
            real, fake = self.loss.against(real, fake), self.loss.against(fake, real)
        return self.loss.belief(real), self.loss.belief(fake)

    def _flips(self, kind: str, batch: Batch, state: StepState) -> Tensor | None:
        """Which pictures D learns as their opposite; a picture's lot depends on its place in the stream alone."""
        if not self.label_noise:
            return None
        count = batch.images.shape[0]
        lots = rng.uniforms(state.seed, f"label_noise/{kind}", batch.start, count, 1)[:, 0]
        return (lots < self.label_noise).to(state.device)

    def _penalise(self, real: Shown, fakes: Shown, state: StepState) -> dict[str, Tensor]:
        """Add the penalties' gradients to D's, at the updates where they are due."""
        config = self.config.penalty
        if config is None or (state.step // self.config.d_every) % config.every:
            return {}
        share = rng.uniforms(state.seed, "penalty", real.start, real.images.shape[0], 1)[:, 0].to(state.device, torch.float32)
        metrics = {}
        for penalty in self.penalties:
            at = penalty.at(real.images.detach(), fakes.images, share).detach().requires_grad_()
            with state.full_precision():
                logits = self._judge(replace(real if penalty.of == "real" else fakes, images=at)).logits
                value = penalty.value(at, logits).mean()
            (value * (penalty.factor(state.annealed) * config.every)).backward()
            metrics[penalty.name] = value.detach()
        return metrics

    def _step_generator(self, batch: Batch, fakes: Shown, state: StepState) -> dict[str, Tensor]:
        with frozen(self.discriminator):
            opinion = self.critic(fakes, state)
            if isinstance(self.loss, Relativistic):
                with torch.no_grad():
                    real = self.critic(Shown("generator/real", batch.start, batch.images, batch.labels), state).logits
                loss = self.loss.generator(real, opinion.logits).mean()
            else:
                loss = self.loss.generator(opinion.logits).mean()
            metrics = {"loss_g": loss.detach()}
            if opinion.classes is not None and fakes.labels is not None:
                loss = loss + self.config.auxiliary_weight * class_loss(opinion.classes, fakes.labels).mean()
            terms = self._further(batch, state)
            if self.regulariser is not None:
                terms |= self.regulariser.generator(self._players(state), fakes)
            loss = _added(loss, terms, metrics)
            optimizer = self._optimizers["generator"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        optimizer.step()
        return metrics

    def _further(self, batch: Batch, state: StepState) -> Terms:
        """What G learns from beside the game, by families that have such."""
        return {}

    def _players(self, state: StepState) -> Players:
        """Both networks for a regulariser."""

        def ask(shown: Shown) -> Logits:
            return self.critic(shown, state).logits

        def make(latents: Latents, like: Shown) -> Images:
            return self._make(latents, like.labels, like.chance, state)

        def draw(start: int, count: int, stream: str) -> tuple[Latents, Conditions | None, Draws]:
            return self._latents(start, count, state, stream)

        return Players(self.generator, ask, make, draw, state)

    def critic(self, shown: Shown, state: StepState, learns: bool = False) -> Opinion:
        """D(T(x)): what D says of pictures that were augmented first, in the run's precision.

        `learns`: D also does whatever it does at real pictures to learn more from them.
        """
        with state.autocast():
            return self._judge(shown, learns)

    def _judge(self, shown: Shown, learns: bool = False) -> Opinion:
        images, labels = shown.images, shown.labels
        if self.augment is not None:
            images = self.augment(images, shown.stream, shown.start)
        if self.auxiliary:
            return Opinion(*self.discriminator(images, labels, with_classes=True))
        if learns and isinstance(self.discriminator, SelfSupervised):
            logits, own = self.discriminator.learn(images, labels)
            return Opinion(logits, own={name: (weight, value.mean()) for name, (weight, value) in own.items()})
        return Opinion(self.discriminator(images, labels))

    def _fakes(self, batch: Batch, state: StepState, stream: str) -> Shown:
        latents, labels, chance = self._inputs(batch, state, stream)
        return Shown("fake", batch.start, self._make(latents, labels, chance, state), labels, latents, chance)

    def _inputs(self, batch: Batch, state: StepState, stream: str) -> tuple[Latents, Conditions | None, Draws]:
        """`_latents` of the fakes that are shown beside a batch of real pictures."""
        return self._latents(batch.start, batch.images.shape[0], state, stream)

    def _make(self, latents: Latents, labels: Conditions | None, chance: Draws | None, state: StepState) -> Images:
        return make(self.generator, latents, labels, chance, state)

    @torch.no_grad()
    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """D's accuracy on real pictures, not augmented; its batch norms use the batch and remember nothing of it."""
        with remembering_nothing(self.discriminator), state.autocast():
            logits = self.discriminator(batch.images, batch.labels)
        return {"d_accuracy": (self.loss.belief(logits) > 0.5).float().mean(), "d_logit": logits.float().mean()}

    judges: tuple[str, ...] = ("discriminator",)

    @torch.no_grad()
    def judge(self, images: Images, labels: Conditions | None) -> PerImage:
        """D's logits of pictures as they are, in eval mode and fp32: higher for what looks more real to it."""
        was = self.discriminator.training
        self.discriminator.eval()
        try:
            return per_picture(self.discriminator(images, labels).float())
        finally:
            self.discriminator.train(was)


class Gan(Game):
    """Pictures are made of latents that mean nothing, and of classes where there are some."""

    def __init__(self, config: GanConfig, *, resolution: int, classes: int, seed: int, device: torch.device):
        """See `Game`."""
        self.drawn = config.latent
        self.paired = config.fake_labels == "paired"
        self.frequencies: Frequencies = "uniform" if config.fake_labels == "uniform" else "data"
        super().__init__(config, resolution=resolution, classes=classes, seed=seed, device=device)

    def _learnt_classes(self, classes: int) -> int:
        unset = "family.generator.labels=null and family.discriminator.labels=null"
        return learnt_classes(self.config.conditional, classes, unset)

    def _build(self, resolution: int) -> tuple[nn.Module, nn.Module]:
        config = self.config
        generator = build_generator(config.generator, resolution, self.drawn.size, self.classes, config.pixel_range)
        if self.drawn.distribution == "uniform":
            take_uniform_latents(generator)
        return generator, build_discriminator(config.discriminator, resolution, self.classes, config.pixel_range)

    def _latents(self, start: int, count: int, state: StepState, stream: str) -> tuple[Latents, Conditions | None, Draws]:
        return draw_inputs(self.drawn, self.classes, self.frequencies, state, start, count, stream)

    def _inputs(self, batch: Batch, state: StepState, stream: str) -> tuple[Latents, Conditions | None, Draws]:
        latents, labels, chance = super()._inputs(batch, state, stream)
        return latents, batch.labels if self.paired and self.classes else labels, chance

    def sampler(self, modules: Mapping[str, nn.Module]) -> GanSampler | StyleSampler:
        """Samples with a generator (the family's own, or its average)."""
        return sampler_of(modules["generator"], self.drawn)


def _added(loss: Tensor, terms: Terms, metrics: dict[str, Tensor]) -> Tensor:
    """A loss with further terms, each of which is logged without its weight."""
    for name, (weight, value) in terms.items():
        loss = loss + weight * value
        metrics[name] = value.detach()
    return loss


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
