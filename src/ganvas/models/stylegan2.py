"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), G beside D: mapped latents, modulated convolutions, sums of pictures.

Style mixing and truncation in W are StyleGAN's (Karras et al. 2019, arXiv:1812.04948, sections 3.1 and appendix B).
The paper's sizes are those of 1024 pixels; ours double the feature maps at each halving from `width` to `max_width`.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from ganvas.config.stylegan import Stylegan2Discriminator, Stylegan2Generator
from ganvas.models.common import CHANNELS, needed
from ganvas.models.residual import BASE, check_resolution, width_at
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.linear import EqualizedLinear
from ganvas.nn.modulated import GAIN, EqualizedConv, ModulatedConv, activate
from ganvas.nn.norm import MinibatchStd, PixelNorm
from ganvas.nn.resample import smooth_double, smooth_pool
from ganvas.rng import Draws
from ganvas.types import ClassWeights, Images, Labels, Latents, PerImage, Styles


class Mapping(nn.Module):
    """Latents (B, size) and classes to w (B, style size): fully connected layers on what is normalised (2019, figure 1)."""

    def __init__(self, config: Stylegan2Generator, latent_size: int, classes: int):
        super().__init__()
        entering = latent_size
        if config.labels is not None:
            self.embedding = ClassEmbedding(classes, config.embedding)
            entering += config.embedding
        self.conditional, self.normalise = config.labels is not None, PixelNorm()
        sizes = [entering, *[config.style_size] * config.mapping_depth]
        self.layers = nn.ModuleList(EqualizedLinear(a, b, rate=config.mapping_rate, gain=GAIN) for a, b in itertools.pairwise(sizes))

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Tensor:
        """In full precision whatever the rest runs in: all of a picture depends on w."""
        with torch.autocast(latents.device.type, enabled=False):
            x = self.normalise(latents.float())
            if self.conditional:
                x = torch.cat([x, self.normalise(self.embedding(needed(labels)))], 1)
            for layer in self.layers:
                x = activate(layer(x))
        return x


class Layer(nn.Module):
    """A modulated 3x3 convolution, noise, a bias and leaky ReLU (2020, figure 2c)."""

    fixed: Tensor | None
    """(1, 1, S, S): the noise of samples."""

    def __init__(self, config: Stylegan2Generator, entering: int, leaving: int, side: int, *, up: bool):
        """`side`: of the maps that leave."""
        super().__init__()
        self.side = side
        self.conv = ModulatedConv(entering, leaving, 3, config.style_size, resampling="up" if up else None, gain=GAIN)
        self.bias = nn.Parameter(torch.zeros(leaving))
        if config.noise:
            self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("fixed", torch.randn(1, 1, side, side) if config.noise else None)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """(B, C, H, W) and w (B, size) to (B, C', S, S); `noise` (B, 1, S, S), None: the fixed one."""
        # The activation's gain is taken by what enters it, which is fewer numbers.
        x = self.conv(x, style, self.bias * GAIN)
        if self.fixed is not None:
            x = x + ((self.fixed if noise is None else noise) * (self.strength * GAIN)).to(x.dtype)
        return activate(x)


