"""BigGAN (Brock, Donahue and Simonyan 2019), G beside D: SAGAN's networks with shared embedding and hierarchical latents."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganvas.config.residual import BigganDiscriminator, BigganGenerator
from ganvas.errors import UsageError
from ganvas.models.common import needed
from ganvas.models.residual import (
    BASE,
    CHANNELS,
    GeneratorBlock,
    ResidualDiscriminator,
    attended,
    check_resolution,
    normalise_weights,
    weighted_layers,
    width_at,
)
from ganvas.nn.attention import SelfAttention
from ganvas.nn.embed import ClassEmbedding
from ganvas.nn.norm import ConditionalBatchNorm2d, normalise
from ganvas.nn.resample import Conv3x3
from ganvas.nn.spectral import raw_weight, warm_up
from ganvas.types import ClassWeights, Images, Labels, Latents


class Affine(nn.Module):
    """A condition (B, size) to gains and offsets (B, 2 * maps), by two linear maps."""

    def __init__(self, size: int, maps: int):
        super().__init__()
        self.gain, self.offset = nn.Linear(size, maps, bias=False), nn.Linear(size, maps, bias=False)

    def forward(self, condition: Tensor) -> Tensor:
        """The gains' deviations from one, then the offsets."""
        return torch.cat([self.gain(condition), self.offset(condition)], 1)


class Generator(nn.Module):
    """Latents (B, size) and class indices (B,) to pictures (B, 3, R, R) in [-1, 1] (Brock et al. 2019, figure 15).

    The latent is cut into one chunk for the first layer and one for each block, whose batch norms it conditions
    together with the class's embedding, which all of them share.
    """

    def __init__(self, config: BigganGenerator, resolution: int, latent_size: int, classes: int):
        """Raises `UsageError`: the resolution is no power of two from 16 to 512, or the latent is shorter than its chunks are many."""
        super().__init__()
        check_resolution(resolution)
        self.config, self.classes, self.latent_size = config, classes, latent_size
        self.chunks = (resolution // BASE).bit_length()
        if latent_size < self.chunks:
            raise UsageError(f"family.latent.size is {latent_size}: a BigGAN of {resolution} pixels cuts it into {self.chunks} chunks")
        sizes = [chunk.shape[1] for chunk in self._cut(torch.empty(1, latent_size))]
        side, maps = BASE, width_at(BASE, resolution, config.width, config.max_width)
        shared = 0
        if config.labels is not None:
            self.embedding, shared = ClassEmbedding(classes, config.embedding), config.embedding
        self.first = nn.Linear(sizes[0], BASE * BASE * maps)
        self.layers = nn.ModuleList()
        for size in sizes[1:]:
            side *= 2
            leaving = width_at(side, resolution, config.width, config.max_width)
            self.layers.append(GeneratorBlock(maps, leaving, _norm_of(shared + size), config.slope))
            maps = leaving
            if side == attended(config.attention, resolution):
                self.layers.append(SelfAttention(maps))
        self.norm = nn.BatchNorm2d(maps)
        self.last = Conv3x3(maps, CHANNELS)
        if config.spectral_norm:
            normalise_weights(self, but=(nn.Embedding,))
        orthogonal_init(self)

    def _cut(self, latents: Latents) -> tuple[Tensor, ...]:
        return torch.tensor_split(latents, self.chunks, 1)

    def forward(self, latents: Latents, labels: Labels | ClassWeights | None = None) -> Images:
        """Pictures in [-1, 1]; `labels` are needed exactly if the model is conditional."""
        first, *conditions = self._cut(latents)
        if self.config.labels is not None:
            shared = self.embedding(needed(labels))
            conditions = [torch.cat([shared, chunk], 1) for chunk in conditions]
        x = self.first(first).view(len(latents), BASE, BASE, -1).permute(0, 3, 1, 2)
        following = iter(conditions)
        for layer in self.layers:
            x = layer(x, next(following)) if isinstance(layer, GeneratorBlock) else layer(x)
        return torch.tanh(self.last(normalise(self.norm, x, slope=self.config.slope)))


def _norm_of(condition: int) -> Callable[[int], nn.Module]:
    """Makes batch norms of a number of maps for a condition of a size."""

    def make(maps: int) -> nn.Module:
        return ConditionalBatchNorm2d(maps, Affine(condition, maps))

    return make


class Discriminator(ResidualDiscriminator):
    """Pictures and class indices to logits (Brock et al. 2019, figure 15)."""

    def __init__(self, config: BigganDiscriminator, resolution: int, classes: int):
        """Raises `UsageError` where the resolution is no power of two from 16 to 512."""
        super().__init__(config, resolution, classes)
        orthogonal_init(self)


def orthogonal_init(module: nn.Module) -> None:
    """Orthogonal weights, also of embeddings (Saxe et al. 2014; Brock et al. 2019, section 3); biases zero."""
    for layer in weighted_layers(module):
        nn.init.orthogonal_(raw_weight(layer))
        if not isinstance(layer, nn.Embedding) and layer.bias is not None:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    warm_up(module)
