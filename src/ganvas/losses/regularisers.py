"""Regularisers: of a network's parameters or derivatives, or of what a discriminator says, with state where that is compared over time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganvas.nn.spectral import as_matrix, raw_weight
from ganvas.types import Images, Logits, PerImage, Styles


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


def consistency(first: Logits, second: Logits) -> PerImage:
    """|D(x) - D(T(x))|^2 for each picture (Zhang et al. 2020, eq. 3, at D's last layer), from D's answers for both."""
    return per_picture((first - second).square())


def distance(first: Images, second: Images) -> PerImage:
    """|G(z) - G(z + dz)|^2 for each picture (Zhao et al. 2021, algorithm 2); a mean over its values, so that a weight serves all sizes."""
    return per_picture((first.float() - second.float()).square())


def per_picture(values: Tensor) -> PerImage:
    """(B, ...) to (B,): the mean of each row; what is (B,) already stays as it is."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


class Anchors(nn.Module):
    """Moving averages of D's answers for real pictures and for fakes, and the distance from them (Tseng et al. 2021).

    They are buffers, so that a checkpoint keeps them. Before the first update they have no value.
    """

    real: Tensor
    """alpha_R, a number without a shape."""
    fake: Tensor
    """alpha_F."""
    updates: Tensor

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, real: Logits, fake: Logits) -> None:
        """a = decay a + (1 - decay) E D(.), (eq. 4); the first answers are the first values."""
        weight = torch.where(self.updates == 0, 1.0, 1 - self.decay)
        self.real.lerp_(real.float().mean(), weight)
        self.fake.lerp_(fake.float().mean(), weight)
        self.updates += 1

    def forward(self, real: Logits, fake: Logits) -> PerImage:
        """|D(x) - alpha_F|^2 + |D(G(z)) - alpha_R|^2 (eq. 3), for each pair of a real picture and a fake."""
        return per_picture((real.float() - self.fake).square() + (fake.float() - self.real).square())


def path_lengths(pictures: Images, styles: Styles, directions: Images) -> PerImage:
    """|J^T y|: how far a step of w moves each picture in a direction y (Karras et al. 2020, StyleGAN2, eq. 4).

    J are the derivatives of `pictures` with respect to `styles`, which they came from, in fp32; with a style for each
    layer, their squares are summed over the layers too. `directions` are from N(0, 1).
    """
    (gradient,) = torch.autograd.grad((pictures * directions).sum(), styles, create_graph=True)
    return gradient.square().sum((1, 2)).sqrt()


class PathLength(nn.Module):
    """Path length regularisation: (|J^T y| - a)^2, with a the moving mean of the lengths (Karras et al. 2020, eq. 4).

    The mean is a buffer, so that a checkpoint keeps it. Before the first lengths it has no value.
    """

    mean: Tensor
    """a, a number without a shape."""
    updates: Tensor

    def __init__(self, decay: float):
        """`decay`: the share of the mean so far in the next one, in [0, 1)."""
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, lengths: PerImage) -> PerImage:
        """(B,) before the weight; the lengths enter the moving mean first."""
        with torch.no_grad():
            now = lengths.detach().mean()
            # From zero, the penalty would flatten the generator before the mean had come up to the lengths.
            self.mean.copy_(torch.where(self.updates == 0, now, torch.lerp(now, self.mean, self.decay)))
            self.updates += 1
        return (lengths - self.mean).square()


def usual_weight(resolution: int) -> float:
    """gamma = ln 2 / (r^2 (ln r - ln 2)) for pictures of r pixels a side (Karras et al. 2020, StyleGAN2, appendix B)."""
    return math.log(2) / (resolution**2 * (math.log(resolution) - math.log(2)))
