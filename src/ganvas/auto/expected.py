"""How good pictures will be: what the same recipe did on other pictures, of which those that vary most like the user's count.

`expected.json` holds these runs, one for each kind of pictures: the evaluations of each, and what somebody saw in its grids
(of cats two, whose sides were in turn at first and were not: the one up to 137,152 pictures, the other from there on). The
last two points of photographs are of 10,000 pictures: the mean of two or three seeds after half an hour, and one seed after an hour.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

from ganvas.auto.pictures import Looks
from ganvas.auto.rules import FLAT


@dataclass(frozen=True)
class Tried:
    """Pictures on which the recipe was tried."""

    about: str
    """In words, such as `photographs of cats`."""
    drawn: bool
    """Whether they are drawings, which get other networks than photographs."""
    resolution: int
    pictures: int
    variety: float
    features: str
    """The network whose features the KID is of."""
    curve: tuple[tuple[int, float], ...]
    """Pictures shown, and KID, in order."""
    words: tuple[tuple[int, str], ...]
    """Pictures shown, and what a grid looked like then."""

    def kid(self, shown: int) -> tuple[int, float]:
        """For how many shown it is known, at most `shown`, and the KID then: between two evaluations, along a line."""
        if shown <= self.curve[0][0]:
            return self.curve[0]
        for (before, high), (after, low) in pairwise(self.curve):
            if shown <= after:
                share = (math.log(shown) - math.log(before)) / (math.log(after) - math.log(before))
                return shown, high + share * (low - high)
        return self.curve[-1]

    def looked(self, shown: int) -> str:
        """What the last grid looked like that somebody described up to so many shown; else the first one."""
        earlier = [text for at, text in self.words if at <= 1.25 * shown]
        return earlier[-1] if earlier else self.words[0][1]


@cache
def tried() -> tuple[Tried, ...]:
    """All that is known."""
    values = json.loads(resources.files("ganvas.auto").joinpath("expected.json").read_text(encoding="utf-8"))
    return tuple(
        Tried(**{**entry, "curve": tuple(map(tuple, entry["curve"])), "words": tuple(map(tuple, entry["words"]))}) for entry in values
    )


def sentence(looks: Looks, resolution: int, shown: int) -> str:
    """What to expect of a run that shows so many pictures."""
    known = tried()
    if not known:
        return "nothing is known of this recipe yet: look at the grids while it trains"
    alike = [t for t in known if t.drawn == (looks.flatness >= FLAT)] or known
    like = min(alike, key=lambda t: abs(math.log(t.variety / max(looks.variety, 1e-9))))
    at, kid = like.kid(shown)
    when = f"after {at:,} shown" if at >= shown else f"after {at:,} shown, the most that was tried,"
    text = (
        f"of the pictures this was tried on, {like.about} vary most like yours "
        f"(effective rank {like.variety:.0f}, yours {looks.variety:.0f}): "
        f"{when} their KID was {kid:.2f} on {like.features} (0 is real), and {like.looked(shown)}"
    )
    if resolution != like.resolution:
        text += f"; that was at {like.resolution} px, not at {resolution}"
    if looks.pictures < like.pictures / 4:
        text += f"; yours are only {looks.pictures:,} (it was {like.pictures:,}), so watch for copies: ganvas neighbours RUN"
    return text
