"""Scores of generated pictures against real ones, each with all that it depends on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.frechet import LEAST_PER_DIM, Frechet, fd_infinity
from ganvas.metrics.gather import Gathered
from ganvas.metrics.inception_score import inception_score
from ganvas.metrics.intervals import CONFIDENCE, Interval, bootstrap
from ganvas.metrics.kernel import kid, mmd2_influence
from ganvas.metrics.manifold import DENSITY_NEIGHBOURS, NEIGHBOURS, Manifold, manifold_scores
from ganvas.metrics.memorisation import MiFid, mifid
from ganvas.metrics.moments import Moments
from ganvas.metrics.reference import FEATURES_CAP, Reference, check_reference, reference
from ganvas.metrics.scores import FEW, ClassScores, Evaluation, PerClass, Score, Yardstick, YardstickScores
from ganvas.progress import Progress

__all__ = ["Classes", "Evaluation", "HeldOut", "Reference", "Score", "evaluate", "reference"]

Batch = np.ndarray | Tensor | tuple[np.ndarray | Tensor, Tensor]
"""uint8 (b, H, W, 3), alone or with the pictures' class indices (b,)."""

_BLOCK = 512
# Rows of logits that are kept: as many as published Inception Scores use.
_LOGITS_CAP = 50_000
YARDSTICK_LEAST = 100
"""Held-out pictures below which they are no yardstick."""
YARDSTICK_MOST = 2_048
CLASS_LEAST = 100
"""Pictures of a class, on either side, below which it has no distance of its own."""


@dataclass(frozen=True)
class Classes:
    """The data set's classes: their names, and the class (m,) of each row of the reference's features."""

    names: Sequence[str]
    real: Tensor


@dataclass(frozen=True)
class HeldOut:
    """Real pictures that were not trained on: their split's name and their features (n, d), in random order."""

    split: str
    features: Tensor


