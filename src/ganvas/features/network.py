"""What every feature network is: pictures in, one row of numbers for each out, whatever the batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganvas.artifact import sha256
from ganvas.errors import UsageError
from ganvas.features.parallel import one_thread_each
from ganvas.types import Pixels


class Weights(NamedTuple):
    """What a weights file holds."""

    tensors: dict[str, Tensor]
    sha256: str


class FeatureNetwork(ABC):
    """A frozen network that describes pictures.

    Pictures run in chunks of exactly `chunk`, the last one padded, so that a picture's features do not depend on the
    batch it came in.
    """

    name: str
    """What scores are labelled with, such as `efficientnet-lite0`."""
    dim: int
    """Numbers for each picture."""
    layer: str
    """Which layer they are, in words."""
    input_size: int
    """Side of the square that the network sees, in pixels."""
    resizer: str
    """How pictures get to that size, in words."""
    precision: str
    """`fp32` or `bf16`: the numbers that the network computes in."""
    checksum: str
    """SHA-256 of the weights file."""
    chunk: int
    """Pictures that run at once."""
    has_logits: bool = False
    """Whether `features_and_logits` gives logits of classes."""
    has_inception_logits: bool = False
    """Whether those are Inception-2015's, the only ones whose score may be called plain IS, as its distance alone is FID."""
    cautions: tuple[str, ...] = ()
    """What makes scores on these features less than they look, in whole sentences without a full stop."""

    def __init__(self, device: str | torch.device = "cpu"):
        self.device = torch.device(device)

    @property
    def family(self) -> str:
        """Networks of one family see much alike: a run trained with one of them in its loss is flattered by the others."""
        return self.name.partition("-")[0]

    @property
    def identity(self) -> str:
        """All that decides the features of a picture, as one line: scores compare only where it is the same."""
        return f"{self.name}, {self.layer}, weights {self.checksum}, {self.resizer}, {self.precision}"

    def features(self, pixels: Pixels | np.ndarray) -> Tensor:
        """uint8 (B, H, W, 3), RGB, to float32 (B, dim) on the CPU."""
        return self._run(pixels, logits=False)[0]

    def features_and_logits(self, pixels: Pixels | np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3), RGB, to float32 (B, dim) and float32 (B, classes), on the CPU."""
        features, logits = self._run(pixels, logits=True)
        if logits is None:
            raise UsageError(f"{self.name} sorts pictures into no classes, so there are no logits to score")
        return features, logits

    def _run(self, pixels: Pixels | np.ndarray, logits: bool) -> tuple[Tensor, Tensor | None]:
        given = torch.from_numpy(np.ascontiguousarray(pixels)) if isinstance(pixels, np.ndarray) else pixels
        if given.dtype != torch.uint8 or given.ndim != 4 or given.shape[-1] != 3:
            raise UsageError(f"features are of uint8 pictures (B, H, W, 3), not of {given.dtype} {tuple(given.shape)}")
        parts = [part for part in given.split(self.chunk) if len(part)]
        # Whoever calls may be training with TF32: scores are not.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            run = one_thread_each if self.device.type == "cpu" else map
            done = list(run(lambda part: self._part(part, logits), parts))
        # A clone leaves inference mode, so that callers may do with the rows what they like.
        rows = torch.cat([torch.empty(0, self.dim), *(features for features, _ in done)]).clone()
        classes = [classes for _, classes in done if classes is not None]
        return rows, torch.cat(classes).clone() if classes else None

    def _part(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        n = len(pixels)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            if n < self.chunk:
                pixels = torch.cat([pixels, pixels[:1].expand(self.chunk - n, *pixels.shape[1:])])
            features, classes = self._chunk(pixels.to(self.device), logits)
            return features[:n].float().cpu(), None if classes is None else classes[:n].float().cpu()

    @abstractmethod
    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        """uint8 (chunk, H, W, 3) on the device to (chunk, dim), and (chunk, classes) where asked for."""


def read_weights(path: Path, expected: Iterable[str | None], what: str, mend: str) -> Weights:
    """The tensors of a weights file whose SHA-256 begins with each of `expected` (None: anything does).

    Nothing but tensors is ever unpickled.

    Raises:
        UsageError: the file is missing, is another one or is damaged; `mend` says where to get it.
    """
    if not path.is_file():
        raise UsageError(f"the weights of {what} are not at {path}: {mend}")
    found = sha256(path)
    for prefix in expected:
        if prefix is not None and not found.startswith(prefix.lower()):
            raise UsageError(
                f"{path} is not the weights file of {what}: its SHA-256 begins with {found[:8]}, expected {prefix[:8].lower()}; {mend}"
            )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(f"{path} can't be read as weights ({type(error).__name__}): {mend}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{path} holds no table of tensors: {mend}")
    return Weights(state, found)
