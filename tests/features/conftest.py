"""Networks are loaded once."""

from __future__ import annotations

import pytest

from ganvas.features.backbone import load_features
from ganvas.features.network import FeatureNetwork


@pytest.fixture(scope="session")
def net() -> FeatureNetwork:
    return load_features()