def evaluate(
    batches: Iterable[Batch],
    ref: Reference,
    net: FeatureNetwork,
    *,
    classes: Classes | None = None,
    held_out: HeldOut | None = None,
    brief: bool = False,
    total: int | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Score generated pictures, uint8 (b, H, W, 3) in batches of any size, against real ones.

    FD is of all of them. The others are of 10,000 at most, drawn by a fixed seed; those by nearest neighbours of equally
    many real and generated ones. Batches of one size of picture may be followed by others of another.

    Args:
        classes: the real pictures' classes, for distances of each; batches then come with class indices.
        held_out: real pictures to score, too, as what the best generator could reach.
        brief: FD, KID and those by nearest neighbours only.
        total: how many pictures there are, for the progress bar only.

    Raises:
        UsageError: the reference is of other features, or there are too few pictures.
    """
    check_reference(ref, net)
    begun = time.monotonic()
    gathered = gather(batches, net, logits=not brief, total=total, quiet=quiet)
    folds, whole = gathered.moments()
    fewest = DENSITY_NEIGHBOURS + 1
    for count, what in ((whole.n, "generated"), (ref.n, "real")):
        if count < fewest:
            raise UsageError(f"there are {count} {what} pictures: scores need {fewest} at the very least, and {FEW:,} to mean something")
    fake, labels = gathered.sample()
    scoring = _Scoring(ref, net)
    found: dict[str, Any] = scoring.distances(fake, folds, whole, brief=brief, quiet=quiet)
    found |= scoring.neighbours(fake, quiet=quiet)
    if (logits := gathered.logits()) is not None:
        found |= scoring.classification(logits)
    if not brief and len(ref.features) == ref.n:
        found["mifid"] = _mifid(fake, ref, net, held_out)
    yardstick = scoring.yardstick(fake, held_out) if held_out is not None and not brief else None
    per_class = scoring.per_class(fake, labels, classes, quiet) if classes is not None and labels is not None and not brief else None
    return Evaluation(
        **found,
        yardstick=yardstick,
        per_class=per_class,
        features_identity=net.identity,
        data_checksum=ref.checksum,
        dim=net.dim,
        seconds=time.monotonic() - begun,
        warnings=list(net.cautions),
    )


def gather(
    batches: Iterable[Batch], net: FeatureNetwork, *, start: int = 0, logits: bool = False, total: int | None = None, quiet: bool = False
) -> Gathered:
    """The features of pictures start, start + 1, ... of a set, as scores need them; what several workers gathered merges."""
    gathered = Gathered(net.dim, FEATURES_CAP, _LOGITS_CAP)
    index = start
    with Progress("features of generated pictures", total, quiet=quiet) as progress:
        for pixels, labels in reblock(batches, _BLOCK):
            scores = None
            if logits and classifies(net) and index < _LOGITS_CAP:
                features, scores = net.features_and_logits(pixels)
            else:
                features = net.features(pixels)
            gathered.add(index, features, labels, scores)
            index += len(features)
            progress.update(len(features))
    return gathered


def _mifid(fake: Tensor, ref: Reference, net: FeatureNetwork, held_out: HeldOut | None) -> MiFid | None:
    """MiFID, where the reference's features are of all training pictures: copies are looked for one by one."""
    try:
        return mifid(fake, ref, [ref.features], net, None if held_out is None else held_out.features)
    except UsageError:  # features that are all zero have no direction
        return None


def classifies(net: FeatureNetwork) -> bool:
    """Whether a network has logits, be they Inception's or another's."""
    return net.has_inception_logits or net.has_logits


class _Scoring:
    """Scores of rows of features, labelled with what they depend on."""

    def __init__(self, ref: Reference, net: FeatureNetwork):
        self.ref, self.net, self.real = ref, net, Frechet.to(ref.moments)

    def score(self, value: float, n: int, reference_n: int | None, interval: Interval | None = None, **extra: Any) -> Score:
        if interval is not None:
            extra |= {"low": interval.low, "high": interval.high, "confidence": CONFIDENCE}
        net = self.net
        return Score(value=value, features=net.name, n=n, split=self.ref.split, resizer=net.resizer, reference_n=reference_n, **extra)

    def distances(self, fake: Tensor, folds: list[Moments], whole: Moments, *, brief: bool, quiet: bool) -> dict[str, Any]:
        kernel = kid(fake, self.ref.features, quiet=quiet)
        if brief:
            found = self._named(self.score(self.real.distance(whole), whole.n, self.ref.n))
            return found | {"kid": self.score(kernel.value, len(fake), len(self.ref.features), std=kernel.std)}
        with Progress("Frechet distance", None, "steps", quiet=quiet) as progress:
            value, influence = self.real.with_influence(whole, fake)
            progress.update()
            infinity = fd_infinity(self.real, folds, value) if whole.n >= LEAST_PER_DIM * self.net.dim else None
        # The two move together: see `fd_infinity`.
        values = [value, value if infinity is None else infinity.value]
        sure, sure_infinity = bootstrap(values, influence[:, None].expand(-1, 2), whole.n)
        (sure_kernel,) = bootstrap([kernel.value], kernel.influence[:, None])
        found = self._named(self.score(value, whole.n, self.ref.n, sure.within(0)))
        found["kid"] = self.score(kernel.value, len(fake), len(self.ref.features), sure_kernel, std=kernel.std)
        if infinity is not None:
            found["fd_infinity"] = self.score(infinity.value, whole.n, self.ref.n, sure_infinity, points=list(infinity.points))
        return found

    def _named(self, fd: Score) -> dict[str, Score]:
        return {"fd": fd, "fid": fd} if self.net.has_inception_logits else {"fd": fd}

    def neighbours(self, fake: Tensor, *, quiet: bool = True) -> dict[str, Score]:
        n = min(len(fake), len(self.ref.features))
        return self._shares(manifold_scores(self.ref.features[:n], fake[:n], quiet=quiet), n)

    def _shares(self, found: Manifold, n: int) -> dict[str, Score]:
        ks = {"precision": NEIGHBOURS, "recall": NEIGHBOURS, "density": DENSITY_NEIGHBOURS, "coverage": DENSITY_NEIGHBOURS}
        shares = {name: getattr(found, name) for name in ks}
        return {name: self.score(share.value, n, n, share.interval, k=ks[name]) for name, share in shares.items()}

    def classification(self, logits: Tensor) -> dict[str, Score]:
        found = inception_score(logits)
        (sure,) = bootstrap([found.value], found.influence[:, None])
        key = "inception_score" if self.net.has_inception_logits else "is_on_features"
        return {key: self.score(found.value, len(logits), None, sure.within(1), std=found.std)}

    def yardstick(self, fake: Tensor, held_out: HeldOut) -> Yardstick | None:
        """Held-out pictures and as many generated ones, each against the training pictures; None where there are too few."""
        n = min(len(fake), len(self.ref.features), len(held_out.features), YARDSTICK_MOST)
        if n < YARDSTICK_LEAST:
            return None
        return Yardstick(split=held_out.split, n=n, held_out=self._few(held_out.features[:n]), generated=self._few(fake[:n]))

    def _few(self, rows: Tensor) -> YardstickScores:
        n = len(rows)
        fd, kid = self._pair(self.real, rows, self.ref.features[:n], self.ref.n)
        return YardstickScores(fd=fd, kid=kid, **self.neighbours(rows))

    def _pair(self, real: Frechet, rows: Tensor, real_rows: Tensor, reference_n: int) -> tuple[Score, Score]:
        """FD to `real`, of `reference_n` pictures, and KID of all pairs with `real_rows`."""
        n = len(rows)
        distance, moved = real.of_rows(rows)
        kernel, also_moved = mmd2_influence(rows, real_rows)
        sure, sure_kernel = bootstrap([distance, kernel], torch.stack([moved, also_moved], 1))
        return self.score(distance, n, reference_n, sure.within(0)), self.score(kernel, n, len(real_rows), sure_kernel)

    def per_class(self, fake: Tensor, labels: Tensor, classes: Classes, quiet: bool) -> PerClass:
        """FD and KID of each class that has enough of the kept pictures, of equally many each."""
        sides = {name: [(side == i).nonzero()[:, 0] for side in (labels, classes.real)] for i, name in enumerate(classes.names)}
        enough = {name: pair for name, pair in sides.items() if min(map(len, pair)) >= CLASS_LEAST}
        n = min((min(map(len, pair)) for pair in enough.values()), default=None)
        scores = []
        with Progress("classes", len(enough), "classes", quiet=quiet) as progress:
            for name, (made, real) in enough.items():
                rows = self.ref.features[real[:n]]
                fd, kernel = self._pair(Frechet.to_rows(rows), fake[made[:n]], rows, len(rows))
                scores.append(ClassScores(name=name, fd=fd, kid=kernel))
                progress.update()
        scores.sort(key=lambda found: -found.kid.value)
        few = {name: (len(made), len(real)) for name, (made, real) in sides.items() if name not in enough}
        return PerClass(n=n, least=CLASS_LEAST, classes=scores, too_few=few)


def reblock(batches: Iterable[Batch], size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The same uint8 pictures, with their labels, in blocks of exactly `size`, whatever the batches.

    The last block, and the last before pictures of another shape, may be smaller.
    """
    waiting: list[tuple[Tensor, Tensor | None]] = []
    count = 0

    def joined() -> tuple[Tensor, Tensor | None]:
        labels = [part for _, part in waiting if part is not None]
        return torch.cat([pixels for pixels, _ in waiting]), torch.cat(labels) if labels else None

    for batch in batches:
        given, labels = batch if isinstance(batch, tuple) else (batch, None)
        pixels = torch.from_numpy(np.ascontiguousarray(given)) if isinstance(given, np.ndarray) else given
        if waiting and pixels.shape[1:] != waiting[0][0].shape[1:]:
            yield joined()
            waiting, count = [], 0
        while count + len(pixels) >= size:
            split = size - count
            waiting.append((pixels[:split], None if labels is None else labels[:split]))
            yield joined()
            waiting, count = [], 0
            pixels, labels = pixels[split:], None if labels is None else labels[split:]
        if len(pixels):
            waiting.append((pixels, labels))
            count += len(pixels)
    if waiting:
        yield joined()
