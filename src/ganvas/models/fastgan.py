"""FastGAN (Liu et al. 2021, arXiv 2101.04775), G beside D: light networks that learn from few pictures in short time.

The generator has one convolution for each resolution, gated linear units, and maps of 4x4 to 16x16 that excite those 16
times as large (section 3.1). The discriminator is also an encoder: small decoders must draw the real picture again from
its maps, and a part of it from a part of its maps (section 3.2).

The paper measures that with a perceptual loss of VGG features, whose weights can't be shipped. Here it is the mean of
|d| + d^2 over the values of the decoders' pictures, which are at most half as large as the pictures: at that size
colour and layout matter, and a loss of single pixels does well enough.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas.config.modern import FastganDiscriminator, FastganGenerator
from ganvas.models.common import needed
from ganvas.models.residual import BASE, CHANNELS, check_resolution, normalise_weights, width_at
from ganvas.nn.activation import activate
from ganvas.nn.conv import Conv2d, dcgan_init
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.kernels.functions import gate as fast_gate
from ganvas.nn.norm import normalise
from ganvas.nn.resample import Conv1x1, Conv3x3, UpConv3x3, pool
from ganvas.types import ClassWeights, Images, Labels, Latents, Logits, PerImage

REACH = 16
"""An excited map is so many times as large as the one that excites it (Liu et al. 2021, figure 3)."""
LARGEST_DECODED = 128
"""The largest side of the decoders' pictures (section 3.2)."""


def gate(x: Tensor) -> Tensor:
    """One half of the maps times the logistic function of the other, (B, 2C, H, W) to (B, C, H, W) (Dauphin et al. 2017)."""
    y = fast_gate(x)
    if y is not None:
        return y
    values, gates = x.chunk(2, 1)
    return values * gates.sigmoid()


class Noise(nn.Module):
    """Adds noise, one value for each pixel, times a learnt strength (Karras et al. 2019, section 2.1).

    In training each picture has its own; in eval mode all have the same, which is a buffer, so that a picture depends
    on its latent alone.
    """

    fixed: Tensor

    def __init__(self, side: int):
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("fixed", torch.randn(1, 1, side, side))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        noise = torch.randn(len(x), 1, *x.shape[2:], device=x.device) if self.training else self.fixed
        return x + (self.strength * noise).to(x.dtype)


class UpBlock(nn.Module):
    """Doubling, 3x3, noise, batch norm and gate."""

    def __init__(self, entering: int, leaving: int, side: int, noise: bool):
        super().__init__()
        self.conv = UpConv3x3(entering, 2 * leaving, bias=False)
        self.noise = Noise(side) if noise else nn.Identity()
        self.norm = nn.BatchNorm2d(2 * leaving)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        return gate(normalise(self.norm, self.noise(self.conv(x))))


