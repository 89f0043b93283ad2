"""Whether a run collapsed: a simple rule on what a run folder holds, said with its reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ganvas.errors import UserError
from ganvas.runs import RunFolder
from ganvas.sampling.grid import cells, read_png

SIDE = 8
"""Pictures are compared at this side, where colours and places count and noise does not."""
LEAST_VARIETY = 0.4
"""Below this share of the real pictures' variety, a grid counts as collapsed."""
LEAST_ALONE = 0.03
"""The same where there are no real pictures to compare with: root mean squared difference, of a range of 1."""
TWIN = 0.15
"""Two pictures are twins if they differ by less than this share of what two real ones differ by on average."""
MOST_TWINS = 0.25
"""Above this share of pictures that have a twin, beyond the share among real ones, a grid counts as collapsed."""
LEAST_RECALL = 0.01
"""Below this recall, if precision is above `SOME_PRECISION`: good pictures, always the same."""
SOME_PRECISION = 0.2
DIVERGED = 2.0
"""A last KID of more than this times the best: it was better once, and lost it."""

RULE = (
    f"collapsed: the latest grid's pictures differ by less than {LEAST_VARIETY:.0%} of what real ones differ by "
    f"(root mean square at {SIDE}x{SIDE}), or over {MOST_TWINS:.0%} more of them have a twin than among real ones, or recall is below "
    f"{LEAST_RECALL:.0%} while precision is above {SOME_PRECISION:.0%}; diverged: the last KID is over {DIVERGED:g} times the best"
)


@dataclass(frozen=True)
class Health:
    """A judgement with its reasons; None where the run holds nothing to judge by."""

    collapsed: bool | None
    diverged: bool | None
    reasons: tuple[str, ...]
    variety: float | None
    """How much the latest grid's pictures differ, as a share of real ones; None without real ones."""
    twins: float | None
    """Share of the latest grid's pictures that have a twin among them."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "reasons": list(self.reasons)}

    @property
    def word(self) -> str:
        """In a word or two."""
        if self.collapsed is None and self.diverged is None:
            return "unknown"
        return " and ".join(word for word, so in (("collapsed", self.collapsed), ("diverged", self.diverged)) if so) or "no"


def judge(folder: RunFolder) -> Health:
    """Judge a run by its latest grid, its evaluation and its KIDs."""
    reasons: list[str] = []
    signs: list[bool] = []
    variety, twins = _judge_grid(folder, signs, reasons)
    scores = folder.evaluation() or {}
    precision, recall = _value(scores, "precision"), _value(scores, "recall")
    if precision is not None and recall is not None:
        signs.append(recall < LEAST_RECALL and precision > SOME_PRECISION)
        if signs[-1]:
            reasons.append(f"recall is {recall:.1%} with a precision of {precision:.0%}")
    kids = [float(line["kid"]) for line in folder.evaluations() if isinstance(line.get("kid"), (int, float))]
    diverged = None
    if len(kids) > 1:
        diverged = kids[-1] > DIVERGED * max(min(kids), 1e-4)
        if diverged:
            reasons.append(f"KID rose from {min(kids):.4f} to {kids[-1]:.4f}")
    return Health(any(signs) if signs else None, diverged, tuple(reasons), variety, twins)


def _judge_grid(folder: RunFolder, signs: list[bool], reasons: list[str]) -> tuple[float | None, float | None]:
    made, real = _latest(folder), _cells(folder, folder.real_file)
    if made is None:
        return None, None
    distances = _distances(made)
    spread = _mean(distances)
    if real is None:
        signs.append(spread < LEAST_ALONE)
        if signs[-1]:
            reasons.append(f"the latest grid's pictures hardly differ ({spread:.3f} of the range)")
        return None, None
    others = _distances(real)
    usual = max(_mean(others), 1e-9)
    variety, twins = spread / usual, _twins(distances, usual)
    signs += [variety < LEAST_VARIETY, twins - _twins(others, usual) > MOST_TWINS]
    if signs[-2]:
        reasons.append(f"the latest grid's pictures differ by {variety:.0%} of what real ones do")
    if signs[-1]:
        reasons.append(f"{twins:.0%} of the latest grid's pictures have a twin")
    return variety, twins


def _value(scores: dict[str, Any], name: str) -> float | None:
    score = scores.get(name)
    value = score.get("value") if isinstance(score, dict) else None
    return float(value) if isinstance(value, (int, float)) else None


def _latest(folder: RunFolder) -> np.ndarray | None:
    """The last readable grid's pictures; that of the untrained networks says nothing."""
    return next((found for images, path in reversed(folder.grids()) if images > 0 and (found := _cells(folder, path)) is not None), None)


def _cells(folder: RunFolder, path: Any) -> np.ndarray | None:
    sheet = read_png(path)
    if sheet is None:
        return None
    try:
        config = folder.config()
        found = cells(sheet, config.data.resolution)[: config.samples.rows * config.samples.columns]
    except UserError:
        return None
    return found if len(found) > 1 else None


def _distances(pictures: np.ndarray) -> np.ndarray:
    """(n, n) root mean squared differences at SIDE x SIDE, of a range of 1; infinite of a picture from itself."""
    rows = np.stack([_small(p) for p in pictures]).reshape(len(pictures), -1)
    squared = ((rows[:, None] - rows[None]) ** 2).mean(2)
    np.fill_diagonal(squared, np.inf)
    return np.sqrt(squared)


def _small(picture: np.ndarray) -> np.ndarray:
    """Float (SIDE, SIDE, 3) in 0 to 1, by area."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


def _mean(distances: np.ndarray) -> float:
    return float(distances[np.isfinite(distances)].mean())


def _twins(distances: np.ndarray, usual: float) -> float:
    return float((distances.min(1) < TWIN * usual).mean())
