"""Codes of real pictures, and new pictures' codes made of them.

A code is where a picture's features in a frozen network lie along the directions in which features differ most. To
condition both players on features of single real pictures is the idea of Casanova et al. 2021 (arXiv:2109.05070).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganvas import rng
from ganvas.config.family import CodeConfig
from ganvas.families.base import Draw, StepState
from ganvas.features.pyramid import FrozenPyramid, resized
from ganvas.features.summaries import spreads
from ganvas.types import Batch, Codes, Images, Labels

SAME = 0.02
"""Codes nearer than this share of a code's usual length are of the same picture."""
_RULED_BY = ("backbone", "input_size", "size")
"""Settings without which a rule of codes is another one."""
_REDUCTIONS = (2, 4, 8)
"""Of pictures that are compared pixel by pixel, beside their full size."""


class Coder(nn.Module):
    """From pictures to codes, by a rule that is made once, of the first pictures."""

    centre: Tensor
    scale: Tensor
    directions: Tensor
    fitted: Tensor

    def __init__(self, config: CodeConfig, resolution: int, frozen: FrozenPyramid):
        """`frozen`: the network whose features codes are made of."""
        super().__init__()
        self.config, self._frozen = config, frozen
        with torch.no_grad():
            groups = self._groups(torch.zeros(1, 3, resolution, resolution))
        self._sizes = [group.shape[1] for group in groups]
        width = sum(self._sizes)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("directions", torch.zeros(width, config.size))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def is_of(self, other: CodeConfig | None) -> bool:
        """Whether codes by another config are made of the same features, and have as many numbers."""
        return other is not None and all(getattr(other, key) == getattr(self.config, key) for key in _RULED_BY)

    def _groups(self, images: Images, maps: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Means of quarters of the two coarsest maps, and the picture itself made small: (B, D) each."""
        maps = self._frozen(resized(images, self.config.input_size)) if maps is None else maps
        with torch.autocast(images.device.type, enabled=False):
            parts = [F.adaptive_avg_pool2d(x.float(), 2).flatten(1) for x in maps[-2:]]
            return [*parts, F.adaptive_avg_pool2d(images.float(), min(8, images.shape[2])).flatten(1)]

    @torch.no_grad()
    def features(self, images: Images, maps: Sequence[Tensor] | None = None) -> Tensor:
        """(B, D), by no rule yet, of pictures (B, 3, R, R) in [-1, 1].

        `maps`: what the frozen network makes of them at `input_size`, where that is known already.
        """
        return torch.cat(self._groups(images, maps), 1)

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take the principal directions of (N, D) features, in each of whose groups all numbers weigh 1 together."""
        self.centre.copy_(features.mean(0))
        self.scale.copy_(torch.cat([spreads(group) * group.shape[1] ** 0.5 for group in features.split(self._sizes, 1)]))
        x = ((features - self.centre) / self.scale).double()
        values, vectors = torch.linalg.eigh(x.T @ x / len(x))
        count = min(self.config.size, vectors.shape[1])
        directions = vectors.flip(1)[:, :count]
        # The mean square of a code's numbers is 1; what differs most has the largest.
        length = float(values.flip(0)[:count].clamp(min=0).sum()) ** 0.5
        self.directions.zero_()
        self.directions[:, :count] = (directions * (self.config.size**0.5 / max(length, 1e-6))).float()
        self.fitted.fill_(True)

    @torch.no_grad()
    def take(self, rule: Mapping[str, Tensor]) -> bool:
        """Go by a rule that another coder made (its `state_dict`); False, and nothing is done, if it is of other features."""
        own = self.state_dict()
        fits = own.keys() == rule.keys() and all(rule[key].shape == value.shape for key, value in own.items())
        if fits:
            self.load_state_dict(rule)
        return fits

    @torch.no_grad()
    def of(self, features: Tensor) -> Codes:
        """Codes (N, size) of (N, D) features."""
        with torch.autocast(features.device.type, enabled=False):
            return (features - self.centre) / self.scale @ self.directions

    def forward(self, images: Images, maps: Sequence[Tensor] | None = None) -> Codes:
        """Codes (B, size) of pictures (B, 3, R, R) in [-1, 1]; `maps` as in `features`."""
        return self.of(self.features(images, maps))


class Instances(nn.Module):
    """Codes of different real pictures, the first that were shown, with their classes: what new pictures' codes are made of.

    One object serves a generator and its averages: a copy of it is itself. `noise` is that of its config, until somebody who
    draws sets another.
    """

    codes: Tensor
    labels: Tensor
    count: Tensor

    def __init__(self, config: CodeConfig):
        super().__init__()
        self.config, self.noise = config, config.noise
        self.register_buffer("codes", torch.zeros(config.remembered, config.size))
        self.register_buffer("labels", torch.zeros(config.remembered, dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def __deepcopy__(self, memo: dict[int, Any]) -> Instances:
        memo[id(self)] = self
        return self

    def __len__(self) -> int:
        return int(self.count)

    @property
    def full(self) -> bool:
        """Whether no further picture is remembered."""
        return len(self) == len(self.codes)

    @torch.no_grad()
    def remember(self, codes: Codes, labels: Labels | None) -> None:
        """Keep those of (B, size) codes that are of pictures not seen before, while there are places."""
        if self.full:
            return
        known = torch.cat([self.codes[: len(self)], codes])
        apart = torch.cdist(codes, known) > SAME * self.config.size**0.5
        # A picture counts as seen if it is like one that is kept, or like one before it in this batch.
        earlier = torch.arange(len(known), device=codes.device) < len(self) + torch.arange(len(codes), device=codes.device)[:, None]
        new = (apart | ~earlier).all(1).nonzero()[:, 0][: len(self.codes) - len(self)]
        places = slice(len(self), len(self) + len(new))
        self.codes[places] = codes[new]
        if labels is not None:
            self.labels[places] = labels[new]
        self.count += len(new)

    @torch.no_grad()
    def draw(self, seed: int, stream: str, start: int, count: int, *, labels: Labels | None = None, bound: float | None = None) -> Codes:
        """Codes (count, size) of new pictures, each of its (seed, stream, index) and class alone.

        Each is a real picture's code, moved by up to `blend` towards that of one of its nearest neighbours, and noise,
        which `bound` truncates. Before any picture was seen, it is noise alone.

        Args:
            seed, stream, start, count: the pictures start, start + 1, ... of a stream.
            labels: (count,) classes of the pictures whose codes are taken; None: all. A class of which none is kept
                is made of all, too.
            bound: of the noise, in standard deviations.
        """
        device, size = self.codes.device, self.config.size
        noise = rng.normals(seed, stream, start, count, size, bound).to(device)
        if not len(self):
            return noise
        codes = self.codes[: len(self)]
        chance = rng.uniforms(seed, f"{stream}/instance", start, count, 3).to(device)
        first = (chance[:, 0] * len(codes)).long()
        if labels is not None:
            known = self.labels[: len(self)]
            for kind in labels.unique():
                own, asked = (known == kind).nonzero()[:, 0], labels.to(device) == kind
                if len(own):
                    first[asked] = own[(chance[asked, 0] * len(own)).long()]
        own = codes[first]
        apart = torch.cdist(own, codes)
        apart[torch.arange(count, device=device), first] = torch.inf
        near = apart.topk(min(self.config.neighbours, max(1, len(codes) - 1)), 1, largest=False).indices
        second = near[torch.arange(count, device=device), (chance[:, 1] * near.shape[1]).long()]
        share = (chance[:, 2:] * self.config.blend).float()
        return torch.lerp(own, codes[second], share) + self.noise * noise


def begin(coder: Coder, instances: Instances, draw: Draw, state: StepState) -> None:
    """Look at as many pictures as the rule of codes is to be made of, unless an older run's is kept, and remember them by it."""
    seen: list[tuple[Tensor, Labels | None]] = []
    while sum(len(features) for features, _ in seen) < coder.config.fitted:
        batch = draw()
        with state.autocast():
            seen.append((coder.features(batch.images), batch.labels))
    if not coder.fitted:
        coder.fit(torch.cat([features for features, _ in seen]))
    for features, labels in seen:
        instances.remember(coder.of(features), labels)


@torch.no_grad()
def settle(coder: Coder, instances: Instances, batch: Batch, state: StepState) -> None:
    """A rule is made of one batch, and all places are taken, by noise: for measuring."""
    with state.autocast():
        coder.fit(coder.features(batch.images))
    noise = rng.normals(state.seed, "settled", 0, len(instances.codes), coder.config.size)
    instances.codes.copy_(noise)
    instances.count.fill_(len(noise))


def reduced(images: Images) -> list[Tensor]:
    """Pictures, and the same made 2, 4 and 8 times smaller where they are larger than that."""
    return [images, *(F.avg_pool2d(images, k) for k in _REDUCTIONS if k < images.shape[2])]


class CodeProjection(nn.Linear):
    """What a discriminator multiplies a picture's features with: of its code, where a table would have it of its class."""

    def __init__(self, size: int, features: int):
        super().__init__(size, features, bias=False)

    @property
    def embedding_dim(self) -> int:
        """Features."""
        return self.out_features
