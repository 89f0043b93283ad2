"""How the learning rates change over a run."""

from __future__ import annotations

import math

from ganvas.config.optim import ScheduleConfig


def factor(config: ScheduleConfig, images: int, total: int | None) -> float:
    """The learning rates' factor after `images` pictures of `total`; without a total yet, as at the start."""
    warm = min(1.0, (images + 1) / config.warmup_images) if config.warmup_images else 1.0
    if config.kind == "constant" or not total:
        return warm
    progress = min(1.0, images / total)
    fallen = max(0.0, (progress - config.start) / (1 - config.start))
    shape = fallen if config.kind == "linear" else (1 - math.cos(math.pi * fallen)) / 2
    return warm * (1 + (config.final - 1) * shape)
