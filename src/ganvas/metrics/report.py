"""The report of a run: one HTML file for people that needs no network and nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from PIL import Image

from ganvas import artifact
from ganvas.errors import UserError
from ganvas.metrics import report_page
from ganvas.runs import RunFolder, Status
from ganvas.units import format_duration

SLIDER_GRIDS = 24
"""Grids over time that a report holds at most, evenly spread: it stays small enough to send."""
SLIDER_QUALITY = 90
"""WebP quality of the grids over time; the latest grid is shown without loss."""

Lines = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Curves:
    """A plot: which numbers of `metrics.jsonl` it shows, by their label, and how to read it."""

    title: str
    keys: dict[str, str]
    reading: str
    limits: tuple[float | None, float | None] = (None, None)
    only_if_it_changes: bool = False


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
    Curves("Speed", {"pictures_per_second": "pictures/s"}, "Real pictures shown to D in a second, evaluations left out.", (0, None)),
    Curves("Learning rates", {"lr_g": "generator", "lr_d": "discriminator"}, "As scheduled.", (0, None), only_if_it_changes=True),
)

SENTENCES = {
    "fd": "Frechet distance between the features of new and real pictures: lower is better, 0 is the same distribution.",
    "fid": "Frechet Inception Distance: lower is better, 0 is the same distribution.",
    "kid": "Kernel distance (squared MMD) of the same features, unbiased, so fit for few pictures: lower is better.",
    "precision": "Share of new pictures that look like real ones: higher is better, 1 is all.",
    "recall": "Share of real pictures that the generator could have made: higher is better; low when it repeats itself.",
    "inception_score": "Inception Score: higher is better; it compares with no real pictures.",
}
NAMES = {"fd": "FD", "fid": "FID", "kid": "KID", "precision": "Precision", "recall": "Recall", "inception_score": "Inception Score"}


def write_report(folder: RunFolder) -> Path:
    """Write a run's `report.html` from what the run has so far; parts that are missing are left out.

    Returns:
        The file.

    Raises:
        UserError: it can't be written; an earlier report is then as it was.
    """
    artifact.write_text(folder.report_file, render(folder))
    return folder.report_file


def render(folder: RunFolder) -> str:
    """The report as HTML text."""
    metrics, status = _ordered(folder.metrics()), folder.status()
    grids = folder.grids()
    sections = (
        _headline(folder, status),
        _section("Scores", _scores(folder.evaluation(), folder.path)),
        _section("Pictures", _pictures(grids)),
        _section("Curves", _curves(metrics, _ordered(folder.evaluations()), status)),
        _section("Config", _details("config.yaml", _text(folder.config_file))),
        _section("Provenance", _provenance(folder.provenance())),
    )
    return report_page.page(folder.path.resolve().name, "\n".join(sections))


def _escape(value: object) -> str:
    return html.escape(str(value), quote=True)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>\n{content}\n</section>" if content else ""


def _details(title: str, text: str) -> str:
    return f"<details><summary>{_escape(title)}</summary><pre>{_escape(text)}</pre></details>" if text.strip() else ""


def _table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), kind: str = "") -> str:
    """Cells are HTML already."""
    top = f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}">{top}<tbody>{body}</tbody></table></div>' if body else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(value: object) -> float | None:
    """A finite number, or None for anything else that a file may hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _ordered(lines: Lines) -> Lines:
    """The lines that say after how many pictures, in that order."""
    return sorted((line for line in lines if _number(line.get("images")) is not None), key=lambda line: line["images"])


def _shown(value: object) -> str:
    """A number to four digits; anything else as it is."""
    number = _number(value)
    if number is None:
        return _escape(value)
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:.4g}" if abs(number) < 1e4 else f"{number:,.0f}"


# -- Parts --------------------------------------------------------------------------------------------------------


