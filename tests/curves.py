"""Golden curves: losses and logits of 20 steps of every recipe's narrow networks, kept in `tests/golden`.

    PYTHONPATH=src OMP_NUM_THREADS=1 python tests/curves.py [RECIPE...]

writes them again: after a change that is meant to change training, and for a new recipe. A curve that moves without
such a change is a bug found.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from ganvas.config import RunConfig, io
from ganvas.families import build_family
from ganvas.families.base import Family, StepState
from ganvas.types import Batch
from small import narrow_networks

GOLDEN = Path(__file__).parent / "golden"
STEPS = 20
CLASSES = 3
SHOWN = ("loss_d", "loss_g", "d_logit_real", "d_logit_fake")


def narrow(name: str) -> RunConfig:
    """The recipe at 16 pixels, as narrow as it gets."""
    return io.load(name, (), {"data.resolution": 16, "train.batch": 8, **narrow_networks(name)})


def build(config: RunConfig) -> Family:
    """Its family, for three classes."""
    return build_family(config.family, resolution=config.data.resolution, classes=CLASSES, seed=config.seed, device=torch.device("cpu"))


def pictures() -> torch.Tensor:
    """The made-up ones that networks are trained on: (64, 3, 16, 16)."""
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (64, 3, 16, 16)).astype(np.float32)).cumsum(3).div(8).clamp(-1, 1)


def train(config: RunConfig, steps: int, precision: str = "fp32", family: Family | None = None) -> tuple[Family, list[dict[str, float]]]:
    """Some steps on made-up pictures, without the loop; what each reports."""
    family = build(config) if family is None else family
    state, batch, metrics = StepState(config.seed, torch.device("cpu"), precision), config.train.batch, []
    real, position = pictures(), 0

    def draw() -> Batch:
        nonlocal position
        places = torch.arange(position, position + batch) % len(real)
        start, position = position, position + batch
        return Batch(real[places].contiguous(memory_format=torch.channels_last), places % CLASSES, start)

    for _ in range(steps):
        torch.manual_seed(state.images)
        metrics.append({name: float(value) for name, value in family.step(draw, state).items()})
        state.images, state.step = position, state.step + 1
    return family, metrics


def curve(name: str) -> dict[str, list[float | None]]:
    """Losses and mean logits at each step; None where D rests, or there is none."""
    _, metrics = train(narrow(name), STEPS)
    return {key: [step.get(key) for step in metrics] for key in SHOWN}


def main(names: list[str]) -> None:
    """Write the curves of some recipes, or of all."""
    torch.set_num_threads(1)
    GOLDEN.mkdir(exist_ok=True)
    for name in names or io.recipe_names():
        rounded = {key: [None if v is None else float(f"{v:.6g}") for v in values] for key, values in curve(name).items()}
        (GOLDEN / f"{name}.json").write_text(json.dumps(rounded, indent=1) + "\n")
        sys.stdout.write(f"{GOLDEN / name}.json\n")


if __name__ == "__main__":
    main(sys.argv[1:])
