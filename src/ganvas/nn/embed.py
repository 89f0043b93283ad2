"""How a class enters a network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ganvas.types import Images, Labels


def onehot(labels: Labels, classes: int, dtype: torch.dtype) -> Tensor:
    """(B, classes), one where the label is, zero elsewhere."""
    return F.one_hot(labels, classes).to(dtype)


def onehot_channels(images: Images, labels: Labels, classes: int) -> Tensor:
    """Pictures (B, C, H, W) with one constant channel for each class behind theirs: (B, C + classes, H, W)."""
    flags = onehot(labels, classes, images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, flags], 1).contiguous(memory_format=torch.channels_last)
