"""Augmentation of real pictures, before the discriminator sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas import rng
from ganvas.config.data import AugmentConfig


class RealAugment:
    """Changes real pictures at random, each by its own place in the stream of pictures that training sees.

    The same picture of the same stream is changed alike whatever the batches are, so a resumed run goes on as before.
    """

    def __init__(self, config: AugmentConfig, seed: int):
        self._flip = config.flip
        self._seed = seed

    def __call__(self, images: Tensor, start: int) -> Tensor:
        """Augmented pictures, float (B, 3, H, W) as given, in the same memory layout.

        Args:
            images: float (B, 3, H, W).
            start: the place of the first of them in the stream; the others follow it.
        """
        if not self._flip:
            return images
        mirrored = rng.uniforms(self._seed, "flip", start, len(images), 1).view(-1, 1, 1, 1) < 0.5
        return torch.where(mirrored.to(images.device, non_blocking=True), images.flip(3), images)
