"""The report of a run: one HTML file for people that needs no network and nothing beside it."""

from __future__ import annotations

import io
import json
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ganvas import artifact
from ganvas.errors import UserError
from ganvas.metrics import health, report_page
from ganvas.metrics.curves import PLOTS, Curves, Lines, all_series, draw_lines, figure, number, ordered, series
from ganvas.metrics.report_looks import LOOKS, looks
from ganvas.metrics.report_page import details, escape, section, table, uri
from ganvas.metrics.report_studies import copies, noise, truncation
from ganvas.metrics.scores import ABOUT, class_score_name
from ganvas.runs import RunFolder, Status
from ganvas.units import format_duration, format_energy

_UNSAID = frozenset({"format", "version"})
SLIDER_GRIDS = 24
"""Grids over time that a report holds at most, evenly spread: it stays small enough to send."""
SLIDER_QUALITY = 90
"""WebP quality of the grids over time; the latest grid is shown without loss."""


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
    metrics, status = ordered(folder.metrics()), folder.status()
    grids = folder.grids()
    sections = (
        _headline(folder, status),
        section("Health", _health(folder)),
        section("Scores", _scores(folder.evaluation(), folder.path)),
        section("Pictures", _pictures(grids, folder.real_file)),
        section("What the pictures look like beside real ones", looks(folder.evaluation() or {})),
        section("Does it copy?", copies(folder) + noise(folder)),
        section("Fidelity against variety", truncation(folder)),
        section("Curves", _curves(metrics, ordered(folder.evaluations()), status)),
        section("Why it was trained so", _chosen(folder.provenance().get("auto"))),
        section("Config", details("config.yaml", _text(folder.config_file))),
        section("Provenance", _provenance(folder.provenance())),
    )
    return report_page.page(folder.path.resolve().name, "\n".join(sections))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _shown(value: object) -> str:
    """A number to four digits; anything else as it is."""
    found = number(value)
    if found is None:
        return escape(value)
    if found == int(found) and abs(found) < 1e15:
        return f"{int(found):,}"
    return f"{found:.4g}" if abs(found) < 1e4 else f"{found:,.0f}"


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
        if status.cpu_seconds:
            facts.append(("processor time", format_duration(status.cpu_seconds)))
        if status.joules:
            facts.append(("energy of the processor", format_energy(status.joules)))
        if status.best:
            facts.append(("best checkpoint", f"after {status.best.get('images', 0):,.0f} pictures, KID {_shown(status.best.get('kid'))}"))
        facts.append(("last sign of life", time.strftime("%Y-%m-%d %H:%M", time.localtime(status.heartbeat))))
    shown = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value)
    reason = f'<p class="reason">{escape(status.reason)}</p>' if status and status.reason else ""
    return (
        f'<header><h1>{escape(folder.path.resolve().name)} <span class="state {escape(state)}">{escape(state)}</span></h1>'
        f"<p>{escape(about)}</p>{reason}<dl>{shown}</dl></header>"
    )


def _health(folder: RunFolder) -> str:
    """The verdict, and what was seen while it trained, with what usually helps."""
    found = health.judge(folder)
    if found.word == "unknown":
        return ""
    verdict = "No collapse was seen" if found.word == "no" else f"{found.word[:1].upper()}{found.word[1:]}"
    rows = [tuple(escape(cell) for cell in row) for row in found.rows()]
    return f"<p>{escape(verdict)}.</p>" + table(rows, ("", "pictures shown", "what is seen", "what usually helps"))


def _scores(evaluation: dict[str, Any] | None, path: Path) -> str:
    if not evaluation:
        return f"<p>None yet: <code>ganvas evaluate {escape(shlex.quote(str(path)))}</code> makes them.</p>"
    rows, others = [], []
    for key, score in evaluation.items():
        if key in _UNSAID:
            continue
        if key in LOOKS:
            continue
        if isinstance(score, dict) and "value" in score:
            rows.append(_score_row(key, score))
        elif score is not None and not isinstance(score, (dict, list)):
            others.append(f"{escape(key.replace('_', ' '))}: {_shown(score)}")
    resizers = {str(s["resizer"]) for s in evaluation.values() if isinstance(s, dict) and s.get("resizer")}
    notes = [f"Pictures enter the features by {escape(resizer)}." for resizer in sorted(resizers)]
    if any(isinstance(s, dict) and "low" in s for s in evaluation.values()):
        notes.append("In brackets: 95% intervals, within which as many other pictures of this generator would score.")
    if "fid" not in evaluation:
        notes.append("These features are not Inception's: the numbers compare runs with each other and with no published FID.")
    if others:
        notes.append("; ".join(others) + ".")
    for key, word in (("notes", ""), ("warnings", "Beware: ")):
        found = evaluation.get(key)
        notes += [f"{word}{escape(text)}." for text in found if isinstance(text, str)] if isinstance(found, list) else []
    shown = table(rows, ("score", "value", "what it says", "features", "new pictures", "compared with"), "scores")
    parts = "".join(f'<p class="note">{note}</p>' for note in notes)
    return shown + parts + _yardstick(evaluation.get("yardstick")) + _per_class(evaluation.get("per_class"))


