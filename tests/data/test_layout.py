"""Which picture goes to which split and class, from names alone."""

from __future__ import annotations

import io
from collections import Counter

import pytest

from ganvas.data.layout import Plan, plan
from ganvas.data.listing import Item, Listing
from ganvas.data.source import Source
from ganvas.errors import DataError, UsageError


class Names(Source):
    """A source of names without bytes."""

    kind = "folder"

    def __init__(self, names: list[str]):
        super().__init__("names")
        self.items = Listing(Item(name, 1, None) for name in sorted(names))

    def fingerprint(self) -> str:
        return ""

    def open(self, item: Item) -> io.BytesIO:
        raise NotImplementedError


def made(names: list[str], **options) -> Plan:
    return plan(Names(names), **{"classes": None, "limit": None, "holdout": 0.0, **options})


def shape(result: Plan) -> dict[str, list[tuple[str, str | None]]]:
    return {split: [(item.name, label) for item, label in p.labelled(result.classes)] for split, p in result.splits.items()}


def numbered(pattern: str, count: int) -> list[str]:
    return [pattern.format(n) for n in range(count)]


def test_flat_folders_are_unlabelled():
    result = made(["b.png", "a.png"])
    assert shape(result) == {"train": [("a.png", None), ("b.png", None)]}
    assert (result.classes, result.notes) == ((), [])


def test_class_folders_label_and_folders_below_belong_to_them():
    result = made(["dog/x/1.png", "cat/2.png", "dog/3.png"])
    assert result.classes == ("cat", "dog")
    assert shape(result) == {"train": [("cat/2.png", "cat"), ("dog/3.png", "dog"), ("dog/x/1.png", "dog")]}


def test_splits_come_first_and_classes_are_those_of_all_splits():
    result = made(["train/a/1.png", "train/b/1.png", "val/c/1.png", "test/a/1.png"])
    assert result.classes == ("a", "b", "c")
    assert list(result.splits) == ["train", "val", "test"]
    assert shape(result)["val"] == [("val/c/1.png", "c")]


@pytest.mark.parametrize(("folder", "split"), [("Train", "train"), ("validation", "val"), ("valid", "val"), ("TEST", "test")])
def test_other_ways_to_name_a_split(folder, split):
    result = made([f"{folder}/1.png", "train/2.png"])
    assert (f"{folder}/1.png", None) in shape(result)[split]


def test_one_class_folder_below_a_split_makes_no_classes():
    result = made(["train/n03028079/1.png", "val/n03028079/2.png"])
    assert result.classes == ()
    assert {split: len(pictures) for split, pictures in result.splits.items()} == {"train": 1, "val": 1}


def test_a_stray_picture_beside_class_folders_is_told():
    result = made(["a/1.png", "b/1.png", "stray.png"])
    assert result.classes == ()
    assert "1 pictures lie outside of the 2 class folders (first: stray.png)" in result.notes[0]


def test_a_split_without_class_folders_stays_without_labels():
    result = made(["train/a/1.png", "train/b/1.png", "test/1.png"])
    assert result.classes == ("a", "b")
    assert shape(result)["test"] == [("test/1.png", None)]
    assert "test without classes" in result.notes[0]


def test_pictures_outside_of_the_splits_are_rejected_not_trained_on():
    result = made(["train/1.png", "test/2.png", "extra/3.png", "4.png"])
    assert sorted(name for name, _ in result.rejected) == ["4.png", "extra/3.png"]
    assert sum(map(len, result.splits.values())) == 2


def test_test_beside_other_folders_and_no_train_is_a_class():
    assert made(["test/1.png", "lab/2.png"]).classes == ("lab", "test")


def test_no_pictures():
    with pytest.raises(DataError, match="holds no pictures"):
        made([])


def test_chosen_classes():
    names = ["train/a/1.png", "train/b/1.png", "train/c/1.png", "test/b/1.png"]
    result = made(names, classes=["c", "b"])
    assert result.classes == ("b", "c")
    assert shape(result) == {"train": [("train/b/1.png", "b"), ("train/c/1.png", "c")], "test": [("test/b/1.png", "b")]}
    assert made(names, classes=["a"]).classes == ("a",)


def test_wrong_classes():
    with pytest.raises(UsageError, match=r'no class "dgo"; did you mean "dog"\? \(its classes: cat, dog\)'):
        made(["cat/1.png", "dog/1.png"], classes=["dgo"])
    with pytest.raises(UsageError, match="has no classes"):
        made(["1.png"], classes=["dog"])


def test_holdout_is_five_percent_from_100_pictures_on_and_at_most_1000():
    def counts(n: int) -> tuple[int, int]:
        result = made(numbered("{:06}.png", n), holdout=None)
        return len(result.splits["train"]), len(result.splits.get("val", []))

    assert counts(99) == (99, 0)
    assert counts(100) == (95, 5)
    assert counts(2_000) == (1_900, 100)
    assert counts(30_000) == (29_000, 1_000)


