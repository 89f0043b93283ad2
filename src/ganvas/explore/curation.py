"""Picking the best of many, by a criterion that is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from ganvas.units import parse_part

Criterion = Literal["logit", "realism", "both"]

MEANING: dict[Criterion, str] = {
    "logit": "the discriminator's logit",
    "realism": "realism among the real pictures' features (Kynkaanniemi et al. 2019)",
    "both": "the mean of a picture's ranks by the discriminator's logit and by realism",
}


def needed(by: Criterion) -> tuple[str, ...]:
    """The scores that a criterion is made of."""
    return ("logit", "realism") if by == "both" else (by,)


def ranks(values: Tensor) -> Tensor:
    """(n,) float64 from 0 (lowest) to 1 (highest); equal values share the mean of their ranks."""
    _, place, counts = torch.unique(values.double(), return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    middle = ends - (counts.double() + 1) / 2
    return middle[place] / max(1, len(values) - 1)


def merit(scores: Mapping[str, Tensor], by: Criterion) -> Tensor:
    """(n,) what pictures are ordered by: higher is better."""
    if by == "both":
        return (ranks(scores["logit"]) + ranks(scores["realism"])) / 2
    return scores[by].double()


def choose(value: Tensor, best: str, labels: Tensor | None = None) -> list[int]:
    """Indices of the best, the best first; with `labels` as many of each class, so that balance is kept.

    Args:
        value: (n,) higher is better.
        best: `10%`, or a number; of each class its share, where there are labels.
        labels: (n,) class indices.

    Raises:
        UsageError: `best` is no part of n.
    """
    kept = parse_part(best, len(value))
    if labels is None:
        return _top(value, torch.arange(len(value)), kept)
    found: list[int] = []
    classes = labels.unique().tolist()
    for i, label in enumerate(classes):
        members = (labels == label).nonzero()[:, 0]
        # What does not divide evenly goes to the first classes.
        quota = parse_part(best, len(members)) if best.strip().endswith("%") else kept // len(classes) + (i < kept % len(classes))
        found += _top(value, members, min(quota, len(members)))
    return sorted(found, key=lambda i: (-float(value[i]), i))


def _top(value: Tensor, members: Tensor, count: int) -> list[int]:
    order = value[members].argsort(descending=True, stable=True)[:count]
    return members[order].tolist()
