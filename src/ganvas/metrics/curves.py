"""Numbers over a training as plots: for the report, for files, and of several runs together."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from ganvas.metrics.report_page import INK, LINES

Lines = Sequence[dict[str, Any]]
Points = list[tuple[float, float]]

DASHES = ("-", "--", "-.", ":")
"""With the colours, enough for sixteen lines that can be told apart."""


@dataclass(frozen=True)
class Curves:
    """A plot: which numbers of `metrics.jsonl` it shows, by their label, and how to read it."""

    title: str
    keys: dict[str, str]
    reading: str
    limits: tuple[float | None, float | None] = (None, None)
    only_if_it_changes: bool = False

    @property
    def slug(self) -> str:
        """Its title as the name of a file."""
        return self.title.lower().replace(" ", "-")


PLOTS = (
    Curves(
        "Losses",
        {"loss_g": "generator", "loss_d": "discriminator"},
        "They need not fall: each player's loss depends on how good the other is.",
    ),
    Curves(
        "Mean prediction of D",
        {"d_real": "on real pictures", "d_fake": "on fakes"},
        "The closer the two, the harder D finds it to tell fakes from real pictures.",
        (0, 1.02),
    ),
    Curves(
        "Accuracy of D on real pictures",
        {"d_accuracy_train": "trained on", "d_accuracy_heldout": "held out"},
        "A gap that opens means that D learns its pictures by heart.",
        (0, 1.02),
    ),
    Curves(
        "Accuracy of D while training",
        {"d_accuracy_real": "on real pictures", "d_accuracy_fake": "on fakes"},
        "Both near 1 for long: D wins, and G has little to learn from.",
        (0, 1.02),
    ),
    Curves(
        "Adaptive augmentation",
        {"ada_p": "probability of each change", "ada_r": "r: mean sign of D on real pictures"},
        "Pictures are changed more often while r is above its target (0.6 as a rule): D is too sure of those that it knows.",
        (None, 1.02),
    ),
    Curves("Speed", {"pictures_per_second": "pictures/s"}, "Real pictures shown to D in a second, evaluations left out.", (0, None)),
    Curves("Learning rates", {"lr_g": "generator", "lr_d": "discriminator"}, "As scheduled.", (0, None), only_if_it_changes=True),
)
KID = Curves("KID while training", {"kid": "KID"}, "Lower is better.")


def draw_copies(names: Sequence[str], shares: Sequence[float], control: float) -> Callable[[Any], None]:
    """Draws shares of near-copies, by what they were found at, and how many there are among real pictures."""

    def draw(axes: Any) -> None:
        places = list(range(len(names)))
        axes.plot(places, shares, marker="o", linewidth=1.6, label="new pictures")
        axes.axhline(control, linestyle="--", linewidth=1.2, color="grey", label="real pictures")
        axes.set_xticks(places, names)
        axes.set_ylim(0, None)
        axes.legend(frameon=False, fontsize=9)

    return draw


def number(value: object) -> float | None:
    """A finite number, or None for anything else that a file may hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def ordered(lines: Lines) -> Lines:
    """The lines that say after how many pictures, in that order."""
    return sorted((line for line in lines if number(line.get("images")) is not None), key=lambda line: line["images"])


def series(lines: Lines, key: str) -> Points:
    """(pictures shown, value) of the lines that have the number."""
    points = ((number(line["images"]), number(line.get(key))) for line in lines)
    return [(x, y) for x, y in points if x is not None and y is not None]


def all_series(curves: Curves, metrics: Lines) -> dict[str, Points]:
    """The plot's lines by label; empty where the run has none of them, or they say nothing."""
    found = {label: points for key, label in curves.keys.items() if (points := series(metrics, key))}
    if curves.only_if_it_changes and all(len({y for _, y in points}) == 1 for points in found.values()):
        return {}
    return found


def draw_lines(lines: Mapping[str, Points], limits: tuple[float | None, float | None] = (None, None)) -> Callable[[Any], None]:
    """What draws the lines into axes, with a legend where there are several."""

    def draw(axes: Any) -> None:
        for i, (label, points) in enumerate(lines.items()):
            style = DASHES[i // len(LINES) % len(DASHES)]
            axes.plot(*zip(*points, strict=True), label=label, linewidth=1.6, linestyle=style, marker="o" if len(points) == 1 else "")
        axes.set_ylim(*limits)
        if len(lines) > 1:
            axes.legend(frameon=False, labelcolor=axes.xaxis.label.get_color(), fontsize=9)

    return draw


def figure(
    draw: Callable[[Any], None], *, title: str | None = None, xlabel: str = "pictures shown", ylabel: str = "", counts: bool = True
) -> bytes:
    """A plot as PNG: on no background, in ink to be read on white and on black; with a `title`, on white, to stand alone.

    `counts`: the abscissa counts things, so that 20k is better than 20000.
    """
    alone = title is not None
    ink = "#1c2024" if alone else INK
    drawing = Figure(figsize=(6.4, 3.8) if alone else (5, 2.8), dpi=160, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.add_subplot()
    axes.set_prop_cycle(color=LINES)
    axes.set_xlabel(xlabel, color=ink, fontsize=9)
    axes.set_ylabel(ylabel, color=ink, fontsize=9)
    draw(axes)
    if title is not None:
        axes.set_title(title, color=ink, fontsize=11)
    if counts:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(colors=ink, labelsize=9)
    axes.grid(color=INK, alpha=0.25, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", transparent=not alone)
    return buffer.getvalue()


def plot_files(metrics: Lines, evaluations: Lines) -> dict[str, bytes]:
    """Each plot that the run has numbers for, as a PNG that stands alone, by the name of its file."""
    files = {}
    for curves, lines in (*((curves, ordered(metrics)) for curves in PLOTS), (KID, ordered(evaluations))):
        if found := all_series(curves, lines):
            files[f"{curves.slug}.png"] = figure(draw_lines(found, curves.limits), title=curves.title)
    return files
