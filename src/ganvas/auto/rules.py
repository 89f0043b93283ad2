"""From what is known of pictures and machine to a config: one small function for each decision, each with its reason.

Numbers here come from runs (`benchmarks/quality.md`) or are marked as judgement.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganvas.auto.choice import Reason
from ganvas.auto.pictures import Looks, Sizes
from ganvas.config.family import CHANGES_OF_DRAWINGS, CHANGES_OF_PHOTOGRAPHS

RESOLUTIONS = (128, 64, 32)
"""Those that `auto` has a recipe for, the largest first."""
RECIPES = {128: "codes128", 64: "codes64", 32: "codes32"}
"""For photographs."""
DRAWN = "codes64-drawings"
"""For drawings, at any resolution."""
FLAT = 0.4
"""Flatness from which on pictures count as drawings: photographs of cats, dogs, churches and CIFAR-10 have 0.05 to 0.18, emoji 0.66."""
SMALLEST_SHARE = 0.75
"""Pictures are not enlarged by more than 1 / this (judgement)."""
NEEDED_128 = 400_000
"""Pictures shown below which 128 px is not worth it: at 64 px the same time shows four times as many (judgement)."""
PER_CLASS = 20
"""Pictures of the middle class below which labels are left out (judgement)."""
HANDED = 0.6
"""Share told from their mirror images from which on pictures are not mirrored: for photographs it was 0.50 to 0.55, for
emoji 0.67, for single letters and digits 0.77 to 0.96, each on 200 to 2,000 pictures. Emoji are better learnt as they are:
KID while training 0.418 after 228,192 shown, and 0.495 mirrored after 241,216 (one run each)."""
BATCH = 32
LEAST_LOOKED_AT = 64
GRIDS = 16
"""Grids of fixed latents in a run, for its report's timeline."""
SHARE = 0.9
"""Of a budget that goes into steps, about: the rest is start-up, evaluations, checkpoints and grids."""
OFTEN = {True: 60, False: 40}
"""Times that each drawing (True) or photograph, and its mirror image where that is shown, is learnt before changed ones are, too:
of 3,809 emoji, near-copies were then as usual as among held-out ones; of 200 cats soon after (decision 0007)."""
CHANGES = {True: CHANGES_OF_DRAWINGS, False: CHANGES_OF_PHOTOGRAPHS}
"""How they are changed from then on."""
EMA = 10_000
"""Pictures after which the average has forgotten half, in runs of `20 * EMA` and more."""

Decision = tuple[dict[str, Any], Reason]
"""Dotted keys of a config with their values, and why."""


@dataclass(frozen=True)
class Length:
    """How long a run is: in seconds, or in pictures."""

    text: str
    """As people say it."""
    seconds: float | None
    pictures: Callable[[int], int] | None
    """From how many there are to how many are shown."""


@dataclass(frozen=True)
class Paces:
    """Pictures per second of a run's stretches: of a warm-up, of those compared at one side in turn, and of all after."""

    warming: float
    turning: float
    late: float
    turns: int = 0
    """Pictures that are compared at one side in turn."""

    def seconds(self, shown: int, warm: int) -> float:
        """That so many pictures take in steps, the first of them in a warm-up."""
        turned = min(self.turns, shown - warm)
        return warm / self.warming + turned / self.turning + (shown - warm - turned) / self.late

    def shown(self, seconds: float, warm: int) -> int:
        """Pictures in so many seconds of steps; at least the warm-up's."""
        left = max(0.0, seconds - warm / self.warming)
        turned = min(float(self.turns), left * self.turning)
        return int(warm + turned + (left - turned / self.turning) * self.late)

    def half(self, seconds: float) -> int:
        """A warm-up's pictures, where it has half of those that are shown in so many seconds."""
        warm = seconds / (1 / self.warming + 1 / self.turning)
        if warm > self.turns:
            warm = (seconds - self.turns / self.turning + self.turns / self.late) / (1 / self.warming + 1 / self.late)
        return int(warm)