class Excitation(nn.Module):
    """Skip-layer channel-wise excitation: a small map decides how strong each of a large one's maps is (eq. 1)."""

    def __init__(self, low: int, high: int, slope: float = 0.1):
        super().__init__()
        self.slope = slope
        self.squeeze, self.expand = nn.Conv2d(low, high, BASE), Conv1x1(high, high)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(B, C, h, w) and (B, C', H, W) to (B, C', H, W)."""
        return high * self.strengths(low)

    def strengths(self, low: Tensor) -> Tensor:
        """(B, C, h, w) to a factor for each of the large maps, (B, C', 1, 1)."""
        side = low.shape[2] // BASE
        squeezed = self.squeeze(F.avg_pool2d(low, side) if side > 1 else low)
        return self.expand(F.leaky_relu(squeezed, self.slope)).sigmoid()


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R) in [-1, 1].

    Maps of 64 pixels and more are excited by those of a sixteenth of their side; where the picture itself is smaller, by
    those of 4x4.
    """

    def __init__(self, config: FastganGenerator, resolution: int, latent_size: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config, self.classes, self.latent_size = config, classes, latent_size
        maps = width_at(BASE, resolution, config.width, config.max_width)
        if config.labels is not None:
            self.embedding = ClassEmbedding(classes, config.embedding)
        entering = latent_size + (config.embedding if config.labels else 0)
        self.first = nn.Linear(entering, BASE * BASE * 2 * maps, bias=False)
        self.first_norm = nn.BatchNorm2d(2 * maps)
        self.blocks, self.excitations = nn.ModuleDict(), nn.ModuleDict()
        widths, side = {BASE: maps}, BASE
        while side < resolution:
            side *= 2
            widths[side] = width_at(side, resolution, config.width, config.max_width)
            self.blocks[str(side)] = UpBlock(widths[side // 2], widths[side], side, config.noise)
            if side >= BASE * REACH or side == resolution:
                self.excitations[str(side)] = Excitation(widths[max(BASE, side // REACH)], widths[side])
        self.last = Conv3x3(widths[side], CHANNELS)
        if config.spectral_norm:
            normalise_weights(self, but=(nn.Embedding,))
        dcgan_init(self)

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures in [-1, 1]; `labels` are needed exactly if the model is conditional."""
        if self.config.labels is not None:
            latents = torch.cat([latents, self.embedding(needed(labels))], 1)
        x = self.first(latents).view(len(latents), BASE, BASE, -1).permute(0, 3, 1, 2)
        maps = {BASE: gate(normalise(self.first_norm, x))}
        x = maps[BASE]
        for name, block in self.blocks.items():
            x, side = block(x), int(name)
            if name in self.excitations:
                x = self.excitations[name](maps[max(BASE, side // REACH)], x)
            maps[side] = x
        return torch.tanh(self.last(x))


def _norm(config: FastganDiscriminator, maps: int) -> nn.Module:
    return nn.BatchNorm2d(maps) if config.norm else nn.Identity()


class DownBlock(nn.Module):
    """The mean of two ways down: 4x4 of stride 2 and 3x3, and averaging and 1x1 (Liu et al. 2021, figure 4)."""

    def __init__(self, entering: int, leaving: int, config: FastganDiscriminator):
        super().__init__()
        self.slope, bias = config.slope, config.norm is None
        self.down = Conv2d(entering, leaving, 4, 2, 1, bias=bias)
        self.conv = Conv3x3(leaving, leaving, bias=bias)
        self.side = Conv1x1(entering, leaving, bias=bias)
        self.norms = nn.ModuleList(_norm(config, leaving) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/2, W/2)."""
        hidden = normalise(self.norms[0], self.down(x), slope=self.slope)
        hidden = normalise(self.norms[1], self.conv(hidden), slope=self.slope)
        return (hidden + normalise(self.norms[2], self.side(pool(x)), slope=self.slope)) / 2


class Decoder(nn.Sequential):
    """Maps (B, C, s, s) to pictures (B, 3, r, r) in [-1, 1]: doubling, 3x3, batch norm and gate, then 3x3."""

    def __init__(self, maps: int, side: int, target: int, width: int):
        layers: list[nn.Module] = []
        while side < target:
            side *= 2
            leaving = min(width * (target // side), 256)
            layers.append(UpBlock(maps, leaving, side, noise=False))
            maps = leaving
        super().__init__(*layers, Conv3x3(maps, CHANNELS), nn.Tanh())


class Discriminator(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] and class indices (B,) to logits of patches (B, K).

    The last maps are of 8x8, and its logits 5x5, as in the paper; for pictures of 32 pixels and less of 4x4, with one logit.
    """

    def __init__(self, config: FastganDiscriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__()
        check_resolution(resolution)
        self.config, self.resolution = config, resolution
        self.last_side = 8 if resolution >= 64 else BASE
        maps, side = config.width, resolution // 2
        self.first = Conv2d(CHANNELS, maps, 4, 2, 1)
        self.blocks = nn.ModuleDict()
        widths = {side: maps}
        while side > self.last_side:
            side //= 2
            widths[side] = width_at(side, resolution // 2, config.width, config.max_width)
            self.blocks[str(side)] = DownBlock(widths[side * 2], widths[side], config)
        maps = widths[side]
        self.mix, self.mix_norm = Conv1x1(maps, maps, bias=config.norm is None), _norm(config, maps)
        self.head = nn.Conv2d(maps, 1, BASE, bias=False)
        if config.labels is not None:
            self.projection = ClassEmbedding(classes, maps)
        if config.spectral_norm:
            normalise_weights(self)
        self.target = min(LARGEST_DECODED, resolution // 2)
        if config.reconstruction:
            # Of all of the last maps, and of a quarter of those before.
            self.whole = Decoder(maps, side, self.target, config.decoder_width)
            self.part = Decoder(widths[2 * side], side, self.target, config.decoder_width)
        dcgan_init(self)

    def forward(self, images: Images, labels: Labels | None = None) -> Logits:
        """Logits (B, K), higher for real; `labels` are needed exactly if the model is conditional."""
        return self._logits(self._maps(images)[1], labels)

    def learn(self, images: Images, labels: Labels | None = None) -> tuple[Logits, dict[str, tuple[float, PerImage]]]:
        """Logits of real pictures, and how far the decoders' pictures are from them (eq. 2)."""
        before, last = self._maps(images)
        logits = self._logits(last, labels)
        if not self.config.reconstruction:
            return logits, {}
        loss = difference(self.whole(last), shrink(images, self.target)) + self._of_a_part(before, images)
        return logits, {"reconstruction": (self.config.reconstruction, loss)}

    def _of_a_part(self, maps: Tensor, images: Images) -> PerImage:
        """The loss of a square of half the side at a random place, the same for the whole batch."""
        side, scale = self.last_side, self.resolution // maps.shape[2]
        top, left = (int(i) for i in torch.randint(side + 1, (2,)))
        seen = maps[:, :, top : top + side, left : left + side].contiguous(memory_format=torch.channels_last)
        part = images[:, :, top * scale : (top + side) * scale, left * scale : (left + side) * scale]
        return difference(self.part(seen), shrink(part, self.target))

    def _maps(self, images: Images) -> tuple[Tensor, Tensor]:
        """The last maps but one and the last."""
        x = before = activate(self.first(images), self.config.slope)
        for block in self.blocks.values():
            before, x = x, block(x)
        return before, x

    def _logits(self, maps: Tensor, labels: Labels | None) -> Logits:
        hidden = normalise(self.mix_norm, self.mix(maps), slope=self.config.slope)
        logits = self.head(hidden).float().flatten(1)
        if self.config.labels is not None:
            features = hidden.mean((2, 3), dtype=torch.float32)
            logits = logits + (self.projection(needed(labels)).float() * features).sum(1, keepdim=True)
        return logits


def shrink(images: Images, side: int) -> Tensor:
    """Pictures to a smaller side, by averaging; (B, C, H, H) with H a multiple of `side`."""
    factor = images.shape[2] // side
    return F.avg_pool2d(images, factor) if factor > 1 else images


def difference(drawn: Images, real: Images) -> PerImage:
    """The mean of |d| + d^2 over a picture's values."""
    d = drawn.float() - real.float()
    return (d.abs() + d.square()).flatten(1).mean(1)
