"""What benchmarks beside torch-fidelity share."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset


class Pictures(Dataset):
    """uint8 (N, H, W, 3) in memory, as either side wants it."""

    name = "train"

    def __init__(self, pixels: np.ndarray):
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        """torch-fidelity's: uint8 (3, H, W)."""
        return torch.from_numpy(self.pixels[index]).permute(2, 0, 1)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """ganvas': uint8 (len(indices), H, W, 3)."""
        return self.pixels[indices]


class TwoLayers(torch_fidelity.FeatureExtractorBase):
    """A network with features and logits, for torch-fidelity."""

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Both layers."""
        return "pooled", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Logits for the Inception Score, features for the others."""
        return "logits" if metric == "isc" else "pooled"

    @staticmethod
    def can_be_compiled() -> bool:
        """It is not, by default."""
        return False

    @abstractmethod
    def describe(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, 3, H, W) to features and logits."""

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """The layers asked for."""
        found = dict(zip(self.get_provided_features_list(), self.describe(input), strict=True))
        return tuple(found[layer] for layer in self.features_list)
