"""What an evaluation says: scores with all that they depend on, as `evaluation.json` and as a table for people.

docs/reference/evaluation.md explains each score; docs/reference/evaluation.schema.json is `schema()` as a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ganvas.config.run import RunConfig
from ganvas.metrics.artefacts import Artefacts
from ganvas.metrics.memorisation import MiFid
from ganvas.metrics.path_length import PathLength
from ganvas.metrics.spectrum import SpectrumDifference
from ganvas.notebook import Shown

FORMAT = "ganvas-evaluation"
VERSION = 2
"""Version 1, of ganvas before intervals, had fd, kid, precision and recall, and said neither format nor version."""
FEW = 2048
"""Below so many pictures a Frechet distance is mostly bias (Heusel et al. 2017 ask for that many; 10,000 are better)."""
_PUBLISHED = "inception-2015"
_SCHEMA = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class About:
    """What a score is called, what it says in a sentence, which way is better, and how it is written."""

    name: str
    sentence: str
    better: Literal["lower", "higher"]
    show: Callable[[float], str]
    brief: str


def _plain(value: float) -> str:
    return f"{value:.2f}"


def _thousandths(value: float) -> str:
    return f"{1000 * value:.3f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


ABOUT = {
    "fd": About(
        "FD",
        "Frechet distance between the features of new and real pictures: lower is better, 0 is the same distribution.",
        "lower",
        _plain,
        "distance between distributions: lower is better, 0 is the same",
    ),
    "fid": About(
        "FID",
        "Frechet Inception Distance: lower is better, 0 is the same distribution.",
        "lower",
        _plain,
        "distance between distributions: lower is better, 0 is the same",
    ),
    "fd_infinity": About(
        "FD-infinity",
        "The Frechet distance that infinitely many new pictures would have: lower is better; it does not depend on how many were made.",
        "lower",
        _plain,
        "the same, extrapolated to infinitely many generated pictures",
    ),
    "kid": About(
        "KID",
        "Kernel distance (squared MMD) of the same features, unbiased, so fit for few pictures: lower is better.",
        "lower",
        _thousandths,
        "another distance, fit for few pictures: lower is better, 0 is the same",
    ),
    "precision": About(
        "Precision",
        "Share of new pictures that look like real ones: higher is better, 1 is all.",
        "higher",
        _percent,
        "generated pictures that look like real ones",
    ),
    "recall": About(
        "Recall",
        "Share of real pictures that the generator could have made: higher is better; low when it repeats itself.",
        "higher",
        _percent,
        "real pictures whose like is generated",
    ),
    "density": About(
        "Density",
        "How densely new pictures lie among real ones: about 1 is as real ones do, below is worse; outliers move it little.",
        "higher",
        _plain,
        "how densely generated pictures lie among real ones: about 1 is as real ones do",
    ),
    "coverage": About(
        "Coverage",
        "Share of real pictures that have a new one near: higher is better; low when whole kinds of pictures are never made.",
        "higher",
        _percent,
        "real pictures that have a generated one near",
    ),
    "inception_score": About(
        "IS",
        "Inception Score: higher is better; it compares with no real pictures.",
        "higher",
        _plain,
        "sure and varied classes: higher is better",
    ),
    "is_on_features": About(
        "IS on these features",
        "The Inception Score's formula on another network's classes: higher is better; it compares with no published IS.",
        "higher",
        _plain,
        "the Inception Score's formula on another network: no published IS",
    ),
}


def class_score_name(features: str) -> str:
    """What the Inception Score on these features may be called: plain IS is that of Inception, which published ones are of."""
    return "IS" if features == _PUBLISHED else f"IS on {features}"


class Score(BaseModel):
    """A number and what it depends on: two scores compare only where all of that is the same."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float | None = Field(default=None, description="lower end of the interval over the generated pictures; absent: none is known")
    high: float | None = Field(default=None, description="upper end of the interval")
    confidence: float | None = Field(default=None, description="of the interval, such as 0.95")
    features: str = Field(description="the network whose features, or logits, are compared")
    n: int = Field(description="generated pictures that it is of")
    split: str = Field(description="the real pictures that it compares with")
    resizer: str = Field(description="how pictures get to the network's size")
    reference_n: int | None = Field(default=None, description="real pictures that it compares with; absent where there is no comparison")
    std: float | None = Field(default=None, description="standard deviation over the subsets of KID or the splits of IS, as published")
    k: int | None = Field(default=None, description="neighbours, of precision, recall, density and coverage")
    points: list[tuple[int, float]] | None = Field(
        default=None, description="of FD-infinity: generated pictures, and the mean distance of as many, to which the line was fitted"
    )

    def written(self, key: str) -> str:
        """The value for people, with the interval where there is one."""
        show = ABOUT[key].show
        return show(self.value) + (f" ({show(self.low)} to {show(self.high)})" if self.low is not None and self.high is not None else "")


