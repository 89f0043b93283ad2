"""Feature networks by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ganvas.errors import UsageError, nearest
from ganvas.features import dinov2, lite
from ganvas.features.inception import InceptionFeatures
from ganvas.features.network import FeatureNetwork

__all__ = ["FEATURES", "FeatureNetwork", "Wanted", "load_features"]

FEATURES: dict[str, Callable[[Path | None, str, str | None], FeatureNetwork]] = {
    **{release.name: partial(lite.LiteFeatures.load, release) for release in (lite.LITE0, lite.LITE2)},
    "inception-2015": InceptionFeatures.load,
    **{size.name: partial(dinov2.DinoFeatures.load, size) for size in dinov2.SIZES},
}
# "dinov2" alone is the network of FD-DINOv2 (Stein et al. 2023).
_ALIASES = {"inception": "inception-2015", "dinov2": "dinov2-vitl14"}


def load_features(
    name: str = "efficientnet-lite0", weights: Path | None = None, device: str = "cpu", sha256: str | None = None
) -> FeatureNetwork:
    """A feature network by its name, with its weights from `weights` or from where they are usually kept.

    `sha256` is what the weights file's checksum begins with, in 8 hexadecimal digits or more: it is checked besides
    the checksum that ganvas knows, and in its stead where none was published (DINOv2).

    Raises:
        UsageError: no such network; its weights are missing or are not the known ones (the message says how to get
            them); `sha256` is no checksum.
    """
    key = _ALIASES.get(name, name)
    if key not in FEATURES:
        known = [*FEATURES, *_ALIASES]
        raise UsageError(f'there are no features "{name}"{nearest(name, known)} (known: {", ".join(FEATURES)})')
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{8,64}", sha256):
        raise UsageError(f'"{sha256}" is no SHA-256: expected 8 to 64 hexadecimal digits, as `sha256sum FILE` prints them')
    return FEATURES[key](weights, device, sha256)


@dataclass(frozen=True)
class Wanted:
    """The feature network that somebody asked for."""

    name: str | None = None
    weights: Path | None = None
    sha256: str | None = None

    def load(self, default: str, device: str) -> FeatureNetwork:
        """It, or the network `default` where none was named; see `load_features`."""
        return load_features(self.name or default, weights=self.weights, device=device, sha256=self.sha256)
