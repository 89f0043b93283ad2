"""Health while training: a look at fixed latents at each log interval; what begins and what ends is said and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganvas.artifact import disk_errors
from ganvas.config.run import RunConfig
from ganvas.metrics.health import Detector, Finding, grid_signals, looks
from ganvas.metrics.signals import Looks, look, signals
from ganvas.runs import RunFolder, read_lines
from ganvas.sampling.render import CHUNK, render
from ganvas.training.hooks import CONTINUE, Answer, Moment, Verdict

PICTURES = CHUNK
"""Fixed latents that are looked at: the fewest that can be drawn, for about a hundredth of the work of 5,000 pictures' steps."""

MOST_HELPS = 3
"""Settings that are named while training; `ganvas diagnose` names all."""


class HealthMonitor:
    """Looks at the generator as it is, not at its average: a collapse shows there first, and nothing needs to be fitted."""

    name = "health"

    def __init__(self, config: RunConfig, real: np.ndarray, *, device: torch.device, precision: str, weights: Tensor | None):
        """`real`: some real pictures to compare with, uint8 (n, H, W, 3); `weights` (classes,): how often each class appears."""
        self.config, self.real = config, look(real)
        self.device, self.precision, self.weights = device, precision, weights
        self._looked_at = 0
        self._before: np.ndarray | None = None
        self._detector = Detector(config)
        self._read: dict[Path, int] = {}

    def due(self, images: int, total: int | None) -> bool:
        """At each log interval."""
        every = self.config.log.every
        return images // every > self._looked_at // every

    def cost(self) -> float:
        """Nothing that a budget would need to plan for."""
        return 0.0

    def remaining(self, images: int, total: int) -> int:
        """None that cost anything."""
        return 0

    def __call__(self, moment: Moment) -> Answer:
        """Look, say what changed, and answer a collapse as the config wants it."""
        if not self.due(moment.images, moment.total):
            # The run ends between two looks: made longer, it must not differ by one more.
            return CONTINUE
        made = self._look(moment)
        line = {"images": moment.images, **signals(made, self.real, self._before).to_json()}
        _append(moment.folder.signals_file, line | grid_signals(moment.folder, self.config, self._looked_at, moment.images))
        known, self._before, self._looked_at = self._looked_at, made.rows, moment.images
        answer = CONTINUE
        for images, values in self._news(moment.folder):
            before = self._detector.active
            begun, ended = self._detector.observe(images, values)
            if images <= known:
                # Told before a resume, or before a roll back.
                continue
            self._tell(moment, begun, ended, before)
            worst = next((finding for finding in begun if finding.severity == "collapse"), None)
            # Another sign of a collapse that goes on is no new one: who resumed a run that was stopped wants it to go on.
            if worst is not None and not any(finding.severity == "collapse" for finding in before):
                answer = self._answer(worst)
        return answer

    def _tell(self, moment: Moment, begun: list[Finding], ended: list[Finding], before: list[Finding]) -> None:
        """Keep what begins and ends; say it where it is not seen in other pictures of the run already, or still."""
        for finding in ended:
            _append(moment.folder.health_file, {"images": moment.images, "event": "ends", **finding.to_json()})
            if all(finding.kind != other.kind for other in self._detector.active):
                moment.say(f"{moment.images:,} pictures: over: {finding.kind} (from {finding.since:,} to {finding.until:,} pictures)")
        told: set[str] = {finding.kind for finding in before}
        for finding in begun:
            _append(moment.folder.health_file, {"images": moment.images, "event": "begins", **finding.to_json()})
            if finding.kind not in told:
                moment.say(in_words(moment.images, finding))
            told.add(finding.kind)

    def _look(self, moment: Moment) -> Looks:
        # Said here too: these modules learn, and a pass with gradients would leave its normalised weights to the next step.
        with torch.inference_mode():
            pictures = render(
                moment.live(),
                PICTURES,
                seed=self.config.seed,
                weights=self.weights,
                device=self.device,
                precision=self.precision,
                stream="grid",
            )
            return look(np.concatenate(list(pictures)))

    def _news(self, folder: RunFolder) -> Iterator[tuple[int, dict[str, float]]]:
        """Looks made of the lines that came since it was asked last."""
        files = (folder.metrics_file, folder.evaluations_file, folder.signals_file)
        parts = [read_lines(file, self._read.get(file, 0)) for file in files]
        self._read = {file: file.stat().st_size for file in files if file.exists()}
        return looks(*parts)

    def _answer(self, finding: Finding) -> Answer:
        wanted = self.config.on_collapse
        if wanted is None:
            return CONTINUE
        verdict = Verdict.STOP if wanted == "stop" else Verdict.ROLL_BACK
        return Answer(verdict, f"collapse: {finding.sentence}", finding.since)

    def state_dict(self) -> dict[str, Any]:
        """When it looked last, and what the fixed latents looked like; what the detector knows is in the run's files."""
        before = None if self._before is None else torch.from_numpy(self._before)
        return {"looked_at": self._looked_at, "before": before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`; the run's files must be as they were then."""
        self._looked_at = state["looked_at"]
        self._before = None if state["before"] is None else state["before"].numpy()
        self._detector, self._read = Detector(self.config), {}


def in_words(images: int, finding: Finding) -> str:
    """What people read when a finding begins."""
    lines = [f"{images:,} pictures: {finding.severity}: {finding.sentence}."]
    return "\n".join([*lines, *(f"    - {help}" for help in finding.helps[:MOST_HELPS])])


def _append(path: Path, line: dict[str, Any]) -> None:
    with disk_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
