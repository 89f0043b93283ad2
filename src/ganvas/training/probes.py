"""What can be read off a family between two steps without changing anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ganvas import rng
from ganvas.families.base import Family, StepState
from ganvas.sampling.render import CHUNK
from ganvas.training.log import Means
from ganvas.training.stream import Stream

PROBE_PICTURES = 256


def probe(family: Family, streams: Mapping[str, Stream | None], state: StepState) -> dict[str, float]:
    """The family's probe of some pictures of each stream, by its name: `d_accuracy_train`, `d_accuracy_heldout`, ..."""
    found: dict[str, float] = {}
    for suffix, stream in streams.items():
        if stream is None:
            continue
        n = len(stream.split)
        order = rng.permutation(n, state.seed, "probe", state.images)[: min(n, PROBE_PICTURES)]
        sums = Means()
        for start in range(0, len(order), CHUNK):
            part = np.sort(order[start : start + CHUNK])
            if len(part) > 1:
                sums.add(family.probe(stream.at(part, 0, None), state))
        if sums.count:
            found |= {f"{name}_{suffix}": value for name, value in sums.take().items()}
    return found


@torch.no_grad()
def norms(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, float]:
    """Each player's norms, by its first letter: `gradient_g` of the last step's gradient, `weights_g` of its parameters.

    Steps leave gradients where they were until the next one: reading them costs a pass over the parameters.
    """
    found: dict[str, float] = {}
    for name, optimizer in optimizers.items():
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        found[f"weights_{name[0]}"] = _norm(parameters)
        if gradients:
            found[f"gradient_{name[0]}"] = _norm(gradients)
    return found


def _norm(tensors: list[torch.Tensor]) -> float:
    """L2, of all numbers together."""
    if not tensors:
        return 0.0
    return float(torch.stack(torch._foreach_norm([t.detach().float() for t in tensors])).norm())  # pyright: ignore[reportPrivateImportUsage]