class ToRgb(nn.Module):
    """Maps to the colours that they add to the picture; modulated, not demodulated (2020, appendix B)."""

    def __init__(self, config: Stylegan2Generator, entering: int):
        super().__init__()
        self.conv = ModulatedConv(entering, CHANNELS, 1, config.style_size, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(CHANNELS))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, C, H, W) to float32 (B, 3, H, W)."""
        return self.conv(x, style, self.bias).float()


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R), about in [-1, 1]: nothing bounds them.

    Two layers at each side from 4 to R (one at 4), each with a style of its own; each side's colours are added to those
    of the sides before, doubled by the filter [1, 3, 3, 1] (2020, figure 7b). A call without `chance` is a function of
    latents and labels alone; with it, noise and style mixing are drawn, as when it learns.
    """

    def __init__(self, config: Stylegan2Generator, resolution: int, latent_size: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config, self.latent_size, self.style_size = config, latent_size, config.style_size
        self.mapping = Mapping(config, latent_size, classes)
        maps = width_at(BASE, resolution, config.width, config.max_width)
        self.first = nn.Parameter(torch.randn(1, maps, BASE, BASE))
        self.layers = nn.ModuleList([Layer(config, maps, maps, BASE, up=False)])
        self.colours = nn.ModuleList([ToRgb(config, maps)])
        side = BASE
        while side < resolution:
            side *= 2
            leaving = width_at(side, resolution, config.width, config.max_width)
            self.layers += [Layer(config, maps, leaving, side, up=True), Layer(config, leaving, leaving, side, up=False)]
            self.colours.append(ToRgb(config, leaving))
            maps = leaving
        # The colours of a side share the style of the layer that follows them; the last have one of their own.
        self.style_count = len(self.layers) + 1

    def forward(
        self, latents: Latents, labels: Labels | ClassWeights | None = None, *, chance: Draws | None = None, styles: Styles | None = None
    ) -> Images:
        """Pictures; `labels` are needed exactly if the model is conditional. `styles` stand in for the mapped latents."""
        if styles is None:
            styles = self.styles(latents, labels, chance)
        x = self.first.expand(len(styles), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        picture = x.new_zeros(len(styles), CHANNELS, BASE // 2, BASE // 2, dtype=torch.float32)
        for i, layer in enumerate(self.layers):
            x = layer(x, styles[:, i], self._noise(i, chance))
            if i % 2 == 0:
                picture = self.colours[i // 2](x, styles[:, i + 1]) + smooth_double(picture)
        return picture

    def styles(self, latents: Latents, labels: Labels | ClassWeights | None = None, chance: Draws | None = None) -> Styles:
        """(B, layers + 1, style size): w for each layer; with `chance`, mixed as `config.mixing` has it.

        From a random layer on, the styles are those of a second latent (Karras et al. 2019, section 3.1).
        """
        styles = self.mapping(latents, labels)[:, None].expand(-1, self.style_count, -1)
        if chance is None or not self.config.mixing:
            return styles
        others = self.mapping(chance.normals("mixing", self.latent_size), labels)[:, None]
        mixes, place = chance.uniforms("mixing/layer", 2).unbind(1)
        # A crossing from layer 1 to the last; beyond it where nothing is mixed.
        crossing = torch.where(mixes < self.config.mixing, 1 + (place * (self.style_count - 1)).long(), self.style_count)
        own = torch.arange(self.style_count, device=styles.device) < crossing[:, None]
        return torch.where(own[:, :, None], styles, others)

    def _noise(self, layer: int, chance: Draws | None) -> Tensor | None:
        if chance is None or not self.config.noise:
            return None
        side = int(self.layers[layer].get_buffer("fixed").shape[-1])
        return chance.normals(f"noise/{layer}", side * side).view(-1, 1, side, side)


class DiscriminatorBlock(nn.Module):
    """3x3, 3x3 and halving; beside it halving and 1x1; their sum over the root of two (2020, figure 7c, section 4.1)."""

    def __init__(self, entering: int, leaving: int):
        super().__init__()
        self.conv1 = EqualizedConv(entering, entering, 3, gain=GAIN)
        # The leaky ReLU's gain and the root of two cancel.
        self.conv2 = EqualizedConv(entering, leaving, 3, resampling="down")
        self.skip = EqualizedConv(entering, leaving, 1, bias=False, gain=1 / math.sqrt(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/2, W/2)."""
        return activate(self.conv2(activate(self.conv1(x)))) + self.skip(smooth_pool(x))


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) and class indices (B,) to logits (B,)."""

    def __init__(self, config: Stylegan2Discriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config = config
        side, maps = resolution, config.width
        self.first = EqualizedConv(CHANNELS, maps, 1, gain=GAIN)
        self.blocks = nn.Sequential()
        while side > BASE:
            side //= 2
            leaving = width_at(side, resolution, config.width, config.max_width)
            self.blocks.append(DiscriminatorBlock(maps, leaving))
            maps = leaving
        self.deviation = MinibatchStd() if config.minibatch_std else nn.Identity()
        self.last = EqualizedConv(maps + config.minibatch_std, maps, 3, gain=GAIN)
        self.features = EqualizedLinear(BASE * BASE * maps, maps, gain=GAIN)
        self.head = EqualizedLinear(maps, 1)
        if config.labels is not None:
            self.projection = ClassEmbedding(classes, maps)

    def forward(self, images: Images, labels: Labels | None = None) -> PerImage:
        """Logits, higher for real; `labels` are needed exactly if the model is conditional."""
        x = self.deviation(self.blocks(activate(self.first(images))))
        x = activate(self.last(x)).permute(0, 2, 3, 1).flatten(1)
        features = activate(self.features(x))
        logits = self.head(features).float().flatten()
        if self.config.labels is not None:
            # Miyato and Koyama 2018, eq. 4, over the root of the number of terms: as large as the head's share.
            products = self.projection(needed(labels)).float() * features.float()
            logits = logits + products.sum(1) / math.sqrt(products.shape[1])
        return logits