def _score_row(key: str, score: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table; evaluations of older versions have no intervals."""
    about = ABOUT.get(key)
    name = key if about is None else about.name
    if key == "is_on_features":
        name = class_score_name(str(score.get("features", "these features")))
    value = f"<strong>{_shown(score['value'])}</strong>{_interval(score)}"
    facts = (escape(score.get("features", "")), _shown(score.get("n", "")), escape(score.get("split", "")))
    return (escape(name), value, escape("" if about is None else about.sentence), *facts)


def _interval(score: dict[str, Any]) -> str:
    low, high = number(score.get("low")), number(score.get("high"))
    return "" if low is None or high is None else f' <span class="note">({_shown(low)} to {_shown(high)})</span>'


def _yardstick(yard: Any) -> str:
    """What held-out real pictures score, beside as many generated ones."""
    if not isinstance(yard, dict) or not all(isinstance(yard.get(side), dict) for side in ("held_out", "generated")):
        return ""
    rows = [
        (escape(ABOUT[key].name), *(_cell(yard[side].get(key)) for side in ("held_out", "generated")))
        for key in ABOUT
        if key in yard["held_out"]
    ]
    words = (
        f"A perfect generator would score about as real pictures do that were held out. Here, {_shown(yard.get('n', ''))} of either kind."
    )
    shown = table(rows, ("score", "held-out real pictures", "generated pictures"))
    return f'<h3>Yardstick</h3><p class="note">{words}</p>{shown}'


def _per_class(per: Any) -> str:
    if not isinstance(per, dict) or not per.get("classes"):
        return ""
    rows = [(escape(c.get("name", "")), _cell(c.get("fd")), _cell(c.get("kid"))) for c in per["classes"] if isinstance(c, dict)]
    few = len(per["too_few"]) if isinstance(per.get("too_few"), dict) else 0
    words = f"The classes that are farthest from real ones first, {_shown(per.get('n', ''))} pictures of each on either side."
    if few:
        words += f" {few} classes have fewer than {_shown(per.get('least', ''))}, and are left out."
    shown = table(rows, ("class", "FD", "KID"))
    return f'<h3>By class</h3><p class="note">{words}</p><details><summary>{len(rows)} classes</summary>{shown}</details>'


def _cell(score: Any) -> str:
    return f"{_shown(score['value'])}{_interval(score)}" if isinstance(score, dict) and "value" in score else ""


def _pictures(grids: Sequence[tuple[int, Path]], real: Path) -> str:
    shown = _latest(grids) + _real(real) + _slider(grids)
    return f'<div class="side">{shown}</div>' if shown else ""


def _latest(grids: Sequence[tuple[int, Path]]) -> str:
    for images, path in reversed(grids):
        picture = _open(path)
        if picture is not None:
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            return (
                f'<figure><h3>Latest</h3><img class="grid" src="{uri(buffer.getvalue(), "png")}" alt="grid of generated pictures">'
                f"<figcaption>Fixed latents after {images:,} pictures; not picked.</figcaption></figure>"
            )
    return ""


def _real(path: Path) -> str:
    picture = _open(path)
    if picture is None:
        return ""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return (
        f'<figure><h3>Real</h3><img class="grid" src="{uri(buffer.getvalue(), "png")}" alt="grid of real pictures">'
        "<figcaption>Pictures that it learns from, drawn by chance, of the same classes as the new ones.</figcaption></figure>"
    )


def _slider(grids: Sequence[tuple[int, Path]]) -> str:
    frames = []
    for images, path in _spread(grids, SLIDER_GRIDS):
        picture = _open(path)
        if picture is not None:
            buffer = io.BytesIO()
            picture.save(buffer, "WEBP", quality=SLIDER_QUALITY)
            frames.append((images, uri(buffer.getvalue(), "webp")))
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


def _chosen(found: dict[str, Any] | None) -> str:
    """What `auto` decided, why, and what it expected."""
    if not found:
        return ""
    rows = [(str(reason.get("what")), f"{reason.get('chosen')}: {reason.get('because')}") for reason in found.get("reasons", ())]
    rows.append(("expected", str(found.get("expectation"))))
    return table(((escape(name), escape(text)) for name, text in rows), kind="facts")


def _provenance(values: dict[str, Any]) -> str:
    values = {name: value for name, value in values.items() if name != "auto"}
    return table(((escape(name), escape(value)) for name, value in _flat(values)), kind="facts")


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
    known = {key for curves in PLOTS for key in curves.keys} | {"images", "seconds", "step", "cpu_seconds", "joules"}
    last = {key: value for line in metrics for key, value in line.items() if key not in known and number(value) is not None}
    others = details("Other numbers, as last logged", json.dumps(last, indent=2) if last else "")
    shown = "".join(figures)
    return f'<div class="curves">{shown}</div>{others}' if shown or others else ""


def _plot(curves: Curves, metrics: Lines) -> str:
    found = all_series(curves, metrics)
    return _figure(curves.title, curves.reading, draw_lines(found, curves.limits)) if found else ""


def _kid(evaluations: Lines, best: dict[str, float] | None) -> str:
    points = series(evaluations, "kid")
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


def _figure(title: str, reading: str, draw: Callable[[Any], None]) -> str:
    """A plot with its title and how to read it."""
    return (
        f'<figure><h3>{escape(title)}</h3><img src="{uri(figure(draw), "png")}" alt="{escape(title)} over pictures shown">'
        f"<figcaption>{escape(reading)}</figcaption></figure>"
    )
