"""Report: a run's page again, and its plots as files; several runs on one page."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganvas import artifact, runs
from ganvas.errors import UsageError, UserError
from ganvas.metrics.compare import Comparison, compare_page
from ganvas.metrics.compare import compare as compare_runs
from ganvas.metrics.curves import plot_files
from ganvas.metrics.health import Health, judge
from ganvas.metrics.report import write_report
from ganvas.notebook import Shown
from ganvas.runs import RunFolder
from ganvas.sampling.grid import png, read_png
from ganvas.verbs.evaluating import open_data
from ganvas.verbs.real import write_real

PLOTS = "plots"
BESIDE = "real-beside-generated.png"


@dataclass(frozen=True)
class Reported(Shown):
    """What was written."""

    report: Path
    plots: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"report": str(self.report), "plots": [str(path) for path in self.plots]}

    def summary(self) -> str:
        """For people."""
        return "\n".join([f"report   {self.report}", *(f"plot     {path}" for path in self.plots)])


def report(run: str | Path, plots: bool) -> Reported:
    """See `ganvas.report`."""
    folder = runs.open_run(run)
    ensure_real(folder)
    made: dict[str, bytes] = {}
    if plots:
        made = plot_files(folder.metrics(), folder.evaluations())
        if (beside := real_beside_generated(folder)) is not None:
            made[BESIDE] = png(beside)
        with artifact.new_folder(folder.path / PLOTS) as out:
            for name, data in made.items():
                (out / name).write_bytes(data)
    return Reported(write_report(folder), tuple(folder.path / PLOTS / name for name in made))


def diagnose(run: str | Path) -> Health:
    """See `ganvas.diagnose`."""
    folder = runs.open_run(run)
    ensure_real(folder)
    return judge(folder)


def ensure_real(folder: RunFolder) -> None:
    """Give an older run its grid of real pictures, if its data is still there."""
    if not folder.real_file.exists():
        with contextlib.suppress(UserError, OSError):
            write_real(folder, open_data(folder, None))


def real_beside_generated(folder: RunFolder) -> np.ndarray | None:
    """The grid of real pictures, and to its right the latest of generated ones; None where one of them is missing."""
    real = read_png(folder.real_file)
    latest = next((sheet for _, path in reversed(folder.grids()) if (sheet := read_png(path)) is not None), None)
    if real is None or latest is None or real.shape[0] != latest.shape[0]:
        return None
    return np.concatenate([real, np.full((real.shape[0], 16, 3), 255, np.uint8), latest], 1)


def compare(paths: Sequence[str | Path], out: str | Path | None) -> Comparison:
    """See `ganvas.compare`."""
    if not paths:
        raise UsageError("no runs were named: expected two or more, such as runs/*")
    folders = [runs.open_run(path) for path in paths]
    for folder in folders:
        ensure_real(folder)
    found = compare_runs(folders)
    if out is None:
        return found
    path = Path(out)
    if path.is_dir():
        path = path / "compare.html"
    artifact.write_text(path, compare_page(folders, found))
    return found.at(path)
