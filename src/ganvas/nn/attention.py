"""Attention between the places of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.nn.kernels.functions import attention as in_c
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
        mixed = attend(*(_rows(t) for t in (self.query(x), small_key, small_value)))
        b, _, height, width = x.shape
        found = self.out(mixed.view(b, height, width, -1).permute(0, 3, 1, 2))
        return torch.addcmul(x, self.gamma.to(x.dtype), found.to(x.dtype))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q K^T) V: (B, M, d), (B, N, d) and (B, N, v) to (B, M, v)."""
    kind = query.device.type
    if not torch.is_autocast_enabled(kind):
        # Step by step: fused kernels have no gradients of gradients, which penalties take in full precision.
        return torch.softmax(query @ key.transpose(1, 2), 2) @ value
    with torch.autocast(kind, enabled=False):
        if (mixed := in_c(query, key, value)) is not None:
            return mixed
        # The fused kernel wants vectors of one length; zeros add nothing to a product.
        missing = value.shape[2] - query.shape[2]
        query, key = (F.pad(t, (0, missing)) for t in (query, key))
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H * W, C), a view of channels_last memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
