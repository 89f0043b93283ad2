"""Feature networks by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ganvas.errors import UsageError, nearest
from ganvas.features.efficientnet import Lite0Features
from ganvas.features.inception import InceptionFeatures
from ganvas.features.network import FeatureNetwork

__all__ = ["FEATURES", "FeatureNetwork", "load_features"]

FEATURES: dict[str, Callable[[Path | None, str], FeatureNetwork]] = {
    "efficientnet-lite0": Lite0Features.load,
    "inception-2015": InceptionFeatures.load,
}
_ALIASES = {"inception": "inception-2015"}


def load_features(name: str = "efficientnet-lite0", weights: Path | None = None, device: str = "cpu") -> FeatureNetwork:
    """A feature network by its name, with its weights from `weights` or from where they are usually kept.

    Raises:
        UsageError: no such network; its weights are missing or are not the known ones (the message says how to get them).
    """
    key = _ALIASES.get(name, name)
    if key not in FEATURES:
        known = [*FEATURES, *_ALIASES]
        raise UsageError(f'there are no features "{name}"{nearest(name, known)} (known: {", ".join(FEATURES)})')
    return FEATURES[key](weights, device)
