"""Latents: drawn by (seed, index), truncated, and walked between."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas import rng
from ganvas.config.family import LatentConfig
from ganvas.types import Latents


def draw(config: LatentConfig, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Latents:
    """(count, size) latents of the pictures start, start + 1, ...; each depends on (seed, stream, its index) alone.

    `truncation` bounds normal values to [-t, t] (Brock et al. 2019, section 3.1): lower, truer and less varied. It has
    no effect on uniform latents.
    """
    if config.distribution == "uniform":
        return rng.uniforms(seed, stream, start, count, config.size).float()
    return rng.normals(seed, stream, start, count, config.size, truncation)


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """Spherical interpolation (..., size) from a (t = 0) to b (t = 1) (White 2016, eq. for slerp)."""
    unit_a, unit_b = (v / v.norm(dim=-1, keepdim=True).clamp_min(1e-12) for v in (a, b))
    angle = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    t = torch.as_tensor(t, dtype=a.dtype)
    sine = angle.sin()
    spherical = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / sine.clamp_min(1e-12)
    return torch.where(sine > 1e-6, spherical, a + (b - a) * t)
