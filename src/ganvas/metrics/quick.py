"""Scores while training: of few pictures, all from the same features, and nothing drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganvas.features.network import FeatureNetwork
from ganvas.metrics.evaluate import check_reference, reblock
from ganvas.metrics.kernel import mmd2
from ganvas.metrics.manifold import NEIGHBOURS, precision_recall
from ganvas.metrics.reference import Reference

_BLOCK = 512


@dataclass(frozen=True)
class QuickScores:
    """What an evaluation while training finds."""

    kid: float
    """Of all pictures against all kept real features: see `ganvas.metrics.evaluate.quick_kid`."""
    precision: float | None
    """Of as many real pictures as generated ones; None where there are too few."""
    recall: float | None
    """The same: it falls when the generator repeats itself."""
    pictures: int
    """On each side of precision and recall."""


def quick_scores(batches: Iterable[np.ndarray | Tensor], ref: Reference, net: FeatureNetwork) -> QuickScores:
    """Of uint8 pictures (b, H, W, 3), some 2,000 in all. Exact: beside the features, precision and recall cost little.

    Raises:
        UsageError: the reference is of other features, or there are fewer than two pictures.
    """
    check_reference(ref, net)
    blocks = [net.features(pixels) for pixels, _ in reblock(batches, _BLOCK)]
    rows = torch.cat(blocks) if blocks else torch.empty(0, net.dim)
    kid = mmd2(rows, ref.features, ref.kernel_within)
    n = min(len(rows), len(ref.features))
    if n <= NEIGHBOURS:
        return QuickScores(kid, None, None, n)
    manifold = precision_recall(ref.features[:n], rows[:n])
    return QuickScores(kid, manifold.precision, manifold.recall, n)
