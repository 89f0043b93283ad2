"""Prepare pictures once: from any source to a packed data set, decoded on all cores with bounded memory."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import json
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganvas.artifact import cache_folder, clear_leftovers, new_folder, recover, write_json
from ganvas.config.data import DataConfig
from ganvas.data.boxes import BOX_CHOICES
from ganvas.data.decode import RESIZER, Target
from ganvas.data.lanczos import load as load_lanczos
from ganvas.data.layout import SPLITS, plan, shown
from ganvas.data.opening import fingerprint_of, open_source
from ganvas.data.packed import DESCRIPTION, Description, PackedDataset, SourceDescription, is_packed, open_packed
from ganvas.data.pool import decode_all, thread_count
from ganvas.data.prepared import Prepared
from ganvas.data.source import Source
from ganvas.data.writer import Digests, content_checksum, duplicates, file_table, write_csv, write_split, writing_lock
from ganvas.errors import DataError, UsageError, UserError, nearest
from ganvas.units import format_bytes

RESOLUTIONS = (4, 1024)
CROPS = ("none", "center", "box")
_COMPILED_FROM = 1_000
"""From this many pictures on, the half second that it takes to compile the resizing, once, comes back."""
_named: set[Path] = set()
"""Prepared copies that this process has told of: `auto` looks at the pictures that training opens after it."""


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    resolution: int = 64,
    crop: str = "center",
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    holdout: float | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    boxes: str | None = None,
    labels: str | None = None,
    force: bool = False,
    quiet: bool = False,
    threads: int | None = None,
) -> Prepared:
    """Make the packed data set `out` of a folder, an archive, a well-known data set's own layout or `builtin:emoji`.

    Args:
        source: what `opening.open_source` knows. Top-level folders train, val and test are splits; a folder for each
            class below makes labels, and so do file names such as `cat.0.jpg`.
        out: folder to make. It appears whole or not at all.
        resolution: side of the pictures, 4 to 1024 pixels.
        crop: "center" cuts to a square first, "none" stretches, "box" cuts to the object's annotated box and stretches.
        classes: keep only these.
        limit: keep at most this many pictures of each split, spread evenly, balanced over classes.
        holdout: share of train moved to val; None: 5%, at most 1,000, where the source has no split of its own and at
            least 100 pictures.
        background: RGB, 0 to 255, on which transparent pictures are laid.
        boxes: with the crop "box", where a picture has several: "first" (default), "largest", or "each" as a picture.
        labels: which labels, where the source has several: "fine" or "coarse" of CIFAR-100, a column of a table.
        force: replace a data set that was prepared otherwise.
        threads: threads that decode; None: one for each core.

    Raises:
        UsageError: wrong arguments, or `out` holds something else.
        DataError: the source can't be used, or holds no picture that can be read.
        UserError: the disk is full or can't be written to.
    """
    arguments = _arguments(resolution, crop, classes, limit, holdout, background, boxes, labels)
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}: expected 1 or more")
    target = _absolute(Path(out))
    if not str(source).startswith("builtin:") and is_packed(source):
        raise DataError(f"{source} is a packed data set already: expected pictures; train on it as it is")
    with _opened(source, arguments, quiet) as opened:
        _check_place(opened, target, out)
        recover(target)
        known = _known(target, opened, arguments, force)
        if known is not None:
            return _prepared(known, target, 0.0, unchanged=True, rejected=_read_rejected(target))
        with writing_lock(target, f"another process is preparing {out} just now: wait for it, or choose another folder"):
            return _make(opened, target, arguments, quiet, threads or thread_count())


def resolve(
    data: str | Path,
    *,
    resolution: int,
    crop: str = "center",
    holdout: float | None = None,
    classes: Sequence[str] | None = None,
    boxes: str | None = None,
    quiet: bool = False,
) -> PackedDataset:
    """The pictures that `ganvas train --data` names, packed, at `resolution`.

    A packed data set is opened, and resized down if need be. A source is prepared once into the cache (GANVAS_CACHE, or
    the user's cache folder), under a key of its identity and the arguments; a line on standard error says where.

    Raises:
        UsageError, DataError, UserError: as `prepare`, `open_packed` and `PackedDataset.resized`.
    """
    arguments = _arguments(resolution, crop, classes, None, holdout, (255, 255, 255), boxes if crop == "box" else None, None)
    if not str(data).startswith("builtin:") and is_packed(data):
        packed = open_packed(data)
        if classes is not None and set(packed.classes) != set(arguments["classes"]):
            others, only = packed.description.source.given, ",".join(arguments["classes"])
            raise DataError(
                f"{data} holds the classes {_names(packed.classes) or 'none'}, expected {only} alone: prepare it again "
                f"(ganvas prepare {others} OUT --classes {only}), or set data.classes=null"
            )
        return packed.resized(resolution, quiet=quiet)
    archive = fingerprint_of(data) if arguments["boxes"] is None else None
    if archive is not None:  # to list a compressed archive takes as long as to unpack it
        there = _there(data, _place(data, archive, arguments), quiet)
        if there is not None:
            return there
    with _opened(data, arguments, quiet) as source:
        target = _place(data, source.fingerprint(), arguments)
        with writing_lock(target):  # of two runs that start together one waits
            there = _there(data, target, quiet)
            if there is not None:
                return there
            _say(f"preparing {data} once, into {target}", quiet)
            made = _make(source, target, arguments, quiet, thread_count())
            _say(made.summary(), quiet)
            if not quiet:
                _named.add(target)
        return open_packed(target)


def resolve_config(data: str | Path, config: DataConfig, *, quiet: bool = False) -> PackedDataset:
    """`resolve`, as a run's config asks."""
    return resolve(
        data,
        resolution=config.resolution,
        crop=config.crop,
        holdout=config.holdout,
        classes=config.classes,
        boxes=config.boxes if config.crop == "box" else None,
        quiet=quiet,
    )


def _place(data: str | Path, fingerprint: str, arguments: dict[str, Any]) -> Path:
    """Where the copy of a source is that is prepared so."""
    key = hashlib.sha256(json.dumps([fingerprint, arguments], sort_keys=True).encode()).hexdigest()
    return cache_folder() / "packed" / f"{_word(str(data))}-{arguments['resolution']}px-{key[:12]}"


def _there(data: str | Path, target: Path, quiet: bool) -> PackedDataset | None:
    """The copy at that place, whole, if there is one."""
    if is_packed(target):
        with contextlib.suppress(DataError):
            dataset = open_packed(target)
            if not quiet and target not in _named:
                _named.add(target)
                _say(f"using the copy of {data} prepared in {target}", quiet)
            return dataset
    return None


def _word(data: str) -> str:
    """A word for people in the name of a cached copy, such as `cifar10` of `~/data/cifar10.zip`."""
    name = Path(data.replace(":", "-")).expanduser().absolute().name
    return re.sub(r"[^A-Za-z0-9]+", "-", name.split(".")[0]).strip("-")[:40] or "pictures"


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - standard error, so that standard output holds results only


def _opened(source: str | Path, arguments: dict[str, Any], quiet: bool) -> Source:
    return open_source(source, quiet, boxes=arguments["boxes"], labels=arguments["labels"])


def _arguments(
    resolution: int,
    crop: str,
    classes: Sequence[str] | None,
    limit: int | None,
    holdout: float | None,
    background: Sequence[int],
    boxes: str | None,
    labels: str | None,
) -> dict[str, Any]:
    """The arguments that decide the content, checked, as JSON values."""
    low, high = RESOLUTIONS
    if not low <= resolution <= high:
        raise UsageError(f"resolution is {resolution}: expected {low} to {high} pixels")
    if crop not in CROPS:
        raise UsageError(f'crop is "{crop}": expected {", ".join(CROPS)}{nearest(crop, CROPS)}')
    if boxes is not None and crop != "box":
        raise UsageError(f'boxes is "{boxes}" while crop is "{crop}": expected crop box beside it (--crop box)')
    if boxes is not None and boxes not in BOX_CHOICES:
        raise UsageError(f'boxes is "{boxes}": expected {", ".join(BOX_CHOICES)}{nearest(boxes, BOX_CHOICES)}')
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}: expected at least 1 picture")
    if holdout is not None and not 0 <= holdout < 1:
        raise UsageError(f"holdout is {holdout:g}: expected a share from 0 to below 1, such as 0.05")
    if len(background) != 3 or not all(0 <= level <= 255 for level in background):
        raise UsageError(f"background is {tuple(background)}: expected three levels from 0 to 255, such as (255, 255, 255)")
    chosen = sorted(set([classes] if isinstance(classes, str) else classes)) if classes is not None else None
    return {
        "resolution": resolution,
        "crop": crop,
        "classes": chosen,
        "limit": limit,
        "holdout": holdout,
        "background": list(background),
        "boxes": (boxes or "first") if crop == "box" else None,
        "labels": labels,
    }