class ClassScores(BaseModel):
    """The distances of one class."""

    model_config = ConfigDict(frozen=True)

    name: str
    fd: Score
    kid: Score


class PerClass(BaseModel):
    """Distances between the generated and the real pictures of each class, of equally many of each, so that classes compare."""

    model_config = ConfigDict(frozen=True)

    n: int | None = Field(default=None, description="pictures of each class on either side; absent where no class has enough")
    least: int = Field(description="pictures that a class must have on either side")
    classes: list[ClassScores] = Field(description="worst KID first")
    too_few: dict[str, tuple[int, int]] = Field(description="classes left out: generated and real pictures that there are")


class YardstickScores(BaseModel):
    """Scores of one set of pictures against the training pictures."""

    model_config = ConfigDict(frozen=True)

    fd: Score
    kid: Score
    precision: Score
    recall: Score
    density: Score
    coverage: Score


class Yardstick(BaseModel):
    """What real pictures score that were held out of training, and as many generated ones: no generator can do much better."""

    model_config = ConfigDict(frozen=True)

    split: str = Field(description="the split that the held-out pictures are of")
    n: int = Field(description="pictures of either kind")
    held_out: YardstickScores
    generated: YardstickScores


class GivenPictures(BaseModel):
    """Pictures that were given, rather than drawn from a run."""

    model_config = ConfigDict(frozen=True)

    path: str
    kind: str = Field(description="folder, zip, tar, packed, array, ...")
    found: int = Field(description="pictures that there are, of which some may be left out")
    unreadable: int = Field(description="files that could not be read as pictures")
    sizes: list[str] = Field(description="widths and heights, the commonest first, at most five")
    classes: list[str] = Field(default=[], description="classes of their folders or names, where these are the data set's")


