"""Names to splits, classes and places: which picture goes where in a data set, decided by names alone."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ganvas.data.source import SPLIT_FOLDERS, Item, Source
from ganvas.errors import DataError, UsageError, nearest

SPLITS = ("train", "val", "test")
_SYNSET = re.compile(r"n\d{8}-(.+)")
"""Class folders of ImageNet's kind, `n02085620-Chihuahua`: the class is called by the part behind the number."""
_NUMBERED = re.compile(r"([A-Za-z][A-Za-z_-]*)\.\d+\.[A-Za-z]+")
"""File names that begin with their class, as in Kaggle's Dogs vs Cats: `cat.0.jpg`."""
HOLDOUT_SHARE = 0.05
HOLDOUT_MOST = 1_000
HOLDOUT_FROM = 100
"""Below this many training pictures nothing is held out unless the user says so."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture with its class (its name, or None where there is none)."""

    item: Item
    label: str | None


@dataclass
class Plan:
    """What a data set will hold: for each split its pictures in order, and the classes, sorted."""

    splits: dict[str, list[Placed]]
    classes: tuple[str, ...]
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(source: Source, classes: Sequence[str] | None, limit: int | None, holdout: float | None) -> Plan:
    """Decide splits and classes, keep the chosen `classes`, hold out a share of train, and thin to `limit`.

    Top-level folders train, val and test are splits; below (or without them) a folder for each class makes labels.
    With `limit`, every split keeps at most that many pictures, spread evenly over the names and balanced over classes.
    `holdout` moves that share of train to val; None: 5%, at most 1,000, if the source has no split but train and
    at least 100 pictures.

    Raises:
        DataError: no pictures.
        UsageError: a class that is not there, or a holdout beside the source's own val.
    """
    made = _splits(source)
    if not any(made.splits.values()):
        raise DataError(_nothing(source))
    if classes is not None:
        _keep_classes(made, source, classes)
    if holdout and "val" in made.splits:
        raise UsageError(f"{source.given} has its own val pictures: expected no --holdout beside them; leave it out")
    share = holdout
    if holdout is None:
        share = HOLDOUT_SHARE if set(made.splits) == {"train"} else 0.0
    if share and "train" in made.splits:
        _hold_out(made, source, share, limit, HOLDOUT_MOST if holdout is None else None, HOLDOUT_FROM if holdout is None else 2)
    if limit is not None:
        made.splits = {name: thin(pictures, limit) for name, pictures in made.splits.items()}
    made.splits = {name: made.splits[name] for name in SPLITS if made.splits.get(name)}
    return made


def _nothing(source: Source) -> str:
    what = f"{source.given} holds no pictures: expected .jpg, .png, .webp, .bmp or .gif files below it"
    if source.rejected:
        name, reason = source.rejected[0]
        return f"{what}, found {len(source.rejected):,} that can't be used (first: {shown(name)}: {reason}); convert or replace them"
    if source.packed is not None:
        return f"{what}, found {shown(source.packed)}, which may hold some; give that file or, if it is in an archive, unpack it first"
    return f"{what}, found {source.ignored or 'no'} other files; check the path"


