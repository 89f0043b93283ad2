"""Moving averages of modules, with batch-norm statistics that fit them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ganvas.config.optim import EmaConfig
from ganvas.nn.norm import batch_norms
from ganvas.nn.spectral import follow


class Ema:
    """Exponential moving averages of the parameters of some modules (Yaz et al. 2019; ramp-up as Karras et al. 2020)."""

    def __init__(self, config: EmaConfig, modules: Mapping[str, nn.Module]):
        self.config, self._sources = config, dict(modules)
        self.modules = {name: copy.deepcopy(module).requires_grad_(False) for name, module in modules.items()}
        self._pairs: list[tuple[list[Tensor], list[Tensor]]] = [
            (list(self.modules[name].parameters()), list(module.parameters())) for name, module in modules.items()
        ]

    @torch.no_grad()
    def update(self, images: int, batch: int) -> None:
        """Move towards the modules after a step that showed `batch` pictures, `images` in all."""
        halflife = self.config.halflife_images
        if self.config.rampup is not None:
            halflife = min(halflife, images * self.config.rampup)
        weight = 1 - 0.5 ** (batch / max(halflife, 1e-8))
        for averages, values in self._pairs:
            torch._foreach_lerp_(averages, values, weight)  # pyright: ignore[reportPrivateImportUsage]

    def fit_spectral_norms(self) -> None:
        """Fit the singular vectors of the averages: a function of the present weights alone, however often it is called."""
        for name, module in self.modules.items():
            follow(module, self._sources[name])


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
