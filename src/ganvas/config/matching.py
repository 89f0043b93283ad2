"""Comparing generated pictures with real ones by a frozen network's features."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ganvas.config.base import Part

Summary = Literal["whole", "quarters", "deviations", "sixteenths", "pixels", "edges"]
"""What vectors say of a picture."""
THROUGHOUT = 2**53
"""More pictures than any run shows, and than `auto.pace` takes for late."""
Side = Annotated[int, Field(ge=32, le=512, multiple_of=32)]


def _throughout(value: object) -> object:
    return THROUGHOUT if value is True else value


class Comparison(Part):
    """What is compared, and with how many real pictures."""

    backbone: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    input_sizes: tuple[Side, ...] | None = Field(
        default=None, min_length=1, description="sides at which the frozen network sees pictures; null: their own, at least 64"
    )
    in_turn: Annotated[int, BeforeValidator(_throughout)] = Field(
        default=0,
        ge=0,
        description="pictures, the first that are compared, for which a step sees them at one of input_sizes and the next step at the "
        "next one; true: all of them",
    )
    summaries: tuple[Summary, ...] = Field(
        default=("whole", "quarters", "deviations", "sixteenths", "pixels", "edges"),
        min_length=1,
        description="what is compared of the frozen network's maps: means and deviations of whole maps, means or deviations of their "
        "quarters, means of their sixteenths; of the picture itself, made small; and how much its neighbouring pixels differ",
    )
    remembered: int = Field(default=1024, ge=2, description="real pictures, the last ones seen, that a step's fakes are compared with")
    refresh: int = Field(default=4, ge=1, description="real pictures are taken in at every so many-th step, once that many are remembered")