def shown(name: str) -> str:
    """A file's name fit for printing, whatever bytes it has."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\r", "\\r")


def _splits(source: Source) -> Plan:
    """The splits and labels that the names alone say."""
    tops = {item.name.partition("/")[0].lower() for item in source.items if "/" in item.name}
    split_folders = tops & SPLIT_FOLDERS.keys()
    # Without a train folder, "test" beside others may just as well be a class.
    has_train = any(SPLIT_FOLDERS[top] == "train" for top in split_folders)
    if not split_folders or (not has_train and tops - split_folders):
        return _labelled(source, {"train": [(item, item.name) for item in source.items]}, [])
    members: dict[str, list[tuple[Item, str]]] = defaultdict(list)
    rejected = []
    for item in source.items:
        top, _, rest = item.name.partition("/")
        split = SPLIT_FOLDERS.get(top.lower()) if rest else None
        if split is None:
            rejected.append((item.name, "outside the folders train, val and test"))
        else:
            members[split].append((item, rest))
    return _labelled(source, members, rejected)


def _labelled(source: Source, members: dict[str, list[tuple[Item, str]]], rejected: list[tuple[str, str]]) -> Plan:
    """Labels of each split whose every picture has one, by its folder or its name, if train is one and there are two classes."""
    notes = []
    by_name = {split for split, pictures in members.items() if pictures and all(_NUMBERED.fullmatch(rest) for _, rest in pictures)}
    labels = {split: [_label(rest, split in by_name) for _, rest in pictures] for split, pictures in members.items()}
    labelled = [split for split in members if None not in labels[split]]
    names = sorted({label for split in labelled for label in labels[split] if label is not None})
    deciding = "train" if "train" in members else next(iter(members), "train")
    if len(names) < 2 or deciding not in labelled:
        count = len(set(labels.get(deciding, [])) - {None})
        if count >= 2:
            loose = [rest for _, rest in members[deciding] if "/" not in rest]
            notes.append(f"no classes: {len(loose):,} pictures lie outside of the {count} class folders (first: {shown(loose[0])})")
        names, labelled = [], []
    elif len(labelled) < len(members):
        notes.append(f"{' and '.join(sorted(set(members) - set(labelled)))} without classes: not all pictures are in class folders")
    if labelled and deciding in by_name:
        notes.append(f"classes are taken from the file names (first: {shown(members[deciding][0][1])})")
    called = _without_synsets(names)
    splits = {
        split: [
            Placed(item, called[label] if split in labelled and label is not None else None)
            for (item, _), label in zip(pictures, labels[split], strict=True)
        ]
        for split, pictures in members.items()
    }
    return Plan(splits, tuple(sorted(called.values())), rejected, notes)


def _label(rest: str, by_name: bool) -> str | None:
    """The class of a picture by its folder, or by its file name where those have it; None where it has none."""
    folder, slash, _ = rest.partition("/")
    if slash:
        return folder
    match = _NUMBERED.fullmatch(rest) if by_name else None
    return match[1] if match else None


def _without_synsets(names: Sequence[str]) -> dict[str, str]:
    """What each class is called: as its folder, without the number of an ImageNet synset where all have one that differ."""
    matches = [_SYNSET.fullmatch(name) for name in names]
    short = [match[1] for match in matches if match]
    return dict(zip(names, short if len(set(short)) == len(names) else names, strict=True))


def _keep_classes(made: Plan, source: Source, wanted: Sequence[str]) -> None:
    if not made.classes:
        raise UsageError(
            f"{source.given} has no classes: expected a folder for each class, or names such as cat.0.jpg; leave out --classes"
        )
    if not wanted:
        raise UsageError(f"no class was named: expected some of {_listed(made.classes)}")
    wanted = [match[1] if (match := _SYNSET.fullmatch(name)) and name not in made.classes else name for name in wanted]
    for name in wanted:
        if name not in made.classes:
            raise UsageError(f'{source.given} has no class "{name}"{nearest(name, made.classes)} (its classes: {_listed(made.classes)})')
    made.classes = tuple(name for name in made.classes if name in wanted)
    unlabelled = [split for split, pictures in made.splits.items() if any(p.label is None for p in pictures)]
    made.splits = {
        split: [p for p in pictures if p.label in made.classes] for split, pictures in made.splits.items() if split not in unlabelled
    }
    if unlabelled:
        made.notes.append(f"{' and '.join(unlabelled)} left out: it has no classes to choose from")


def _listed(names: Sequence[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _hold_out(made: Plan, source: Source, share: float, limit: int | None, most: int | None, least: int) -> None:
    """Move a share of train to val: the groups whose names hash lowest, class by class.

    A name's hash does not depend on the other names, so adding pictures moves few across.
    """
    train = made.splits["train"]
    n = len(train) if limit is None else min(len(train), math.ceil(limit / (1 - share)))
    if n < least:
        return
    count = min(max(1, round(n * share)), len(train) - 1, most or len(train))
    by_label: dict[str | None, list[Placed]] = defaultdict(list)
    for placed in train:
        by_label[placed.label].append(placed)
    quotas = _proportional({label: len(pictures) for label, pictures in by_label.items()}, count)
    held: set[str] = set()
    for label, pictures in by_label.items():
        sizes = Counter(source.group(p.item) for p in pictures)
        room = quotas[label]
        for group in sorted(sizes, key=_hash):
            if room <= 0:
                break
            if sizes[group] <= room:
                held.add(group)
                room -= sizes[group]
    made.splits["train"] = [p for p in train if source.group(p.item) not in held]
    made.splits["val"] = [p for p in train if source.group(p.item) in held]


def _proportional(sizes: dict[str | None, int], count: int) -> dict[str | None, int]:
    """`count` shared out in proportion to `sizes`, by largest remainders; in order of the keys where these are equal."""
    total = sum(sizes.values())
    exact = {key: size * count / total for key, size in sizes.items()}
    shares = {key: math.floor(value) for key, value in exact.items()}
    order = sorted(sizes, key=lambda key: (shares[key] - exact[key], key or ""))
    for key in order[: count - sum(shares.values())]:
        shares[key] += 1
    return shares


def thin(pictures: list[Placed], limit: int) -> list[Placed]:
    """At most `limit` of the pictures, spread evenly over their order, as many of each class as there are."""
    if len(pictures) <= limit:
        return pictures
    by_label: dict[str | None, list[int]] = defaultdict(list)
    for index, placed in enumerate(pictures):
        by_label[placed.label].append(index)
    chosen: list[int] = []
    left = limit
    by_size = sorted(by_label.items(), key=lambda pair: (len(pair[1]), pair[0] or ""))
    for done, (_, indices) in enumerate(by_size):  # from the smallest class, so that what it lacks goes to the others
        quota = min(len(indices), left // (len(by_size) - done))
        chosen += [indices[(2 * k + 1) * len(indices) // (2 * quota)] for k in range(quota)]
        left -= quota
    return [pictures[index] for index in sorted(chosen)]


def drop_empty_classes(made: Plan, used: Counter[str]) -> None:
    """Forget classes of which no picture could be read."""
    gone = [name for name in made.classes if not used[name]]
    if gone:
        made.classes = tuple(name for name in made.classes if used[name])
        made.notes.append(f"left out {_listed(gone)}: none of its pictures could be read")
