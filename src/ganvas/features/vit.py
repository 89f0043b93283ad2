"""The vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) as DINOv2 has it.

Oquab et al. 2023 (arXiv 2304.07193): patches of 14x14, a class token, learned positions, blocks that normalise first
and scale what they add by channel (Touvron et al. 2021, arXiv 2103.17239, eq. 4). Modules are named as in the
released weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganvas.types import Images

PATCH = 14
_EPSILON = 1e-6
_WIDER = 4


class _Scale(nn.Module):
    """One factor for each channel."""

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Attention(nn.Module):
    """Self-attention of several heads (Dosovitskiy et al. 2021, appendix A)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        # (B, N, 3 D) to three of (B, heads, N, D / heads).
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class _Mlp(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, _WIDER * dim)
        self.fc2 = nn.Linear(_WIDER * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    """x + s1 attention(norm(x)), then x + s2 mlp(norm(x)) (Dosovitskiy et al. 2021, eq. 2 and 3)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, _EPSILON), nn.LayerNorm(dim, _EPSILON)
        self.attn, self.mlp = _Attention(dim, heads), _Mlp(dim)
        self.ls1, self.ls2 = _Scale(dim), _Scale(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Patches(nn.Module):
    """Pictures to one row of `dim` numbers for each patch, line by line."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """A frozen transformer over patches of 14x14, whose learned positions are a square grid of side `grid`."""

    def __init__(self, dim: int, depth: int, heads: int, grid: int):
        super().__init__()
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, dim))
        self.patch_embed = _Patches(dim)
        self.blocks = nn.ModuleList(_Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, _EPSILON)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Images) -> Tensor:
        """(B, dim): the class token after the last norm, of normalised pictures whose sides are multiples of 14."""
        x = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = x + self.positions(images.shape[-2] // PATCH, images.shape[-1] // PATCH)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]

    def positions(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows columns, dim): the learned positions, resampled where the picture has another grid of patches.

        The release samples bicubically, not anti-aliased, at a step of grid / (side + 0.1): the tenth, there against
        rounding, moves the samples a little, and its published scores have it.
        """
        if rows == columns == self.grid:
            return self.pos_embed
        first, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        scale = ((rows + 0.1) / self.grid, (columns + 0.1) / self.grid)
        return torch.cat([first, F.interpolate(grid, scale_factor=scale, mode="bicubic").flatten(2).transpose(1, 2)], 1)
