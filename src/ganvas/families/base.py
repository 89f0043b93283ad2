"""What the loop knows of a family: it takes steps, owns modules and optimizers, and can make a sampler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganvas.sampling.render import Sampler
from ganvas.types import Batch, Images, Labels, PerImage

Draw = Callable[[], Batch]
"""Yields the next batch of real pictures and counts them as seen."""


@dataclass
class StepState:
    """Where a step stands. Random numbers come from (seed, index of a picture in the stream), nothing else."""

    seed: int
    device: torch.device
    precision: str
    """"fp32" or "bf16"."""
    images: int = 0
    """Real pictures drawn before this step."""
    step: int = 0
    annealed: float = 0.0
    """How far the learning rates have come on the way to their final values, 0 to 1."""
    label_weights: Tensor | None = field(default=None, repr=False)
    """(classes,) how often each class appears in the data; None without classes."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context that forward passes run in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def full_precision(self) -> contextlib.AbstractContextManager[object]:
        """fp32, for penalties that differentiate twice."""
        return torch.autocast(self.device.type, enabled=False)


@runtime_checkable
class Family(Protocol):
    """A way of training: players and objectives. The loop knows neither G nor D."""

    averaged: tuple[str, ...]
    """The modules of which the loop keeps a moving average, for sampling."""
    classes: int
    """0: unconditional."""

    def modules(self) -> Mapping[str, nn.Module]:
        """All modules with state, by the names that their files in a checkpoint get."""
        ...

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """All optimizers; the loop scales their learning rates."""
        ...

    def step(self, draw: Draw, state: StepState) -> dict[str, Tensor]:
        """One update of all players; numbers to log, detached."""
        ...

    def probe(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        """What can be read off a batch without learning from it, for training pictures and held-out ones alike."""
        ...

    def sampler(self, modules: Mapping[str, nn.Module]) -> Sampler:
        """Samples with the given modules (the family's own, or their averages)."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """What a family may offer beside: state that is in no module and no optimizer, kept in checkpoints."""

    def state_dict(self) -> dict[str, Any]:
        """JSON values and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`."""
        ...


@runtime_checkable
class Judging(Protocol):
    """What a family may offer beside: a judgement of single pictures, by which the best can be picked out."""

    judges: tuple[str, ...]
    """The modules that judge, by their names in a checkpoint."""

    def judge(self, images: Images, labels: Labels | None) -> PerImage:
        """How real each picture looks to the family: higher for more. In eval mode; nothing is learnt or remembered."""
        ...


@runtime_checkable
class Settling(Protocol):
    """What a family may offer beside: the state that it reaches after many steps, at once."""

    def settle(self, batch: Batch, state: StepState) -> None:
        """Get there, so that the next steps take as long as those of a long run do, where as many pictures were shown as the state
        of these steps says. For measuring, not for training."""
        ...
