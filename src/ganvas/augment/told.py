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

from ganvas.augment.ada import affine, coloured, hues
from ganvas.augment.warp import warped
from ganvas.config import ToldAugment as ToldAugmentConfig
from ganvas.rng import Draws
from ganvas.types import Images

TURN = math.radians(7.5)
"""Standard deviation of turns."""
STRENGTHS = (0.5, 0.5, 0.5, 1.0, 0.0)
"""Of the changes of place (`ada.affine`): scales, stretches and shifts half as large as ADA's, one turn."""


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
            x = coloured(x, hues(math.pi * (2 * lots[:, 1] - 1)), x.new_zeros(len(x), 3)).clamp_(-1, 1)
        if "geometry" in self.config.changes:
            angles = torch.stack([TURN * normals[:, 2], torch.zeros_like(normals[:, 2])], 1)
            maps = affine(normals.new_tensor([STRENGTHS]), angles, normals[:, [0, 1, 3, 4]])
            x = warped(x.contiguous(), maps).clamp_(-1, 1)
        return images.index_copy(0, chosen, x.to(images)).contiguous(memory_format=torch.channels_last), changed
