"""Weights in bf16, cast once for each update instead of once for each use.

D sees real pictures, fakes, and the next fakes in G's step between two of its updates, and autocast would cast its
weights each time; the gradients of real and fake pass are then cast once, too, after they are added.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.optim.optimizer import register_optimizer_step_post_hook

from ganvas.nn.spectral import outdate


def is_bf16_on_cpu(x: Tensor) -> bool:
    """Whether a layer computes in bf16 on the processor."""
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


class _Cast(torch.autograd.Function):
    """A copy that was made before, as a function of the weight. It keeps nothing, so that several passes can share it."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, kept: Reduced) -> Tensor:
        ctx.dtype = weight.dtype
        return kept.copy.detach()  # type: ignore[union-attr]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradients[0].to(ctx.dtype), None


class Reduced:
    """A layer's weight in bf16; empty in copies of the layer."""

    def __init__(self) -> None:
        self.copy: Tensor | None = None
        """Without a graph."""
        self._of: tuple[int, int, int] | None = None
        self._shared: Tensor | None = None
        """With one."""

    def __call__(self, weight: Tensor) -> Tensor:
        """The weight where a layer does not compute in bf16 on the processor; else its copy, of the weight's present numbers."""
        # What inference mode makes may not enter a graph later.
        if not is_bf16_on_cpu(weight) or weight.dtype != torch.float32 or not weight.is_leaf or torch.is_inference_mode_enabled():
            return weight
        _count_updates()
        of = (id(weight), weight.data_ptr(), weight._version)
        if self._of != of:
            self.copy, self._shared, self._of = weight.detach().to(torch.bfloat16), None, of
        if not (torch.is_grad_enabled() and weight.requires_grad):
            return cast(Tensor, self.copy)
        if self._shared is None:
            self._shared = cast(Tensor, _Cast.apply(weight, self))
            self._shared.register_hook(self._forget)  # else graph and weight would keep each other alive
        return self._shared

    def _forget(self, _: Tensor) -> None:
        self._shared = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Reduced:
        return Reduced()

    def __reduce__(self) -> tuple[type[Reduced], tuple[()]]:
        return Reduced, ()


@functools.cache
def _count_updates() -> None:
    """Let every optimizer's steps outdate the copies: fused ones change weights without counting it as a change."""
    register_optimizer_step_post_hook(outdate)