def _headline(folder: RunFolder, status: Status | None) -> str:
    try:
        config = folder.config()
        recipe, about = config.name, config.about
        data = f"{config.data.path or 'unnamed pictures'}, {config.data.resolution}x{config.data.resolution}"
    except UserError:
        recipe, about, data = "", "", ""
    state = status.state if status else "unknown"
    facts = [("recipe", recipe), ("data", data)]
    if status:
        of = f" of {status.total_images:,}" if status.total_images and state != "finished" else ""
        facts.append(("pictures shown", f"{status.images:,}{of}"))
        facts.append(("training time", format_duration(status.seconds)))
        if status.pictures_per_second:
            facts.append(("pictures/s", f"{status.pictures_per_second:,.0f}"))
        if status.best:
            facts.append(("best checkpoint", f"after {status.best.get('images', 0):,.0f} pictures, KID {_shown(status.best.get('kid'))}"))
        facts.append(("last sign of life", time.strftime("%Y-%m-%d %H:%M", time.localtime(status.heartbeat))))
    shown = "".join(f"<div><dt>{_escape(name)}</dt><dd>{_escape(value)}</dd></div>" for name, value in facts if value)
    reason = f'<p class="reason">{_escape(status.reason)}</p>' if status and status.reason else ""
    return (
        f'<header><h1>{_escape(folder.path.resolve().name)} <span class="state {_escape(state)}">{_escape(state)}</span></h1>'
        f"<p>{_escape(about)}</p>{reason}<dl>{shown}</dl></header>"
    )


def _scores(evaluation: dict[str, Any] | None, path: Path) -> str:
    if not evaluation:
        return f"<p>None yet: <code>ganvas evaluate {_escape(shlex.quote(str(path)))}</code> makes them.</p>"
    rows, others = [], []
    for key, score in evaluation.items():
        if isinstance(score, dict) and "value" in score:
            n = _shown(score.get("n", ""))
            features, split = _escape(score.get("features", "")), _escape(score.get("split", ""))
            sentence = _escape(SENTENCES.get(key, ""))
            rows.append((_escape(NAMES.get(key, key)), f"<strong>{_shown(score['value'])}</strong>", sentence, features, n, split))
        elif score is not None and not isinstance(score, (dict, list)):
            others.append(f"{_escape(key.replace('_', ' '))}: {_shown(score)}")
    resizers = {str(s["resizer"]) for s in evaluation.values() if isinstance(s, dict) and s.get("resizer")}
    notes = [f"Pictures enter the features by {_escape(resizer)}." for resizer in sorted(resizers)]
    if "fid" not in evaluation:
        notes.append("These features are not Inception's: the numbers compare runs with each other and with no published FID.")
    if others:
        notes.append("; ".join(others) + ".")
    table = _table(rows, ("score", "value", "what it says", "features", "new pictures", "compared with"), "scores")
    return table + "".join(f'<p class="note">{note}</p>' for note in notes)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _pictures(grids: Sequence[tuple[int, Path]]) -> str:
    shown = _latest(grids) + _slider(grids)
    return f'<div class="side">{shown}</div>' if shown else ""


def _latest(grids: Sequence[tuple[int, Path]]) -> str:
    for images, path in reversed(grids):
        picture = _open(path)
        if picture is not None:
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            return (
                f'<figure><h3>Latest</h3><img class="grid" src="{_uri(buffer.getvalue(), "png")}" alt="grid of generated pictures">'
                f"<figcaption>Fixed latents after {images:,} pictures; not picked.</figcaption></figure>"
            )
    return ""


def _slider(grids: Sequence[tuple[int, Path]]) -> str:
    frames = []
    for images, path in _spread(grids, SLIDER_GRIDS):
        picture = _open(path)
        if picture is not None:
            buffer = io.BytesIO()
            picture.save(buffer, "WEBP", quality=SLIDER_QUALITY)
            frames.append((images, _uri(buffer.getvalue(), "webp")))
    if len(frames) < 2:
        return ""
    last = len(frames) - 1
    shown = "".join(
        f'<img class="grid" data-images="{images:,}" src="{uri}" alt="after {images:,} pictures"{"" if i == last else " hidden"}>'
        for i, (images, uri) in enumerate(frames)
    )
    return (
        f'<figure id="frames"><h3>Over time</h3>{shown}'
        f'<figcaption>The same latents after <output id="seen">{frames[last][0]:,}</output> pictures.</figcaption>'
        f'<input id="slider" type="range" min="0" max="{last}" value="{last}" aria-label="pictures shown"></figure>{report_page.SLIDER}'
    )


