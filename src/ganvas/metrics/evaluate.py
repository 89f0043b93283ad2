"""Scores of generated pictures against real ones, each with all that it depends on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.frechet import frechet_distance
from ganvas.metrics.inception_score import inception_score
from ganvas.metrics.kernel import kid, mmd2
from ganvas.metrics.manifold import NEIGHBOURS, precision_recall
from ganvas.metrics.moments import Moments
from ganvas.metrics.reference import FEATURES_CAP, Reference, reference
from ganvas.progress import Progress
from ganvas.rng import uniforms

__all__ = ["Evaluation", "Reference", "Score", "evaluate", "quick_kid", "reference"]

FEW = 2048
"""Below so many pictures a Frechet distance is mostly bias (Heusel et al. 2017 ask for that many; 10,000 are better)."""
_BLOCK = 512
# Rows of logits that are kept: as many as published Inception Scores use.
_LOGITS_CAP = 50_000


class Score(BaseModel):
    """A number and what it depends on: two scores compare only where all of that is the same."""

    model_config = ConfigDict(frozen=True)

    value: float
    features: str
    n: int
    """Generated pictures that it is of."""
    split: str
    """The real pictures that it compares with."""
    resizer: str
    reference_n: int | None = None
    """Real pictures that it compares with; None where there is no comparison."""
    std: float | None = None
    k: int | None = None
    """Neighbours, for precision and recall."""


class Evaluation(BaseModel):
    """The scores of one set of generated pictures."""

    model_config = ConfigDict(frozen=True)

    fd: Score
    """Frechet distance; with the features of Inception-2015 this is FID."""
    kid: Score
    precision: Score
    recall: Score
    inception_score: Score | None = None
    features_identity: str
    """Network, layer, checksum of the weights, resizer and precision."""
    data_checksum: str
    dim: int
    """Numbers that describe a picture."""
    seconds: float

    @property
    def is_fid(self) -> bool:
        """Whether `fd` is what publications call FID."""
        return self.inception_score is not None

    def to_json(self) -> dict[str, dict[str, Any]]:
        """`{"fd": {"value", "features", "n", "split", "resizer", ...}, "kid": ..., "precision": ..., "recall": ...}`.

        With Inception-2015 also `fid` (the same as `fd`) and `inception_score`.
        """
        scores = {"fd": self.fd, "kid": self.kid, "precision": self.precision, "recall": self.recall}
        if self.inception_score is not None:
            scores |= {"fid": self.fd, "inception_score": self.inception_score}
        return {name: score.model_dump(exclude_none=True) for name, score in scores.items()}

    def cautions(self) -> list[str]:
        """What makes the scores less than they look."""
        found = []
        fewest = min(self.fd.n, self.fd.reference_n or self.fd.n)
        if fewest < max(FEW, self.dim):
            sides = f"{self.fd.n:,} generated and {self.fd.reference_n:,} real pictures"
            found.append(
                f"{self._fd_name} of {sides} is too high and compares only with others of as many: give it {max(FEW, self.dim):,} or more"
            )
        if self.precision.n < 1000:
            found.append(f"precision, recall and KID of {self.precision.n:,} pictures are coarse")
        return found

    def summary(self) -> str:
        """A table for people, what the numbers mean and what to beware of."""
        rows = [
            (self._fd_name, f"{self.fd.value:.2f}", self.fd, "distance between distributions: lower is better, 0 is the same"),
            (
                "KID x 1000",
                f"{1000 * self.kid.value:.3f}",
                self.kid,
                f"the same, fit for few pictures (+-{1000 * (self.kid.std or 0):.3f})",
            ),
            ("precision", f"{self.precision.value:.1%}", self.precision, "generated pictures that look like real ones"),
            ("recall", f"{self.recall.value:.1%}", self.recall, "real pictures whose like is generated"),
        ]
        if (score := self.inception_score) is not None:
            rows.append(("IS", f"{score.value:.2f}", score, f"sure and varied classes: higher is better (+-{score.std or 0:.2f})"))
        lines = [f"{'score':<12}{'value':>9}  {'generated':>9}  {'real':>7}  meaning"]
        lines += [
            f"{name:<12}{value:>9}  {score.n:>9,}  {'-' if score.reference_n is None else format(score.reference_n, ','):>7}  {meaning}"
            for name, value, score, meaning in rows
        ]
        lines.append(f"Features: {self.fd.features}; pictures resized by {self.fd.resizer}; compared with the {self.fd.split} pictures.")
        if not self.is_fid:
            lines.append("FD on these features is no FID: it compares with other ganvas runs on the same data, and with no published FID.")
        lines += [f"Beware: {caution}." for caution in self.cautions()]
        return "\n".join(lines)

    @property
    def _fd_name(self) -> str:
        return "FID" if self.is_fid else "FD"


def evaluate(
    batches: Iterable[np.ndarray | Tensor],
    ref: Reference,
    net: FeatureNetwork,
    *,
    total: int | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Score generated pictures, uint8 (b, H, W, 3) in batches of any size, against real ones.

    FD is of all of them. KID, precision and recall are of 10,000 at most, drawn by a fixed seed; precision and recall
    of equally many real and generated ones. `total` is for the progress bar only.

    Raises:
        UsageError: the reference is of other features, or there are too few pictures.
    """
    check_reference(ref, net)
    begun = time.monotonic()
    moments, rows, logits = Moments.empty(net.dim), _Sample(FEATURES_CAP), []
    with Progress("features of generated pictures", total, quiet=quiet) as progress:
        for block in reblock(batches, _BLOCK):
            if net.has_inception_logits and moments.n < _LOGITS_CAP:
                features, classes = net.features_and_logits(block)
                logits.append(classes)
            else:
                features = net.features(block)
            moments.update(features)
            rows.add(features)
            progress.update(len(features))
    fewest = NEIGHBOURS + 1
    for count, what in ((moments.n, "generated"), (ref.n, "real")):
        if count < fewest:
            raise UsageError(f"there are {count} {what} pictures: scores need {fewest} at the very least, and {FEW:,} to mean something")
    fake = rows.take()
    n = min(len(fake), len(ref.features))
    kernel = kid(fake, ref.features, quiet=quiet)
    manifold = precision_recall(ref.features[:n], fake[:n], quiet=quiet)

    def score(value: float, n: int, reference_n: int | None, **extra: Any) -> Score:
        return Score(value=value, features=net.name, n=n, split=ref.split, resizer=net.resizer, reference_n=reference_n, **extra)

    classes = torch.cat(logits) if logits else None
    mean, std = (None, None) if classes is None else inception_score(classes)
    return Evaluation(
        fd=score(frechet_distance(moments, ref.moments), moments.n, ref.n),
        kid=score(kernel.value, len(fake), len(ref.features), std=kernel.std),
        precision=score(manifold.precision, n, n, k=NEIGHBOURS),
        recall=score(manifold.recall, n, n, k=NEIGHBOURS),
        inception_score=None if classes is None or mean is None else score(mean, len(classes), None, std=std),
        features_identity=net.identity,
        data_checksum=ref.checksum,
        dim=net.dim,
        seconds=time.monotonic() - begun,
    )


