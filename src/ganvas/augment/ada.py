"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676): changes that D sees, as likely as needed.

The pipeline is the paper's (appendix B) without its filtering and corruptions, which did not help there. Each change
is made with probability p, each picture by itself:

- blit: mirrored, turned by quarters, shifted by whole pixels. Pixels are moved, never mixed.
- geometry: scaled, turned, stretched, turned again and shifted, all in one affine map. Pictures are doubled by cubic
  interpolation, read bilinearly at that finer grid's places, and halved by the same filter, so that none that shrinks
  to half its size aliases (the paper's filter is a longer wavelet's). Where nothing is changed by the map this keeps
  99% of a wave of 8 pixels, 88% of one of 4, along each axis. Beyond the edges is the picture's reflection.
- color: brightness, contrast, luma, hue and saturation, all in one affine map of the colours.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ganvas.augment.warp import warped
from ganvas.config.objective import AdaptiveAugment as AdaptiveAugmentConfig
from ganvas.rng import Draws
from ganvas.types import Images, PerImage

SHIFT = 0.125
"""Shifts, as a share of the side: at most, of whole pixels; standard deviation, of fractions."""
SCALE = 0.2 * math.log(2)
"""Standard deviation of the logarithm of scales and stretches."""
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5 * math.log(2), math.log(2)
"""Standard deviations: of what is added to all colours; of the logarithms of contrast and saturation."""


def blit(x: Images, p: float, draws: Draws) -> Images:
    """Mirrored, turned by quarters (square pictures) and shifted by up to an eighth of the side, reflected at the edges."""
    b, c, height, width = x.shape
    gates, lots = draws.uniforms("blit/gates", 3) < p, draws.uniforms("blit", 4)
    mirrored = gates[:, 0] & (lots[:, 0] < 0.5)
    turns = torch.where(gates[:, 1], (4 * lots[:, 1]).long(), 0)
    reach = torch.tensor((height, width), device=x.device) * SHIFT
    shifts = torch.where(gates[:, 2:], ((2 * lots[:, 2:] - 1) * reach).round().long(), 0)
    if not bool(mirrored.any() | turns.any() | shifts.any()):
        return x
    # Where each pixel comes from, the last change undone first. Turns and mirrors are about the middle, so that there
    # places are twice their distance from it: whole numbers.
    rows = 2 * _reflected(torch.arange(height, device=x.device) - shifts[:, :1], height) - (height - 1)
    columns = 2 * _reflected(torch.arange(width, device=x.device) - shifts[:, 1:], width) - (width - 1)
    cosine, sine = (torch.tensor(values, device=x.device)[turns].view(-1, 1, 1) for values in ((1, 0, -1, 0), (0, 1, 0, -1)))
    up, across = rows[:, :, None], columns[:, None, :]
    row, column = cosine * up + sine * across, cosine * across - sine * up
    column = torch.where(mirrored.view(-1, 1, 1), -column, column)
    at = (row + height - 1).div(2, rounding_mode="floor") * width + (column + width - 1).div(2, rounding_mode="floor")
    at = at + torch.arange(b, device=x.device).view(-1, 1, 1) * (height * width)
    # In channels_last memory a pixel is one row of the matrix.
    pixels = x.permute(0, 2, 3, 1).reshape(b * height * width, c)
    return pixels.index_select(0, at.flatten()).view(b, height, width, c).permute(0, 3, 1, 2)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Indices up to a size beyond either end, brought back by reflection at the edges."""
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= size, 2 * size - 1 - index, index)


def geometry(x: Images, p: float, draws: Draws) -> Images:
    """Scaled, turned, stretched, turned and shifted by one affine map (appendix B)."""
    gates = draws.uniforms("geometry/gates", 5)
    # Two turns, of which either comes with probability p: 1 - (1 - p_rot)^2 = p.
    limits = torch.tensor([p, p, p, 1 - math.sqrt(1 - p), 1 - math.sqrt(1 - p)], device=x.device)
    on = gates < limits
    chosen = on.any(1).nonzero()[:, 0]
    if not len(chosen):
        return x
    angles = math.pi * (2 * draws.uniforms("geometry/angles", 2) - 1)
    moved = warped(x[chosen], affine(on.float(), angles, draws.normals("geometry", 4))[chosen])
    if len(chosen) == len(x):
        return moved
    return x.index_copy(0, chosen, moved)


def affine(on: Tensor, angles: Tensor, normals: Tensor) -> Tensor:
    """(B, 2, 3): from a place in the new picture to one in the old.

    Args:
        on: (B, 5) or (1, 5), how much is made of each change, 0 to 1: of scale, stretch, shift, the first turn and the second.
        angles: (B, 2) of both turns, in radians.
        normals: (B, 4) of scale, stretch and the shift's two directions.
    """
    scale, stretch, shift = (SCALE * normals[:, 0] * on[:, 0]).exp(), (SCALE * normals[:, 1] * on[:, 1]).exp(), normals[:, 2:] * on[:, 2:3]
    first, last = _turn(angles[:, 0] * on[:, 3]), _turn(angles[:, 1] * on[:, 4])
    squeeze = torch.diag_embed(torch.stack([1 / stretch, stretch], 1))
    turned = (first @ squeeze @ last) / scale.view(-1, 1, 1)
    # The whole picture is 2 wide.
    return torch.cat([turned, turned @ (-2 * SHIFT * shift[:, :, None])], 2)


def _turn(angles: Tensor) -> Tensor:
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)


def color(x: Images, p: float, draws: Draws) -> Images:
    """Brightness, contrast, luma flip, hue and saturation of RGB pictures, by one affine map of the colours (appendix B)."""
    on = draws.uniforms("color/gates", 5) < p
    if not bool(on.any()):
        return x
    lots, normals = draws.uniforms("color", 2), draws.normals("color/normal", 3)
    return coloured(x, *_colours(on.float(), lots, normals))


def coloured(x: Images, matrix: Tensor, offset: Tensor) -> Images:
    """Each picture's colours times its matrix (B, 3, 3), plus its offset (B, 3)."""
    b, c, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(b, height * width, c)
    changed = torch.baddbmm(offset[:, None], pixels, matrix.mT)
    return changed.view(b, height, width, c).permute(0, 3, 1, 2)


