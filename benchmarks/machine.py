"""What every benchmark says of the machine it ran on."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import torch

from ganvas.machine import processor_flags, processor_name


def describe() -> dict[str, Any]:
    """Machine, date and versions."""
    return {
        "processor": processor_name(),
        "instructions": sorted(processor_flags()),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def compared(what: str, amount: float, taken: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The result of a benchmark in which "ours" and "peer" took turns.

    Args:
        what: what is measured, with its unit.
        amount: how many of that unit one measurement made.
        taken: seconds of each side's measurements, in the order of the turns.
    """
    rates = {name: round(amount / statistics.median(values), 1) for name, values in taken.items()}
    ratios = [b / a for a, b in zip(taken["ours"], taken["peer"], strict=True)]
    return {
        "what": what,
        "ours": rates["ours"],
        "peer": rates["peer"],
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "machine": describe(),
    }


def matmul_rate(dtype: torch.dtype, size: int = 4096, seconds: float = 1.0) -> float:
    """Operations per second of square matrix products: the rate that the machine can reach."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    out = a @ b
    torch.mm(a, b, out=out)
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best
