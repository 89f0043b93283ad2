"""The Inception Score (Salimans et al. 2016)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SPLITS = 10
SEED = 2020


def inception_score(logits: Tensor, splits: int = SPLITS, seed: int = SEED) -> tuple[float, float]:
    """exp E KL(p(y|x) || p(y)) of logits (n, classes): mean and standard deviation over `splits` parts.

    Salimans et al. 2016, section 4, with the parts that torch-fidelity draws with the same seed. In float64.
    """
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(logits)))
    logs = logits[order].double().log_softmax(1)
    n, splits = len(logs), min(splits, len(logs))
    scores = []
    for index in range(splits):
        part = logs[index * n // splits : (index + 1) * n // splits]
        divergence = part.exp() * (part - part.exp().mean(0).log())
        scores.append(divergence.sum(1).mean().exp().item())
    return float(np.mean(scores)), float(np.std(scores))
