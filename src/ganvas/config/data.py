"""Which pictures a run learns from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganvas.config.base import Part

Crop = Literal["none", "center", "box"]
"""`none` stretches to a square, `center` crops to a square first, `box` crops to the object's bounding box first."""

Boxes = Literal["first", "largest", "each"]
"""Which of a picture's boxes count: the one listed first, the one of the largest area, or each, a picture of its own."""


class DataConfig(Part):
    """The data set and how it is prepared when it is not packed yet."""

    path: str | None = Field(default=None, description="packed data set, source of pictures, or builtin:emoji")
    resolution: int = Field(default=64, ge=4, le=1024, description="side of the square pictures that the networks see, in pixels")
    crop: Crop = Field(default="center", description="used when the run prepares the source itself")
    boxes: Boxes = Field(default="first", description="which annotated boxes count, with crop box")
    classes: tuple[str, ...] | None = Field(default=None, min_length=1, description="only these; null: all there are")
    holdout: float | None = Field(
        default=None, ge=0, lt=1, description="share kept out of training when the source has no val or test split; null: 5%, at most 1,000"
    )


class AugmentConfig(Part):
    """Augmentation of real pictures, before the discriminator sees them."""

    flip: bool = Field(default=False, description="mirror half of the pictures, left to right")
    rotate: float = Field(default=0, ge=0, le=180, description="turn by up to so many degrees either way; corners are filled by reflection")
    crop: float = Field(default=1, gt=0, le=1, description="smallest share of the side that a random square crop keeps; 1: no cropping")
    jitter: float = Field(
        default=0,
        ge=0,
        le=1,
        description="strength of random changes of brightness, contrast and saturation: factors from 1 - it to 1 + it",
    )
