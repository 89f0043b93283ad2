"""What is gathered of pictures of one size, block by block, such as their spectra."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.metrics.moments import Moments

G = TypeVar("G", bound="OneSize")


@dataclass
class OneSize(ABC):
    """Moments of measures of each picture; pieces merge (see `Moments`)."""

    what: ClassVar[str]
    """What is compared by them, in words."""

    shape: tuple[int, int]
    """Height and width of the pictures."""
    moments: Moments
    """Of the measures: float64 mean and covariance over pictures."""

    @classmethod
    @abstractmethod
    def empty(cls: type[G], height: int, width: int) -> G:
        """Of no pictures yet.

        Raises:
            UsageError: pictures so small can't be measured.
        """

    @classmethod
    def of(cls: type[G], blocks: Iterable[np.ndarray | Tensor]) -> G:
        """Of uint8 blocks (b, H, W, 3), all of one size.

        Raises:
            UsageError: there is no block, or the sizes differ.
        """
        found: G | None = None
        for block in blocks:
            found = found or cls.empty(*block.shape[1:3])
            found.update(block)
        if found is None:
            raise UsageError(f"there are no pictures to compare the {cls.what} of: expected one or more")
        return found

    def update(self, pixels: np.ndarray | Tensor) -> None:
        """Count uint8 (b, H, W, 3) in.

        Raises:
            UsageError: they have another size.
        """
        given = torch.from_numpy(np.ascontiguousarray(pixels)) if isinstance(pixels, np.ndarray) else pixels
        self.check(tuple(given.shape[1:3]))
        self._count(given)

    def merge(self, other: OneSize) -> None:
        """Count in what `other`, of the same kind, counted.

        Raises:
            UsageError: it is of pictures of another size.
        """
        self.check(other.shape)
        self.moments.merge(other.moments)

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `UsageError` for pictures of another size, (height, width)."""
        if shape != self.shape:
            raise UsageError(f"{self.what} are compared of pictures of one size: expected {self.shape}, found {shape}")

    @abstractmethod
    def _count(self, pixels: Tensor) -> None:
        """uint8 (b, H, W, 3) of the right size."""
