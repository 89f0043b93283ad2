"""Changes of real pictures of which a generator is told: it learns from them, and makes none of its own unless asked.

With few pictures, a generator that is told which one to make learns them by heart. Changed ones (mirrored, in other
hues, scaled, turned and shifted) are further pictures to learn; that they are changed is told, so that what is made
without being told so is distributed as the pictures are (Jun et al. 2020, "Distribution augmentation for generative
modeling", ICML; Karras et al. 2022, arXiv:2206.00364, appendix F.2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganvas.augment.ada import hues, turns
from ganvas.augment.warp import doubled, gather, halved, places
from ganvas.config import ToldAugment as ToldAugmentConfig
from ganvas.rng import Draws
from ganvas.types import Images

SCALE = 0.1 * math.log(2)
"""Standard deviation of the logarithm of scales and stretches."""
TURN = math.radians(7.5)
"""Standard deviation of turns."""
SHIFT = 1 / 16
"""Standard deviation of shifts, as a share of the side."""


class ToldAugment:
    """Changes a share of real pictures, each by its place in the run's stream alone, and tells which."""

    def __init__(self, config: ToldAugmentConfig, seed: int):
        self.config, self._seed = config, seed

    @torch.no_grad()
    def __call__(self, images: Images, start: int, shown: int) -> tuple[Images, Tensor]:
        """Pictures (B, 3, H, W) in [-1, 1], some of them changed, and which ones, bool (B,).

        Args:
            images: left as they are.
            start: the place of the first of them in the run's stream of pictures.
            shown: pictures before this batch; none is changed before `config.after` of them.
        """
        if shown < self.config.after:
            return images, torch.zeros(len(images), dtype=torch.bool, device=images.device)
        draws = Draws(self._seed, "told", start, len(images), images.device)
        changed = draws.uniforms("gates", 1)[:, 0] < self.config.share
        chosen = changed.nonzero()[:, 0]
        if not len(chosen):
            return images, changed
        x, lots, normals = images[chosen].float(), draws.uniforms("lots", 2)[chosen], draws.normals("normal", 5)[chosen]
        if "mirror" in self.config.changes:
            x = torch.where((lots[:, 0] < 0.5).view(-1, 1, 1, 1), x.flip(3), x)
        if "hue" in self.config.changes:
            x = _recoloured(x, hues(math.pi * (2 * lots[:, 1] - 1)))
        if "geometry" in self.config.changes:
            x = _moved(x, normals)
        return images.index_copy(0, chosen, x.to(images)).contiguous(memory_format=torch.channels_last), changed


def _recoloured(x: Images, matrices: Tensor) -> Images:
    """Each picture's colours times its (3, 3) matrix; those that no screen has are clamped."""
    b, c, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(b, height * width, c)
    return (pixels @ matrices.mT).clamp_(-1, 1).view(b, height, width, c).permute(0, 3, 1, 2)


def _moved(x: Images, normals: Tensor) -> Images:
    """Stretched, turned, scaled and shifted by (B, 5) normal numbers, in one affine map; beyond the edges is the picture's reflection."""
    scale, stretch, turn, *_ = normals.unbind(1)
    stretch, scale = (SCALE * stretch).exp(), (SCALE * scale).exp()
    # From a place in the new picture to one in the old; the whole picture is 2 wide.
    maps = turns(TURN * turn) @ torch.diag_embed(torch.stack([1 / stretch, stretch], 1)) / scale.view(-1, 1, 1)
    maps = torch.cat([maps, maps @ (-2 * SHIFT * normals[:, 3:, None])], 2)
    height, width = x.shape[2:]
    return halved(gather(doubled(x.contiguous()), places(maps, 2 * height, 2 * width))).clamp_(-1, 1)
