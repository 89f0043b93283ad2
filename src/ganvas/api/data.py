"""Pictures: prepare, inspect."""

from __future__ import annotations

from collections.abc import Sequence
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING

from ganvas.api.names import AnyPath
from ganvas.config.data import Crop

if TYPE_CHECKING:
    from ganvas.data.inspect import Inspection
    from ganvas.data.prepare import Prepared


def prepare(
    source: AnyPath,
    out: AnyPath,
    *,
    resolution: int = 64,
    crop: Crop = "center",
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    holdout: float | None = None,
    boxes: str | None = None,
    labels: str | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    force: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Pack the pictures of a folder, an archive or `builtin:emoji` into a data set at `out`.

    Args:
        source: where the pictures are.
        out: the data set's folder.
        resolution: side of the square pictures, in pixels.
        crop: `none` stretches to a square, `center` crops to one first, `box` crops to the bounding boxes of the annotations.
        boxes: with the crop `box`, where a picture has several: `first`, `largest`, or `each` as a picture.
        labels: which labels, where the source has several, such as `fine` or `coarse` of CIFAR-100.
        classes: keep these only.
        limit: keep so many pictures of each split, balanced over the classes.
        holdout: share of the training pictures that is held out; None: as much as makes sense.
        background: what transparent pictures are laid on, RGB from 0 to 255.
        force: replace a data set that was made with other arguments.
        quiet: no progress.

    Raises:
        DataError: nothing readable, or `out` holds something else.
        UsageError: an option makes no sense.
    """
    from ganvas.data.prepare import prepare as run_prepare

    return run_prepare(
        fspath(source),
        fspath(out),
        resolution=resolution,
        crop=crop,
        classes=classes,
        limit=limit,
        holdout=holdout,
        boxes=boxes,
        labels=labels,
        background=background,
        force=force,
        quiet=quiet,
    )


def inspect(
    data: AnyPath,
    *,
    out: AnyPath | None = None,
    resolution: int | None = None,
    crop: str | None = None,
    boxes: str | None = None,
    quiet: bool = False,
) -> Inspection:
    """What a data set holds: classes, sizes, colours, copies, and whether it will do for training, with reasons.

    Args:
        data: a packed data set, or a source of pictures, which is prepared into the cache.
        out: an HTML file to write it to, with pictures.
        resolution: side of the pictures looked at; None: that of the data set, and 64 for a source.
        crop: for a source, none, center (the default) or box.
        boxes: for a source with the crop box: first, largest or each.
        quiet: no progress.

    Raises:
        DataError: the data can't be used.
        UsageError: an option makes no sense.
    """
    from ganvas.verbs.inspecting import inspect as run_inspect

    where = None if out is None else Path(out)
    return run_inspect(fspath(data), where, resolution=resolution, crop=crop, boxes=boxes, quiet=quiet)
