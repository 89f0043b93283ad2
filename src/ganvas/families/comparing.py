"""Fakes beside the real pictures that were last seen, by a frozen network's features: a loss without a second player."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganvas.config.matching import Comparison as ComparisonConfig
from ganvas.config.matching import Summary
from ganvas.features.pyramid import SMALLEST_INPUT, FrozenPyramid, resized
from ganvas.features.summaries import OF_PICTURES, spreads, summaries
from ganvas.losses.matching import Points, distances, energy, points, score
from ganvas.nn.reduced import is_bf16_on_cpu
from ganvas.types import Images, Labels, PerImage


class Memory(nn.Module):
    """Features of the last real pictures, oldest replaced first.

    They are kept in fp16 as they are. About what each number lies, and how far it spreads, is measured on the first
    pictures, until all places are taken, and stays from then on: fakes are always measured by one rule.
    """

    labels: Tensor
    seen: Tensor
    own: Tensor

    def __init__(self, size: int, widths: list[int], classes: int):
        super().__init__()
        self.size, self.classes, self.groups = size, classes, range(len(widths))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.long))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        # The mean distance of real pictures from each other, by group.
        self.register_buffer("own", torch.zeros(len(widths)))
        for group, width in enumerate(widths):
            self.register_buffer(f"values{group}", torch.zeros(size, width, dtype=torch.float16))
            self.register_buffer(f"centre{group}", torch.zeros(width))
            self.register_buffer(f"spread{group}", torch.ones(width))
        self._measured: list[Points] = []
        self.register_load_state_dict_post_hook(lambda *_: self._measured.clear())

    @property
    def full(self) -> bool:
        """Whether all places are taken."""
        return int(self.seen) >= self.size

    @torch.no_grad()
    def take(self, features: list[Tensor], labels: Labels | None, dtype: torch.dtype = torch.float32) -> None:
        """Remember real pictures: (B, D) of each group. `dtype` is what distances are computed in."""
        count = min(len(features[0]), self.size)
        places = (int(self.seen) + torch.arange(count, device=self.labels.device)) % self.size
        filling = not self.full
        if labels is not None:
            self.labels[places] = labels[:count]
        for group, x in enumerate(features):
            self.get_buffer(f"values{group}")[places] = x[:count].half()
        self.seen += count
        if filling:
            for group in self.groups:
                self._set_rule(group)
            self._measured.clear()
        for group, known in enumerate(self._reals(dtype)):
            if not filling:
                new = self._points(self._by_rule(group, self.get_buffer(f"values{group}")[places].float()), self.labels[places], dtype)
                known.x[places], known.squares[places] = new.x, new.squares
            between = distances(
                Points(known.x[places], known.squares[places], None if known.labels is None else self.labels[places]), known
            )
            # Each of these pictures is among those remembered, too.
            self.own[group] = between.sum() / max(1, between.numel() - count)

    def by_rule(self, features: Sequence[Tensor], groups: Sequence[int] | None = None) -> list[Tensor]:
        """Features (B, D) of all groups, or of some, about their centres, in units of their spreads: as what follows takes them."""
        return [self._by_rule(group, x) for group, x in zip(self.groups if groups is None else groups, features, strict=True)]

    def compared(
        self, fakes: Sequence[Tensor], labels: Labels | None, dtype: torch.dtype = torch.float32, groups: Sequence[int] | None = None
    ) -> Tensor:
        """Each fake's part in each group's energy distance from what is remembered, (groups, N), of (N, D) by the rule."""
        reals = self._reals(dtype)
        return torch.stack(
            [
                energy(self._points(x, labels, dtype), reals[group]) - self.own[group]
                for group, x in zip(self.groups if groups is None else groups, fakes, strict=True)
            ]
        )

    def _taken(self, group: int) -> Tensor:
        return self.get_buffer(f"values{group}")[: min(int(self.seen), self.size)].float()

    def _set_rule(self, group: int) -> None:
        values = self._taken(group)
        self.get_buffer(f"centre{group}").copy_(values.mean(0))
        self.get_buffer(f"spread{group}").copy_(spreads(values))

    def _reals(self, dtype: torch.dtype) -> list[Points]:
        """What is remembered, by the rule."""
        if not self._measured or self._measured[0].x.dtype != dtype:
            labels = self.labels[: min(int(self.seen), self.size)]
            self._measured = [self._points(self._by_rule(group, self._taken(group)), labels, dtype) for group in self.groups]
        return self._measured

    def _points(self, x: Tensor, labels: Labels | None, dtype: torch.dtype) -> Points:
        return points(x.to(dtype), labels if self.classes else None)

    def _by_rule(self, group: int, x: Tensor) -> Tensor:
        """(B, D): each number in standard deviations from its mean, all of a group weighing 1 together."""
        spread = self.get_buffer(f"spread{group}") * x.shape[1] ** 0.5
        return (x - self.get_buffer(f"centre{group}")) / spread


@dataclass(frozen=True)
class View:
    """What of pictures a step compares."""

    sides: tuple[int, ...]
    """At which the frozen network sees them."""
    groups: tuple[int, ...]
    """Of vectors."""
    weights: Tensor
    """(groups,): of each in their mean. What a network says at all sides weighs the same whether a step sees one of them or all."""

    def mean(self, parts: Tensor) -> Tensor:
        """Of (groups, N) over the groups: (N,)."""
        return (parts * self.weights.to(parts.device)[:, None]).sum(0)


class Comparison:
    """How far a step's fakes are from what is remembered of real pictures."""

    def __init__(self, config: ComparisonConfig, resolution: int, classes: int):
        """Raises `UsageError` where the frozen network's weights are missing."""
        self.config, self.input_sizes = config, config.input_sizes or (max(resolution, SMALLEST_INPUT),)
        self.frozen = FrozenPyramid()
        with torch.no_grad():
            sample = torch.zeros(1, 3, resolution, resolution)
            maps = self.maps(sample, self.input_sizes)
            widths = [x.shape[1] for x in self._summaries(sample, maps, self.input_sizes)]
            seen_at = [side for kind in config.summaries for side in self._sides_of(kind, maps, sample)]
        self.memory = Memory(config.remembered, widths, classes)
        self.whole = _view(self.input_sizes, seen_at)
        self._turns = [_view((side,), seen_at) for side in self.input_sizes]

    def _sides_of(self, kind: Summary, maps: Mapping[int, list[Tensor]], images: Images) -> list[int | None]:
        """The side at which each group of a kind is seen, in their order; None: they are of the pictures themselves."""
        if kind in OF_PICTURES:
            return [None] * len(summaries([kind], [], images))
        return [side for side in self.input_sizes for x in maps[side] for _ in summaries([kind], [x], images)]

    def view(self, step: int, shown: int) -> View:
        """What a step compares, before which so many pictures were: the whole, or what is seen at the side whose turn it is."""
        return self._turns[step % len(self._turns)] if shown < self.config.in_turn else self.whole

    def maps(self, images: Images, sides: Sequence[int]) -> dict[int, list[Tensor]]:
        """What the frozen network makes of pictures in [-1, 1], by the side at which it sees them."""
        return {side: self.frozen(resized(images, side)) for side in sides}

    def features(self, images: Images, view: View, maps: Mapping[int, list[Tensor]] | None = None) -> list[Tensor]:
        """The vectors (B, D) by which pictures in [-1, 1] are compared, in the view's groups; `maps`: of them, where known."""
        return self._summaries(images, self.maps(images, view.sides) if maps is None else maps, view.sides)

    def _summaries(self, images: Images, maps: Mapping[int, list[Tensor]], sides: Sequence[int]) -> list[Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            return summaries(self.config.summaries, [x for side in sides for x in maps[side]], images)

    def by_rule(self, features: Sequence[Tensor], view: View) -> list[Tensor]:
        """Features (B, D) of a view's groups, as `compared` and `paired` take them."""
        return self.memory.by_rule(features, view.groups)

    def due(self, step: int) -> bool:
        """Whether real pictures are to be taken in at a step."""
        return not self.memory.full or step % self.config.refresh == 0

    @torch.no_grad()
    def see(self, images: Images, labels: Labels | None, step: int) -> None:
        """Remember real pictures, where the step is one of those at which that is done."""
        if self.due(step):
            self.take(images, labels, self.features(images, self.whole))

    def take(self, images: Images, labels: Labels | None, features: list[Tensor]) -> None:
        """Remember real pictures and their features, of the whole."""
        self.memory.take(features, labels if self.memory.classes else None, _dtype(images))

    @torch.no_grad()
    def fill(self, images: Images, labels: Labels | None) -> None:
        """Take all places by these pictures, over and over."""
        times = -(-self.memory.size // len(images))
        labels = labels.repeat(times) if labels is not None and self.memory.classes else None
        self.memory.take([x.repeat(times, 1) for x in self.features(images, self.whole)], labels, _dtype(images))

    def distance(self, images: Images, labels: Labels | None, step: int, shown: int) -> PerImage:
        """Each fake's part in the energy distance from the real pictures, a mean over the view's groups; the parts' mean tends to 0."""
        view = self.view(step, shown)
        return self.compared(images, labels, self.by_rule(self.features(images, view), view), view)

    def compared(self, images: Images, labels: Labels | None, fakes: Sequence[Tensor], view: View) -> PerImage:
        """As `distance`, of fakes whose features are known, by the memory's rule."""
        dtype = _dtype(images)
        with torch.autocast(images.device.type, enabled=False):
            return view.mean(self.memory.compared(fakes, labels, dtype, view.groups))

    def paired(self, fakes: Sequence[Tensor], reals: Sequence[Tensor], view: View) -> PerImage:
        """How far pairs of fakes are from the one real picture of each pair: the mean over the view's groups of their energy scores.

        Args:
            fakes: (2 N, D) of each group, by the memory's rule: of the first of all pairs, then of the second.
            reals: (N, D) of each group, by the same rule.
            view: whose groups they are.
        """
        with torch.autocast(fakes[0].device.type, enabled=False):
            return view.mean(torch.stack([score(x[: len(y)], x[len(y) :], y) for x, y in zip(fakes, reals, strict=True)]))


def _view(sides: tuple[int, ...], seen_at: Sequence[int | None]) -> View:
    """Of the groups that are seen at these sides, and of those that are of the pictures themselves; `seen_at`: of each group."""
    groups = tuple(group for group, side in enumerate(seen_at) if side is None or side in sides)
    there = sum(side is not None for side in seen_at)
    seen = sum(side in sides for side in seen_at)
    weights = [(1.0 if seen_at[group] is None else there / seen) / len(seen_at) for group in groups]
    return View(sides, groups, torch.tensor(weights))


def _dtype(images: Images) -> torch.dtype:
    """What distances are computed in."""
    return torch.bfloat16 if is_bf16_on_cpu(images) else torch.float32