def quick_kid(batches: Iterable[np.ndarray | Tensor], ref: Reference, net: FeatureNetwork) -> float:
    """KID of all pictures of `batches` against all kept real features at once: no subsets, so nothing is drawn.

    The same quantity in expectation as `Evaluation.kid`, with less variance and much less work; for some 2,000
    pictures while training.

    Raises:
        UsageError: the reference is of other features, or there are fewer than two pictures.
    """
    check_reference(ref, net)
    blocks = [net.features(block) for block in reblock(batches, _BLOCK)]
    rows = torch.cat(blocks) if blocks else torch.empty(0, net.dim)
    return mmd2(rows, ref.features, ref.kernel_within)


def check_reference(ref: Reference, net: FeatureNetwork) -> None:
    """Refuse a reference whose features come from another network, other weights, another resizer or precision.

    Raises:
        UsageError: they do.
    """
    if ref.features_identity != net.identity:
        raise UsageError(
            f"the reference holds features of {ref.features_identity}, expected {net.identity}: make it again with these features"
        )


def reblock(batches: Iterable[np.ndarray | Tensor], size: int) -> Iterator[Tensor]:
    """The same uint8 pictures in blocks of exactly `size` (the last may be smaller), whatever the batches."""
    waiting: list[Tensor] = []
    for batch in batches:
        part = torch.from_numpy(np.ascontiguousarray(batch)) if isinstance(batch, np.ndarray) else batch
        while sum(map(len, waiting)) + len(part) >= size:
            split = size - sum(map(len, waiting))
            yield torch.cat([*waiting, part[:split]])
            waiting, part = [], part[split:]
        if len(part):
            waiting.append(part)
    if waiting:
        yield torch.cat(waiting)


class _Sample:
    """At most `size` rows of a stream, each equally likely: those with the smallest of numbers drawn by position."""

    def __init__(self, size: int):
        self.size = size
        self._count = 0
        self._keys = torch.empty(0, dtype=torch.float64)
        self._rows: list[Tensor] = []

    def add(self, rows: Tensor) -> None:
        """Count rows (n, d) in."""
        self._keys = torch.cat([self._keys, uniforms(0, "evaluation sample", self._count, len(rows), 1)[:, 0]])
        self._count += len(rows)
        self._rows.append(rows)
        if len(self._keys) >= 2 * self.size:
            self._prune()

    def take(self) -> Tensor:
        """The rows drawn, in random order."""
        self._prune()
        return self._rows[0]

    def _prune(self) -> None:
        chosen = self._keys.argsort()[: self.size]
        self._keys, self._rows = self._keys[chosen], [torch.cat(self._rows)[chosen]]
