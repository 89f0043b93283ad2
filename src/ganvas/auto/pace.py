"""How fast a config trains here, found by taking steps of it."""

from __future__ import annotations

import statistics
import time

import torch

from ganvas.config.run import RunConfig
from ganvas.families import build_family
from ganvas.families.base import Settling, StepState
from ganvas.types import Batch

WARM_UP = 3
"""Steps that choose kernels and fill caches."""
ROUND = 4
"""Steps that are timed together: not all are alike, where real pictures are remembered or sides are seen in turn."""
ROUNDS = 3
LATE = 2**50
"""Pictures after which whatever a run does at first is over."""
LONGEST = 5.0
"""Seconds after which no further round is begun."""


def pace(config: RunConfig, classes: int, device: torch.device, precision: str, *, at: int = LATE) -> float:
    """Real pictures per second of the config's steps, from the median of a few rounds of them on random pictures.

    What a run does beside its steps (evaluations, checkpoints, grids) is not in it. `at`: of steps of a run, with its memories
    full, in which so many pictures were shown.
    """
    family = build_family(config.family, resolution=config.data.resolution, classes=classes, seed=config.seed, device=device)
    batch, side = config.train.batch, config.data.resolution
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(batch, 3, side, side, generator=generator) * 2 - 1).contiguous(memory_format=torch.channels_last).to(device)
    labels = torch.randint(classes, (batch,), generator=generator).to(device) if family.classes else None
    weights = torch.ones(classes, dtype=torch.float64) if family.classes else None
    state = StepState(config.seed, device, precision, label_weights=weights)
    state.images = at
    shown = 0

    def draw() -> Batch:
        nonlocal shown
        shown += batch
        return Batch(images, labels, shown - batch)

    if isinstance(family, Settling):
        family.settle(Batch(images, labels, 0), state)

    def take(steps: int) -> float:
        start, before = time.perf_counter(), shown
        for _ in range(steps):
            family.step(draw, state)
            state.images, state.step = at + shown, state.step + 1
        _wait(device)
        return (shown - before) / (time.perf_counter() - start)

    begun = time.perf_counter()
    take(WARM_UP)
    rates = [take(ROUND)]
    while len(rates) < ROUNDS and time.perf_counter() - begun < LONGEST:
        rates.append(take(ROUND))
    return statistics.median(rates)


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
