"""Walks: from one latent to another, and from one class to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ganvas.sampling.latent import slerp
from ganvas.types import ClassWeights

Mode = Literal["slerp", "linear"]


def between(a: Tensor, b: Tensor, steps: int, mode: Mode) -> Tensor:
    """(rows, steps, size): from each row of a (rows, size) to the same row of b, both ends among the steps.

    `slerp` keeps to the shell on which normal latents lie (White 2016); `linear` passes within it, where the generator
    was never trained, but stays within the cube of uniform latents.
    """
    t = torch.linspace(0, 1, steps)
    if mode == "linear":
        return a[:, None] + (b - a)[:, None] * t[None, :, None]
    return slerp(a[:, None], b[:, None], t[None, :, None])


def distribution(family: object) -> str:
    """How the latents of a family's config are distributed: normal where it does not say."""
    return getattr(getattr(family, "latent", None), "distribution", "normal")


def usual(family: object) -> Mode:
    """How a config's latents are walked between: along the shell of normal ones, straight where they are uniform or codes."""
    return "linear" if distribution(family) == "uniform" or hasattr(family, "codes") else "slerp"


def class_path(stops: Sequence[int], steps: int, classes: int) -> ClassWeights:
    """(steps, classes) weights from the first class to the last, through those between, at even speed."""
    stays = torch.nn.functional.one_hot(torch.tensor(list(stops)), classes).float()
    at = torch.linspace(0, len(stops) - 1, steps)
    leg = at.floor().long().clamp_max(len(stops) - 2)
    share = (at - leg)[:, None]
    return stays[leg] * (1 - share) + stays[leg + 1] * share
