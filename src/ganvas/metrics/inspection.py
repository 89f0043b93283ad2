"""The page of `ganvas inspect`: what a data set holds, shown, in one HTML file that needs nothing beside it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ganvas import artifact
from ganvas.data.inspect import Inspection, Spread
from ganvas.data.packed import PackedDataset, Split, by_area
from ganvas.data.verdict import Reason
from ganvas.metrics import report_page
from ganvas.metrics.report_page import escape, section, table, uri
from ganvas.sampling.grid import grid

ROW = 10
"""Pictures of each class that are shown."""
CLASSES_SHOWN = 40
PAIRS_SHOWN = 20
_SIDE = 64
_QUALITY = 90
_COLOURS = {"red": "#e5484d", "green": "#30a46c", "blue": "#3b82f6"}
_STATES = {"good": "finished", "care": "stopped", "bad": "failed"}


def write_inspection(inspection: Inspection, dataset: PackedDataset, path: Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        UserError: it can't be written.
    """
    artifact.write_text(path, render(inspection, dataset))
    return path


def render(inspection: Inspection, dataset: PackedDataset) -> str:
    """The page as HTML text."""
    split = dataset.split("train")
    sections = (
        _headline(inspection),
        section("Ready to train on?", _verdict(inspection)),
        section("Classes", _balance(inspection)),
        section("Pictures", _classes(inspection, split)),
        section("Sizes before packing", _sizes(inspection)),
        section("Colours", _colours(inspection)),
        section("Extremes", _extremes(inspection, split)),
        section("Copies", _copies(inspection, split)),
    )
    return report_page.page(f"{Path(inspection.path).name}, inspected", "\n".join(sections))


def _headline(found: Inspection) -> str:
    facts = [("source", found.source), ("resolution", f"{found.resolution} x {found.resolution}"), ("crop", found.crop)]
    facts += [(name, f"{count:,}") for name, count in found.splits.items()]
    facts += [("classes", f"{len(found.classes):,}")] if found.classes else []
    facts += [("skipped when packed", f"{found.rejected:,}")] if found.rejected else []
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    credit = f'<p class="note">{escape(found.attribution)}</p>' if found.attribution else ""
    return f"<header><h1>{escape(Path(found.path).name)}</h1><p>{escape(found.path)}</p><dl>{shown}</dl>{credit}</header>"


def _verdict(found: Inspection) -> str:
    def row(reason: Reason) -> tuple[str, str]:
        return f'<span class="state {_STATES[reason.kind]}">{reason.kind}</span>', escape(reason.text)

    state = _STATES[found.verdict.kind]
    return f'<p><span class="state {state}">{escape(found.verdict.answer)}</span></p>' + table(map(row, found.verdict.reasons))


def _balance(found: Inspection) -> str:
    words = f"<p>{escape(found.balance)}.</p>"
    if len(found.classes) < 2:
        return words
    names, counts = list(found.classes)[:CLASSES_SHOWN], list(found.classes.values())[:CLASSES_SHOWN]

    def draw(axes: Any) -> None:
        axes.barh(range(len(names)), counts, color=report_page.LINES[0])
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.invert_yaxis()

    more = len(found.classes) - len(names)
    reading = "Training pictures of each class" + (f"; {more:,} more classes are not shown." if more else ".")
    figure = _figure("Training pictures by class", reading, draw, height=max(2.0, 0.24 * len(names)))
    return words + f'<div class="curves">{figure}</div>'


def _short(name: str) -> str:
    shown = name if len(name) <= 24 else f"{name[:23]}…"
    return shown.replace("$", r"\$")  # which would start a formula


def _classes(found: Inspection, split: Split) -> str:
    rows: list[tuple[str, str, str, str]] = []
    groups: list[tuple[str, np.ndarray, np.ndarray]] = [("all", np.arange(len(split)), found.means[0])]
    if split.labels is not None and len(found.classes) > 1:
        for label, name in enumerate(found.classes):
            if label < min(CLASSES_SHOWN, len(found.means) - 1):
                groups.append((name, np.flatnonzero(split.labels == label), found.means[1 + label]))
    for name, places, mean in groups:
        if len(places):
            chosen = places[np.linspace(0, len(places) - 1, min(ROW, len(places))).round().astype(int)]
            strip = _picture(_small(split.gather(chosen)), f"pictures of {name}", columns=ROW)
            rows.append((escape(name), f"{len(places):,}", _picture(mean[None], f"mean of {name}", columns=1), strip))
    note = '<p class="note">Spread evenly over the data set, not picked. A mean picture that shows something means a shared layout.</p>'
    return table(rows, ("class", "pictures", "mean", "some of them")) + note