def _absolute(path: Path) -> Path:
    """The folder that a path means, links followed, so that what is replaced is the folder and not a link to it."""
    path = path.expanduser()
    with contextlib.suppress(OSError, RuntimeError):
        return path.resolve()
    return path.absolute()


def _check_place(source: Source, target: Path, out: str | Path) -> None:
    """Refuse to write over anything that is no data set, or into the pictures themselves."""
    folder = getattr(source, "path", None)
    if isinstance(folder, Path) and folder.is_dir() and target.is_relative_to(folder):
        raise UsageError(f"{out} is inside of the source {source.given}: expected a folder elsewhere; choose another")
    if isinstance(folder, Path) and folder.is_relative_to(target):
        raise UsageError(f"{out} holds the source {source.given}: expected a folder elsewhere; choose another")
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{out} is a file: expected a folder to make; choose another name")
    found = sorted(entry.name for entry in target.iterdir())
    if not found:
        return
    if not is_packed(target):
        raise UsageError(f"{out} exists and is no data set (it holds {_names(found)}): expected a new folder; choose another name")
    ours = {DESCRIPTION, "rejected.csv", "duplicates.csv"}
    ours |= {f"{split}.{rest}" for split in SPLITS for rest in ("npy", "labels.npy", "sizes.npy", "names.json")}
    foreign = [name for name in found if name not in ours]
    if foreign:
        raise UsageError(f"{out} holds files that are not the data set's ({_names(foreign)}): move them away, or choose another folder")


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:3])) + (", ..." if len(names) > 3 else "")


