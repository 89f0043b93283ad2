"""Classes of pictures that are made."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas import rng
from ganvas.types import Labels


def draw_labels(weights: Tensor, seed: int, start: int, count: int, stream: str) -> Labels:
    """(count,) class indices drawn in proportion to `weights` (classes,), each of its (seed, stream, index)."""
    u = rng.uniforms(seed, stream, start, count, 1)[:, 0]
    edges = weights.double().cumsum(0)
    return torch.searchsorted(edges / edges[-1], u).clamp_max(len(weights) - 1)
