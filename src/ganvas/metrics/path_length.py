"""Perceptual path length: how far pictures move, in feature space, for a small step between two latents.

Karras, Laine and Aila 2019 (arXiv 1812.04948), eq. 2: l_Z = E[d(G(slerp(z1, z2; t)), G(slerp(z1, z2; t + eps))) / eps^2] with t
uniform in (0, 1) over the full path, or 0 at its ends. Theirs is LPIPS of VGG16; here d is the squared distance of the
offline features, so the number compares with other ganvas runs on the same features and with no publication. Smooth paths
are short; jumps (objects that appear from nowhere, modes with nothing between) make them long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganvas import rng
from ganvas.errors import UsageError
from ganvas.features.continuous import features_of_floats
from ganvas.features.network import FeatureNetwork
from ganvas.progress import Progress
from ganvas.sampling.latent import slerp
from ganvas.sampling.render import CHUNK, Sampler, class_labels, draw_latents
from ganvas.types import Images

Mode = Literal["slerp", "linear"]
Where = Literal["full", "ends"]

EPSILON = 1e-3
"""The paper's 1e-4 is for LPIPS; here rounding in float32 would add up to some per cent to short paths, and this step a few
hundredths of that. It is short enough: beside 1e-4, lengths are 2% less where they are longest (docs/decisions/0003)."""
TRIM = 0.01
"""Share of the paths that is left out at either end, as the authors' code does."""
FEWEST = 100
STREAM = "path length"


class PathLength(BaseModel):
    """Mean squared speed along paths between latents, with all that it depends on."""

    model_config = ConfigDict(frozen=True)

    value: float
    """Trimmed mean of |f(G(t + eps)) - f(G(t))|^2 / eps^2."""
    low: float
    """Where the 95% confidence interval begins."""
    high: float
    n: int
    """Paths."""
    epsilon: float
    mode: Mode
    where: Where
    features: str
    resizer: str

    def sentence(self) -> str:
        """What it says, for people."""
        return (
            f"Path length {self.value:.4g} ({self.low:.4g} to {self.high:.4g}) on {self.features}, {self.n:,} paths: lower is smoother. "
            "It compares with other ganvas runs on the same features and data, and with no published number."
        )


def path_length(
    sampler: Sampler,
    net: FeatureNetwork,
    *,
    n: int = 2000,
    mode: Mode = "slerp",
    where: Where = "full",
    seed: int = 0,
    weights: Tensor | None = None,
    epsilon: float = EPSILON,
    device: torch.device | str = "cpu",
    quiet: bool = False,
) -> PathLength:
    """Perceptual path length of a generator on a feature network.

    Args:
        sampler: latents to pictures in [-1, 1], which stay floating point: rounded to levels, small steps would be none.
        net: the features.
        n: paths; path i of a seed is the same whatever `n` is.
        mode: `slerp` for normal latents, `linear` for uniform ones (Karras et al. 2019, eq. 2 and 3).
        where: `full`, or `ends`: t = 0, where no point lies between two latents of the training's distribution.
        seed: 0 or more.
        weights: (classes,) how often each class is drawn; both points of a path are of one class. None without classes.
        epsilon: the step, as a share of the path.
        device: where the generator is.
        quiet: no progress.

    Raises:
        UsageError: too few paths, or the network takes no floating point pictures.
    """
    if n < FEWEST:
        raise UsageError(f"{n} paths are too few for a path length: expected {FEWEST} or more (2,000 is the default)")
    found = []
    with Progress("path length", n, "paths", quiet=quiet) as progress:
        for start in range(0, n, CHUNK):
            steps = squared_steps(sampler, net, start, mode=mode, where=where, seed=seed, weights=weights, epsilon=epsilon, device=device)
            found.append(steps[: n - start])
            progress.update(len(found[-1]))
    value, error = trimmed_mean(torch.cat(found) / epsilon**2, TRIM)
    return PathLength(
        value=value,
        low=max(0.0, value - 1.96 * error),
        high=value + 1.96 * error,
        n=n,
        epsilon=epsilon,
        mode=mode,
        where=where,
        features=net.name,
        resizer=net.resizer,
    )


@torch.inference_mode()
def squared_steps(
    sampler: Sampler,
    net: FeatureNetwork,
    start: int,
    *,
    mode: Mode,
    where: Where,
    seed: int,
    weights: Tensor | None,
    epsilon: float,
    device: torch.device | str = "cpu",
) -> Tensor:
    """float64 (64,): squared feature distances over the steps of the paths start, start + 1, ..., one chunk of them."""
    labels = class_labels(start, CHUNK, seed, weights, None)
    a, b = (draw_latents(sampler, labels, seed, start, CHUNK, stream=f"{STREAM}/{end}").double() for end in ("from", "to"))
    t = torch.zeros(CHUNK, 1, dtype=torch.float64)
    if where == "full":
        # The step, too, stays within the path.
        t = rng.uniforms(seed, f"{STREAM}/t", start, CHUNK, 1) * (1 - epsilon)
    between: Callable[[Tensor, Tensor, Tensor], Tensor] = slerp if mode == "slerp" else torch.lerp
    rows = []
    for at in (t, t + epsilon):
        latents = between(a, b, at).float().to(device)
        images: Images = sampler(latents, None if labels is None else labels.to(device)).float()
        rows.append(features_of_floats(net, images).double())
    return (rows[1] - rows[0]).square().sum(1)


def trimmed_mean(values: Tensor, share: float) -> tuple[float, float]:
    """The mean of float64 (n,) without the smallest and the largest `share`, and its standard error.

    The error is that of Tukey and McLaughlin 1963: the deviation of the values with those beyond the cuts moved onto
    them, over (1 - 2 share) sqrt(n).
    """
    ordered, n = values.double().sort().values, len(values)
    cut = int(share * n)
    kept = ordered[cut : n - cut]
    winsorised = ordered.clamp(float(kept[0]), float(kept[-1]))
    return float(kept.mean()), float(winsorised.std()) / ((1 - 2 * cut / n) * math.sqrt(n))
