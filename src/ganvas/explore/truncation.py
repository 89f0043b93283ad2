"""Fidelity against variety: the same latents at several truncations, scored and plotted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ganvas.errors import UsageError
from ganvas.metrics.curves import figure
from ganvas.metrics.evaluate import Evaluation

TRUNCATIONS: tuple[float | None, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, None)
"""Of normal latents."""
PSIS: tuple[float | None, ...] = (0.25, 0.4, 0.55, 0.7, 0.85, None)
"""Of a StyleGAN's styles, for which 1 changes nothing."""
SCORES = ("fd", "kid", "precision", "recall")


@dataclass(frozen=True)
class Point:
    """The scores at one truncation; None is no truncation."""

    truncation: float | None
    scores: Evaluation

    @property
    def name(self) -> str:
        """Its truncation in a word."""
        return name(self.truncation)

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        return {"truncation": self.name, **{key: getattr(self.scores, key).value for key in SCORES}}


def name(truncation: float | None) -> str:
    """`0.7`, or `none`."""
    return "none" if truncation is None else f"{truncation:g}"


def parse_truncations(words: Sequence[str]) -> tuple[float | None, ...]:
    """Thresholds above zero and `none`, each once, in rising order.

    Raises:
        UsageError: a word is neither.
    """
    found: set[float] = set()
    for word in words:
        try:
            value = float("inf") if word == "none" else float(word)
        except ValueError:
            value = 0.0
        if not value > 0:
            raise UsageError(f'"{word}" is no truncation: expected numbers above zero and none, such as 0.5,1,none')
        found.add(value)
    return tuple(None if value == float("inf") else value for value in sorted(found))


def table(points: Sequence[Point]) -> str:
    """The sweep as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["truncation", *SCORES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(point.row() for point in points)
    return buffer.getvalue()


def plots(points: Sequence[Point]) -> dict[str, bytes]:
    """PNG files by name: scores over truncation, and precision against recall."""
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
    return {
        "distance.png": figure(
            distance,
            title=f"{distance_name} over truncation{about}",
            xlabel="truncation",
            ylabel=f"{distance_name}, lower is better",
            counts=False,
        ),
        "precision-recall.png": figure(
            shares, title=f"Fidelity and variety over truncation{about}", xlabel="truncation", ylabel="share", counts=False
        ),
        "trade-off.png": figure(
            trade,
            title=f"Fidelity against variety, by truncation{about}",
            xlabel="recall (variety)",
            ylabel="precision (fidelity)",
            counts=False,
        ),
    }
