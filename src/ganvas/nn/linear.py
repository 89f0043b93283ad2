"""Fully connected layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class EqualizedLinear(nn.Linear):
    """A linear layer with weights from N(0, 1) that are divided by the root of their number when used.

    The equalised learning rate of Karras et al. 2018, section 4.1: under plain gradient descent a step moves the
    output alike however many inputs there are, where otherwise it grows with their number.

    `rate` multiplies the layer's learning rate alone: weights and biases are so many times as large as the parameters,
    which begin larger by as much (Karras et al. 2019, appendix C). `gain` multiplies the output, and `start` is
    where the biases begin.
    """

    def __init__(self, entering: int, leaving: int, bias: bool = True, *, rate: float = 1.0, gain: float = 1.0, start: float = 0.0):
        super().__init__(entering, leaving, bias)
        self.rate, self.gain = rate, gain
        with torch.no_grad():
            self.weight.div_(rate)
            if self.bias is not None:
                self.bias.fill_(start / rate)

    def reset_parameters(self) -> None:
        """N(0, 1), biases zero."""
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, entering) to (B, leaving)."""
        factor = self.rate * self.gain
        bias = self.bias if self.bias is None or factor == 1 else self.bias * factor
        # The input is scaled, not the weight: that is fewer numbers.
        return nn.functional.linear(input / (math.sqrt(self.in_features) / factor), self.weight, bias)


class Maxout(nn.Module):
    """The largest of k numbers for each unit, linear functions that lie side by side (Goodfellow et al. 2013, eq. 1)."""

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(B, units * pieces) to (B, units)."""
        # The largest is found by `max`, whose gradient goes to one of equals; `amax` would divide it among them.
        return torch.max(x.unflatten(1, (-1, self.pieces)), 2).values
