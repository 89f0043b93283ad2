"""Several runs on one table and one page: scores, sizes, cost, whether they collapsed; grids and curves side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganvas.errors import UserError
from ganvas.metrics import health, report_page
from ganvas.metrics.curves import PLOTS, Points, draw_lines, figure, number, ordered, series
from ganvas.metrics.report_page import escape, uri
from ganvas.metrics.scores import ABOUT
from ganvas.notebook import Shown
from ganvas.runs import RunFolder
from ganvas.sampling.grid import png, read_png
from ganvas.units import format_duration, format_energy

NAMES = {
    "fd": "FD",
    "fd_infinity": "FD-infinity",
    "kid": "KID x 1000",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}
BETTER = {key: min if ABOUT[key].better == "lower" else max for key in NAMES}
BASIS = ("features_identity", "features", "n", "reference_n", "split", "resizer", "data")
"""Scores compare where all of these are the same."""
PAGE_TITLE = "Runs compared"


@dataclass(frozen=True)
class Comparison(Shown):
    """Runs beside each other."""

    rows: tuple[dict[str, Any], ...]
    """One for each run, in the order given: what `to_json` gives of it."""
    best: dict[str, tuple[str, ...]]
    """Which runs have the best value of a score; empty where the scores don't compare."""
    cautions: tuple[str, ...]
    page: Path | None = None

    def at(self, page: Path) -> Comparison:
        """The same, with where its page is."""
        return replace(self, page=page)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "runs": list(self.rows),
            "best": {name: list(runs) for name, runs in self.best.items()},
            "cautions": list(self.cautions),
            "collapse_rule": health.RULE,
            "page": None if self.page is None else str(self.page),
        }

    def cells(self) -> list[list[str]]:
        """The table for people: the head, then a line for each run; `*` marks the best."""
        lines = [[head for head, _ in COLUMNS]]
        for row in self.rows:
            line = []
            for head, cell in COLUMNS:
                key = next((k for k, n in NAMES.items() if n == head), None)
                line.append(cell(row) + (" *" if key and row["run"] in self.best.get(key, ()) else ""))
            lines.append(line)
        return lines

    def summary(self) -> str:
        """For people."""
        lines = self.cells()
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        text = ["  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        text += [f"{row['run']}: {'; '.join(row['health']['reasons'])}" for row in self.rows if row["health"]["reasons"]]
        text += [f"Beware: {caution}." for caution in self.cautions]
        if self.page is not None:
            text.append(f"page     {self.page}")
        return "\n".join(text)


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """What the runs' folders say of them."""
    names = _names(folders)
    rows = tuple(_row(folder, name) for folder, name in zip(folders, names, strict=True))
    scored = [row for row in rows if row["scores"]]
    bases = {row["basis"] for row in scored}
    cautions = []
    if len(bases) > 1:
        cautions.append(
            "the scores don't compare: they are of other features, data or numbers of pictures; `ganvas evaluate` each in the same way"
        )
    missing = [row["run"] for row in rows if not row["scores"]]
    if missing:
        cautions.append(f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no scores yet: `ganvas evaluate` makes them")
    best: dict[str, tuple[str, ...]] = {}
    if len(bases) == 1 and len(scored) > 1:
        for key, choose in BETTER.items():
            values = {row["run"]: row["scores"][key] for row in scored if row["scores"].get(key) is not None}
            if values:
                top = choose(values.values())
                best[key] = tuple(run for run, value in values.items() if value == top)
                if (rivals := _rivals(scored, key, best[key])) is not None:
                    cautions.append(rivals)
    return Comparison(rows, best, tuple(cautions))


def _rivals(rows: Sequence[dict[str, Any]], key: str, best: tuple[str, ...]) -> str | None:
    """A caution where the best may be best by chance: another's interval overlaps its own."""
    intervals = {row["run"]: row["intervals"][key] for row in rows if key in row["intervals"]}
    if best[0] not in intervals:
        return None
    low, high = intervals[best[0]]
    others = [run for run, (least, most) in intervals.items() if run not in best and least <= high and most >= low]
    if not others:
        return None
    return f"{', '.join(others)}: {NAMES[key]} may differ from the best, {best[0]}'s, only by chance: their 95% intervals overlap"


def _names(folders: Sequence[RunFolder]) -> list[str]:
    """The folders' names, or their paths where two names are the same."""
    short = [folder.path.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder.path) for folder in folders]


def _row(folder: RunFolder, name: str) -> dict[str, Any]:
    status, made, evaluation = folder.status(), folder.provenance(), folder.evaluation() or {}
    try:
        config = folder.config()
        recipe, resolution = config.name, config.data.resolution
    except UserError:
        recipe = resolution = None
    parameters = made.get("parameters") or {}
    kids = [line["kid"] for line in folder.evaluations() if isinstance(line.get("kid"), (int, float))]
    scores = {key: evaluation[key]["value"] for key in BETTER if isinstance(evaluation.get(key), dict) and "value" in evaluation[key]}
    return {
        "run": name,
        "path": str(folder.path),
        "recipe": recipe,
        "resolution": resolution,
        "state": status.state if status else None,
        "scores": scores or None,
        "intervals": {key: [evaluation[key][end] for end in ("low", "high")] for key in scores if _has_interval(evaluation[key])},
        "checkpoint": evaluation.get("checkpoint"),
        "features": (evaluation.get("fd") or {}).get("features"),
        "basis": _basis(evaluation, made) if scores else None,
        "best_kid_while_training": min(kids) if kids else None,
        "parameters": parameters or None,
        "images": status.images if status else None,
        "seconds": status.seconds if status else None,
        "pictures_per_second": status.pictures_per_second if status else None,
        "cpu_seconds": status.cpu_seconds if status else None,
        "joules": status.joules if status else None,
        "collapsed": (found := health.judge(folder)).collapsed,
        "health": {**found.to_json(), "word": found.word},
    }


def _has_interval(score: dict[str, Any]) -> bool:
    """Evaluations of older versions have none."""
    return number(score.get("low")) is not None and number(score.get("high")) is not None


def _basis(evaluation: dict[str, Any], made: dict[str, Any]) -> str:
    """All that the scores depend on beside the pictures, as one line."""
    fd = evaluation.get("fd") or {}
    data = evaluation.get("data_checksum") or (made.get("data") or {}).get("checksum")
    known = {**fd, "features_identity": evaluation.get("features_identity"), "data": data}
    return "; ".join(f"{key} {known.get(key)}" for key in BASIS if known.get(key) is not None)


# -- Cells --------------------------------------------------------------------------------------------------------


def _score(key: str, show: Callable[[float], str]) -> Callable[[dict[str, Any]], str]:
    return lambda row: "" if not row["scores"] or row["scores"].get(key) is None else show(row["scores"][key])


def _value(key: str, show: Callable[[Any], str]) -> Callable[[dict[str, Any]], str]:
    return lambda row: "" if row[key] is None else show(row[key])


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("run", _value("run", str)),
    ("recipe", _value("recipe", str)),
    ("FD", _score("fd", lambda v: f"{v:.2f}")),
    ("FD-infinity", _score("fd_infinity", lambda v: f"{v:.2f}")),
    ("KID x 1000", _score("kid", lambda v: f"{1000 * v:.2f}")),
    ("precision", _score("precision", lambda v: f"{v:.1%}")),
    ("recall", _score("recall", lambda v: f"{v:.1%}")),
    ("density", _score("density", lambda v: f"{v:.2f}")),
    ("coverage", _score("coverage", lambda v: f"{v:.1%}")),
    ("best KID x 1000 in training", _value("best_kid_while_training", lambda v: f"{1000 * v:.2f}")),
    ("parameters", _value("parameters", lambda v: f"{sum(v.values()) / 1e6:.2f}M")),
    ("pictures", _value("images", lambda v: f"{v:,}")),
    ("time", _value("seconds", format_duration)),
    ("pictures/s", _value("pictures_per_second", lambda v: f"{v:,.0f}")),
    ("processor", _value("cpu_seconds", format_duration)),
    ("energy", _value("joules", format_energy)),
    ("collapsed", lambda row: row["health"]["word"]),
    ("state", _value("state", str)),
)


