"""Feature networks and real pictures that need no weights and no data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.features.network import FeatureNetwork


class TinyNetwork(FeatureNetwork):
    """Averages of a picture's parts: as fast as a feature network can be, and as honest."""

    name = "tiny"
    dim = 48
    layer = "averages"
    input_size = 4
    resizer = "averages of 4x4 parts"
    precision = "fp32"
    checksum = "0" * 64
    chunk = 8

    def __init__(self) -> None:
        super().__init__("cpu")
        self.seen = 0

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        self.seen += len(pixels)
        rows = torch.nn.functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), 4).flatten(1) / 64
        return rows, rows[:, :10] if logits else None


class ClassifyingNetwork(TinyNetwork):
    """One whose logits the Inception Score is defined on."""

    name = "inception-2015"
    has_inception_logits = True


class Pictures:
    """A split in memory."""

    def __init__(self, images: np.ndarray, name: str = "train"):
        self.images, self.name = images, name

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        return self.images[indices]


def draw(n: int, seed: int = 0, modes: int = 8) -> np.ndarray:
    """uint8 (n, 16, 16, 3): each picture a noisy copy of one of a few patterns."""
    patterns = np.random.default_rng(99).integers(20, 236, (modes, 4, 4, 3))
    random = np.random.default_rng(seed)
    chosen = patterns[random.integers(0, modes, n)] + random.normal(0, 9, (n, 4, 4, 3))
    return np.clip(chosen.repeat(4, 1).repeat(4, 2), 0, 255).astype(np.uint8)


@pytest.fixture
def tiny() -> TinyNetwork:
    return TinyNetwork()


@pytest.fixture
def classifying() -> ClassifyingNetwork:
    return ClassifyingNetwork()


@pytest.fixture
def drawn() -> Callable[..., np.ndarray]:
    """`draw`, above."""
    return draw


@pytest.fixture
def pictures() -> Callable[..., Pictures]:
    """`Pictures`, above."""
    return Pictures


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small work on one thread: several would mostly wait for each other, the more so beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