def test_no_holdout_where_the_source_has_a_split_of_its_own():
    result = made([*numbered("train/{}.png", 300), "test/1.png"], holdout=None)
    assert {split: len(pictures) for split, pictures in result.splits.items()} == {"train": 300, "test": 1}


def test_a_holdout_beside_the_sources_own_val_is_refused():
    with pytest.raises(UsageError, match="its own val"):
        made(["train/1.png", "train/2.png", "val/1.png"], holdout=0.5)


def test_holdout_is_stratified_disjoint_and_steady():
    names = numbered("a/{}.png", 300) + numbered("b/{}.png", 100)
    result = made(names, holdout=0.1)
    held = result.splits["val"]
    assert Counter(label for _, label in held.labelled(result.classes)) == {"a": 30, "b": 10}
    assert sorted([p.name for p in held] + [p.name for p in result.splits["train"]]) == sorted(names)
    more = made([*names, "a/new.png"], holdout=0.1)
    assert len({p.name for p in held} ^ {p.name for p in more.splits["val"]}) <= 2
    limited = made(names, holdout=0.1, limit=90)
    assert {p.name for p in limited.splits["val"]} < {p.name for p in held}


def test_holdout_keeps_groups_together():
    class Grouped(Names):
        def group(self, item: Item) -> str:
            return item.name[0:2]

    result = plan(Grouped(numbered("{:03}.png", 500)), None, None, 0.2)
    train, val = ({p.name[:2] for p in result.splits[split]} for split in ("train", "val"))
    assert len(result.splits["val"]) == 100
    assert not train & val


def test_holdout_never_takes_everything():
    result = made(["1.png", "2.png"], holdout=0.99)
    assert {split: len(pictures) for split, pictures in result.splits.items()} == {"train": 1, "val": 1}
    assert list(made(["1.png"], holdout=0.5).splits) == ["train"]


@pytest.mark.parametrize("limit", [1, 7, 10, 50, 109, 110, 1000])
def test_limit_is_exact_balanced_and_even(limit):
    names = numbered("a/{:03}.png", 60) + numbered("b/{:03}.png", 40) + numbered("c/{:03}.png", 10)
    result = made(names, limit=limit)
    train = result.splits["train"]
    assert len(train) == min(limit, 110)
    counts = Counter(label for _, label in train.labelled(result.classes))
    full = {"a": 60, "b": 40, "c": 10}
    most = max(counts.values())
    assert all(counts[label] >= min(full[label], most - 1) for label in full)
    assert [p.name for p in train] == sorted(p.name for p in train)


def test_limit_spreads_over_the_order():
    train = made(numbered("{:03}.png", 100), limit=10).splits["train"]
    assert [int(p.name[:3]) for p in train] == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]


def test_limit_thins_other_splits_too():
    result = made(numbered("train/{}.png", 300) + numbered("test/{}.png", 200), limit=50)
    assert {split: len(pictures) for split, pictures in result.splits.items()} == {"train": 50, "test": 50}


def test_file_names_label_as_in_dogs_vs_cats():
    result = made(["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "test1/1.jpg", "test1/2.jpg"])
    assert shape(result) == {
        "train": [("train/cat.0.jpg", "cat"), ("train/cat.1.jpg", "cat"), ("train/dog.0.jpg", "dog")],
        "test": [("test1/1.jpg", None), ("test1/2.jpg", None)],
    }
    assert result.classes == ("cat", "dog")
    assert any("taken from the file names (first: cat.0.jpg)" in note for note in result.notes)
    assert shape(made(["cat.0.jpg", "cat.1.jpg", "dog.0.jpg"], classes=["cat"])) == {"train": [("cat.0.jpg", "cat"), ("cat.1.jpg", "cat")]}


@pytest.mark.parametrize("names", [["cat.0.jpg", "cat.1.jpg"], ["cat.0.jpg", "dog.1.jpg", "holiday.jpg"], ["cat0.jpg", "dog1.jpg"]])
def test_other_file_names_do_not(names):
    result = made(names)
    assert result.classes == ()
    assert {label for _, label in shape(result)["train"]} == {None}


def test_folders_of_synsets_are_called_by_their_words():
    names = ["n02085936-Maltese_dog/1.jpg", "n02085620-Chihuahua/1.jpg", "n02099601-golden_retriever/2.jpg"]
    assert made(names).classes == ("Chihuahua", "Maltese_dog", "golden_retriever")
    for chosen in ("Maltese_dog", "n02085936-Maltese_dog"):
        result = made(names, classes=[chosen])
        assert (result.classes, shape(result)) == (("Maltese_dog",), {"train": [(names[0], "Maltese_dog")]})
    same = ["n02012849-crane/1.jpg", "n03126707-crane/1.jpg"]
    assert made(same).classes == ("n02012849-crane", "n03126707-crane")
    assert made(["n02085936-Maltese_dog/1.jpg", "cats/1.jpg"]).classes == ("cats", "n02085936-Maltese_dog")