def _spread(grids: Sequence[tuple[int, Path]], most: int) -> list[tuple[int, Path]]:
    """At most so many, evenly spread, the first and the last among them."""
    if len(grids) <= most:
        return list(grids)
    return [grids[round(i * (len(grids) - 1) / (most - 1))] for i in range(most)]


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError:  # missing, or damaged
        return None


def _provenance(values: dict[str, Any]) -> str:
    return _table(((_escape(name), _escape(value)) for name, value in _flat(values)), kind="facts")


def _flat(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# -- Curves -------------------------------------------------------------------------------------------------------


def _curves(metrics: Lines, evaluations: Lines, status: Status | None) -> str:
    best = status.best if status else None
    figures = [_kid(evaluations, best), *(_plot(curves, metrics) for curves in PLOTS)]
    known = {key for curves in PLOTS for key in curves.keys} | {"images", "seconds", "step"}
    last = {key: value for line in metrics for key, value in line.items() if key not in known and _number(value) is not None}
    others = _details("Other numbers, as last logged", json.dumps(last, indent=2) if last else "")
    shown = "".join(figures)
    return f'<div class="curves">{shown}</div>{others}' if shown or others else ""


def _plot(curves: Curves, metrics: Lines) -> str:
    series = {label: _series(metrics, key) for key, label in curves.keys.items()}
    series = {label: points for label, points in series.items() if points}
    if not series or (curves.only_if_it_changes and all(len({y for _, y in points}) == 1 for points in series.values())):
        return ""

    def draw(axes: Any) -> None:
        for label, points in series.items():
            axes.plot(*zip(*points, strict=True), label=label, linewidth=1.6, marker="o" if len(points) == 1 else "")
        axes.set_ylim(*curves.limits)
        if len(series) > 1:
            axes.legend(frameon=False, labelcolor=report_page.INK, fontsize=9)

    return _figure(curves.title, curves.reading, draw)


def _kid(evaluations: Lines, best: dict[str, float] | None) -> str:
    points = _series(evaluations, "kid")
    if not points:
        return ""

    def draw(axes: Any) -> None:
        axes.plot(*zip(*points, strict=True), linewidth=1.6, marker="o", markersize=4)
        kept = min(points, key=lambda point: point[1]) if best is None else (best.get("images"), best.get("kid"))
        axes.set_ylim(min(0, *(y for _, y in points)), None)
        if None not in kept:
            axes.plot(*kept, marker="o", markersize=10, markerfacecolor="none", linestyle="", label="best checkpoint")
            axes.legend(frameon=False, labelcolor=report_page.INK, fontsize=9)

    features = {str(line["features"]) for line in evaluations if "features" in line}
    on = f" on {', '.join(sorted(features))}" if features else ""
    return _figure("KID while training", f"Lower is better; the checkpoint with the lowest{on} is kept as best.", draw)


def _series(lines: Lines, key: str) -> list[tuple[float, float]]:
    points = ((_number(line["images"]), _number(line.get(key))) for line in lines)
    return [(x, y) for x, y in points if x is not None and y is not None]


def _figure(title: str, reading: str, draw: Callable[[Any], None]) -> str:
    """A plot on no background, in ink that can be read on white and on black."""
    figure = Figure(figsize=(5, 2.8), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_prop_cycle(color=report_page.LINES)
    draw(axes)
    axes.set_xlabel("pictures shown", color=report_page.INK, fontsize=9)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(colors=report_page.INK, labelsize=9)
    axes.grid(color=report_page.INK, alpha=0.25, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(report_page.INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return (
        f'<figure><h3>{_escape(title)}</h3><img src="{_uri(buffer.getvalue(), "png")}" alt="{_escape(title)} over pictures shown">'
        f"<figcaption>{_escape(reading)}</figcaption></figure>"
    )
