"""Regularisers: functions of a network's parameters alone, and those that keep state."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.config.objective import PathLengthRegulariser
from ganvas.nn.spectral import as_matrix, raw_weight
from ganvas.types import Images, PerImage, Styles


def orthogonality(matrix: Tensor, diagonal: bool = False) -> Tensor:
    """How far the rows of a matrix (filters, weights of each) are from orthogonal to each other: |W W^T * (1 - I)|_F^2.

    That is eq. 4 of Brock et al. 2019, section 3.1; with `diagonal`, |W W^T - I|_F^2, which wants norms of one too
    (eq. 3). The paper writes filters as columns. A number without a shape.
    """
    # |W W^T|_F = |W^T W|_F, of which the smaller is made.
    products = matrix @ matrix.t() if len(matrix) <= matrix.shape[1] else matrix.t() @ matrix
    norms = matrix.square().sum(1)
    if diagonal:
        return products.square().sum() - 2 * norms.sum() + len(matrix)
    return products.square().sum() - norms.square().sum()


def orthogonal_penalty(module: nn.Module, diagonal: bool = False) -> Tensor:
    """The sum of `orthogonality` over the convolutions and linear layers of a network, of their weights before any norm.

    Embeddings are left out, as the paper leaves out the shared one: rows of classes may well be alike.
    """
    layers = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear))
    terms = [orthogonality(as_matrix(raw_weight(m), isinstance(m, nn.ConvTranspose2d)), diagonal) for m in layers]
    return torch.stack(terms).sum()


def path_lengths(pictures: Images, styles: Styles, directions: Images) -> PerImage:
    """|J^T y|: how far a step of w moves each picture in a direction y (Karras et al. 2020, StyleGAN2, eq. 4).

    J are the derivatives of `pictures` with respect to `styles`, which they came from, in fp32; with a style for each
    layer, their squares are summed over the layers too. `directions` are from N(0, 1).
    """
    (gradient,) = torch.autograd.grad((pictures * directions).sum(), styles, create_graph=True)
    return gradient.square().sum((1, 2)).sqrt()


class PathLength:
    """Path length regularisation: (|J^T y| - a)^2, with a the moving mean of the lengths (Karras et al. 2020, eq. 4)."""

    def __init__(self, config: PathLengthRegulariser, resolution: int):
        """`resolution`: side of the pictures, 4 or more."""
        self.config = config
        self.weight = usual_weight(resolution) if config.weight is None else config.weight
        self.mean: Tensor | None = None
        """a; None before the first lengths."""

    def lengths(self, pictures: Images, styles: Styles, directions: Images) -> PerImage:
        """See `path_lengths`."""
        return path_lengths(pictures, styles, directions)

    def penalty(self, lengths: PerImage) -> PerImage:
        """(B,) before the weight; the lengths enter the moving mean first."""
        now = lengths.detach().mean()
        # From zero, the penalty would flatten the generator before the mean had come up to the lengths.
        self.mean = now if self.mean is None else torch.lerp(now, self.mean.to(now.device), self.config.decay)
        return (lengths - self.mean).square()

    def state_dict(self) -> dict[str, Any]:
        """The moving mean."""
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self.mean = state["mean"]


def usual_weight(resolution: int) -> float:
    """gamma = ln 2 / (r^2 (ln r - ln 2)) for pictures of r pixels a side (Karras et al. 2020, StyleGAN2, appendix B)."""
    return math.log(2) / (resolution**2 * (math.log(resolution) - math.log(2)))
