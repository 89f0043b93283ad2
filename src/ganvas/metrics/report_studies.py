"""The report's parts on what was looked into after training: truncation, copies of training pictures, and noise against these."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ganvas.metrics.copying import Memorisation
from ganvas.metrics.curves import draw_copies, draw_lines, figure, number
from ganvas.metrics.report_page import escape, uri
from ganvas.runs import RunFolder, read_json


def truncation(folder: RunFolder) -> str:
    """Fidelity against variety, as `ganvas sweep-truncation` last found it; nothing before."""
    record = read_json(folder.truncation_file) or {}
    points = [point for point in record.get("points", []) if isinstance(point, dict)]
    shares = {key: [_value(point, key) for point in points] for key in ("precision", "recall")}
    if len(points) < 2 or None in (*shares["precision"], *shares["recall"]):
        return ""
    names = ["none" if point.get("truncation") is None else f"{point['truncation']:g}" for point in points]
    places = list(range(len(points)))
    lines = {key: [(float(x), y) for x, y in zip(places, values, strict=True) if y is not None] for key, values in shares.items()}

    def draw(axes: Any) -> None:
        draw_lines(lines, (0, 1.02))(axes)
        axes.set_xticks(places, names)

    plot = uri(figure(draw, xlabel="truncation", ylabel="share", counts=False), "png")
    about = f"{_checkpoint(record)} {number(record.get('n')) or 0:,.0f} pictures each."
    return (
        f'<div class="curves"><figure><h3>Precision and recall over truncation</h3><img src="{plot}" alt="shares by truncation">'
        f"<figcaption>Nearer to 0: truer and more alike. {escape(about)}</figcaption></figure></div>"
    )


def copies(folder: RunFolder) -> str:
    """Whether it copies, as `ganvas neighbours` last found it, with the most suspicious pictures; nothing before."""
    record = read_json(folder.neighbours_file) or {}
    try:
        found = Memorisation.model_validate({key: record[key] for key in Memorisation.model_fields if key in record})
    except ValidationError:
        return ""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in found.sentences())
    return f'{text}<p class="note">{escape(_checkpoint(record))}</p>{_sheet(folder)}'


def noise(folder: RunFolder) -> str:
    """Near-copies over the noise on codes, as `ganvas sweep-noise` last found them; nothing before."""
    record = read_json(folder.noise_file) or {}
    points = [(number(point.get("noise")), point.get("near_copies")) for point in record.get("points", []) if isinstance(point, dict)]
    found = [(at, number(copies.get("share")), number(copies.get("control"))) for at, copies in points if isinstance(copies, dict)]
    names = [f"{at:g}" for at, _, _ in found if at is not None]
    shares = [share for _, share, _ in found if share is not None]
    controls = [control for _, _, control in found if control is not None]
    if not 2 <= len(names) == len(shares) == len(controls):
        return ""
    plot = uri(figure(draw_copies(names, shares, controls[0]), xlabel="noise on codes", ylabel="share", counts=False), "png")
    about = f"{_checkpoint(record)} {number(record.get('n')) or 0:,.0f} pictures each."
    return (
        f'<div class="curves"><figure><h3>Near-copies over noise</h3><img src="{plot}" alt="near-copies by noise">'
        f"<figcaption>More noise: farther from real pictures, and less true. {escape(about)}</figcaption></figure></div>"
    )


def _sheet(folder: RunFolder) -> str:
    try:
        data = folder.neighbours_sheet.read_bytes()
    except OSError:
        return ""
    return (
        f'<figure><h3>Most suspicious</h3><img class="grid" src="{uri(data, "png")}" alt="generated pictures beside training pictures">'
        "<figcaption>A generated picture in the first column, then the training pictures nearest in features and in pixels.</figcaption>"
        "</figure>"
    )


def _checkpoint(record: dict[str, Any]) -> str:
    return f"Of the checkpoint {record.get('checkpoint', 'unknown')}, after {number(record.get('images')) or 0:,.0f} pictures."


def _value(point: dict[str, Any], key: str) -> float | None:
    score = point.get(key)
    return number(score.get("value")) if isinstance(score, dict) else None
