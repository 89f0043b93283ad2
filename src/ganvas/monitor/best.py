"""Scores while training: the checkpoint with the lowest KID is kept as `checkpoints/best`.

Where that copies training pictures, the one with the lowest KID of those that did not is kept as `checkpoints/fresh`.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganvas.artifact import disk_errors
from ganvas.config.run import EvaluationConfig
from ganvas.features.backbone import FeatureNetwork
from ganvas.metrics.copy_watch import CopyWatch, WatchedCopies
from ganvas.metrics.quick import quick_scores
from ganvas.metrics.reference import Reference
from ganvas.runs import read_json
from ganvas.sampling.render import render
from ganvas.training.checkpoint import duplicate
from ganvas.training.hooks import CONTINUE, Answer, Moment

EVALUATIONS = 10
"""Evaluations in a run whose config does not say how often."""
SHARE = 0.06
"""Share of a budget that evaluations may take."""
FEWEST = 500
"""Samples of an evaluation in a run whose budget can't afford more."""


class BestCheckpoint:
    """KID of samples of the averages from fixed seeds, each time it is due and at the end."""

    name = "best_checkpoint"

    def __init__(
        self,
        config: EvaluationConfig,
        net: FeatureNetwork,
        reference: Reference,
        *,
        seed: int,
        device: torch.device,
        precision: str,
        weights: Tensor | None,
        budget: float | None,
        seconds_per_picture: float,
        copies: CopyWatch | None = None,
    ):
        """`seconds_per_picture`: what features cost here, measured. A budget gets as many evaluations and samples as it can afford.

        `copies`: what near-copies of training pictures are looked for with; None: they are not.
        """
        self.config, self.net, self.reference, self.copies = config, net, reference, copies
        self.seed, self.device, self.precision, self.weights = seed, device, precision, weights
        self._samples = config.samples
        if budget is not None:
            affordable = int(SHARE * budget / max(seconds_per_picture, 1e-9))
            self._samples = min(config.samples, max(FEWEST, affordable))
        self._cost = self._samples * seconds_per_picture
        self._times = EVALUATIONS
        if budget is not None:
            self._times = max(1, min(EVALUATIONS, int(SHARE * budget / max(self._cost, 1e-9))))
        self._done_at = 0
        self.best: dict[str, float] | None = None
        self.fresh: dict[str, float] | None = None
        """The lowest KID among looks that found no more near-copies than usual; None as well where there was no look for them."""

    def _interval(self, total: int) -> int:
        return self.config.every or max(1, total // self._times)

    def due(self, images: int, total: int | None) -> bool:
        """At each interval; the last one falls to the end of the run, which calls without asking."""
        if total is None or total - images < self._interval(total) // 2:
            return False
        return images - self._done_at >= self._interval(total)

    def cost(self) -> float:
        """Seconds of the last evaluation, or an estimate before the first."""
        return self._cost

    def remaining(self, images: int, total: int) -> int:
        """Evaluations still to come before the end."""
        return max(0, (total - max(images, self._done_at)) // self._interval(total) - 1)

    def __call__(self, moment: Moment) -> Answer:
        """Evaluate; save `best` if it is, `fresh` where that copies and this does not."""
        started = time.perf_counter()
        batches = render(
            moment.sampler(),
            self._samples,
            seed=self.seed,
            weights=self.weights,
            device=self.device,
            precision=self.precision,
            stream="evaluation",
        )
        kept: list[Tensor] = []
        scores = quick_scores(batches if self.copies is None else self.copies.watch(batches, kept), self.reference, self.net)
        value = scores.kid
        self._done_at = moment.images
        moment.score(value)
        line: dict[str, Any] = {"images": moment.images, "seconds": round(moment.seconds, 3), "kid": value}
        line |= {name: share for name, share in (("precision", scores.precision), ("recall", scores.recall)) if share is not None}
        copies = None if self.copies is None else self.copies.found(kept)
        if copies is not None:
            line |= {"near_copies": copies.share, "near_copies_usual": copies.usual}
        line |= {"features": self.net.name, "n": self._samples}
        path = moment.folder.evaluations_file
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._keep(moment, value, copies)
        self._cost = time.perf_counter() - started
        mark = " (the best so far)" if self.best is not None and self.best["images"] == moment.images else ""
        moment.say(f"{moment.images:,} pictures: KID {value:.4f} on {self.net.name}{mark}")
        return CONTINUE

    def _keep(self, moment: Moment, kid: float, copies: WatchedCopies | None) -> None:
        """Save what this look makes worth it.

        `fresh` is a folder of its own only while the best checkpoint copies: before that, it is the best one.
        """
        now: dict[str, float] = {"images": moment.images, "kid": kid}
        best, fresh = moment.folder.checkpoints / "best", moment.folder.checkpoints / "fresh"
        lowest = self.best is None or kid < self.best["kid"]
        if copies is not None and not copies.beyond_usual and (self.fresh is None or kid < self.fresh["kid"]):
            self.fresh = now
            if not lowest:
                moment.save("fresh")
        elif lowest and self.fresh is not None and self.fresh == self.best and _images(best) == self.fresh["images"]:
            duplicate(best, fresh)
        if lowest:
            self.best = now
            moment.save("best")
            if self.fresh == now:
                # An older one is behind this in both.
                shutil.rmtree(fresh, ignore_errors=True)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {"best": self.best, "fresh": self.fresh, "done_at": self._done_at, "samples": self._samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`."""
        self.best, self._done_at = state["best"], state["done_at"]
        self._samples, self.fresh = state.get("samples", self._samples), state.get("fresh")


def _images(path: Path) -> int | None:
    """After how many pictures a checkpoint was made: a run that was killed and resumed may find a later one than it remembers."""
    return (read_json(path / "state.json") or {}).get("images")
