"""Radial power spectra: how much contrast pictures have in coarse shapes and in fine detail.

Generators that up-sample get high frequencies wrong (Durall et al. 2020, arXiv 2003.01826; Schwarz et al. 2021, arXiv
2111.02447). The spectrum of a picture is |F(x)|^2, averaged over all directions (Durall et al. 2020, eq. 1 and 2) and over the
three channels; its logarithm is averaged over pictures, so that each counts as much, whatever its contrast.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.metrics.moments import Moments
from ganvas.metrics.one_size import OneSize

ROUNDING = 1 / 12
"""Variance of what rounding to whole levels adds to a pixel: below it nothing is known of a picture."""
_BANDS = ((1 / 8, "details of 8 pixels and more"), (1 / 4, "details of 4 to 8 pixels"), (1 / 2, "details of 2 to 4 pixels"))
"""By their upper end in cycles per pixel: a cycle of 8 pixels is a light and a dark stripe of 4 each."""


class SpectrumDifference(BaseModel):
    """The spectra of generated and of real pictures, and how far they are apart."""

    model_config = ConfigDict(frozen=True)

    value: float
    """Mean over frequencies of |difference of log10 power|: 0 is the same, 0.3 is twice or half the power."""
    noise: float
    """What `value` would be by chance where both are drawn from the same pictures."""
    band: str
    """Where the difference is largest, in words."""
    band_difference: float
    """Mean difference of log10 power there: below 0, generated pictures have less."""
    frequencies: tuple[float, ...]
    """Cycles per pixel, up to 1/2."""
    generated: tuple[float, ...]
    """log10 of power at each frequency, in squared levels: white noise of variance v has log10(v) everywhere."""
    real: tuple[float, ...]
    n: int
    reference_n: int

    def sentence(self) -> str:
        """What it says, for people."""
        if self.value <= 2 * self.noise:
            return f"Coarse shapes and fine details have the contrast of real ones (spectra {self.value:.3f} decades apart, as by chance)."
        times = 10**self.band_difference
        much = f"{1 - times:.0%} less" if times < 1 else f"{times - 1:.0%} more" if times < 2 else f"{times:.1f} times the"
        return (
            f"Spectra are {self.value:.2f} decades apart ({self.noise:.3f} would be chance), most in {self.band}: "
            f"generated pictures have {much} power there."
        )


@dataclass
class Spectrum(OneSize):
    """Radial spectra of pictures, gathered block by block: moments of `log_power`."""

    what: ClassVar[str] = "spectra"

    @classmethod
    def empty(cls, height: int, width: int) -> Spectrum:
        """Of no pictures yet.

        Raises:
            UsageError: pictures so small have no spectrum to speak of.
        """
        if min(height, width) < 4:
            raise UsageError(f"pictures of {width}x{height} pixels have no spectrum to speak of: expected sides of 4 or more")
        return cls((height, width), Moments.empty(min(height, width) // 2))

    def _count(self, pixels: Tensor) -> None:
        self.moments.update(log_power(pixels))


def log_power(pixels: Tensor) -> Tensor:
    """float64 (b, R) of uint8 (b, H, W, 3): log10 of power in the rings of 1 to R = min(H, W) // 2 cycles per picture.

    The picture's edges are no edges of what it shows, but to a Fourier transform they are: the jump from one side to
    the other would put power into all frequencies, falling as 1 / f^2 as in a natural picture, and hide what is missing
    there. A Hann window fades it out, after the window's own mean was taken away so that none of it leaks.
    """
    _, height, width, _ = pixels.shape
    window, ring, weights = _rings(height, width)
    planes = pixels.permute(0, 3, 1, 2).float()
    mean = (planes * window).sum((2, 3), keepdim=True) / window.sum()
    power = torch.fft.rfft2((planes - mean) * window).abs().square().mean(1).double() / (height * width)
    sums = torch.zeros(len(pixels), len(weights) + 2, dtype=torch.float64)
    count = _columns(width).expand(height, -1).flatten()
    sums.index_add_(1, ring, power.flatten(1) * count)
    return (sums[:, 1:-1] / weights + ROUNDING).log10()


def _columns(width: int) -> Tensor:
    """How often each column of a real transform's half stands in the whole: twice, but for the first and the Nyquist's."""
    count = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    count[0] = 1
    if width % 2 == 0:
        count[-1] = 1
    return count


@functools.lru_cache(maxsize=4)
def _rings(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The window (H, W) of mean square 1, the ring of each frequency (0: none below 1, last: the corners), its size."""
    window = torch.outer(*(torch.sin(torch.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n).square() for n in (height, width)))
    window = window / window.square().mean().sqrt()
    side = min(height, width)
    down, along = torch.fft.fftfreq(height, dtype=torch.float64) * side, torch.fft.rfftfreq(width, dtype=torch.float64) * side
    last = side // 2 + 1
    ring = (down[:, None].square() + along.square()).sqrt().round().long().clamp_max(last).flatten()
    weights = torch.zeros(last + 1, dtype=torch.float64).index_add_(0, ring, _columns(width).expand(height, -1).flatten())
    return window.float(), ring, weights[1:-1]


def compare_spectra(fake: Spectrum, real: Spectrum) -> SpectrumDifference:
    """How far the spectrum of generated pictures is from that of real ones.

    Raises:
        UsageError: there are fewer than two pictures of a kind, or their sizes differ.
    """
    real.check(fake.shape)
    difference = fake.moments.mean - real.moments.mean
    variance = sum((side.moments.cov.diagonal() / side.moments.n for side in (fake, real)), torch.zeros_like(difference))
    side = min(fake.shape)
    frequencies = torch.arange(1, len(difference) + 1, dtype=torch.float64) / side
    name, found = "", torch.zeros(0, dtype=torch.float64)
    low = 0.0
    for high, words in _BANDS:
        part = difference[(frequencies > low) & (frequencies <= high)]
        if len(part) and (not len(found) or part.abs().mean() > found.abs().mean()):
            name, found = words, part
        low = high
    return SpectrumDifference(
        value=float(difference.abs().mean()),
        # The mean of |z| of a normal z of variance v is sqrt(2 v / pi).
        noise=math.sqrt(2 / math.pi) * float(variance.sqrt().mean()),
        band=name,
        band_difference=float(found.mean()),
        frequencies=tuple(frequencies.tolist()),
        generated=tuple(fake.moments.mean.tolist()),
        real=tuple(real.moments.mean.tolist()),
        n=fake.moments.n,
        reference_n=real.moments.n,
    )
