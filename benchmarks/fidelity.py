"""What benchmarks beside torch-fidelity share."""

from __future__ import annotations

import numpy as np
import torch
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