def _known(target: Path, source: Source, arguments: dict[str, Any], force: bool) -> Description | None:
    """What `target` holds if it was prepared in the same way; None if it is to be made."""
    if force or not is_packed(target):
        return None
    there = open_packed(target).description
    old = there.arguments
    changed = [f"{key} {_value(old.get(key))}, now {_value(value)}" for key, value in arguments.items() if old.get(key) != value]
    if there.source.fingerprint != source.fingerprint():
        same = there.source.given == source.given
        changed.insert(0, f"{source.given} has changed since" if same else f"of {there.source.given}, now of {source.given}")
    if changed:
        how = "; ".join(changed)
        raise UsageError(f"{target} holds a data set prepared otherwise ({how}): add --force to replace it, or choose another folder")
    return there


def _read_rejected(folder: Path) -> list[tuple[str, str]]:
    """The first lines of `rejected.csv`, for the summary."""
    with contextlib.suppress(OSError, UnicodeDecodeError), (folder / "rejected.csv").open(encoding="utf-8", newline="") as file:
        return [(row["name"], row["reason"]) for row in itertools.islice(csv.DictReader(file), 3)]
    return []


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "unset" if value is None else str(value)


def _prepared(description: Description, path: Path, seconds: float, unchanged: bool, rejected: Sequence[tuple[str, str]] = ()) -> Prepared:
    return Prepared(
        path=path,
        splits=dict(description.splits),
        classes=description.classes,
        resolution=description.resolution,
        rejected=description.rejected,
        duplicates=description.duplicates,
        seconds=seconds,
        unchanged=unchanged,
        attribution=description.attribution,
        shared=description.shared,
        enlarged=description.enlarged,
        ignored=description.ignored,
        checksum=description.checksum,
        notes=description.notes,
        first_rejected=tuple(f"{shown(name)}: {reason}" for name, reason in rejected[:3]),
    )


def _make(source: Source, target: Path, arguments: dict[str, Any], quiet: bool, threads: int) -> Prepared:
    """Prepare into `target`, whose lock is held."""
    begin = time.monotonic()
    made = plan(source, arguments["classes"], arguments["limit"], arguments["holdout"])
    resolution = arguments["resolution"]
    total = sum(map(len, made.splits.values()))
    clear_leftovers(target)
    _check_room(target, total * resolution**2 * 3)
    aim = Target(resolution, arguments["crop"], tuple(arguments["background"]))
    lanczos = load_lanczos(compiling=total >= _COMPILED_FROM)
    rejected = source.rejected + made.rejected
    with new_folder(target) as folder:
        enlarged = decode_all(source, made, aim, folder, rejected, quiet, threads, lanczos)
        if not made.splits:
            raise DataError(_none_readable(source, sorted(rejected)))
        for split, pictures in made.splits.items():
            write_split(folder, split, (item.name for item in pictures), pictures.labels)
        digests = Digests(folder)
        copies = duplicates(digests, dict(made.splits))
        checksum = content_checksum(resolution, made.classes, digests, {split: p.labels for split, p in made.splits.items()})
        digests.remove()
        write_csv(folder / "duplicates.csv", ("split", "name", "same_as_split", "same_as_name"), copies)
        write_csv(folder / "rejected.csv", ("name", "reason"), sorted(rejected))
        description = Description(
            resolution=resolution,
            crop=aim.crop,
            resizer=RESIZER,
            background=aim.background,
            classes=made.classes,
            splits={split: len(pictures) for split, pictures in made.splits.items()},
            checksum=checksum,
            source=SourceDescription(given=source.given, kind=source.kind, fingerprint=source.fingerprint()),
            arguments=arguments,
            attribution=source.attribution,
            rejected=len(rejected),
            ignored=source.ignored,
            duplicates=len(copies),
            shared=sum(1 for split, _, earlier, _ in copies if split != "train" and earlier == "train"),
            enlarged=enlarged,
            notes=tuple(made.notes),
            files=file_table(folder),
        )
        write_json(folder / DESCRIPTION, description.model_dump(mode="json"))
    return _prepared(description, target, time.monotonic() - begin, unchanged=False, rejected=sorted(rejected))


def _none_readable(source: Source, rejected: Sequence[tuple[str, str]]) -> str:
    few = "; ".join(f"{shown(name)}: {reason}" for name, reason in rejected[:3])
    more = "; ..." if len(rejected) > 3 else ""
    return f"none of the {len(rejected):,} pictures of {source.given} could be read ({few}{more}): expected whole pictures; replace them"


def _check_room(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        sizes = f"{target} needs {format_bytes(needed)}, {format_bytes(free)} is free"
        raise UserError(f"the disk is too full: {sizes}; free some space or choose another folder")
