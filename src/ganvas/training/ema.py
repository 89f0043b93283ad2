"""Moving averages of modules, with batch-norm statistics that fit them."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.config.optim import EmaConfig
from ganvas.families.base import StepState
from ganvas.nn.norm import batch_norms
from ganvas.nn.spectral import follow
from ganvas.sampling.render import CHUNK, Sampler, class_labels, draw_latents

CALIBRATION_PICTURES = 1024
"""Pictures through which the averages' batch norms are fitted."""


class Averages(ABC):
    """Moving averages of the parameters of some modules; subclasses say how they move."""

    def __init__(self, modules: Mapping[str, nn.Module]):
        self._sources = dict(modules)
        self.modules = {name: copy.deepcopy(module).requires_grad_(False) for name, module in modules.items()}
        # A module without parameters has nothing to average, such as the codes that pictures are made of.
        self._pairs: dict[str, tuple[list[Tensor], list[Tensor]]] = {
            name: (list(self.modules[name].parameters()), list(module.parameters()))
            for name, module in modules.items()
            if next(module.parameters(), None) is not None
        }

    @abstractmethod
    def update(self, images: int, batch: int) -> None:
        """Move towards the modules after a step that showed `batch` pictures, `images` in all."""

    def fit_spectral_norms(self) -> None:
        """Fit the singular vectors of the averages: a function of the present weights alone, however often it is called."""
        for name, module in self.modules.items():
            follow(module, self._sources[name])

    def state_dict(self) -> dict[str, Any]:
        """What is not in `modules`: JSON values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], images: int) -> None:
        """Restore `state_dict` as it was after so many pictures."""
        del state, images


class Ema(Averages):
    """Exponential moving averages (Yaz et al. 2019; ramp-up as Karras et al. 2020)."""

    def __init__(self, config: EmaConfig, modules: Mapping[str, nn.Module]):
        super().__init__(modules)
        self.config = config

    @torch.no_grad()
    def update(self, images: int, batch: int) -> None:
        """See `Averages.update`: the past counts half after each half-life."""
        halflife = self.config.halflife_images
        if self.config.rampup is not None:
            halflife = min(halflife, images * self.config.rampup)
        weight = 1 - 0.5 ** (batch / max(halflife, 1e-8))
        for averages, values in self._pairs.values():
            torch._foreach_lerp_(averages, values, weight)  # pyright: ignore[reportPrivateImportUsage]


@torch.no_grad()
def restimate_batch_norms(modules: Mapping[str, nn.Module], run: Callable[[], None]) -> None:
    """Set the running statistics of all batch norms to the mean over the batches that `run` passes through.

    An average of parameters has other activations than any of its parts, so that the parts' statistics don't fit it.
    """
    norms = [norm for module in modules.values() for norm in batch_norms(module)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # type: ignore[assignment]  # torch: a cumulative average
        norm.train()
    try:
        run()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def pass_fixed_latents(sampler: Sampler, state: StepState) -> None:
    """Draw the pictures, always of the same latents, through which an average's batch norms are fitted."""
    for start in range(0, CALIBRATION_PICTURES, CHUNK):
        labels = class_labels(start, CHUNK, state.seed, state.label_weights, None)
        latents = draw_latents(sampler, labels, state.seed, start, CHUNK, stream="calibration").to(state.device)
        with state.autocast():
            sampler(latents, None if labels is None else labels.to(state.device))
