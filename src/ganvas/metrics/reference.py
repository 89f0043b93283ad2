"""What scores compare with: the features of real pictures, made once and kept."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import safetensors
import safetensors.numpy
import torch
from torch import Tensor

from ganvas.artifact import cache_folder, write_bytes
from ganvas.errors import DataError, UsageError, UserError
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.kernel import within
from ganvas.metrics.moments import Moments
from ganvas.progress import Progress
from ganvas.rng import permutation

MOMENTS_CAP = 50_000
"""Real pictures whose features enter the mean and covariance, at most: as many as published FIDs use."""
FEATURES_CAP = 10_000
"""Real pictures whose features are kept, for KID, precision and recall, at most."""
TRAINING_CAP = 5_000
"""Real pictures that the KID of a training run is measured against, at most; whoever looks at as many finds them in the cache."""
FORMAT = "ganvas-reference-1"
_BLOCK = 512


@runtime_checkable
class RealPictures(Protocol):
    """What a reference is made of; `ganvas.data.packed.Split` is such."""

    @property
    def name(self) -> str:
        """The split's name."""
        ...

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), H, W, 3)."""
        ...


@dataclass(frozen=True)
class Reference:
    """Features of real pictures."""

    moments: Moments
    """Of up to 50,000 pictures."""
    features: Tensor
    """Float32 (m, dim) of up to 10,000 of them, in random order: its first rows are a fair sample of them all."""
    n: int
    """Pictures in the moments."""
    split: str
    checksum: str
    """Of the data set."""
    features_name: str
    features_identity: str
    """`FeatureNetwork.identity` of the network that made them."""

    @cached_property
    def kernel_within(self) -> float:
        """The kernel's mean within the kept features: needed by each KID, and the same for all."""
        return within(self.features)

    def save(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all.

        Raises:
            UserError: the disk is full, or the folder can't be written.
        """
        arrays = {**self.moments.to_arrays(), "features": self.features.numpy()}
        about = {
            "format": FORMAT,
            "split": self.split,
            "checksum": self.checksum,
            "features_name": self.features_name,
            "features_identity": self.features_identity,
            "digest": _digest(arrays),
        }
        write_bytes(path, safetensors.numpy.save(arrays, metadata=about))

    @classmethod
    def load(cls, path: Path) -> Reference:
        """What `save` wrote.

        Raises:
            DataError: the file is missing, damaged or of another kind.
        """
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                about = file.metadata() or {}
                arrays = {key: file.get_tensor(key) for key in (*Moments.ARRAYS, "features")}
            if about.get("format") != FORMAT or about["digest"] != _digest(arrays):
                raise ValueError("its contents are not what was written")
            moments, features = Moments.from_arrays(arrays), torch.from_numpy(arrays["features"])
            identity = {key: about[key] for key in ("split", "checksum", "features_name", "features_identity")}
        except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
            raise DataError(f"{path} can't be read as reference features ({error}): remove it, and it is made again") from error
        return cls(moments, features, moments.n, **identity)


def reference(
    split: RealPictures,
    dataset_checksum: str,
    net: FeatureNetwork,
    *,
    cache: Path | None = None,
    limit: int | None = None,
    quiet: bool = False,
) -> Reference:
    """The features of a split's pictures (of `limit` of them, drawn by a fixed seed), from the cache if they are there.

    `cache` is the folder that keeps references: by default `references` in GANVAS_CACHE or in the user's cache folder.
    A damaged file is made again; a cache that can't be written costs time only.

    Raises:
        DataError: the split has fewer than two pictures.
    """
    n = min(len(split), limit or MOMENTS_CAP, MOMENTS_CAP)
    if n < 2:
        raise DataError(f'the split "{split.name}" has {n} {"picture" if n == 1 else "pictures"}: scores need 2 or more to compare with')
    key = hashlib.sha256("\n".join([FORMAT, dataset_checksum, split.name, str(n), net.identity]).encode()).hexdigest()
    path = (cache or cache_folder() / "references") / f"{net.name}-{split.name}-{key[:24]}.safetensors"
    with contextlib.suppress(DataError):
        return Reference.load(path)
    made = _make(split, dataset_checksum, net, n, quiet)
    # A full or read-only disk is no reason to go without scores.
    with contextlib.suppress(UserError, OSError):
        made.save(path)
    return made


def kept(count: int, split: str, ref: Reference) -> np.ndarray:
    """Of which of the split's `count` pictures the reference's `features` are, row by row: indices (m,)."""
    return permutation(count, "reference", split)[: ref.n][: len(ref.features)]


def check_reference(ref: Reference, net: FeatureNetwork) -> None:
    """Refuse a reference whose features come from another network, other weights, another resizer or precision.

    Raises:
        UsageError: they do.
    """
    if ref.features_identity != net.identity:
        raise UsageError(
            f"the reference holds features of {ref.features_identity}, expected {net.identity}: make it again with these features"
        )


def _make(split: RealPictures, checksum: str, net: FeatureNetwork, n: int, quiet: bool) -> Reference:
    # The seed is the same for every data set, so that anybody draws the same pictures.
    order = permutation(len(split), "reference", split.name)[:n]
    moments, kept, missing = Moments.empty(net.dim), [], FEATURES_CAP
    with Progress(f"features of real pictures ({split.name})", n, quiet=quiet) as progress:
        for start in range(0, n, _BLOCK):
            features = net.features(split.gather(order[start : start + _BLOCK]))
            moments.update(features)
            kept.append(features[:missing])
            missing -= len(kept[-1])
            progress.update(len(features))
    return Reference(moments, torch.cat(kept), n, split.name, checksum, net.name, net.identity)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(arrays):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return digest.hexdigest()
