"""Attention between the places of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn.resample import Conv1x1


class SelfAttention(nn.Module):
    """x + gamma o(x), where o mixes values of all places by how well a query fits their keys (Zhang et al. 2019, eq. 1-3).

    Queries and keys have an eighth of the maps and values half, and keys and values are halved in resolution, as BigGAN
    has it (Brock et al. 2019, appendix B), which costs a quarter of the memory. gamma starts at zero: the layer is the
    identity at first.
    """

    def __init__(self, maps: int):
        super().__init__()
        inner, values = max(1, maps // 8), max(1, maps // 2)
        self.query, self.key = Conv1x1(maps, inner, bias=False), Conv1x1(maps, inner, bias=False)
        self.value, self.out = Conv1x1(maps, values, bias=False), Conv1x1(values, maps, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; H and W even."""
        small_key, small_value = (F.max_pool2d(layer(x), 2) for layer in (self.key, self.value))
        query, key, value = (_rows(t) for t in (self.query(x), small_key, small_value))
        with torch.autocast(x.device.type, enabled=False):
            # Every product is of bf16 already under autocast, and a softmax of bf16 sums in fp32.
            weights = torch.softmax(query @ key.transpose(1, 2), 2)
            mixed = weights @ value
        b, _, height, width = x.shape
        found = self.out(mixed.view(b, height, width, -1).permute(0, 3, 1, 2))
        return torch.addcmul(x, self.gamma.to(x.dtype), found.to(x.dtype))


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H * W, C), a view of channels_last memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
