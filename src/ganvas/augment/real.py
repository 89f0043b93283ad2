"""Augmentation of real pictures, before the discriminator sees them.

All of it works on the whole batch at once. Crop and rotation are one affine map, so that a picture is resampled once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganvas import rng
from ganvas.augment.warp import gather, places
from ganvas.config.data import AugmentConfig

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


class RealAugment:
    """Changes real pictures at random, each by its own place in the stream of pictures that training sees.

    The same picture of the same stream is changed alike whatever the batches are, so a resumed run goes on as before.
    """

    def __init__(self, config: AugmentConfig, seed: int):
        self._config = config
        self._seed = seed

    def __call__(self, images: Tensor, start: int) -> Tensor:
        """Augmented pictures, float (B, 3, H, W) in [-1, 1], in channels_last memory where they were given so.

        Args:
            images: float (B, 3, H, W) in [-1, 1]; left as they are.
            start: the place of the first of them in the stream; the others follow it.
        """
        config, laid_out = self._config, _layout(images)
        if config.flip:
            mirrored = self._draw("flip", start, images, 1)[:, 0].view(-1, 1, 1, 1) < 0.5
            images = torch.where(mirrored, images.flip(3), images)
        if config.crop < 1 or config.rotate > 0:
            images = moved(images, self._maps(images, start)).contiguous(memory_format=laid_out)
        if config.jitter > 0:
            factors = 1 + config.jitter * (2 * self._draw("jitter", start, images, 3) - 1)
            images = recoloured(images, *factors.unbind(1))
        return images

    def _maps(self, images: Tensor, start: int) -> Tensor:
        """(B, 2, 3): from a place in the new picture to one in the old, both in [-1, 1] from edge to edge.

        A square of a random share of the side, at a random place, turned about its own centre; beyond the old picture's
        edge is its reflection.
        """
        config = self._config
        height, width = images.shape[2:]
        size, x, y, turn = self._draw("move", start, images, 4).unbind(1)
        share = config.crop + (1 - config.crop) * size
        angle = math.radians(config.rotate) * (2 * turn - 1)
        cosine, sine = share * angle.cos(), share * angle.sin()
        rows = [
            torch.stack([cosine, -sine * (height / width), (1 - share) * (2 * x - 1)], 1),
            torch.stack([sine * (width / height), cosine, (1 - share) * (2 * y - 1)], 1),
        ]
        return torch.stack(rows, 1)

    def _draw(self, stream: str, start: int, images: Tensor, per: int) -> Tensor:
        """(B, per) in (0, 1), in the pictures' type and on their device."""
        drawn = rng.uniforms(self._seed, stream, start, len(images), per)
        return drawn.to(images.device, images.dtype, non_blocking=True)


def _layout(images: Tensor) -> torch.memory_format:
    return torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def moved(images: Tensor, maps: Tensor) -> Tensor:
    """Pictures (B, C, H, W) resampled bilinearly through affine `maps` (B, 2, 3), reflected at their edges."""
    return gather(images, places(maps.to(images.dtype), *images.shape[2:]))


def recoloured(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] with their levels above black times `brightness`, then their distance from the
    mean grey times `contrast`, then each pixel's distance from its own grey times `saturation`; clamped at the end.

    The factors are (B,); 1 changes nothing. With y the levels in [0, 1], g their grey and m its mean, all three are
    b c (g + s (y - g)) + b m (1 - c), because none of them changes what the next one takes for grey.
    """
    grey = (images.permute(0, 2, 3, 1) @ images.new_tensor(LUMA)).unsqueeze(1).add_(1).mul_(0.5)
    mean = grey.mean((1, 2, 3))
    own = brightness * contrast * saturation
    shared = grey.mul_((2 * brightness * contrast * (1 - saturation)).view(-1, 1, 1, 1))
    shared.add_((2 * brightness * mean * (1 - contrast) + own - 1).view(-1, 1, 1, 1))
    return torch.addcmul(shared, images, own.view(-1, 1, 1, 1)).clamp_(-1, 1)
