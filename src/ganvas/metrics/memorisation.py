"""Whether a generator copies what it learnt from: MiFID, as Kaggle's "Generative Dog Images" scored it (2019).

d_ij = 1 - |cos(f_gi, f_rj)|, d = mean_i min_j d_ij; d_thr = d if d < eps, else 1; MiFID = FID / (d_thr + 1e-15). The
memorisation distance d is near 0 for copies, and dividing by it punishes them (Bai et al. 2021, arXiv 2106.03062).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional as F

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.frechet import frechet_distance
from ganvas.metrics.moments import Moments
from ganvas.metrics.reference import Reference, check_reference
from ganvas.notebook import Shown

EPSILON = 1e-15
PUBLIC_FEATURES = "inception-2015"
_ROWS, _COLUMNS = 2048, 8192


class Board(BaseModel):
    """One of the competition's two leaderboards."""

    model_config = ConfigDict(frozen=True)

    name: str
    eps: float
    defined_on: str
    """The features that its threshold was set for."""


BOARDS = (Board(name="public", eps=0.1, defined_on=PUBLIC_FEATURES), Board(name="private", eps=0.25, defined_on="nasnet"))


class BoardScore(Board):
    """A board's MiFID, and the distance that it divided by."""

    d_thr: float
    value: float


class MiFid(Shown, BaseModel):
    """MiFID with all that it depends on."""

    model_config = ConfigDict(frozen=True)

    public: BoardScore
    private: BoardScore
    fd: float
    """The Frechet distance that is divided: FID where the features are Inception-2015's."""
    d: float
    """Memorisation distance of the generated pictures, 0 (copies) to 1."""
    d_heldout: float | None
    """The same of real pictures that were not trained on: what d is where nothing was copied. None without any."""
    features: str
    resizer: str
    n: int
    """Generated pictures."""
    reference_n: int
    """Real pictures that each was compared with, one by one: all of the split."""
    split: str

    def summary(self) -> str:
        """For people."""
        held = "" if self.d_heldout is None else f" (real pictures that were held out: {self.d_heldout:.4f})"
        lines = [f"MiFID    {_board(self.public)}; {_board(self.private)}"]
        lines.append(f"d        {self.d:.4f}{held}; {self.fd_name} {self.fd:.2f} on {self.features}, {self.n:,} pictures")
        if self.features != PUBLIC_FEATURES:
            lines.append(
                f"The boards used Inception-2015 and NASNet; this is {self.features}, on which neither threshold was set: "
                "it compares ganvas runs on the same data, and with no leaderboard. A d well below that of held-out pictures means copies."
            )
        return "\n".join(lines)

    def sentence(self) -> str:
        """What it says, for people."""
        held = "" if self.d_heldout is None else f", of real pictures that were held out {self.d_heldout:.3f}"
        return (
            f"MiFID {self.public.value:.1f} by the public board's threshold, {self.private.value:.1f} by the private one's: "
            f"the memorisation distance d is {self.d:.3f}{held}; well below that means copies."
        )

    @property
    def fd_name(self) -> str:
        """What publications call the distance, on these features."""
        return "FID" if self.features == PUBLIC_FEATURES else "FD"


def _board(score: BoardScore) -> str:
    return f"{score.value:,.2f} ({score.name} board's eps {score.eps:g})"


def memorisation_distance(features: Tensor, real: Iterable[Tensor]) -> float:
    """d of features (n, dim) against blocks (b, dim) of all real ones; rows that sum to zero are left out of either.

    Raises:
        UsageError: nothing is left of a side.
    """
    rows = _unit(features)
    nearest = torch.full((len(rows),), -1.0)
    for block in real:
        for part in _unit(block).split(_COLUMNS):
            for start in range(0, len(rows), _ROWS):
                cosine = (rows[start : start + _ROWS] @ part.T).abs()
                if cosine.numel():
                    nearest[start : start + _ROWS] = torch.maximum(nearest[start : start + _ROWS], cosine.amax(1))
    if not len(rows) or bool((nearest < 0).any()):
        raise UsageError("the memorisation distance needs pictures on both sides whose features are not all zero")
    # Rounding makes the cosine of equal rows a little more than 1.
    return float((1 - nearest.double()).clamp_min(0).mean())


def _unit(features: Tensor) -> Tensor:
    rows = features.float()
    return F.normalize(rows[rows.sum(1) != 0], dim=1)


def thresholded(d: float, eps: float) -> float:
    """d_thr: the distance itself where it is below the threshold, else 1."""
    return d if d < eps else 1.0


def mifid(fake: Tensor, ref: Reference, real: Iterable[Tensor], net: FeatureNetwork, heldout: Tensor | None = None) -> MiFid:
    """MiFID of generated features (n, dim).

    Args:
        fake: features of the generated pictures.
        ref: moments of the real ones.
        real: blocks (b, dim) of the features of all real pictures.
        net: the network that made them all.
        heldout: features of real pictures that were not trained on, to see what d is without copies.

    Raises:
        UsageError: the reference is of other features, or there are too few pictures.
    """
    check_reference(ref, net)
    blocks = list(real)
    d = memorisation_distance(fake, blocks)
    fd = frechet_distance(Moments.of(fake), ref.moments)
    scores = {}
    for board in BOARDS:
        d_thr = thresholded(d, board.eps)
        scores[board.name] = BoardScore(**board.model_dump(), d_thr=d_thr, value=fd / (d_thr + EPSILON))
    return MiFid(
        public=scores["public"],
        private=scores["private"],
        fd=fd,
        d=d,
        d_heldout=None if heldout is None or len(heldout) == 0 else memorisation_distance(heldout, blocks),
        features=net.name,
        resizer=net.resizer,
        n=len(fake),
        reference_n=sum(map(len, blocks)),
        split=ref.split,
    )
