"""Names to splits, classes and places: which picture goes where in a data set, decided by names alone."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ganvas.data.listing import Item
from ganvas.data.source import SPLIT_FOLDERS, Source
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


class Pictures(Sequence[Item]):
    """Pictures of a split: rows of a listing, in its order.

    Attributes:
        rows: where each is in the listing, rising.
        labels: int32 (n,), the index of each one's class among the plan's; None where there are none.
    """

    def __init__(self, listing: Sequence[Item], rows: Sequence[int] | np.ndarray, labels: np.ndarray | None = None):
        self._listing, self.rows, self.labels = listing, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Item:  # type: ignore[override] - slices are `some`'s
        return self._listing[int(self.rows[index])]

    def __iter__(self) -> Iterator[Item]:
        if len(self) == len(self._listing):
            return iter(self._listing)
        return (self._listing[int(row)] for row in self.rows)

    def labelled(self, classes: Sequence[str]) -> Iterator[tuple[Item, str | None]]:
        """Each picture with its class's name, or None."""
        labels = itertools.repeat(None) if self.labels is None else (classes[int(label)] for label in self.labels)
        return zip(self, labels, strict=False)

    def some(self, chosen: np.ndarray) -> Pictures:
        """Those of them that bool (n,) or rising int (k,) `chosen` says."""
        rows = np.asarray(self.rows, np.int32)[chosen]
        return Pictures(self._listing, rows, None if self.labels is None else self.labels[chosen])


@dataclass
class Plan:
    """What a data set will hold: for each split its pictures in order, and the classes, sorted."""

    splits: dict[str, Pictures]
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
        members = {"train": _Members(source.items)}
        for row, item in enumerate(source.items):
            members["train"].add(row, item.name)
        return _labelled(members, [])
    members, rejected = {}, []
    for row, item in enumerate(source.items):
        top, _, rest = item.name.partition("/")
        split = SPLIT_FOLDERS.get(top.lower()) if rest else None
        if split is None:
            rejected.append((item.name, "outside the folders train, val and test"))
        else:
            members.setdefault(split, _Members(source.items)).add(row, rest)
    return _labelled(members, rejected)


class _Members:
    """Which pictures of a listing are in a split, and what their names say of their classes.

    Attributes:
        folders, starts: of each picture the number of its folder, and of what its file's name begins with; -1: none.
        first: the first one's name; loose: that of the first that is in no folder.
    """

    def __init__(self, listing: Sequence[Item]):
        self.listing = listing
        self.rows, self.folders, self.starts = array("i"), array("i"), array("i")
        self.first = self.loose = ""
        self.numbers: dict[str, int] = {}

    def add(self, row: int, name: str) -> None:
        """Put in the picture at a row, by its name within the split."""
        folder, slash, _ = name.partition("/")
        match = None if slash else _NUMBERED.fullmatch(name)
        self.first = self.first or name
        self.loose = self.loose or ("" if slash else name)
        self.rows.append(row)
        self.folders.append(self.numbers.setdefault(folder, len(self.numbers)) if slash else -1)
        self.starts.append(self.numbers.setdefault(match[1], len(self.numbers)) if match else -1)

    @property
    def by_name(self) -> bool:
        """Whether all of the files' names begin with a class."""
        return bool(self.rows) and min(self.starts) >= 0

    def labels(self) -> np.ndarray:
        """int32 (n,): the number of each one's class, -1 where it has none."""
        return np.asarray(self.starts if self.by_name else self.folders)

    def called(self) -> set[str]:
        """The classes of those that have one."""
        names = list(self.numbers)
        return {names[number] for number in np.unique(self.labels()).tolist() if number >= 0}


def _labelled(members: dict[str, _Members], rejected: list[tuple[str, str]]) -> Plan:
    """Labels of each split whose every picture has one, by its folder or its name, if train is one and there are two classes."""
    notes = []
    called = {split: found.called() for split, found in members.items()}
    labelled = [split for split, found in members.items() if not (found.labels() < 0).any()]
    names = sorted(set().union(*(called[split] for split in labelled)))
    deciding = "train" if "train" in members else next(iter(members), "train")
    if len(names) < 2 or deciding not in labelled:
        count = len(called.get(deciding, ()))
        if count >= 2:
            loose = int((members[deciding].labels() < 0).sum())
            notes.append(
                f"no classes: {loose:,} pictures lie outside of the {count} class folders (first: {shown(members[deciding].loose)})"
            )
        names, labelled = [], []
    elif len(labelled) < len(members):
        notes.append(f"{' and '.join(sorted(set(members) - set(labelled)))} without classes: not all pictures are in class folders")
    if labelled and members[deciding].by_name:
        notes.append(f"classes are taken from the file names (first: {shown(members[deciding].first)})")
    short = _without_synsets(names)
    classes = tuple(sorted(short.values()))
    place = {name: number for number, name in enumerate(classes)}
    splits = {}
    for split, found in members.items():
        labels = None
        if split in labelled:
            index = [place[short[name]] if name in short else -1 for name in found.numbers]
            labels = np.array(index, np.int32)[found.labels()]
        rows = range(len(found.rows)) if len(found.rows) == len(found.listing) else np.array(found.rows, np.int32)
        splits[split] = Pictures(found.listing, rows, labels)
    return Plan(splits, classes, rejected, notes)


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
    _forget(made, [name for name in made.classes if name not in wanted])
    unlabelled = [split for split, pictures in made.splits.items() if pictures.labels is None]
    made.splits = {split: pictures.some(pictures.labels >= 0) for split, pictures in made.splits.items() if pictures.labels is not None}
    if unlabelled:
        made.notes.append(f"{' and '.join(unlabelled)} left out: it has no classes to choose from")


