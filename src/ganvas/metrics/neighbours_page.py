"""The page of `ganvas neighbours`: generated pictures beside the training pictures that are nearest to them, in one HTML file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ganvas.data.packed import by_area
from ganvas.metrics import report_page
from ganvas.metrics.copying import Memorisation, relative_distance
from ganvas.metrics.curves import figure
from ganvas.metrics.neighbours import Nearest
from ganvas.metrics.reference import RealPictures
from ganvas.metrics.report_page import escape, section, table, uri
from ganvas.metrics.training_set import Judged, TrainingSet
from ganvas.sampling.grid import enlarged

NEIGHBOURS_SHOWN = 3
_SIDE = 96
_QUALITY = 92
_BINS = 40


def render(title: str, judged: Judged, among: TrainingSet, pictures: RealPictures, shown: Sequence[int], drawn: Sequence[int]) -> str:
    """The page as HTML text.

    Args:
        title: what was looked at.
        judged: what was found.
        among: the training pictures.
        pictures: the generated ones.
        shown: the most suspicious of them, in that order.
        drawn: some of them, drawn by chance.
    """
    said = judged.memorisation
    suspicious = "The pictures that are most unusually near to a training picture, the most unusual first. Here copies would be."
    chance = "Drawn by chance, not picked: what the others look like beside their neighbours."
    sections = (
        _headline(title, said),
        section("What this says", "".join(f"<p>{escape(line)}</p>" for line in said.sentences()) + _numbers(said)),
        section("Distances", f'<div class="curves">{_plots(judged, among)}</div>'),
        section("Most suspicious", f'<p class="note">{suspicious}</p>' + _gallery(judged, among, pictures, shown)),
        section("A random sample", f'<p class="note">{chance}</p>' + _gallery(judged, among, pictures, drawn)),
    )
    return report_page.page(f"{title}, neighbours", "\n".join(sections))


def _headline(title: str, said: Memorisation) -> str:
    facts = [
        ("generated pictures", f"{said.n:,}"),
        ("training pictures", f"{said.reference_n:,}"),
        ("control", f"{said.control_n:,} {said.control}"),
        ("near-copies", f"{said.near_copies.share:.1%}"),
        ("near-copies of the control", f"{said.near_copies.control:.1%}"),
        ("C_T in features", f"{said.features.ct:+.1f} (z {said.features.z:+.1f})"),
        ("C_T in pixels", f"{said.pixels.ct:+.1f} (z {said.pixels.z:+.1f})"),
    ]
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f"<header><h1>{escape(title)}</h1><p>Each picture beside the training pictures nearest to it</p><dl>{shown}</dl></header>"


def _numbers(said: Memorisation) -> str:
    rows = [
        ("in features", f"{said.median_features:.3f}", f"{said.median_features_control:.3f}", escape(said.features.distance)),
        ("in pixels", f"{said.median_pixels:.1f}", f"{said.median_pixels_control:.1f}", escape(said.pixels.distance)),
    ]
    notes = (
        f"Features: {said.features_name}, {said.resizer}; distances between their directions, 0 to 2. Pixels: root mean square difference "
        "of 16 x 16 thumbnails, in levels of 255. Mirror images count as well.",
        f"Near-copies lie at most {said.near_copies.threshold_features:.0%} (features) or {said.near_copies.threshold_pixels:.0%} (pixels) "
        "as far from the nearest training picture as from the 50 nearest on average.",
    )
    head = ("median distance to the nearest", "generated", "control", "what the C_T test compares")
    return table(rows, head) + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _plots(judged: Judged, among: TrainingSet) -> str:
    sides = (
        ("In features", judged.side.features, among.control.features, judged.memorisation.near_copies.threshold_features),
        ("In pixels", judged.side.pixels, among.control.pixels, judged.memorisation.near_copies.threshold_pixels),
    )
    reading = "Distance to the nearest training picture over the mean distance to the 50 nearest; left of the line are near-copies."
    return "".join(
        f'<figure><h3>{name}</h3><img src="{uri(_plot(ours, theirs, limit), "png")}" alt="{name}: relative distances">'
        f"<figcaption>{reading}</figcaption></figure>"
        for name, ours, theirs, limit in sides
    )


def _plot(ours: Nearest, theirs: Nearest, limit: float) -> bytes:
    def draw(axes: Any) -> None:
        edges = np.linspace(0, 1, _BINS + 1)
        for values, name, colour in ((theirs, "control", report_page.LINES[2]), (ours, "generated", report_page.LINES[0])):
            far = relative_distance(values).numpy()
            axes.stairs(100 * np.histogram(far, edges)[0] / len(far), edges, label=name, color=colour, linewidth=1.6)
        axes.axvline(limit, color=report_page.INK, linestyle=":", linewidth=1.2)
        axes.legend(frameon=False, labelcolor=report_page.INK, fontsize=9)

    return figure(draw, xlabel="relative distance", ylabel="% of pictures", counts=False)


def _gallery(judged: Judged, among: TrainingSet, pictures: RealPictures, chosen: Sequence[int]) -> str:
    rows, names = [], getattr(pictures, "names", None)
    for i in chosen:
        picture = pictures.gather(np.array([i]))[0]
        mark = '<span class="state failed">near-copy</span>' if bool(judged.near[i]) else ""
        name = f"picture {i}" if names is None else escape(names[i])
        rows.append(
            (
                f"<figure>{_img(picture, f'generated picture {i}')}<figcaption>{name} {mark}</figcaption></figure>",
                _neighbours(judged.side.features, judged.nearer_features, i, among, 3),
                _neighbours(judged.side.pixels, judged.nearer_pixels, i, among, 1),
            )
        )
    return table(rows, ("generated", "nearest in features", "nearest in pixels"))


def _neighbours(found: Nearest, nearer: Tensor, i: int, among: TrainingSet, digits: int) -> str:
    count = min(NEIGHBOURS_SHOWN, found.indices.shape[1])
    pictures = among.train.gather(found.indices[i, :count].numpy())
    names = getattr(among.train, "names", None)
    cells = ""
    for k, picture in enumerate(pictures):
        at = int(found.indices[i, k])
        turned = bool(found.turned[i, k])
        name = str(names[at]) if names is not None else f"training picture {at}"
        caption = f"{float(found.distances[i, k]):.{digits}f}" + (", mirrored" if turned else "")
        image = _img(picture[:, ::-1] if turned else picture, name)
        cells += f'<figure title="{escape(name)}">{image}<figcaption>{caption}</figcaption></figure>'
    words = f"nearer than {float(nearer[i]):.1%} of the control"
    return f'<div class="near">{cells}</div><p class="note">{words}</p>'


def _img(picture: np.ndarray, alt: str) -> str:
    small = picture[None] if picture.shape[0] <= _SIDE else by_area(np.ascontiguousarray(picture[None]), _SIDE)
    buffer = io.BytesIO()
    Image.fromarray(enlarged(small, 64)[0]).save(buffer, "WEBP", quality=_QUALITY)
    return f'<img class="grid" src="{uri(buffer.getvalue(), "webp")}" alt="{escape(alt)}">'
