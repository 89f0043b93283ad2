"""Frozen feature networks, their weights' checksums and their resizing."""

from ganvas.features.backbone import FEATURES, load_features
from ganvas.features.network import FeatureNetwork

__all__ = ["FEATURES", "FeatureNetwork", "load_features"]
