"""Numbers of a run: means between two lines, JSON lines and TensorBoard events."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganvas.artifact import disk_errors
from ganvas.runs import RunFolder


class Means:
    """Means of what steps report, each over the steps that reported it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self.count = 0

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Take in one step's numbers, without waiting for a device."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value.float() if name in self._sums else value.float()
            self._counts[name] = self._counts.get(name, 0) + 1
        self.count += 1

    def not_finite(self) -> list[str]:
        """The names of numbers that became NaN or Inf."""
        return [name for name, value in self._sums.items() if not math.isfinite(float(value))]

    def peek(self) -> dict[str, float]:
        """The means so far."""
        return {name: float(value) / self._counts[name] for name, value in self._sums.items()}

    def take(self) -> dict[str, float]:
        """The means, and begin anew."""
        means = self.peek()
        self.__init__()
        return means

    def state_dict(self) -> dict[str, Any]:
        """JSON values and tensors."""
        return {"sums": dict(self._sums), "counts": dict(self._counts), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self._sums = {name: torch.as_tensor(value) for name, value in state["sums"].items()}
        self._counts, self.count = dict(state["counts"]), state["count"]


class MetricsLog:
    """`metrics.jsonl` and, if wanted, TensorBoard's event files."""

    def __init__(self, folder: RunFolder, tensorboard: bool):
        self.folder = folder
        self._tensorboard = tensorboard
        self._writer: Any = None

    def write(self, line: dict[str, Any]) -> None:
        """Append a line."""
        with disk_errors(self.folder.metrics_file), self.folder.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._tensorboard:
            for name, value in line.items():
                if name not in ("images", "step") and value is not None:
                    self._events().add_scalar(name, value, line["images"])

    def _events(self) -> Any:
        if self._writer is None:
            from tensorboard.summary import Writer

            self._writer = Writer(str(self.folder.path / "tensorboard"))
        return self._writer

    def close(self) -> None:
        """Flush the event files."""
        if self._writer is not None:
            self._writer.close()
