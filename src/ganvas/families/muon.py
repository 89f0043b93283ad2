"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): steps that move every direction of a matrix alike."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

NARROWEST, LONGEST = 8, 16
"""Of a matrix's two sides, and of how many times the one is as long as the other.

Narrower matrices, such as a picture's three channels make, and longer ones, such as latents enter by, are left to Adam: of the
longer ones, Muon's products take more time than they gain.
"""
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial a s + b s^3 + c s^5, which takes singular values from 0.01 to 1 to about 1 in five turns."""
ADAMS_SIZE = 0.2
"""The root mean square of an update is this times the rate, as Adam's mostly is (Liu et al. 2025, arXiv:2502.16982, section 2.2)."""


def orthogonal(x: Tensor) -> Tensor:
    """A matrix with the singular vectors of x (M, N) and singular values near 1, in bf16: Newton and Schulz's iteration."""
    y = x.bfloat16()
    turned = len(y) > y.shape[1]
    y = y.T if turned else y
    y = y / (y.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = y @ y.T
        y = torch.addmm(y, torch.addmm(gram, gram, gram, beta=b, alpha=c), y, beta=a)
    return y.T if turned else y


def is_matrix(layer: nn.Module, parameter: nn.Parameter) -> bool:
    """Whether Muon moves it: kernels are matrices of outputs by inputs and places; tables of embeddings are rows of their own."""
    if parameter.ndim < 2 or isinstance(layer, nn.Embedding):
        return False
    short, long = sorted((len(parameter), parameter[0].numel()))
    return short >= NARROWEST and long <= LONGEST * short


class Muon(torch.optim.Adam):
    """Muon for matrices, Adam for all other parameters, at one rate."""

    def __init__(self, module: nn.Module, lr: float, momentum: float, betas: tuple[float, float], eps: float):
        matrices: dict[int, nn.Parameter] = {}
        for layer in module.modules():
            matrices |= {id(p): p for p in layer.parameters(recurse=False) if is_matrix(layer, p)}
        others = [p for p in module.parameters() if id(p) not in matrices]
        groups = [{"params": others, "momentum": None}, {"params": list(matrices.values()), "momentum": momentum}]
        super().__init__([group for group in groups if group["params"]], lr=lr, betas=betas, eps=eps, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update; `closure` is not supported."""
        kept: list[tuple[nn.Parameter, Tensor]] = []
        for group in self.param_groups:
            if group["momentum"] is None:
                continue
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group["lr"], group["momentum"])
                    kept.append((parameter, parameter.grad))
                    parameter.grad = None  # nothing for Adam to do
        super().step()
        for parameter, gradient in kept:
            parameter.grad = gradient

    def _move(self, parameter: nn.Parameter, lr: float, momentum: float) -> None:
        gradient = cast(Tensor, parameter.grad)
        state = self.state[parameter]
        if not state:
            state["step"], state["momentum_buffer"] = torch.zeros(()), torch.zeros_like(gradient)  # Adam looks for the first
        state["step"] += 1
        past = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(past, momentum)  # Nesterov's
        # Kernels in channels_last memory are matrices as they lie there; in which order columns are makes no difference.
        turned = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
        ahead, moved = (x.permute(0, 2, 3, 1) if turned else x for x in (ahead, parameter))
        matrix = ahead.flatten(1)
        moved.sub_(orthogonal(matrix).view(ahead.shape), alpha=lr * ADAMS_SIZE * max(matrix.shape) ** 0.5)