def _forget(made: Plan, gone: Sequence[str]) -> None:
    """Take classes out of the plan; their pictures, where there are any, have the label -1 from then on."""
    classes = tuple(sorted(set(made.classes) - set(gone)))
    place = {name: number for number, name in enumerate(classes)}
    index = np.array([place.get(name, -1) for name in made.classes], np.int32)
    for pictures in made.splits.values():
        if pictures.labels is not None:
            pictures.labels = index[pictures.labels]
    made.classes = classes


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
    # Beginnings of the hashes: two of a million groups begin alike in one of ten million data sets, and are held out together then.
    starts = np.fromiter((int.from_bytes(_hash(source.group(item))[:8], "big") for item in train), np.uint64, len(train))
    by_label = _by_label(train)
    quotas = _proportional({label: len(indices) for label, indices in by_label.items()}, count)
    held: list[int] = []
    for label, indices in by_label.items():
        room = quotas[label]
        for start, size in _groups(np.sort(starts[indices])):
            if room <= 0:
                break
            if size <= room:
                held.append(start)
                room -= size
    out = _among(starts, held)
    made.splits["train"], made.splits["val"] = train.some(~out), train.some(out)


def _by_label(pictures: Pictures) -> dict[int, np.ndarray]:
    """The places, int (k,) and rising, of the pictures that have each label; all of them have 0 where there are no labels."""
    if pictures.labels is None:
        return {0: np.arange(len(pictures))}
    labels, starts = np.unique(np.sort(pictures.labels), return_index=True)
    places = np.split(np.argsort(pictures.labels, kind="stable"), starts[1:])
    return dict(zip(labels.tolist(), places, strict=True))


def _groups(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Each of the sorted values, and how often it comes."""
    first = 0
    while first < len(values):
        end = int(np.searchsorted(values, values[first], "right"))
        yield int(values[first]), end - first
        first = end


def _among(values: np.ndarray, few: Sequence[int]) -> np.ndarray:
    """Which of the values, bool (n,), are among a few."""
    if not few:
        return np.zeros(len(values), dtype=bool)
    known = np.sort(np.array(few, values.dtype))
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


def _proportional(sizes: dict[int, int], count: int) -> dict[int, int]:
    """`count` shared out in proportion to `sizes`, by largest remainders; in order of the keys where these are equal."""
    total = sum(sizes.values())
    exact = {key: size * count / total for key, size in sizes.items()}
    shares = {key: math.floor(value) for key, value in exact.items()}
    order = sorted(sizes, key=lambda key: (shares[key] - exact[key], key))
    for key in order[: count - sum(shares.values())]:
        shares[key] += 1
    return shares


def thin(pictures: Pictures, limit: int) -> Pictures:
    """At most `limit` of the pictures, spread evenly over their order, as many of each class as there are."""
    if len(pictures) <= limit:
        return pictures
    chosen: list[int] = []
    left = limit
    by_size = sorted(_by_label(pictures).values(), key=len)  # stable: then by class
    for done, indices in enumerate(by_size):  # from the smallest class, so that what it lacks goes to the others
        quota = min(len(indices), left // (len(by_size) - done))
        chosen += [int(indices[(2 * k + 1) * len(indices) // (2 * quota)]) for k in range(quota)]
        left -= quota
    return pictures.some(np.array(sorted(chosen), np.int64))


def drop_empty_classes(made: Plan) -> None:
    """Forget classes of which no picture could be read."""
    used = {int(label) for pictures in made.splits.values() if pictures.labels is not None for label in np.unique(pictures.labels)}
    gone = [name for index, name in enumerate(made.classes) if index not in used]
    if gone:
        _forget(made, gone)
        made.notes.append(f"left out {_listed(gone)}: none of its pictures could be read")
