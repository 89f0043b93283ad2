"""Artefacts of generators, always beside what real pictures have of them: checkerboards, saturated blobs, dead pictures.

Up-sampling leaves traces on its own grid. A pattern that repeats every s pixels puts power on the frequencies k / s, the
Nyquist rows and columns for s = 2 (Odena, Dumoulin and Olah 2016, "Deconvolution and Checkerboard Artifacts"; Zhang, Karaman
and Chang 2019, arXiv 1907.06515, section III). Repeated or interpolated pixels put none there of their own, but make
neighbours differ less within a cell of the grid than across its border (Gallagher 2005, "Detection of Linear and Cubic
Interpolation in JPEG Compressed Images"). Both are measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganvas.metrics.moments import Moments
from ganvas.metrics.one_size import OneSize
from ganvas.metrics.spectrum import ROUNDING

STRIDES = (2, 4, 8)
"""Up-sampling strides that are looked for: one doubling of the side, two, and three."""
CONSTANT = 2.0
"""Pictures whose pixels deviate by less, in levels of 255, show nothing."""
SATURATED = 1
"""Levels from the end of the range, within which all three channels of a saturated pixel lie."""
REAL_SHARE = 0.01
"""Share of real pictures whose saturated regions may count as blobs: more among generated ones is what is looked for."""
CERTAIN = 4.0
"""Standard errors beyond which a difference is none of chance: some ten numbers are looked at."""
# Beside 512 real pictures, 512 others and blurred ones had 0.03 and 0.02 more at most, on emoji and CIFAR-10; DCGANs with
# transposed convolutions 0.3 to 0.4 on lines, pictures halved and enlarged again 0.14 to 0.3 on the grid.
_LEAST_LINES, _LEAST_GRID = 0.1, 0.02
_LEAST_CELLS = 4
_CORNERS = 8


class Checkerboard(BaseModel):
    """Traces of up-sampling by one stride."""

    model_config = ConfigDict(frozen=True)

    stride: int
    lines: float
    """log10 of power at the frequencies k / stride over that of their neighbours, generated minus real pictures (0, where
    these have less there than their neighbours)."""
    lines_error: float
    """Standard error of it."""
    grid: float
    """Share of local contrast tied to the grid of this stride (0: none, 1: all of it), generated minus real pictures."""
    grid_error: float

    @property
    def seen(self) -> bool:
        """Whether it is more than chance, and than what the eye forgives."""
        lines = self.lines > max(_LEAST_LINES, CERTAIN * self.lines_error)
        return lines or self.grid > max(_LEAST_GRID, CERTAIN * self.grid_error)


class Share(BaseModel):
    """A share of the pictures of either kind, 0 to 1."""

    model_config = ConfigDict(frozen=True)

    generated: float
    real: float
    error: float
    """Standard error of their difference."""

    @property
    def seen(self) -> bool:
        """Whether generated pictures have certainly more of it."""
        return self.generated - self.real > CERTAIN * self.error


class Artefacts(BaseModel):
    """What generated pictures have that real ones have not."""

    model_config = ConfigDict(frozen=True)

    checkerboards: tuple[Checkerboard, ...]
    """By stride; empty where pictures are too small."""
    blobs: Share
    """Pictures with a region of white, black or a pure colour larger than (nearly) all real ones have of that colour."""
    constant: Share
    """Pictures that show nothing."""
    n: int
    reference_n: int

    @property
    def checkerboard(self) -> float | None:
        """The largest rise of power on up-sampling frequencies, in decades: about 0 or less is as in real pictures."""
        return max((c.lines for c in self.checkerboards), default=None)

    def sentences(self) -> list[str]:
        """What was found, for people; one sentence where nothing was."""
        found = []
        for c in self.checkerboards:
            if c.seen and c.lines > max(_LEAST_LINES, CERTAIN * c.lines_error):
                found.append(
                    f"A checkerboard: what repeats every {c.stride} pixels has {10**c.lines:.1f} times the power of real pictures."
                )
            elif c.seen:
                found.append(f"Up-sampling by {c.stride} shows: {c.grid:.0%} more of the contrast than in real pictures lies on its grid.")
        for share, what in ((self.blobs, "have a saturated blob larger than real ones have"), (self.constant, "show one colour only")):
            if share.seen:
                found.append(f"{share.generated:.1%} of the generated pictures {what} ({share.real:.1%} of the real ones).")
        return found or ["No checkerboard, saturated blobs or empty pictures beyond those of real ones."]


@dataclass
class Traces(OneSize):
    """What artefacts leave in pictures, gathered block by block: `measures`, and regions of one colour."""

    what: ClassVar[str] = "artefacts"
    regions: list[Tensor] = field(default_factory=list)
    """Of `largest_regions`: 32 bytes for each picture."""

    @classmethod
    def empty(cls, height: int, width: int) -> Traces:
        """Of no pictures yet."""
        return cls((height, width), Moments.empty(_width(height, width)))

    def _count(self, pixels: Tensor) -> None:
        self.moments.update(measures(pixels))
        self.regions.append(largest_regions(pixels.numpy()))

    def merge(self, other: OneSize) -> None:
        """Count in what other traces counted.

        Raises:
            UsageError: it is of pictures of another size.
        """
        super().merge(other)
        assert isinstance(other, Traces)
        self.regions += other.regions


def compare_traces(fake: Traces, real: Traces) -> Artefacts:
    """The artefacts of generated pictures beside real ones.

    Raises:
        UsageError: there are fewer than two pictures of a kind, or their sizes differ.
    """
    real.check(fake.shape)
    strides = grid_strides(*fake.shape)
    boards, place = [], len(strides)
    for i, stride in enumerate(strides):
        width = 2 * len(_parts(stride))
        ours, theirs = (_length(side.moments, slice(place, place + width)) for side in (fake, real))
        place += width
        boards.append(
            Checkerboard(
                stride=stride,
                # Where real pictures have a dip, as resized ones do, a generator without one has no checkerboard yet.
                lines=float(fake.moments.mean[i] - real.moments.mean[i].clamp_min(0)),
                lines_error=_error(fake.moments, real.moments, i),
                grid=ours[0] - theirs[0],
                grid_error=math.hypot(ours[1], theirs[1]),
            )
        )
    blobs = _blobs(torch.cat(fake.regions), torch.cat(real.regions))
    constant = _share(float(fake.moments.mean[-1]), float(real.moments.mean[-1]), fake.moments.n, real.moments.n)
    return Artefacts(checkerboards=tuple(boards), blobs=blobs, constant=constant, n=fake.moments.n, reference_n=real.moments.n)


def _error(fake: Moments, real: Moments, i: int) -> float:
    return math.sqrt(sum(float(side.cov[i, i]) / side.n for side in (fake, real)))


def _length(moments: Moments, part: slice) -> tuple[float, float]:
    """The length of a mean vector, without what chance adds to it, and the standard error of it."""
    noise = float(moments.cov.diagonal()[part].sum()) / moments.n
    return math.sqrt(max(0.0, float(moments.mean[part].square().sum()) - noise)), math.sqrt(noise)


def _share(generated: float, real: float, n: int, m: int) -> Share:
    # The pooled share is that of both where they do not differ; one picture more keeps a share of 0 from being certain.
    pooled = (generated * n + real * m + 1) / (n + m + 2)
    return Share(generated=generated, real=real, error=math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))


# -- Checkerboards ------------------------------------------------------------------------------------------------


def grid_strides(height: int, width: int) -> tuple[int, ...]:
    """The strides of `STRIDES` whose frequencies can be told from their neighbours in pictures of this size."""
    return tuple(s for s in STRIDES if all(side % s == 0 and side // s >= _LEAST_CELLS for side in (height, width)))


def measures(pixels: Tensor) -> Tensor:
    """float64 (b, M) of uint8 (b, H, W, 3): power on lines by stride, contrast on grids by stride, 1 for a constant picture."""
    planes = pixels.permute(0, 3, 1, 2).float()
    strides = grid_strides(*planes.shape[2:])
    lines, grids = [], []
    for way in (planes, planes.transpose(2, 3)):
        power, profile = _line_power(way), _contrast(way)
        lines.append(torch.stack([_lines(power, stride) for stride in strides], 1) if strides else power[:, :0])
        grids.append(torch.cat([profile[:, :0], *(_on_grid(profile, stride, part) for stride in strides for part in _parts(stride))], 1))
    # Up-sampling does the same in both directions.
    columns = [(a + b) / 2 for a, b in (lines, grids)]
    constant = (planes.std((2, 3), correction=0).amax(1) < CONSTANT).double()
    return torch.cat([*columns, constant[:, None]], 1)


def _width(height: int, width: int) -> int:
    strides = grid_strides(height, width)
    return len(strides) + sum(2 * len(_parts(s)) for s in strides) + 1


def _parts(stride: int) -> tuple[int, ...]:
    """The harmonics k / stride, up to 1/2, that no smaller stride has."""
    return tuple(range(1, stride // 2 + 1, 2))


def _line_power(planes: Tensor) -> Tensor:
    """float64 (b, W // 2 + 1): power by horizontal frequency, averaged over rows and channels; windowed as in `spectrum`."""
    width = planes.shape[-1]
    window = torch.sin(torch.pi * (torch.arange(width) + 0.5) / width).square()
    mean = (planes * window).sum(-1, keepdim=True) / window.sum()
    power = torch.fft.rfft((planes - mean) * window, dim=-1).abs().square().double()
    return power.mean((1, 2)) / float(window.double().square().sum())


def _lines(power: Tensor, stride: int) -> Tensor:
    """(b,) log10 of power at k / stride over what the frequencies 2 and 3 away let expect: the window spreads a line to 1.

    A parabola through these four, even in the distance d, is a + b d^2 with a = (9 m_2 - 4 m_3) / 5, m_d being the mean at
    distance d: the spectra of blurred pictures are as curved as that. Where it falls below what rounding leaves (that of
    the picture, and that of `ROUNDING`), rounding is to be expected.
    """
    log = (power + ROUNDING).log10()
    last = log.shape[1] - 1
    excess = []
    for part in _parts(stride):
        line = part * 2 * last // stride
        two, three = (log[:, [line - step, last - abs(last - line - step)]].mean(1) for step in (2, 3))
        excess.append(log[:, line] - ((9 * two - 4 * three) / 5).clamp_min(math.log10(2 * ROUNDING)))
    return torch.stack(excess).mean(0)


def _contrast(planes: Tensor) -> Tensor:
    """float64 (b, W - 1): squared difference between neighbours along rows, by place; its sum over places is about 1."""
    squares = planes.diff(dim=-1).double().square().mean((1, 2))
    return squares / (squares + 2 * ROUNDING).sum(1, keepdim=True)


def _on_grid(profile: Tensor, stride: int, part: int) -> Tensor:
    """(b, 2): the Fourier coefficient of the profile at part / stride, as real and imaginary part."""
    length = profile.shape[1] // stride * stride
    angle = -2 * torch.pi * part * torch.arange(length, dtype=torch.float64) / stride
    return torch.stack([profile[:, :length] @ angle.cos(), profile[:, :length] @ angle.sin()], 1)


# -- Blobs --------------------------------------------------------------------------------------------------------


def largest_regions(pixels: np.ndarray) -> Tensor:
    """float32 (b, 8) of uint8 (b, H, W, 3): the largest connected region of each corner of the colour cube, as a share of
    the picture. Pixels count as connected with those above, below and beside them."""
    count, height, width, _ = pixels.shape
    high = pixels >= 255 - SATURATED
    extreme: np.ndarray = np.all(high | (pixels <= SATURATED), axis=-1)
    corner = np.where(extreme, high @ np.array([1, 2, 4]), -1)
    # Runs within rows are the nodes; where runs of one corner lie above each other is an edge.
    starts = np.ones(corner.shape, bool)
    starts[:, :, 1:] = corner[:, :, 1:] != corner[:, :, :-1]
    run = np.cumsum(starts).reshape(corner.shape) - 1
    touching = (corner[:, 1:] == corner[:, :-1]) & extreme[:, 1:] & (starts[:, 1:] | starts[:, :-1])
    region = _components(int(run.max(initial=-1)) + 1, run[:, :-1][touching], run[:, 1:][touching])
    of_pixel = region[run[extreme]]
    sizes = np.bincount(of_pixel, minlength=len(region))
    largest = np.zeros((count, _CORNERS), np.float32)
    picture = np.broadcast_to(np.arange(count)[:, None, None], corner.shape)[extreme]
    np.maximum.at(largest, (picture, corner[extreme]), sizes[of_pixel].astype(np.float32))
    return torch.from_numpy(largest / (height * width))


def _components(nodes: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest node of each node's connected component, by hooking roots and jumping (Shiloach and Vishkin 1982)."""
    root = np.arange(nodes)
    while len(a):
        smaller, larger = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        apart = smaller != larger
        if not apart.any():
            break
        a, b = a[apart], b[apart]
        np.minimum.at(root, larger[apart], smaller[apart])
        while not np.array_equal(root, root[root]):
            root = root[root]
    return root


def _blobs(fake: Tensor, real: Tensor) -> Share:
    """Shares of pictures with a region beyond the real ones' limit of that corner; limits share `REAL_SHARE` evenly."""
    limits = real.quantile(1 - REAL_SHARE / _CORNERS, dim=0, interpolation="higher")
    beyond = [float((side > limits).any(1).double().mean()) for side in (fake, real)]
    return _share(beyond[0], beyond[1], len(fake), len(real))