# -- Page ---------------------------------------------------------------------------------------------------------


def compare_page(folders: Sequence[RunFolder], found: Comparison) -> str:
    """The comparison as one HTML page that needs no network and nothing beside it."""
    parts = [
        f"<header><h1>{PAGE_TITLE}</h1><p>{len(folders)} runs, in the order in which they were named</p></header>",
        f"<section><h2>Scores, size and cost</h2>{_table(found)}{_notes(found)}</section>",
        f'<section><h2>Pictures</h2><div class="side">{_grids(folders, found)}</div></section>',
    ]
    curves = _curves(folders, found)
    if curves:
        parts.append(f'<section><h2>Curves</h2><div class="curves">{curves}</div></section>')
    return report_page.page(PAGE_TITLE, "\n".join(parts))


def _table(found: Comparison) -> str:
    lines = found.cells()
    # A column that is empty for every run says nothing.
    used = [i for i in range(len(lines[0])) if any(line[i] for line in lines[1:])]
    head = "".join(f"<th>{escape(lines[0][i])}</th>" for i in used)
    body = ""
    for line in lines[1:]:
        cells = (f"<strong>{escape(line[i][:-2])}</strong>" if line[i].endswith(" *") else escape(line[i]) for i in used)
        body += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return f'<div class="wide"><table class="runs"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _notes(found: Comparison) -> str:
    notes = [f"{row['run']}: {'; '.join(row['health']['reasons'])}." for row in found.rows if row["health"]["reasons"]]
    bases = sorted({row["basis"] for row in found.rows if row["basis"]})
    notes += [f"Scores of {', '.join(row['run'] for row in found.rows if row['basis'] == basis)}: {basis}." for basis in bases]
    notes += [f"Beware: {caution}." for caution in found.cautions]
    notes.append(f"A run counts as {health.RULE}.")
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _grids(folders: Sequence[RunFolder], found: Comparison) -> str:
    shown, seen = [], set()
    for folder, row in zip(folders, found.rows, strict=True):
        latest = next(((n, sheet) for n, path in reversed(folder.grids()) if (sheet := read_png(path)) is not None), None)
        if latest is not None:
            shown.append(_figure(row["run"], png(latest[1]), f"Fixed latents after {latest[0]:,} pictures; not picked.", "grid"))
        real, data = read_png(folder.real_file), (folder.provenance().get("data") or {}).get("checksum", folder.path)
        if real is not None and data not in seen:
            seen.add(data)
            shown.insert(0, _figure(f"Real pictures of {row['run']}", png(real), "What it learns from, drawn by chance.", "grid"))
    return "".join(shown)


def _curves(folders: Sequence[RunFolder], found: Comparison) -> str:
    names = [row["run"] for row in found.rows]
    metrics = [ordered(folder.metrics()) for folder in folders]
    shown = []
    kids = {name: p for name, folder in zip(names, folders, strict=True) if (p := series(ordered(folder.evaluations()), "kid"))}
    if kids:
        shown.append(_plot("KID while training", kids, "Lower is better.", (0, None)))
    for curves in PLOTS:
        if curves.only_if_it_changes:
            continue
        for key, label in curves.keys.items():
            lines = {name: points for name, line in zip(names, metrics, strict=True) if (points := series(line, key))}
            if lines:
                title = curves.title if len(curves.keys) == 1 else f"{curves.title}: {label}"
                shown.append(_plot(title, lines, curves.reading, curves.limits))
    return "".join(shown)


def _plot(title: str, lines: dict[str, Points], reading: str, limits: tuple[float | None, float | None]) -> str:
    return _figure(title, figure(draw_lines(lines, limits)), reading, "")


def _figure(title: str, data: bytes, caption: str, kind: str) -> str:
    address = uri(data, "png")
    return (
        f'<figure><h3>{escape(title)}</h3><img class="{kind}" src="{address}" alt="{escape(title)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
