"""Networks are loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from ganvas.features.backbone import load_features
from ganvas.features.network import FeatureNetwork


@pytest.fixture(scope="session")
def net() -> FeatureNetwork:
    return load_features()


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small work on one thread: several would mostly wait for each other, the more so beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
