"""What a generator makes pictures of in training: latents, classes and chance, each of its place in the run's stream."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from ganvas.config.family import LatentConfig
from ganvas.errors import UsageError
from ganvas.families.base import StepState
from ganvas.models.stylegan2 import Generator as StyleGenerator
from ganvas.rng import Draws
from ganvas.sampling import latent
from ganvas.sampling.labels import draw_labels
from ganvas.types import Conditions, Images, Labels, Latents

Frequencies = Literal["data", "uniform"]


def learnt_classes(conditional: bool, classes: int, unset: str) -> int:
    """How many classes a family learns, of those that the data has; 0: none.

    Raises:
        UsageError: a conditional config without labels; `unset` says what makes it unconditional.
    """
    if conditional and not classes:
        raise UsageError(
            f"this recipe is class-conditional, but the pictures have no labels: put each class in a folder of its own, or set {unset}"
        )
    return classes if conditional else 0


def draw_inputs(
    config: LatentConfig, classes: int, frequencies: Frequencies, state: StepState, start: int, count: int, stream: str
) -> tuple[Latents, Labels | None, Draws]:
    """Latents and classes of fakes, and all further random numbers that theirs are."""
    latents = latent.draw(config, state.seed, start, count, stream=stream).to(state.device)
    return latents, _draw_classes(classes, frequencies, state, start, count, stream), Draws(state.seed, stream, start, count, state.device)


def _draw_classes(classes: int, frequencies: Frequencies, state: StepState, start: int, count: int, stream: str) -> Labels | None:
    if not classes:
        return None
    weights = torch.ones(classes) if frequencies == "uniform" or state.label_weights is None else state.label_weights
    return draw_labels(weights, state.seed, start, count, f"{stream}/label").to(state.device)


def make(generator: nn.Module, latents: Latents, labels: Conditions | None, chance: Draws | None, state: StepState) -> Images:
    """The generator's pictures, in the run's precision."""
    # What a generator draws beside its latents.
    more = {"chance": chance} if isinstance(generator, StyleGenerator) else {}
    with state.autocast():
        return generator(latents, labels, **more)
