"""What pictures look like whatever they show: their spectrum and the traces of artefacts, gathered as they pass by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.metrics.artefacts import Artefacts, Traces, compare_traces
from ganvas.metrics.reference import RealPictures
from ganvas.metrics.spectrum import Spectrum, SpectrumDifference, compare_spectra
from ganvas.progress import Progress
from ganvas.rng import permutation

BatchT = TypeVar("BatchT")

MOST = 10_000
"""Pictures of either kind that are looked at."""
LEAST = 100
"""Generated pictures of the real ones' size below which nothing is said."""
_BLOCK = 256


class Appearance:
    """Spectra and traces of generated pictures of one size, to be compared with real ones."""

    def __init__(self, height: int, width: int):
        """Of pictures so high and wide: those of other sizes pass by, as resizing changes what is looked at.

        Raises:
            UsageError: they are smaller than 4 pixels.
        """
        self._shape = (height, width)
        self.spectrum, self.traces = Spectrum.empty(height, width), Traces.empty(height, width)

    def watch(self, batches: Iterable[BatchT]) -> Iterator[BatchT]:
        """The same batches, uint8 (b, H, W, 3) with or without classes, counted in."""
        for batch in batches:
            pixels: Any = batch[0] if isinstance(batch, tuple) else batch
            if tuple(pixels.shape[1:3]) == self._shape:
                self._count(pixels[: MOST - self.spectrum.moments.n])
            yield batch

    def beside(self, real: RealPictures, quiet: bool = False) -> tuple[SpectrumDifference, Artefacts] | None:
        """The difference from real pictures; None where there are too few to say anything."""
        if min(self.spectrum.moments.n, len(real)) < LEAST:
            return None
        other, n = Appearance(*self._shape), min(MOST, len(real))
        order = permutation(len(real), "reference", real.name)[:n]
        with Progress("spectrum and artefacts of real pictures", n, quiet=quiet) as progress:
            for start in range(0, n, _BLOCK):
                other._count(real.gather(order[start : start + _BLOCK]))
                progress.update(min(_BLOCK, n - start))
        return compare_spectra(self.spectrum, other.spectrum), compare_traces(self.traces, other.traces)

    def _count(self, pixels: np.ndarray | Tensor) -> None:
        if not len(pixels):
            return
        given = torch.from_numpy(np.ascontiguousarray(pixels)) if isinstance(pixels, np.ndarray) else pixels
        if given.dtype != torch.uint8:
            raise UsageError(f"pictures are uint8 (b, H, W, 3), not {given.dtype}")
        self.spectrum.update(given)
        self.traces.update(given)
