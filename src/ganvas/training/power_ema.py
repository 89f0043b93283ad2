"""Averages whose length is chosen after training (Karras et al. 2024, EDM2, arXiv:2312.02696, section 3 and appendix C).

An average at time t weighs what the parameters were at time s by s^gamma: its profile is (gamma + 1) s^gamma /
t^(gamma + 1), and its relative width sigma_rel the standard deviation of that, as a share of t (section 3.1). Two such
averages are tracked and kept at some moments of the run. Afterwards a sum of them stands for any other width: the one
whose profile is nearest (section 3.2). Time is counted in pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ganvas import artifact
from ganvas.config.optim import Ema as EmaConfigs
from ganvas.config.optim import PowerEmaConfig
from ganvas.errors import RunError
from ganvas.training.ema import Averages, Ema

_SMALL = 1e-13
"""Singular values below this share of the largest are rounding: the profiles overlap a lot."""


def relative_width(exponent: float) -> float:
    """sigma_rel of a profile's exponent gamma: sqrt(gamma + 1) / ((gamma + 2) sqrt(gamma + 3)) (section 3.1)."""
    return math.sqrt(exponent + 1) / ((exponent + 2) * math.sqrt(exponent + 3))


def exponent(width: float) -> float:
    """gamma of a relative width in (0, 1 / sqrt(12)), the inverse of `relative_width`.

    It is the largest root of gamma^3 + 7 gamma^2 + (16 - 1/sigma^2) gamma + 12 - 1/sigma^2.
    """
    inverse = width**-2
    return float(np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse]).real.max())


@dataclass(frozen=True)
class Profile:
    """How an average weighs the past: its time, in pictures, and its exponent."""

    images: int
    exponent: float

    def product(self, other: Profile, unit: float) -> float:
        """The integral of both profiles' product, with time in units of `unit` pictures (appendix C)."""
        a, b, s, t = self.exponent, other.exponent, self.images / unit, other.images / unit
        # In logarithms: powers of times would overflow for narrow profiles.
        power = (a + b + 1) * math.log(min(s, t)) - (a + 1) * math.log(s) - (b + 1) * math.log(t)
        return (a + 1) * (b + 1) / (a + b + 1) * math.exp(power)


def coefficients(kept: Sequence[Profile], wanted: Profile) -> tuple[np.ndarray, float]:
    """(n,) how much of each kept average the wanted one takes, and how far its profile is missed, as a share of its size.

    Least squares over profiles (appendix C), among sums whose coefficients add up to 1: what never changed in training
    stays exactly what it is. No kept profile may be younger than the wanted one.
    """
    unit = float(wanted.images)
    sizes = np.sqrt([p.product(p, unit) for p in kept])
    size = math.sqrt(wanted.product(wanted, unit))
    # Profiles of size one: the system's rounding is then alike for old, narrow ones and for young, wide ones.
    gram = np.array([[p.product(q, unit) for q in kept] for p in kept]) / np.outer(sizes, sizes)
    shadow = np.array([p.product(wanted, unit) for p in kept]) / (sizes * size)
    share = size / sizes
    n = len(kept)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n], system[n, :n], system[:n, n] = gram, share, share
    found = np.linalg.lstsq(system, np.append(shadow, 1.0), rcond=_SMALL)[0][:n]
    missed = found @ gram @ found - 2 * found @ shadow + 1
    return found * share, math.sqrt(max(0.0, float(missed)))