def planned(length: Length, count: int, paces: Paces, usual: int) -> tuple[int, int]:
    """How many pictures a run shows, and how many of them in a warm-up: the `usual` number, or half of a short run's.

    Args:
        length: what was asked for.
        count: how many pictures there are.
        paces: of the run's stretches.
        usual: pictures of a warm-up in a long run.
    """
    if length.pictures is not None:
        shown = length.pictures(count)
        return shown, min(usual, shown // 2)
    seconds = SHARE * (length.seconds or 0)
    warm = min(usual, paces.half(seconds))
    return paces.shown(seconds, warm), warm


def resolutions(sizes: Sizes) -> tuple[int, ...]:
    """Those that the pictures allow, the largest first; the smallest where they allow none."""
    most = sizes.side / SMALLEST_SHARE if sizes.most is None else sizes.most
    smallest = RESOLUTIONS[-1] if sizes.most is None else min(RESOLUTIONS[-1], 2 ** int(math.log2(max(4, sizes.most))))
    return tuple(r for r in RESOLUTIONS if r <= most) or (smallest,)


def resolution(sizes: Sizes, length: Length, rate: Callable[[int], float]) -> tuple[int, Reason]:
    """The largest that pictures and time allow; `rate(r)` is the measured pace at r pixels."""
    allowed = resolutions(sizes)
    there = f"their short sides are {sizes.side} pixels in the middle"
    if sizes.most is not None and sizes.most < sizes.side:
        there += f", packed at {sizes.most}"
    if allowed[0] != 128:
        return allowed[0], Reason("resolution", f"{allowed[0]} px", there)
    if length.seconds is None:
        return 64, Reason(
            "resolution", "64 px", f"{there}; with a length in pictures, larger ones are for you to ask for (--set data.resolution=128)"
        )
    # At 128 px a step takes at least three times as long: measured only where that may do.
    if SHARE * length.seconds * rate(64) >= 3 * NEEDED_128 and (fast := SHARE * length.seconds * rate(128)) >= NEEDED_128:
        return 128, Reason("resolution", "128 px", f"{there}, and about {_round(fast):,} can be shown in {length.text} at that size")
    return 64, Reason("resolution", "64 px", f"{there}, but {length.text} would show too few at 128 (under {NEEDED_128:,})")


def labels(looks: Looks) -> tuple[bool, Reason]:
    """Whether the generator is told the class."""
    counts = sorted(looks.counts.values())
    if len(counts) < 2:
        return False, Reason("classes", "none", "the pictures have no labels" if not counts else "there is one class only")
    middle = counts[len(counts) // 2]
    if middle < PER_CLASS:
        return False, Reason("classes", "left out", f"the middle one of {len(counts)} has {middle} pictures, fewer than {PER_CLASS}")
    return True, Reason("classes", f"{len(counts)}", "you can ask for pictures of one class")


def networks(looks: Looks, side: int, conditional: bool) -> tuple[str, dict[str, Any], Reason]:
    """The recipe, and what is changed of it."""
    keys = {"family.classes": True} if conditional else {}
    alike = f"({looks.flatness:.0%} of neighbouring pixels are alike)"
    if looks.flatness >= FLAT:
        why = f"drawings {alike}: a generator alone, told codes of real ones, that learns from pixels first"
        return DRAWN, keys, Reason("networks", DRAWN, why)
    recipe = RECIPES[min((r for r in RECIPES if r >= side), default=max(RECIPES))]
    why = f"photographs {alike}: a generator alone, told codes of real ones by the network that judges it"
    return recipe, keys, Reason("networks", recipe, why)


def mirroring(looks: Looks) -> Decision:
    """Whether half of the pictures are shown mirrored."""
    share, key = looks.handedness, "augment.flip"
    if share is None:
        return {key: True}, Reason(
            "mirroring", "yes", "there are too few pictures to see whether left and right differ; --set augment.flip=false if they do"
        )
    if share >= HANDED:
        return {key: False}, Reason(
            "mirroring", "no", f"{share:.0%} are told from their mirror images (letters, clocks, one-sided objects)"
        )
    return {key: True}, Reason(
        "mirroring", "yes", f"{share:.0%} are told from their mirror images, where chance is 50%: mirrored ones are as good as new ones"
    )


def batch(looks: Looks) -> Decision:
    """Pictures in a step."""
    size = min(BATCH, looks.pictures)
    why = "as in the runs it was chosen by" if size == BATCH else "there are no more pictures"
    return {"train.batch": size}, Reason("batch", str(size), why)


def told(looks: Looks, mirrored: bool, shown: int) -> tuple[dict[str, Any], Reason | None]:
    """From when on changed pictures are learnt, too, against learning few of them by heart; no reason where the run is over by then."""
    drawn = looks.flatness >= FLAT
    often, changes = OFTEN[drawn], CHANGES[drawn]
    after = often * looks.pictures * (2 if mirrored else 1)
    keys = {"family.codes.augment": {**changes.model_dump(mode="json", exclude={"after"}), "after": after}}
    if shown <= after:
        return keys, None
    each = "each and its mirror image were" if mirrored else "each was"
    part = f"{changes.share:.0%} of what follows are changed, which codes tell of"
    why = f"{each} learnt {often} times by then; against learning them by heart, {part}"
    return keys, Reason("changes", f"after {_round(after):,}", why)


def average(shown: int) -> Decision:
    """How far back the average of the generator reaches."""
    halflife = min(EMA, max(500, shown // 20))
    return {"ema.halflife_images": halflife}, Reason(
        "average", f"half-life {halflife:,} pictures", f"a twentieth of the run, at most {EMA:,}"
    )


def grids(shown: int) -> dict[str, Any]:
    """How often grids and log lines are written."""
    return {"samples.every": _round(max(500, shown / GRIDS)), "log.every": _round(min(5_000, max(250, shown / 40)))}


def looked_at(shown: int, usual: int) -> dict[str, Any]:
    """How many pictures are looked at before the first step, of whose features codes are made: fewer in a short run."""
    return {"family.codes.fitted": min(usual, max(LEAST_LOOKED_AT, shown // 20))}


def _round(value: float) -> int:
    """To two digits."""
    digits = max(0, int(math.log10(max(value, 1))) - 1)
    return int(round(value, -digits))