def _small(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.shape[1] <= _SIDE else by_area(pixels, _SIDE)


def _picture(pictures: np.ndarray, alt: str, columns: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(grid(pictures, columns)).save(buffer, "WEBP", quality=_QUALITY)
    return f'<img class="grid" src="{uri(buffer.getvalue(), "webp")}" alt="{escape(alt)}">'


def _sizes(found: Inspection) -> str:
    sizes = found.sizes
    if sizes is None:
        return "<p>They were not noted when this data set was packed: prepare it again to see them.</p>"
    rows = [
        (name, *(f"{spread.quantiles[k]:,.0f}" for k in (0, 1, 3, 5, 6)))
        for name, spread in (("width", sizes.width), ("height", sizes.height))
    ]
    shown = table(rows, ("", "smallest", "5%", "median", "95%", "largest"))
    common = ", ".join(f"{width} x {height} ({count:,})" for width, height, count in sizes.commonest)
    if sizes.different == 1:
        width, height, _ = sizes.commonest[0]
        return f"<p>All are {width} x {height}.</p>"
    words = f"<p>{sizes.different:,} different sizes; the commonest: {common}.</p>"
    less = f"{sizes.smaller:.1%} have a side below {found.resolution} pixels. {sizes.lost:.0%} of all area is beside the centred square."
    plots = "".join(_histogram(f"{name}s", spread, "pixels") for name, spread in (("Width", sizes.width), ("Height", sizes.height)))
    return f"{words}<p>{less}</p>{shown}" + f'<div class="curves">{plots}</div>'


def _colours(found: Inspection) -> str:
    pixels = found.pixels
    rows = [(c.name, f"{c.mean:.2f}", f"{c.std:.2f}", f"{c.mean / 127.5 - 1:+.3f}", f"{c.std / 127.5:.3f}") for c in pixels.channels]
    shown = table(rows, ("channel", "mean of 0 to 255", "deviation", "mean of -1 to 1", "deviation"))

    def draw(axes: Any) -> None:
        for channel in pixels.channels:
            total = max(1, sum(channel.histogram))
            axes.plot(range(256), [100 * n / total for n in channel.histogram], color=_COLOURS[channel.name], linewidth=1.2)
        axes.set_xlabel("level", color=report_page.INK, fontsize=9)
        axes.set_ylim(0, None)

    plots = _figure("Levels by channel", "Share of all pixels, in per cent; peaks at the ends are clipped or plain backgrounds.", draw)
    plots += _histogram("Brightness", pixels.brightness, "mean luma of a picture")
    plots += _histogram("Contrast", pixels.contrast, "deviation of luma within a picture")
    words = (
        f"<p>{pixels.grey:,} pictures are without colour, {pixels.flat:,} of one colour only. "
        f"The mean picture explains {pixels.aligned:.1%} of all variation.</p>"
    )
    return words + shown + f'<div class="curves">{plots}</div>'


def _extremes(found: Inspection, split: Split) -> str:
    pixels = found.pixels
    figures = [
        f"<figure><h3>{title}</h3>{_picture(_small(split.gather(np.array(places))), title, columns=len(places))}</figure>"
        for title, places in (("Darkest", pixels.darkest), ("Brightest", pixels.brightest), ("Least contrast", pixels.flattest))
    ]
    return f'<div class="side">{"".join(figures)}</div>'


def _copies(found: Inspection, split: Split) -> str:
    copies = found.copies
    compared = f"{copies.compared:,} of the {len(split):,}" if copies.compared < len(split) else f"the {copies.compared:,}"
    words = (
        f"<p>Among {compared} training pictures, {copies.exact:,} have the very pixels of an earlier one, and {copies.near:,} nearly.</p>"
    )
    if found.shared:
        words += f'<p class="reason">{found.shared:,} held-out pictures are in train, too.</p>'
    near = sorted((pair for pair in copies.pairs if not pair.exact), key=lambda pair: pair.similarity)
    chosen = [near[k] for k in np.linspace(0, len(near) - 1, min(PAIRS_SHOWN, len(near))).round().astype(int)] if near else []
    rows = [
        (
            _picture(_small(split.gather(np.array([pair.earlier, pair.picture]))), "a picture and its near copy", columns=2),
            f"{pair.similarity:.3f}",
            f"{escape(split.names[pair.earlier])}<br>{escape(split.names[pair.picture])}",
        )
        for pair in chosen
    ]
    note = "From the least to the most alike; correlation of thumbnails, which ignores brightness, contrast, size and compression."
    return words + (table(rows, ("pair", "alike", "names")) + f'<p class="note">{note}</p>' if rows else "")


def _histogram(title: str, spread: Spread, unit: str) -> str:
    low, high = spread.quantiles[0], spread.quantiles[-1]
    edges = np.linspace(low, high if high > low else low + 1, len(spread.bins) + 1)

    def draw(axes: Any) -> None:
        axes.stairs(spread.bins, edges, fill=True, color=report_page.LINES[0])
        axes.set_xlabel(unit, color=report_page.INK, fontsize=9)

    reading = f"Median {spread.median:,.1f}; nine in ten from {spread.quantiles[1]:,.1f} to {spread.quantiles[5]:,.1f}."
    return _figure(title, reading, draw)


def _figure(title: str, reading: str, draw: Callable[[Any], None], height: float = 2.8) -> str:
    """A plot on no background, in ink that can be read on white and on black."""
    figure = Figure(figsize=(5, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.tick_params(colors=report_page.INK, labelsize=9)
    axes.grid(color=report_page.INK, alpha=0.25, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(report_page.INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return (
        f'<figure><h3>{escape(title)}</h3><img src="{uri(buffer.getvalue(), "png")}" alt="{escape(title)}">'
        f"<figcaption>{escape(reading)}</figcaption></figure>"
    )