class PowerEma(Averages):
    """Two power-function averages of the parameters of some modules; the first is what samples show.

    Both are kept in `folder` at moments evenly spread over the run so far: no more than `snapshots` of them, for which
    every second one is dropped when they get too many. Which ones are there depends on the pictures seen alone.
    """

    def __init__(self, config: PowerEmaConfig, modules: Mapping[str, nn.Module], folder: Path):
        super().__init__(modules)
        self.config, self.folder = config, folder
        self._exponents = [exponent(sigma) for sigma in config.sigmas]
        # The second average has no modules: nothing is drawn from it.
        self._second = {name: [average.clone() for average in averages] for name, (averages, _) in self._pairs.items()}

    @torch.no_grad()
    def update(self, images: int, batch: int) -> None:
        """Move towards the modules after a step that showed `batch` pictures, `images` in all; keep both where that is due."""
        first = {name: averages for name, (averages, _) in self._pairs.items()}
        for averages, gamma in zip((first, self._second), self._exponents, strict=True):
            # beta = (1 - 1/t)^(gamma + 1) (section 3.1), for a step of a batch: exact for parameters that stay until the next.
            weight = 1 - (1 - batch / images) ** (gamma + 1)
            for name, (_, values) in self._pairs.items():
                torch._foreach_lerp_(averages[name], values, weight)  # pyright: ignore[reportPrivateImportUsage]
        interval = self._interval(images)
        if images % interval < batch:
            self._keep(images)
            for path in snapshots(self.folder):
                if int(path.stem) % interval >= batch:
                    path.unlink(missing_ok=True)

    def _interval(self, images: int) -> int:
        """Pictures between two snapshots, such that there are no more than the config allows."""
        interval = self.config.every
        while images // interval > self.config.snapshots:
            interval *= 2
        return interval

    def _keep(self, images: int) -> None:
        tensors = {key: t.detach().contiguous().cpu() for key, t in self._named()}
        artifact.write_bytes(self.folder / f"{images:09d}.safetensors", save(tensors))

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        """Each number of both averages: `0/module/parameter` and `1/module/parameter`."""
        for name, second in self._second.items():
            for (key, first), other in zip(self.modules[name].named_parameters(), second, strict=True):
                yield f"0/{name}/{key}", first
                yield f"1/{name}/{key}", other

    def state_dict(self) -> dict[str, Any]:
        """The second average; the first is in the modules."""
        return {"second": {key: tensor for key, tensor in self._named() if key.startswith("1/")}}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any], images: int) -> None:
        """Restore `state_dict` as it was after so many pictures; snapshots of what came later go away."""
        for key, tensor in self._named():
            if key.startswith("1/"):
                tensor.copy_(state["second"][key])
        for path in snapshots(self.folder):
            if int(path.stem) > images:
                path.unlink()


def build_ema(config: EmaConfigs, modules: Mapping[str, nn.Module], folder: Path) -> Averages:
    """The averages that a config describes; `folder` is for snapshots, if they keep any."""
    return PowerEma(config, modules, folder) if isinstance(config, PowerEmaConfig) else Ema(config, modules)


def snapshots(folder: Path) -> list[Path]:
    """The files of a run's snapshots, in order of pictures seen."""
    return sorted(path for path in folder.glob("*.safetensors") if path.stem.isdecimal())


@dataclass(frozen=True)
class Reconstruction:
    """An average made after training."""

    parameters: dict[str, Tensor]
    """`module/parameter` to its value."""
    missed: float
    """How far the profile is from the one wanted, as a share of its size (root of the integral of its square)."""
    snapshots: int
    """Moments that it was made of."""


def reconstruct(folder: Path, latest: Mapping[str, Tensor], images: int, sigmas: tuple[float, float], width: float) -> Reconstruction:
    """The average of a relative width after `images` pictures, from a run's snapshots and its last two averages.

    Args:
        folder: the snapshots.
        latest: `0/module/parameter` and `1/module/parameter`: both averages after `images` pictures.
        images: pictures seen, at which the average ends.
        sigmas: the relative widths that were tracked.
        width: the one wanted, in (0, 1 / sqrt(12)).

    Raises:
        RunError: a snapshot is damaged or of other networks.
    """
    moments: list[tuple[int, Path | None]] = [(int(p.stem), p) for p in snapshots(folder) if int(p.stem) < images]
    moments.append((images, None))
    kept = [Profile(at, exponent(sigma)) for at, _ in moments for sigma in sigmas]
    shares, missed = coefficients(kept, Profile(images, exponent(width)))
    total = {key.removeprefix("0/"): torch.zeros_like(t, dtype=torch.float64) for key, t in latest.items() if key.startswith("0/")}
    for i, (_, path) in enumerate(moments):
        tensors = latest if path is None else _read(path, latest)
        for key, tensor in tensors.items():
            which, _, name = key.partition("/")
            total[name].add_(tensor.double(), alpha=float(shares[2 * i + int(which)]))
    return Reconstruction({name: value.float() for name, value in total.items()}, missed, len(moments))


def _read(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"the snapshot {path} can't be read ({error}): remove it, and the others will do") from error
    if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in like.items()}:
        raise RunError(f"the snapshot {path} is of other networks than the run's checkpoint: remove it")
    return tensors
