"""What one setting of sampling does to the scores: tables and plots of the same latents at several values of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganvas.metrics.copying import NearCopies
from ganvas.metrics.curves import draw_copies, figure
from ganvas.metrics.evaluate import Evaluation

SCORES = ("fd", "kid", "precision", "recall")
EXCESS = 0.005
"""Share of copies that is let pass, half of what passes among real pictures that do not repeat themselves."""


@dataclass(frozen=True)
class Point:
    """The scores at one value; None is no truncation."""

    value: float | None
    scores: Evaluation
    copies: NearCopies | None = None
    """Where copies were looked for."""

    @property
    def name(self) -> str:
        """Its value in a word: `0.7`, or `none`."""
        return "none" if self.value is None else f"{self.value:g}"

    def row(self, axis: str) -> dict[str, Any]:
        """As a line of a table."""
        found = {axis: self.name, **{key: getattr(self.scores, key).value for key in SCORES}}
        return found if self.copies is None else found | {"near_copies": self.copies.share, "near_copies_control": self.copies.control}

    def to_json(self, axis: str) -> dict[str, Any]:
        """With all that the scores depend on."""
        found = {axis: self.value, **self.scores.to_json()}
        return found if self.copies is None else found | {"near_copies": self.copies.model_dump(mode="json")}


def copies_no_more(points: Sequence[Point]) -> Point | None:
    """The first point at which near-copies are as rare as among real pictures, and stay so; None if there is none.

    That is: more by `EXCESS` at most, and by no more than chance. Chance alone would do where few real pictures were held out.
    """
    found = None
    for point in reversed(points):
        if point.copies is None or point.copies.certain or point.copies.excess > EXCESS:
            break
        found = point
    return found


def table(points: Sequence[Point], axis: str) -> str:
    """The sweep as CSV."""
    rows = [point.row(axis) for point in points]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def plots(points: Sequence[Point], axis: str) -> dict[str, bytes]:
    """PNG files by name: scores over a setting of sampling, precision against recall, and near-copies where they were looked for."""
    first = points[0].scores
    about = f"\n{first.fd.features}, {first.fd.n:,} generated pictures"
    places = list(range(len(points)))

    def distance(axes: Any) -> None:
        axes.plot(places, [p.scores.fd.value for p in points], marker="o", linewidth=1.6)
        axes.set_xticks(places, [p.name for p in points])
        axes.set_ylim(0, None)

    def shares(axes: Any) -> None:
        for key in ("precision", "recall"):
            axes.plot(places, [getattr(p.scores, key).value for p in points], marker="o", linewidth=1.6, label=key)
        axes.set_xticks(places, [p.name for p in points])
        axes.set_ylim(0, 1)
        axes.legend(frameon=False, fontsize=9)

    def trade(axes: Any) -> None:
        recalls, precisions = ([getattr(p.scores, key).value for p in points] for key in ("recall", "precision"))
        axes.plot(recalls, precisions, marker="o", linewidth=1.6)
        for point, x, y in zip(points, recalls, precisions, strict=True):
            axes.annotate(point.name, (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8)
        axes.margins(0.12)

    distance_name = "FID" if first.is_fid else "FD"
    made = {
        "distance.png": figure(
            distance,
            title=f"{distance_name} over {axis}{about}",
            xlabel=axis,
            ylabel=f"{distance_name}, lower is better",
            counts=False,
        ),
        "precision-recall.png": figure(shares, title=f"Fidelity and variety over {axis}{about}", xlabel=axis, ylabel="share", counts=False),
        "trade-off.png": figure(
            trade,
            title=f"Fidelity against variety, by {axis}{about}",
            xlabel="recall (variety)",
            ylabel="precision (fidelity)",
            counts=False,
        ),
    }
    found = [p.copies for p in points if p.copies is not None]
    if found:
        made["near-copies.png"] = figure(
            draw_copies([p.name for p in points], [c.share for c in found], found[0].control),
            title=f"Near-copies of training pictures over {axis}{about}",
            xlabel=axis,
            ylabel="share",
            counts=False,
        )
    return made
