"""Fully connected layers."""

from __future__ import annotations

from torch import Tensor, nn


class Maxout(nn.Module):
    """The largest of k linear functions for each unit (Goodfellow et al. 2013, eq. 1)."""

    def __init__(self, entering: int, units: int, pieces: int):
        super().__init__()
        self.units, self.pieces = units, pieces
        self.linear = nn.Linear(entering, units * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """(B, entering) to (B, units)."""
        return self.linear(x).unflatten(1, (self.units, self.pieces)).amax(2)


def maxout_or_leaky(entering: int, units: int, pieces: int, slope: float) -> list[nn.Module]:
    """Maxout, or with one piece a linear layer and a leaky ReLU."""
    return [Maxout(entering, units, pieces)] if pieces > 1 else [nn.Linear(entering, units), nn.LeakyReLU(slope)]
