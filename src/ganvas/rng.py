"""Random numbers addressed by what they are for, never by what was drawn before.

A counter-based generator (Philox, Salmon et al. 2011) gives every (seed, stream, index) its own numbers. Picture
17's latent is the same whether it is drawn alone, in a batch, on another rank or after a resume.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def _key(*parts: object) -> np.ndarray:
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()
    return np.frombuffer(digest, dtype=np.uint64)


def seed_of(*parts: object) -> int:
    """A 63-bit seed made of any parts, for generators that take one."""
    return int(_key(*parts)[0] >> np.uint64(1))


def uniforms(seed: int, stream: str, start: int, count: int, per: int) -> Tensor:
    """(count, per) float64 in the open interval (0, 1): row i belongs to index start + i alone."""
    first = start * per
    bits = np.random.Philox(key=_key(seed, stream)).advance(first // 4)
    raw = bits.random_raw(count * per + first % 4)[first % 4 :]
    return torch.from_numpy(((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53).view(count, per)


def normals(seed: int, stream: str, start: int, count: int, per: int, bound: float | None = None) -> Tensor:
    """(count, per) float32 from N(0, 1), by the inverse of its distribution function.

    With `bound`, from N(0, 1) truncated to [-bound, bound]: the distribution that redrawing values beyond the
    threshold gives (Brock et al. 2019, section 3.1), but with one draw for each value, so that a picture changes
    continuously with the bound.
    """
    u = uniforms(seed, stream, start, count, per)
    if bound is not None:
        low = torch.special.ndtr(torch.tensor(-float(bound), dtype=torch.float64))
        u = low + u * (1 - 2 * low)
    return torch.special.ndtri(u).float()


@dataclass(frozen=True)
class Draws:
    """Random numbers of the pictures start to start + count - 1 of a stream, as many kinds of them as are asked for."""

    seed: int
    stream: str
    start: int
    count: int
    device: torch.device

    def uniforms(self, kind: str, per: int) -> Tensor:
        """(count, per) float32 in (0, 1)."""
        return uniforms(self.seed, f"{self.stream}/{kind}", self.start, self.count, per).to(self.device, torch.float32)

    def normals(self, kind: str, per: int) -> Tensor:
        """(count, per) float32 from N(0, 1)."""
        return normals(self.seed, f"{self.stream}/{kind}", self.start, self.count, per).to(self.device)


def permutation(n: int, *parts: object) -> np.ndarray:
    """A random order of 0 to n - 1 that depends on `parts` alone."""
    return np.random.Generator(np.random.Philox(key=_key(*parts))).permutation(n)


def seed_torch(*parts: object) -> None:
    """Seed torch's global generators (dropout and the like draw from them) from `parts`."""
    torch.manual_seed(seed_of(*parts))
