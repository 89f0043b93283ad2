"""Shapes and ranges, said once.

Pictures on disk and at the borders of the package are uint8 (N, H, W, 3), RGB, 0 to 255. Inside networks they are
floating point (B, 3, H, W) in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Images = Float[Tensor, "b c h w"]
"""Pictures in [-1, 1]."""
Pixels = UInt8[Tensor, "b h w c"]
"""Pictures in 0 to 255, RGB."""
Levels = Float[Tensor, "b h w c"]
"""The same, not rounded to whole levels."""
Latents = Float[Tensor, "b z"]
Styles = Float[Tensor, "b layers size"]
"""StyleGAN's w, one for each layer of each picture."""
Labels = Int64[Tensor, "b"]
"""Class indices, 0 to classes - 1."""
Codes = Float[Tensor, "b z"]
"""Where real pictures' features lie: see `ganvas.families.coding`."""
Conditions = Labels | Codes
"""What a discriminator is told of a picture."""
Logits = Float[Tensor, "b ..."]
"""One logit for each picture of a batch, (B,), or several, (B, K): of patches, or of discriminators that judge apart."""
ClassLogits = Float[Tensor, "b k"]
"""One number for each class, for each picture of a batch."""
ClassWeights = Float[Tensor, "b k"]
"""How much of each class a picture is of: rows that sum to 1; a row with a single 1 is that class."""
PerImage = Float[Tensor, "b"]
"""One number for each picture of a batch (a logit, a loss)."""


@dataclass(frozen=True)
class Batch:
    """Real pictures in [-1, 1] with their class indices, where the data set has any that the run uses."""

    images: Tensor
    labels: Tensor | None = None
    start: int = 0
    """The place of the first picture in the run's stream of pictures: random numbers are addressed by it."""


def to_images(pixels: Tensor) -> Tensor:
    """uint8 (B, H, W, C) to float (B, C, H, W) in [-1, 1], in channels_last memory (no copy beyond the cast)."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32).mul_(2 / 255).sub_(1)


def to_pixels(images: Tensor) -> Tensor:
    """Float (B, C, H, W) in [-1, 1] to uint8 (B, H, W, C), rounded to the nearest level and clamped."""
    levels = images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()
