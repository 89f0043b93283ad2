"""The Frechet distance between two Gaussians."""

from __future__ import annotations

import torch

from ganvas.errors import UsageError
from ganvas.metrics.moments import Moments


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982, eq. 4; Heusel et al. 2017, eq. 6).

    The eigenvalues of A B are those of the symmetric A^(1/2) B A^(1/2), which float64 finds several times faster and to
    more digits than a root of the product, also where there are fewer pictures than features. Never below zero.

    Raises:
        UsageError: the moments are of different features, or of fewer than two pictures.
    """
    if a.dim != b.dim:
        raise UsageError(f"features of {a.dim} and of {b.dim} numbers have no distance: both sides need the same features")
    first, second = a.cov, b.cov
    values, vectors = torch.linalg.eigh(first)
    # Half of A^(1/2): the other orthogonal factor changes no eigenvalue.
    half = vectors * values.clamp(min=0).sqrt()
    overlap = torch.linalg.eigvalsh(half.T @ second @ half).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + first.trace() + second.trace() - 2 * overlap
    return max(distance.item(), 0.0)
