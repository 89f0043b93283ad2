"""R3GAN (Huang et al. 2024, arXiv 2501.05441, section 4, configuration E), G beside D: residual networks without any norm.

Each resolution has some blocks of 1x1, grouped 3x3 and 1x1 convolutions; between resolutions a map is resampled
bilinearly and a 1x1 convolution changes its maps where their number changes. The generator begins with learnt 4x4 maps
whose strengths the latent decides; the discriminator ends with one 4x4 filter for each map and a linear layer. The two
are each other's mirror. Weights begin so that the depth changes no variance (Fixup, Zhang et al. 2019).

The group of 16 maps is the paper's, and is what makes the penalties affordable on a processor: in fp32, a grouped 3x3
convolution of 128 maps with its gradients takes a quarter of the time of a full one, in bf16 half of it. PyTorch's own
gradient of a grouped convolution's gradient would give much of that back, so `nn/grouped.py` has another.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.config.modern import R3ganDiscriminator, R3ganGenerator
from ganvas.models.common import needed
from ganvas.models.residual import BASE, CHANNELS, check_resolution, width_at
from ganvas.nn.activation import activate
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.grouped import GroupedConv2d
from ganvas.nn.resample import Conv1x1, Conv3x3, smooth_double, smooth_pool
from ganvas.types import ClassWeights, Images, Labels, Latents, PerImage

Config = R3ganGenerator | R3ganDiscriminator


class Block(nn.Module):
    """x + conv1x1(f(conv3x3(f(conv1x1(x))))), f a leaky ReLU; the last convolution has no bias and begins at zero."""

    def __init__(self, maps: int, config: Config):
        super().__init__()
        self.slope = config.slope
        group = config.group
        inner = max(1, round(maps * config.expansion))
        if group is not None:
            inner = max(1, round(inner / group)) * group
        self.conv1 = Conv1x1(maps, inner)
        self.conv2 = Conv3x3(inner, inner) if group is None else GroupedConv2d(inner, inner, 3, inner // group)
        self.conv3 = Conv1x1(inner, maps, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        hidden = activate(self.conv1(x), self.slope)
        return x + self.conv3(activate(self.conv2(hidden), self.slope))

    def reset(self, blocks: int) -> None:
        """Fixup: the last convolution zero, the others' deviation of He et al. 2015 by the root of the root of the number of blocks."""
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(layer.weight, a=self.slope)
            with torch.no_grad():
                layer.weight.mul_(blocks**-0.25)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.conv3.weight)


class Transition(nn.Module):
    """Twice or half the size, and another number of maps; what is fewer pixels or maps is computed first."""

    def __init__(self, entering: int, leaving: int, up: bool):
        super().__init__()
        self.up = up
        self.change = Conv1x1(entering, leaving, bias=False) if entering != leaving else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W) or (B, C', H/2, W/2)."""
        # Both are linear, one over pixels and one over maps: they commute.
        return smooth_double(self.change(x)) if self.up else self.change(smooth_pool(x))


def _stages(config: Config, resolution: int) -> list[int]:
    """Maps at 4x4, 8x8 and so on up to the resolution."""
    count = resolution.bit_length() - BASE.bit_length() + 1
    return [width_at(BASE << i, resolution, config.width, config.max_width) for i in range(count)]


def _initialise(module: nn.Module) -> None:
    """Fixup for the blocks; all else keeps the variance."""
    blocks = [layer for layer in module.modules() if isinstance(layer, Block)]
    inside = {part for block in blocks for part in block.modules()}
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer not in inside:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for block in blocks:
        block.reset(len(blocks))


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R), near [-1, 1] but not bound to it."""

    def __init__(self, config: R3ganGenerator, resolution: int, latent_size: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config, self.classes, self.latent_size = config, classes, latent_size
        maps, *widths = _stages(config, resolution)
        if config.labels is not None:
            self.embedding = ClassEmbedding(classes, config.embedding)
        self.basis = nn.Parameter(torch.randn(1, maps, BASE, BASE))
        self.strength = nn.Linear(latent_size + (config.embedding if config.labels else 0), maps, bias=False)
        layers: list[nn.Module] = [Block(maps, config) for _ in range(config.blocks)]
        for leaving in widths:
            layers += [Transition(maps, leaving, up=True), *(Block(leaving, config) for _ in range(config.blocks))]
            maps = leaving
        self.layers = nn.Sequential(*layers)
        self.last = Conv1x1(maps, CHANNELS)
        _initialise(self)

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures; `labels` are needed exactly if the model is conditional."""
        if self.config.labels is not None:
            latents = torch.cat([latents, self.embedding(needed(labels))], 1)
        strength = self.strength(latents)
        # In channels_last memory: pixels outside, maps inside.
        x = (strength[:, None, None, :] * self.basis.permute(0, 2, 3, 1).to(strength.dtype)).permute(0, 3, 1, 2)
        return self.last(self.layers(x))


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] and class indices (B,) to logits (B,).

    Nothing is added to all logits alike: a relativistic loss sees differences only.
    """

    def __init__(self, config: R3ganDiscriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config = config
        *widths, maps = _stages(config, resolution)
        self.first = Conv1x1(CHANNELS, maps)
        layers: list[nn.Module] = [Block(maps, config) for _ in range(config.blocks)]
        for leaving in reversed(widths):
            layers += [Transition(maps, leaving, up=False), *(Block(leaving, config) for _ in range(config.blocks))]
            maps = leaving
        self.layers = nn.Sequential(*layers)
        self.gather = nn.Conv2d(maps, maps, BASE, groups=maps, bias=False)
        self.head = nn.Linear(maps, 1, bias=False)
        if config.labels is not None:
            self.projection = ClassEmbedding(classes, maps)
        _initialise(self)

    def forward(self, images: Images, labels: Labels | None = None) -> PerImage:
        """Logits, higher for real; `labels` are needed exactly if the model is conditional."""
        x = self.layers(self.first(images))
        # One filter as large as the map, for each map: a product and a sum.
        features = (x.float() * self.gather.weight.float()[:, 0]).sum((2, 3))
        logits = F.linear(features, self.head.weight.float()).flatten()
        if self.config.labels is not None:
            logits = logits + (self.projection(needed(labels)).float() * features).mean(1)
        return logits
