"""Scores while training are those of an evaluation, on the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganvas.metrics.evaluate import Reference, quick_kid, reference
from ganvas.metrics.manifold import precision_recall
from ganvas.metrics.quick import quick_scores


class Pictures:
    """Real pictures by their places."""

    name = "train"

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[indices]


@pytest.fixture
def ref(tiny, drawn, tmp_path: Path) -> Reference:
    return reference(Pictures(drawn(80, seed=1)), "checksum", tiny, cache=tmp_path, quiet=True)


def test_kid_precision_and_recall_are_of_the_same_features(tiny, drawn, ref: Reference) -> None:
    images = drawn(60, seed=3)
    found = quick_scores([images[:13], images[13:]], ref, tiny)
    assert found.kid == quick_kid([images], ref, tiny)
    expected = precision_recall(ref.features[:60], tiny.features(torch.as_tensor(images)))
    assert (found.precision, found.recall, found.pictures) == (expected.precision, expected.recall, 60)


def test_too_few_pictures_have_a_kid_only(tiny, drawn, ref: Reference) -> None:
    found = quick_scores([drawn(3)], ref, tiny)
    assert (found.precision, found.recall, found.pictures) == (None, None, 3)
