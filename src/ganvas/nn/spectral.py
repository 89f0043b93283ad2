"""Spectral normalisation: weights divided by their largest singular value, once for each update.

The normalised weight is kept for as long as its graph lives, so that D's real and fake pass share one weight, one
power iteration, one cast to bf16 and one gradient through sigma. PyTorch's own parametrization does all of that anew
at each use of a weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.utils import parametrize

LayerT = TypeVar("LayerT", bound=nn.Module)

WARM_UP = 15
"""Iterations from random vectors, so that sigma is close from the first step."""


def as_matrix(weight: Tensor, transposed: bool = False) -> Tensor:
    """A weight as (outputs, inputs * area): a view where a convolution's weight is in channels_last memory.

    `transposed`: the second dimension is the outputs', as in a transposed convolution.
    """
    if weight.ndim == 4:
        order = (1, 2, 3, 0) if transposed else (0, 2, 3, 1)
        weight = weight.permute(order)
    return weight.reshape(weight.shape[0], -1)


def _from_matrix(matrix: Tensor, shape: torch.Size, transposed: bool) -> Tensor:
    if len(shape) != 4:
        return matrix.view(shape)
    a, b, height, width = shape
    if transposed:
        return matrix.view(b, height, width, a).permute(3, 0, 1, 2)
    return matrix.view(a, height, width, b).permute(0, 3, 1, 2)


class _Normalise(torch.autograd.Function):
    """W / sigma with sigma = u^T W v, whose gradient flows through sigma too (Miyato et al. 2018, eq. 12).

    With <., .> the sum of products: dL/dW = (G - <G, W> / sigma u v^T) / sigma for G = dL/d(W / sigma).
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, left: Tensor, right: Tensor, transposed: bool, dtype: torch.dtype) -> Tensor:
        sigma = torch.dot(left, torch.mv(as_matrix(weight, transposed), right))
        ctx.save_for_backward(weight, left, right, sigma)
        ctx.transposed = transposed
        return (weight / sigma).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, left, right, sigma = ctx.saved_tensors
        gradient = as_matrix(gradients[0].to(weight.dtype), ctx.transposed)
        along = (gradient * as_matrix(weight, ctx.transposed)).sum() / sigma
        change = torch.addr(gradient, left * -along, right).div_(sigma)
        return _from_matrix(change, weight.shape, ctx.transposed), None, None, None, None


class _Kept:
    """A normalised weight whose graph lives; empty in copies."""

    def __init__(self) -> None:
        self.value: Tensor | None = None
        self.of: tuple[int, int, torch.dtype] | None = None

    def clear(self, *_: object) -> None:
        self.value = self.of = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        # A tensor with a graph can't be copied, nor would a copied weight be its root.
        return _Kept()

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value (Miyato et al. 2018, algorithm 1).

    The singular vectors are buffers, so that they are kept in checkpoints. They make one power iteration whenever a
    weight that learns is used in training for the first time after an update or a backward pass; sampling, probing
    and the other player's step change nothing.
    """

    left: Tensor
    """(outputs,) u in the paper."""
    right: Tensor
    """(inputs * area,) v in the paper."""

    def __init__(self, weight: Tensor, transposed: bool = False, eps: float = 1e-12):
        """`transposed`: for a transposed convolution, whose outputs are the weight's second dimension."""
        super().__init__()
        self.transposed, self.eps = transposed, eps
        rows, columns = as_matrix(weight, transposed).shape
        self.register_buffer("left", F.normalize(torch.randn(rows), dim=0, eps=eps))
        self.register_buffer("right", F.normalize(torch.randn(columns), dim=0, eps=eps))
        self._kept = _Kept()

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int = 1) -> None:
        """Power iterations: v = W^T u / |W^T u|, u = W v / |W v|.

        The buffers are replaced, not written to: a graph that still needs the old ones keeps them.
        """
        matrix, left, right = as_matrix(weight, self.transposed), self.left, self.right
        for _ in range(times):
            right = F.normalize(torch.mv(matrix.t(), left), dim=0, eps=self.eps)
            left = F.normalize(torch.mv(matrix, right), dim=0, eps=self.eps)
        self.left, self.right = left, right

    def forward(self, weight: Tensor) -> Tensor:
        """The weight over sigma; in bf16 under autocast, else in the weight's own dtype."""
        kind = weight.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        key = (id(weight), weight._version, dtype)
        learns = torch.is_grad_enabled() and weight.requires_grad
        if learns and self._kept.value is not None and self._kept.of == key:
            return self._kept.value
        with torch.autocast(kind, enabled=False):
            if learns and self.training:
                self.iterate(weight)
            normalised = _Normalise.apply(weight, self.left, self.right, self.transposed, dtype)
        if learns:
            self._kept.value, self._kept.of = normalised, key
            # The graph behind it is gone once a gradient has passed.
            normalised.register_hook(self._kept.clear)
        return normalised


def spectral_norm(layer: LayerT) -> LayerT:
    """The layer, its weight divided by its largest singular value."""
    transposed = isinstance(layer, nn.ConvTranspose2d)
    norm = SpectralNorm(layer.get_parameter("weight"), transposed)
    parametrize.register_parametrization(layer, "weight", norm, unsafe=True)
    return layer


def outdate(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Count a change of everything that an optimizer moves."""
    torch.autograd.graph.increment_version([p for group in optimizer.param_groups for p in group["params"]])


def count_updates(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer's steps outdate the weights that are kept.

    A tensor's version tells that it was changed in place, but PyTorch's fused optimizers leave it as it was.
    """

    optimizer.register_step_post_hook(outdate)


def raw_weight(layer: nn.Module) -> nn.Parameter:
    """A layer's weight as the optimizer knows it, under spectral norm or not."""
    return layer.get_parameter("parametrizations.weight.original" if parametrize.is_parametrized(layer, "weight") else "weight")


def _normalised(module: nn.Module) -> Iterator[tuple[SpectralNorm, Tensor]]:
    for layer in module.modules():
        if parametrize.is_parametrized(layer, "weight"):
            norm = layer.get_submodule("parametrizations.weight.0")
            if isinstance(norm, SpectralNorm):
                yield norm, raw_weight(layer)


def warm_up(module: nn.Module, times: int = WARM_UP) -> None:
    """Bring the singular vectors of all normalised weights in a module close to those of its present weights."""
    for norm, weight in _normalised(module):
        norm.iterate(weight, times)


def follow(module: nn.Module, source: nn.Module, times: int = WARM_UP) -> None:
    """Fit the singular vectors of a module's copy, whose weights are averages, starting from its source's."""
    for (norm, weight), (other, _) in zip(_normalised(module), _normalised(source), strict=True):
        norm.left, norm.right = other.left.clone(), other.right.clone()
        norm.iterate(weight, times)
