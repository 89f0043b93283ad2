"""The report's part on what pictures look like whatever they show: spectrum, artefacts, smoothness."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from ganvas.metrics.artefacts import Artefacts
from ganvas.metrics.curves import draw_lines, figure
from ganvas.metrics.path_length import PathLength
from ganvas.metrics.report_page import escape, uri
from ganvas.metrics.spectrum import SpectrumDifference

LOOKS: dict[str, type[BaseModel]] = {"spectrum": SpectrumDifference, "artefacts": Artefacts, "path_length": PathLength}
"""Keys of evaluation.json that this part shows."""


def looks(evaluation: dict[str, Any]) -> str:
    """HTML: a sentence on each, and the spectra; nothing where the evaluation is older, or was of too few pictures."""
    found = {key: part for key in LOOKS if (part := _read(key, evaluation)) is not None}
    sentences: list[str] = []
    for part in found.values():
        sentences += part.sentences() if isinstance(part, Artefacts) else [part.sentence()]
    listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    text = f"<ul>{listed}</ul>" if listed else ""
    spectrum = found.get("spectrum")
    return text + (_spectra(spectrum) if isinstance(spectrum, SpectrumDifference) else "")


def _read(key: str, evaluation: dict[str, Any]) -> Any:
    try:
        return LOOKS[key].model_validate(evaluation[key])
    except (KeyError, ValidationError):
        return None


def _spectra(found: SpectrumDifference) -> str:
    lines = {
        "generated": list(zip(found.frequencies, found.generated, strict=True)),
        "real": list(zip(found.frequencies, found.real, strict=True)),
    }
    address = uri(figure(draw_lines(lines), xlabel="cycles per pixel", ylabel="log10 of power", counts=False), "png")
    return (
        f'<div class="curves"><figure><h3>Power by frequency</h3><img src="{address}" alt="spectra of generated and real pictures">'
        "<figcaption>Coarse shapes on the left, details of two pixels on the right: a gap there is too smooth, or too noisy.</figcaption>"
        "</figure></div>"
    )
