"""Residual blocks that SNGAN, SAGAN and BigGAN share, and the frames of their two players."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ganvas.config.residual import BigganDiscriminator, ResnetDiscriminator
from ganvas.errors import UsageError
from ganvas.models.common import needed
from ganvas.nn.activation import activate
from ganvas.nn.attention import SelfAttention
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.norm import normalise
from ganvas.nn.resample import Conv1x1, Conv3x3, DownConv3x3, UpConv3x3, double, pool
from ganvas.nn.spectral import spectral_norm
from ganvas.types import Images, Labels, PerImage

CHANNELS = 3
BASE = 4
"""The side of the smallest maps, in pixels."""


def check_resolution(resolution: int) -> None:
    """Raise a `UsageError` unless the resolution is a power of two from 16 to 512."""
    if resolution < 16 or resolution > 512 or resolution & (resolution - 1):
        raise UsageError(f"data.resolution is {resolution}: residual networks need a power of two from 16 to 512, such as 32, 64 or 128")


def width_at(side: int, resolution: int, width: int, max_width: int) -> int:
    """Feature maps where the picture has shrunk to `side`: doubled each time, up to `max_width`."""
    return min(width * (resolution // side), max_width)


def attended(attention: int | None, resolution: int) -> int | None:
    """The side of the maps with self-attention: the one asked for, or half the picture's where that is less."""
    return None if attention is None else min(attention, resolution // 2)


class GeneratorBlock(nn.Module):
    """Norm, activation, doubling, 3x3, norm, activation, 3x3; beside it doubling and 1x1 (Miyato et al. 2018, figure 8).

    No convolution has a bias: the batch norms that follow would take it away again. The 1x1 is computed before the
    doubling, with which it commutes.
    """

    def __init__(self, entering: int, leaving: int, make_norm: Callable[[int], nn.Module], slope: float):
        super().__init__()
        self.slope = slope
        self.norm1, self.norm2 = make_norm(entering), make_norm(leaving)
        self.conv1, self.conv2 = UpConv3x3(entering, leaving, bias=False), Conv3x3(leaving, leaving, bias=False)
        self.skip = Conv1x1(entering, leaving, bias=False)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        hidden = self.conv1(normalise(self.norm1, x, condition, slope=self.slope))
        hidden = self.conv2(normalise(self.norm2, hidden, condition, slope=self.slope))
        return hidden + double(self.skip(x))


class DiscriminatorBlock(nn.Module):
    """Activation, 3x3, activation, 3x3 and averaging of 2x2; beside it averaging and 1x1 (Miyato et al. 2018, figures 8 and 9).

    The first block sees pixels, which it does not activate. Without `down` nothing is averaged, and the 1x1 is left out
    where nothing changes its shape. One bias serves both branches.
    """

    def __init__(self, entering: int, leaving: int, *, down: bool, first: bool, slope: float):
        super().__init__()
        self.down, self.first, self.slope = down, first, slope
        self.conv1 = Conv3x3(entering, leaving)
        self.conv2 = DownConv3x3(leaving, leaving) if down else Conv3x3(leaving, leaving)
        self.skip = Conv1x1(entering, leaving, bias=False) if down or entering != leaving else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), or half of H and W."""
        hidden = self.conv1(x if self.first else activate(x, self.slope))
        hidden = self.conv2(activate(hidden, self.slope))
        # Averaged before the 1x1, with which it commutes.
        beside = pool(x) if self.down else x
        return hidden + (beside if self.skip is None else self.skip(beside))


class ResidualDiscriminator(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] and class indices (B,) to logits (B,).

    Halved down to 4x4 and one block more; at 32 pixels down to 8x8 and two more (Miyato et al. 2018, tables 3 and 5;
    Brock et al. 2019, table 8). Subclasses draw the initial weights.
    """

    def __init__(self, config: ResnetDiscriminator | BigganDiscriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config = config
        layers: list[nn.Module] = []
        maps, side, lowest = CHANNELS, resolution, 8 if resolution == 32 else BASE
        while side > lowest:
            leaving = width_at(side, resolution, config.width, config.max_width)
            layers.append(DiscriminatorBlock(maps, leaving, down=True, first=not layers, slope=config.slope))
            maps, side = leaving, side // 2
            if side == attended(config.attention, resolution):
                layers.append(SelfAttention(maps))
        layers += [DiscriminatorBlock(maps, maps, down=False, first=False, slope=config.slope) for _ in range(2 if resolution == 32 else 1)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(maps, 1)
        if config.labels is not None:
            self.projection = ClassEmbedding(classes, maps)
        if config.spectral_norm:
            normalise_weights(self)

    def forward(self, images: Images, labels: Labels | None = None) -> PerImage:
        """Logits, higher for real; `labels` are needed exactly if the model is conditional."""
        features = activate(self.layers(images), self.config.slope).sum((2, 3), dtype=torch.float32)
        logits = self.head(features).float().flatten()
        if self.config.labels is not None:
            # Miyato and Koyama 2018, eq. 4: the class's vector times the summed features.
            logits = logits + (self.projection(needed(labels)).float() * features).sum(1)
        return logits


def weighted_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The convolutions, linear layers and embeddings of a network."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            yield layer


def normalise_weights(module: nn.Module, but: tuple[type[nn.Module], ...] = ()) -> None:
    """Spectral norm for every weight of a network, except for some types of layers."""
    for layer in list(weighted_layers(module)):
        if not isinstance(layer, but):
            spectral_norm(layer)
