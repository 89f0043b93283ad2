"""DiffAugment (Zhao et al. 2020): the same differentiable changes of real and fake pictures before D."""

from __future__ import annotations

import torch
from torch import Tensor

from ganvas import rng
from ganvas.config.objective import DiffAugment as DiffAugmentConfig
from ganvas.types import Images

_NUMBERS = {"color": 3, "translation": 2, "cutout": 2, "flip": 1}


class DiffAugment:
    """T of `critic(x) = D(T(x))`. Random numbers belong to (seed, stream, picture index)."""

    def __init__(self, config: DiffAugmentConfig, seed: int):
        self.policy, self.seed = config.policy, seed

    def __call__(self, images: Images, stream: str, start: int) -> Images:
        """(B, C, H, W) changed picture by picture; `start` is the global index of the first one."""
        numbers = rng.uniforms(self.seed, f"diffaugment/{stream}", start, images.shape[0], sum(_NUMBERS[p] for p in self.policy))
        numbers = numbers.to(images.device, torch.float32)
        for name in self.policy:
            used, numbers = numbers.split([_NUMBERS[name], numbers.shape[1] - _NUMBERS[name]], 1)
            images = _CHANGES[name](images, used)
        return images


def color(x: Images, u: Tensor) -> Images:
    """Brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5, as the paper's section 3.2 orders them."""
    brightness, saturation, contrast = (u[:, i, None, None, None].to(x.dtype) for i in range(3))
    # Brightness shifts every mean alike and saturation keeps the mean over channels, so that all three are one
    # affine map of the picture: x, its grey level and its mean, each read once.
    grey = x.mean(1, keepdim=True)
    mean = grey.mean((2, 3), keepdim=True)
    s, c = saturation * 2, contrast + 0.5
    return x * (s * c) + (grey * ((1 - s) * c) + (mean * (1 - c) + (brightness - 0.5)))


def translation(x: Images, u: Tensor, ratio: float = 0.125) -> Images:
    """Shifted by up to an eighth of its size in whole pixels, zeros coming in."""
    b, _, height, width = x.shape
    limit_y, limit_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    shift_y = (u[:, 0] * (2 * limit_y + 1)).long() - limit_y
    shift_x = (u[:, 1] * (2 * limit_x + 1)).long() - limit_x
    rows = torch.arange(height, device=x.device)[None] + shift_y[:, None]
    columns = torch.arange(width, device=x.device)[None] + shift_x[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    at = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
    # In channels_last a pixel is one row of the matrix, so that a shift is one gather of rows.
    pixels = x.permute(0, 2, 3, 1).reshape(b * height * width, -1)
    offset = torch.arange(b, device=x.device)[:, None, None] * (height * width)
    moved = pixels[(at + offset).flatten()].view(b, height, width, -1)
    return (moved * inside[..., None].to(x.dtype)).permute(0, 3, 1, 2)


def cutout(x: Images, u: Tensor, ratio: float = 0.5) -> Images:
    """A square of half the picture's side set to zero, its centre anywhere."""
    _, _, height, width = x.shape
    size_y, size_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    top = (u[:, 0] * (height + (1 - size_y % 2))).long() - size_y // 2
    left = (u[:, 1] * (width + (1 - size_x % 2))).long() - size_x // 2
    rows = torch.arange(height, device=x.device)[None] - top[:, None]
    columns = torch.arange(width, device=x.device)[None] - left[:, None]
    cut = ((rows >= 0) & (rows < size_y))[:, :, None] & ((columns >= 0) & (columns < size_x))[:, None]
    return x * (~cut)[:, None].to(x.dtype)


def flip(x: Images, u: Tensor) -> Images:
    """Mirrored left to right, every other picture at random."""
    return torch.where(u[:, :, None, None] < 0.5, x.flip(3), x)


_CHANGES = {"color": color, "translation": translation, "cutout": cutout, "flip": flip}