def _colours(on: Tensor, lots: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, 3) and (B, 3): new colours are the first times the old ones, plus the second."""
    grey, one = torch.full((3, 3), 1 / 3, device=on.device), torch.eye(3, device=on.device)
    contrast = (CONTRAST * normals[:, 1] * on[:, 1]).exp()
    # A reflection at the plane of greys' normal turns light into dark and leaves the hue (Householder).
    luma = one - 2 * grey * (on[:, 2] * (lots[:, 0] < 0.5)).view(-1, 1, 1)
    hue = hues(math.pi * (2 * lots[:, 1] - 1) * on[:, 3])
    saturation = (SATURATION * normals[:, 2] * on[:, 4]).exp().view(-1, 1, 1)
    matrix = (grey + (one - grey) * saturation) @ hue @ luma * contrast.view(-1, 1, 1)
    added = BRIGHTNESS * normals[:, 0] * on[:, 0]
    return matrix, matrix.sum(2) * added[:, None]


def hues(angles: Tensor) -> Tensor:
    """(B, 3, 3) rotations of colours by (B,) angles in radians about the axis of greys (Rodrigues' formula)."""
    angle = angles.view(-1, 1, 1)
    grey, one, third = torch.full((3, 3), 1 / 3, device=angles.device), torch.eye(3, device=angles.device), math.sqrt(1 / 3)
    across = torch.tensor([[0, -third, third], [third, 0, -third], [-third, third, 0]], device=angles.device)
    return grey + (one - grey) * angle.cos() + across * angle.sin()


_CHANGES = {"blit": blit, "geometry": geometry, "color": color}


class AdaptiveAugment:
    """T of `critic(x) = D(T(x))`, and its probability p. Random numbers belong to (seed, stream, picture index).

    After every few batches p rises or falls by a fixed amount, as r_t = E[sign D(x)] over real training pictures is
    above the target or below it (section 3).
    """

    def __init__(self, config: AdaptiveAugmentConfig, seed: int):
        self.config, self.seed, self.p = config, seed, config.start
        self._signs: Tensor | float = 0.0
        self._batches = self._pictures = 0

    def __call__(self, images: Images, stream: str, start: int) -> Images:
        """(B, 3, H, W) in [-1, 1] changed picture by picture; `start` is the global index of the first one."""
        if self.p == 0:
            return images
        draws = Draws(self.seed, f"ada/{stream}", start, len(images), images.device)
        with torch.autocast(images.device.type, enabled=False):
            changed = images.float()
            for name in self.config.groups:
                changed = _CHANGES[name](changed, self.p, draws)
        return changed.contiguous(memory_format=torch.channels_last)

    def observe(self, believed: PerImage) -> dict[str, Tensor]:
        """Take in how real D took the real pictures of a batch for, 0 to 1, and adjust p where it is due.

        Returns `ada_p`, as it was for this batch, and `ada_r` where p was adjusted.
        """
        found = {"ada_p": torch.tensor(self.p)}
        self._signs = self._signs + (believed - 0.5).sign().sum()
        self._pictures += len(believed)
        self._batches += 1
        if self._batches % self.config.every == 0:
            r = float(self._signs) / self._pictures
            change = math.copysign(self._pictures / self.config.images, r - self.config.target)
            self.p = min(max(self.p + change, 0.0), self.config.maximum)
            self._signs, self._batches, self._pictures = 0.0, 0, 0
            found["ada_r"] = torch.tensor(r)
        return found

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"p": self.p, "signs": float(self._signs), "batches": self._batches, "pictures": self._pictures}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self.p, self._signs = state["p"], state["signs"]
        self._batches, self._pictures = state["batches"], state["pictures"]
