"""Inspect: what a data set holds, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path

from ganvas.data.inspect import Inspection
from ganvas.data.inspect import inspect as look
from ganvas.data.packed import is_packed, open_packed
from ganvas.data.prepare import resolve
from ganvas.errors import UsageError
from ganvas.metrics.inspection import write_inspection

RESOLUTION = 64


def inspect(
    data: str | Path,
    out: Path | None,
    *,
    resolution: int | None,
    crop: str | None,
    boxes: str | None,
    quiet: bool,
) -> Inspection:
    """See `ganvas.inspect`."""
    if out is not None and out.is_dir():
        raise UsageError(f"{out} is a folder: expected the name of an HTML file to write, such as {out / 'inspection.html'}")
    if not str(data).startswith("builtin:") and is_packed(data):
        if crop is not None or boxes is not None:
            raise UsageError(f"{data} is packed already: --crop and --boxes are for sources of pictures; leave them out")
        packed = open_packed(data)
        dataset = packed if resolution is None else packed.resized(resolution, quiet=quiet)
    else:
        crop = crop or ("box" if boxes else "center")
        dataset = resolve(data, resolution=resolution or RESOLUTION, crop=crop, boxes=boxes, quiet=quiet)
    found = look(dataset, quiet=quiet)
    if out is not None:
        write_inspection(found, dataset, out)
    return found
