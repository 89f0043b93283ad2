"""The score of a submission to Kaggle's "Generative Dog Images": MiFID against all that the run was trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ganvas.data.packed import Split
from ganvas.features.backbone import load_features
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.evaluate import reference
from ganvas.metrics.memorisation import MiFid, mifid
from ganvas.metrics.reference import FEATURES_CAP
from ganvas.progress import Progress
from ganvas.ship.export import kaggle_size
from ganvas.verbs.evaluating import open_data
from ganvas.verbs.model import Model

HELD_OUT = 1_000
"""Held-out pictures whose distance is shown for comparison, at most."""
_BLOCK = 512


class KaggleScore:
    """Gathers the features of the pictures as they are submitted, at 64x64, and scores them."""

    def __init__(self, model: Model, quiet: bool):
        """Opens the run's data and its features, so that what is missing is said at once.

        Raises:
            DataError, RunError: the real pictures are gone.
            UsageError: the features' weights are missing.
        """
        config = model.folder.config().evaluation
        self.net: FeatureNetwork = load_features(config.features if config else "efficientnet-lite0", device=str(model.device))
        self.quiet = quiet
        self._data = open_data(model.folder, None)
        self._reference = reference(self._data.split("train"), self._data.checksum, self.net, quiet=quiet)
        self._rows: list[Tensor] = []

    def add(self, pictures: np.ndarray) -> None:
        """Count uint8 (b, H, W, 3) in."""
        self._rows.append(self.net.features(np.stack([kaggle_size(picture) for picture in pictures])))

    def result(self) -> MiFid:
        """The score of all that was added.

        Raises:
            UsageError: there are fewer than two pictures.
        """
        train, held_out = self._data.split("train"), self._data.held_out()
        # A reference keeps the features of so many pictures; where there are more, each is still to be compared with.
        real = iter([self._reference.features]) if len(train) <= FEATURES_CAP else self._features(train, len(train), "real pictures")
        others = None if held_out is None else torch.cat(list(self._features(held_out, HELD_OUT, "held-out pictures")))
        return mifid(torch.cat(self._rows), self._reference, real, self.net, others)

    def _features(self, split: Split, most: int, what: str) -> Iterator[Tensor]:
        n = min(most, len(split))
        with Progress(f"features of {what}", n, quiet=self.quiet) as progress:
            for start in range(0, n, _BLOCK):
                rows = self.net.features(split.gather(np.arange(start, min(n, start + _BLOCK))))
                yield rows
                progress.update(len(rows))
