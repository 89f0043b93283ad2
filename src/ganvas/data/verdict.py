"""Whether a data set is big and uniform enough to train on, with the reasons, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["good", "care", "bad"]
MARKS: dict[Kind, str] = {"good": "+", "care": "!", "bad": "-"}
# From good to bad: the order says which is worse.
ANSWERS: dict[Kind, str] = {"good": "Yes", "care": "Yes, with care", "bad": "Not as it is"}


@dataclass(frozen=True)
class Reason:
    """One thing that speaks for a data set, asks for care, or speaks against it."""

    kind: Kind
    text: str

    @property
    def mark(self) -> str:
        """The kind as one character."""
        return MARKS[self.kind]


@dataclass(frozen=True)
class Verdict:
    """The answer, as bad as the worst of its reasons."""

    kind: Kind
    answer: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Facts:
    """What the verdict depends on; shares are of the training pictures, from 0 to 1."""

    pictures: int
    resolution: int
    crop: str
    counts: dict[str, int]
    """Pictures of each class; empty without labels."""
    exact: float
    """Share that have the pixels of an earlier picture."""
    near: float
    """Share that are only nearly an earlier picture."""
    shared: int
    """Held-out pictures that are in train, too."""
    smaller: float
    """Share that had to be enlarged."""
    lost: float | None
    """Mean share of the area outside of the centred square."""
    flat: float
    grey: float
    aligned: float


def judge(facts: Facts) -> Verdict:
    """The verdict on a data set."""
    reasons = [reason for rule in _RULES if (reason := rule(facts)) is not None]
    reasons.sort(key=lambda reason: list(ANSWERS).index(reason.kind), reverse=True)
    worst = reasons[0].kind
    return Verdict(worst, ANSWERS[worst], tuple(reasons))


def balance_in_words(counts: dict[str, int]) -> str:
    """How the classes compare in size."""
    if not counts:
        return "none: the pictures have no labels"
    if len(counts) == 1:
        ((name, count),) = counts.items()
        return f"one, {name}, of {count:,} pictures"
    (small, few), (large, many) = (pick(counts.items(), key=lambda pair: pair[1]) for pick in (min, max))
    if few == many:
        return f"{len(counts)}, perfectly balanced: each has {few:,} training pictures"
    if few == 0:
        return f"{len(counts)}, imbalanced: {small} has no training picture, {large} has {many:,}"
    ratio = many / few
    if ratio < 1.2:
        return f"{len(counts)}, balanced: each has {few:,} to {many:,} training pictures"
    word = "somewhat imbalanced" if ratio < 3 else "imbalanced" if ratio < 10 else "badly imbalanced"
    return f"{len(counts)}, {word}: {large} has {ratio:.1f} times as many as {small} ({many:,} against {few:,})"


def _enough(facts: Facts) -> Reason:
    n = facts.pictures
    if n < 200:
        return Reason("bad", f"{n:,} training pictures are too few: a generator would learn them by heart; gather 1,000 or more")
    if n < 2_000:
        return Reason(
            "care",
            f"{n:,} training pictures are few: the discriminator will know them by heart; use DiffAugment, flips and crops, "
            "and watch its accuracy on held-out pictures",
        )
    if n < 10_000:
        return Reason("good", f"{n:,} training pictures are enough for one kind of subject; DiffAugment helps with fewer than 10,000")
    return Reason("good", f"{n:,} training pictures are plenty for {facts.resolution} pixels")


def _balance(facts: Facts) -> Reason | None:
    if len(facts.counts) < 2:
        return None
    few, many = min(facts.counts.values()), max(facts.counts.values())
    words = f"classes are {balance_in_words(facts.counts).partition(', ')[2]}"
    if few == 0 or many >= 10 * few:
        return Reason("care", f"{words}; a conditional generator will neglect the small ones: thin the large ones with --limit")
    if many >= 2 * few:
        return Reason("care", f"{words}; fakes of each class are drawn as often as the data has it, unless fake_labels is uniform")
    if few < 50:
        return Reason(
            "care", f"the smallest class has {few} {'picture' if few == 1 else 'pictures'}: too few to learn it apart from the others"
        )
    return Reason("good", words)


def _copies(facts: Facts) -> Reason:
    share = f"{facts.exact:.1%} of the pictures repeat another exactly, {facts.near:.1%} nearly"
    if facts.exact > 0.1:
        return Reason("bad", f"{share}: the generator will repeat them, too; remove the copies")
    if facts.exact + facts.near > 0.02:
        return Reason("care", f"{share}: what is repeated counts more than the rest, and there is less variety than the number says")
    return Reason("good", f"hardly any picture repeats another ({facts.exact + facts.near:.1%})")


def _shared(facts: Facts) -> Reason | None:
    if not facts.shared:
        return None
    return Reason("care", f"{facts.shared:,} held-out pictures are in train, too: scores on held-out pictures will flatter")


def _smaller(facts: Facts) -> Reason:
    text = f"{facts.smaller:.1%} of the pictures were smaller than {facts.resolution} pixels and enlarged"
    if facts.smaller > 0.5:
        return Reason("care", f"{text}: the generator will learn to blur as they do; train at a lower resolution")
    if facts.smaller > 0.1:
        return Reason("care", f"{text}: sharp and blurred ones mix")
    return Reason("good", f"the pictures were large enough for {facts.resolution} pixels" + (f" ({text})" if facts.smaller else ""))


def _proportions(facts: Facts) -> Reason | None:
    if facts.lost is None or facts.lost < 0.25 or facts.crop == "box":
        return None
    if facts.crop == "center":
        return Reason(
            "care", f"cropping to the centre cuts away {facts.lost:.0%} of the area on average: look whether subjects are cut off"
        )
    return Reason("care", "stretching to a square distorts proportions by much: --crop center keeps them")


def _uniform(facts: Facts) -> Reason:
    share = f"the mean picture explains {facts.aligned:.0%} of all variation"
    if facts.aligned < 0.02 and facts.pictures < 10_000:
        crop = "" if facts.crop == "box" else "; crop to the subject (--crop box), or choose a class"
        return Reason("care", f"{share}: subjects stand anywhere, before anything, which takes many pictures to learn{crop}")
    if facts.aligned < 0.1:
        return Reason("good", f"{share}: pictures have no layout in common, as with most photographs")
    return Reason("good", f"{share}: pictures share a layout, which is easy to learn")


def _flat(facts: Facts) -> Reason | None:
    if facts.flat <= 0.001:
        return None
    kind: Kind = "bad" if facts.flat > 0.25 else "care"
    return Reason(kind, f"{facts.flat:.1%} of the pictures are of one colour and show nothing: remove them")


def _grey(facts: Facts) -> Reason | None:
    if facts.grey < 0.02 or facts.grey > 0.98:
        return None
    return Reason("care", f"{facts.grey:.0%} of the pictures are without colour: the generator will make such, too")


_RULES: tuple[Callable[[Facts], Reason | None], ...] = (_enough, _balance, _copies, _shared, _smaller, _proportions, _uniform, _flat, _grey)