class Evaluation(Shown, BaseModel):
    """The scores of one set of generated pictures: the contents of evaluation.json. Keys that are not known are to be ignored."""

    model_config = ConfigDict(frozen=True)

    format: Literal["ganvas-evaluation"] = FORMAT
    version: Literal[2] = VERSION
    fd: Score = Field(description="Frechet distance; with the features of Inception-2015 this is FID")
    fid: Score | None = Field(default=None, description="the same as fd, with the features of Inception-2015 only")
    fd_infinity: Score | None = Field(default=None, description="FD extrapolated to infinitely many generated pictures; absent of too few")
    kid: Score
    precision: Score
    recall: Score
    density: Score | None = None
    coverage: Score | None = None
    inception_score: Score | None = Field(default=None, description="on the logits of Inception-2015 only")
    is_on_features: Score | None = Field(default=None, description="the same formula on the logits of another network; no published IS")
    per_class: PerClass | None = None
    yardstick: Yardstick | None = None
    mifid: MiFid | None = Field(default=None, description="MiFID, where there are at most 10,000 training pictures")
    spectrum: SpectrumDifference | None = Field(
        default=None, description="power by frequency, beside that of real pictures of the same size"
    )
    artefacts: Artefacts | None = Field(default=None, description="checkerboards, saturated blobs and empty pictures, beside real ones")
    path_length: PathLength | None = Field(default=None, description="of a run: how smoothly pictures change along paths between latents")
    features_identity: str = Field(description="network, layer, checksum of the weights, resizer and precision")
    data_checksum: str = Field(description="of the data set with the real pictures")
    data: str | None = Field(default=None, description="where that data set is")
    dim: int = Field(description="numbers that describe a picture")
    seconds: float = Field(description="what the evaluation took, reading or drawing the pictures included")
    checkpoint: str | None = Field(default=None, description="of a run: best or last")
    checkpoint_checksum: str | None = Field(default=None, description="SHA-256 of the checkpoint's manifest")
    images: int | None = Field(default=None, description="of a run: pictures that the checkpoint was trained on")
    seed: int | None = Field(default=None, description="of a run: that the pictures were drawn with")
    noise: float | None = Field(default=None, description="of a run that is told codes: deviation of the noise on them")
    pictures: GivenPictures | None = None
    notes: list[str] = Field(default=[], description="what was done with the pictures that a reader may not expect")
    warnings: list[str] = Field(default=[], description="what makes the scores less than they look")

    @property
    def is_fid(self) -> bool:
        """Whether `fd` is what publications call FID."""
        return self.fd.features == _PUBLISHED

    def scores(self) -> dict[str, Score]:
        """The scores that there are, by their keys in the order of `ABOUT`."""
        found = {name: getattr(self, name) for name in ABOUT}
        return {name: score for name, score in found.items() if score is not None}

    def to_json(self) -> dict[str, Any]:
        """What evaluation.json holds: `{"fd": {"value", "low", "high", "features", "n", ...}, "kid": ..., ...}`."""
        found = self.model_dump(mode="json", exclude_none=True)
        return found | {"warnings": self.cautions()}

    def cautions(self) -> list[str]:
        """What makes the scores less than they look."""
        found = list(self.warnings)
        fewest = min(self.fd.n, self.fd.reference_n or self.fd.n)
        if fewest < max(FEW, self.dim):
            sides = f"{self.fd.n:,} generated and {self.fd.reference_n:,} real pictures"
            found.append(
                f"{self._fd_name} of {sides} is too high and compares only with others of as many: give it {max(FEW, self.dim):,} or more"
            )
        if self.precision.n < 1000:
            found.append(f"precision, recall, density, coverage and KID of {self.precision.n:,} pictures are coarse")
        if (yard := self.yardstick) is not None and _surely_below(yard.generated.kid, yard.held_out.kid):
            found.append(
                "the generated pictures are nearer to the training pictures than real ones that were held out: they may be copies, "
                "or the held-out pictures of another kind"
            )
        return list(dict.fromkeys(found))

    def summary(self) -> str:
        """A table for people, what the numbers mean and what to beware of."""
        rows = []
        for key, score in self.scores().items():
            if key == "fd" and self.is_fid:
                continue
            about = ABOUT[key]
            interval = "" if score.low is None or score.high is None else f"{about.show(score.low)} to {about.show(score.high)}"
            real = "-" if score.reference_n is None else format(score.reference_n, ",")
            rows.append((self._called(key), about.show(score.value), interval, f"{score.n:,}", real, about.brief))
        head = ("score", "value", "95% interval", "generated", "real", "meaning")
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(5)]
        lines = [
            f"{row[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(row[1:5], widths[1:], strict=True)) + f"  {row[5]}"
            for row in (head, *rows)
        ]
        lines += self._yardstick_lines() + self._class_lines() + self.sentences()
        lines.append(f"Features: {self.fd.features}; pictures resized by {self.fd.resizer}; compared with the {self.fd.split} pictures.")
        lines += [f"{note[:1].upper()}{note[1:]}." for note in self.notes]
        if not self.is_fid:
            lines.append("FD on these features is no FID: it compares with other ganvas runs on the same data, and with no published FID.")
        lines += [f"Beware: {caution}." for caution in self.cautions()]
        return "\n".join(lines)

    def sentences(self) -> list[str]:
        """What was seen beside the scores: MiFID, spectrum, artefacts, path length; one sentence each."""
        found = [] if self.mifid is None else [self.mifid.sentence()]
        found += [] if self.spectrum is None else [self.spectrum.sentence()]
        found += [] if self.artefacts is None else self.artefacts.sentences()
        return found + ([] if self.path_length is None else [self.path_length.sentence()])

    def _called(self, key: str) -> str:
        if key in ("inception_score", "is_on_features"):
            return class_score_name(self.fd.features)
        name = ABOUT[key].name
        if key == "fd_infinity" and self.is_fid:
            return "FID-infinity"
        if key == "kid":
            return "KID x 1000"
        return name if name.isupper() or "-" in name else name.lower()

    def _yardstick_lines(self) -> list[str]:
        if (yard := self.yardstick) is None:
            return []
        keys = ("fd", "kid", "precision", "recall", "density", "coverage")
        rows = [["", *map(self._called, keys)]]
        for who, scores in (("held-out real", yard.held_out), ("generated", yard.generated)):
            rows.append([f"{who} pictures", *(ABOUT[key].show(getattr(scores, key).value) for key in keys)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"Yardstick: a perfect generator would score about as held-out real pictures do ({yard.n:,} of either kind)"]
        for who, *cells in rows:
            line = f"  {who:<{widths[0]}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True))
            lines.append(line)
        return lines

    def _class_lines(self) -> list[str]:
        if (per := self.per_class) is None:
            return []
        few = f"{len(per.too_few)} of {len(per.too_few) + len(per.classes)} classes have fewer than {per.least} pictures on a side"
        if not per.classes:
            return [f"By class: none has enough ({few})."]
        shown = per.classes if len(per.classes) <= 12 else [*per.classes[:6], *per.classes[-6:]]
        cells = [f"{c.name} {ABOUT['fd'].show(c.fd.value)} / {ABOUT['kid'].show(c.kid.value)}" for c in shown]
        if len(shown) < len(per.classes):
            cells.insert(6, "...")
        lines = [f"By class, worst first, {per.n:,} pictures each, {self._fd_name} / KID x 1000: {', '.join(cells)}"]
        return lines + ([f"  ({few}.)"] if per.too_few else [])

    @property
    def _fd_name(self) -> str:
        return "FID" if self.is_fid else "FD"


def _surely_below(a: Score, b: Score) -> bool:
    return a.high is not None and b.low is not None and a.high < b.low


def schema() -> dict[str, Any]:
    """The JSON schema of evaluation.json."""
    return {"$schema": _SCHEMA, **Evaluation.model_json_schema(mode="serialization")}


def judged_by_itself(config: RunConfig, features: str) -> str | None:
    """A caution where features of the same family as those that score a run are in its loss; None where none are.

    A generator that learns to please a network pleases it more than it pleases people (Kynkaanniemi et al. 2023, arXiv
    2203.06026): its scores on that network, and on its siblings, are too good.
    """
    used = [name for name in config.family.backbones if _family(name) == _family(features)]
    if not used:
        return None
    others = "inception or dinov2" if _family(features) not in ("inception", "dinov2") else "another family"
    return (
        f"the run was trained with {' and '.join(used)} in its loss and is judged by {features}, of the same family, which flatters it: "
        f"compare on --features of {others}"
    )


def _family(features: str) -> str:
    """`efficientnet` of `efficientnet-lite0`, and so on."""
    return features.partition("-")[0].lower()


if __name__ == "__main__":  # python -m ganvas.metrics.scores > docs/reference/evaluation.schema.json
    import json
    import sys

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
