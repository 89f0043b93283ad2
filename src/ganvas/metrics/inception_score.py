"""The Inception Score (Salimans et al. 2016), on the logits of any network that classifies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

SPLITS = 10
SEED = 2020


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation over the parts, and each picture's influence (n,) on the mean, with mean zero."""

    value: float
    std: float
    influence: Tensor = field(compare=False, repr=False)


def inception_score(logits: Tensor, splits: int = SPLITS, seed: int = SEED) -> InceptionScore:
    """exp E KL(p(y|x) || p(y)) of logits (n, classes), from 1 to the number of classes, over `splits` parts.

    Salimans et al. 2016, section 4, with the parts that torch-fidelity draws with the same seed. In float64. Moving p(y)
    changes E KL only to second order, so that a picture's influence on a part is IS (KL(p(y|x) || p(y)) - E KL).
    """
    n = len(logits)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(n))
    splits = min(splits, n)
    scores, influence = [], torch.zeros(n, dtype=torch.float64)
    for index in range(splits):
        chosen = order[index * n // splits : (index + 1) * n // splits]
        logs = logits[chosen].double().log_softmax(1)
        marginal = logs.logsumexp(0) - math.log(len(logs))
        divergence = (logs.exp() * (logs - marginal)).sum(1)
        scores.append(divergence.mean().exp().item())
        influence[chosen] = scores[-1] * (divergence - divergence.mean()) * (n / (splits * len(chosen)))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), influence)
