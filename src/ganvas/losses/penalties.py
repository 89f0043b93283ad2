"""Gradient penalties, per picture, at the pictures before any augmentation."""

from __future__ import annotations

import torch

from ganvas.types import Images, PerImage


def r1(real: Images, logits: PerImage) -> PerImage:
    """Squared gradient of D at real pictures, |grad_x D(x)|^2 (Mescheder et al. 2018, eq. 9).

    `real` must require gradients and `logits` must come from it, in fp32.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1)
