"""Regularisers: functions of a network's parameters alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganvas.nn.spectral import as_matrix, raw_weight


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
