"""Cheap signals of a few generated pictures: how much they differ, from each other, from before and from real ones.

Everything is a ratio to the same of real pictures, so that one threshold serves emoji on white and photographs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

SIDE = 8
"""Pictures are compared at this side, where colours and places count and noise does not."""
TWIN = 0.15
"""Two pictures are twins if they differ by less than this share of what two real ones differ by on average."""
EDGE = 2
"""Pixels within so many steps of 0 or 255 count as saturated."""


@dataclass(frozen=True)
class Looks:
    """What some pictures look like."""

    rows: np.ndarray
    """Float32 (n, SIDE * SIDE * 3) in 0 to 1: the pictures made small."""
    detail: float
    """Standard deviation of the pixels within a picture, of a range of 1; the mean over the pictures."""
    roughness: float
    """Mean absolute difference of neighbouring pixels, of a range of 1."""
    saturated: float
    """Share of pixels at the ends of the range."""

    @property
    def distances(self) -> np.ndarray:
        """(n, n) root mean squared differences of the small pictures; infinite of a picture from itself."""
        squared = ((self.rows[:, None] - self.rows[None]) ** 2).mean(2)
        np.fill_diagonal(squared, np.inf)
        return np.sqrt(squared)

    @property
    def spread(self) -> float:
        """How much two of them differ on average, of a range of 1."""
        found = self.distances
        return float(found[np.isfinite(found)].mean())

    @property
    def nearest(self) -> float:
        """How far each is from the one most like it, the median, as a share of how much two of them differ."""
        return float(np.median(self.distances.min(1))) / max(self.spread, 1e-6)

    @property
    def dimensions(self) -> float:
        """In how many directions they differ: (sum of variances)^2 / sum of squared variances along the principal axes, 1 or more."""
        centred = self.rows - self.rows.mean(0)
        gram = (centred @ centred.T).astype(np.float64)  # its eigenvalues are the variances, up to a factor
        return float(np.trace(gram) ** 2 / max(np.square(gram).sum(), 1e-12))


def look(pictures: np.ndarray) -> Looks:
    """Of uint8 (n, H, W, 3), n at least 2."""
    values = pictures.astype(np.float32) / 255
    rows = np.stack([_small(p) for p in pictures]).reshape(len(pictures), -1)
    rough = (np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean()) / 2
    ends = (pictures <= EDGE) | (pictures >= 255 - EDGE)
    return Looks(rows, float(values.std((1, 2)).mean()), float(rough), float(ends.mean()))


def _small(picture: np.ndarray) -> np.ndarray:
    """Float (SIDE, SIDE, 3) in 0 to 1, by area."""
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


@dataclass(frozen=True)
class Signals:
    """One look at a run's fixed latents, beside real pictures."""

    variety: float
    """How much the pictures differ, as a share of what real ones differ by."""
    twins: float
    """Share of them that have a twin among them, less that share among real ones."""
    nearest: float
    """How far each is from the one most like it, for how much they differ, as a share of real ones': few kinds in many shades are low."""
    change: float | None
    """How much each differs from what it was at the last look, as a share of what real ones differ by; None at the first."""
    offset: float
    """How far their mean is from the real ones' mean, in the same unit."""
    dimensions: float
    """In how many directions they differ, as a share of real ones': all alike but for brightness or one colour is low."""
    detail: float
    """Contrast within a picture, as a share of real ones'."""
    roughness: float
    """Difference of neighbouring pixels, as a share of real ones': noise is above 1, blur below."""
    saturated: float
    """Share of pixels at the ends of the range, less that share among real ones."""

    def to_json(self, prefix: str = "") -> dict[str, float]:
        """A line's numbers, to four digits; their names begin with `prefix`."""
        return {prefix + name: float(f"{value:.4g}") for name, value in asdict(self).items() if value is not None}


def signals(made: Looks, real: Looks, before: np.ndarray | None) -> Signals:
    """What pictures of fixed latents look like now; `before`: their `rows` at the last look."""
    between, usual = made.distances, max(real.spread, 1e-6)
    change = None
    if before is not None and before.shape == made.rows.shape:
        change = float(np.sqrt(((made.rows - before) ** 2).mean(1)).mean()) / usual
    return Signals(
        variety=made.spread / usual,
        twins=twins(between, usual) - twins(real.distances, usual),
        nearest=made.nearest / max(real.nearest, 1e-3),
        change=change,
        offset=float(np.sqrt(((made.rows.mean(0) - real.rows.mean(0)) ** 2).mean())) / usual,
        dimensions=made.dimensions / max(real.dimensions, 1e-6),
        detail=made.detail / max(real.detail, 1e-6),
        roughness=made.roughness / max(real.roughness, 1e-6),
        saturated=made.saturated - real.saturated,
    )


def twins(distances: np.ndarray, usual: float) -> float:
    """The share of pictures (n, n) that have a twin."""
    return float((distances.min(1) < TWIN * usual).mean())


GRID = "grid_"
"""Prefix of the signals of a run's grids, which show its average, where the others are of the generator as it trains."""


def over_grids(grids: Iterable[tuple[int, np.ndarray]], real: np.ndarray) -> list[dict[str, float]]:
    """The lines of signals that a run's grids (pictures seen, uint8 (n, H, W, 3)) give, beside its real pictures."""
    lines, others, before = [], look(real), None
    for images, pictures in grids:
        made = look(pictures)
        lines.append({"images": images, **signals(made, others, before).to_json(GRID)})
        before = made.rows
    return lines
