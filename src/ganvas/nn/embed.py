"""How a class enters a network: as a class index, or as a mixture of classes.

Whatever is linear in the one-hot vector takes mixtures as it takes classes. A model that uses `onehot` and
`ClassEmbedding`, and no other way in, can therefore be walked from one class to another (Brock et al. 2019, figure 8).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.types import ClassWeights, Images, Labels


def onehot(labels: Labels | ClassWeights, classes: int, dtype: torch.dtype) -> Tensor:
    """(B, classes), one where the label is, zero elsewhere; weights of classes stay as they are."""
    return (labels if labels.is_floating_point() else F.one_hot(labels, classes)).to(dtype)


def onehot_channels(images: Images, labels: Labels | ClassWeights, classes: int) -> Tensor:
    """Pictures (B, C, H, W) with one constant channel for each class behind theirs: (B, C + classes, H, W)."""
    flags = onehot(labels, classes, images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, flags], 1).contiguous(memory_format=torch.channels_last)


class ClassEmbedding(nn.Embedding):
    """A learnt vector for each class; the weighted mean of them for a mixture. State and gradients are `nn.Embedding`'s."""

    def forward(self, input: Labels | ClassWeights) -> Tensor:
        """(B,) class indices, or (B, classes) weights, to (B, size)."""
        if input.is_floating_point():
            return input.to(self.weight.dtype) @ self.weight
        return super().forward(input)
