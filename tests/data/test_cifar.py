"""CIFAR as its owners ship it, read without running what a pickle asks for."""

from __future__ import annotations

import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data import pickles
from ganvas.data.opening import open_source
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare
from ganvas.errors import DataError, UsageError

NAMES = ["airplane", "bird/s", "cat"]


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def as_python_2(value: dict[bytes, Any]) -> bytes:
    """A pickle as CIFAR's is: protocol 2 of Python 2, where bytes and text are one, and NumPy's old names."""
    data = pickle.dumps(value, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"_codecs" in data  # how Python 3 writes bytes in this protocol
    return data


def cifar10(count: int = 6) -> dict[str, bytes]:
    """Two batches, a test batch and the names of the classes."""
    files = {"batches.meta": as_python_2({b"label_names": [n.encode() for n in NAMES], b"num_cases_per_batch": count})}
    for seed, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        labels = [(seed + row) % 3 for row in range(count)]
        files[name] = as_python_2({b"data": pixels(count, seed), b"labels": labels, b"batch_label": b"x", b"filenames": [b"y"] * count})
    return {f"cifar-10-batches-py/{name}": data for name, data in files.items()} | {"cifar-10-batches-py/readme.html": b"<html>"}


def cifar100() -> dict[str, bytes]:
    files = {"meta": as_python_2({b"fine_label_names": ["beaver", "dolphin", "shark"], b"coarse_label_names": ["mammals", "fish"]})}
    for seed, (name, count) in enumerate((("train", 6), ("test", 3))):
        fine = [row % 3 for row in range(count)]
        coarse = [int(label == 2) for label in fine]
        files[name] = as_python_2({b"data": pixels(count, seed), b"fine_labels": fine, b"coarse_labels": coarse})
    return {f"cifar-100-python/{name}": data for name, data in files.items()}


@pytest.fixture(autouse=True)
def _nothing_is_run(monkeypatch):
    """No test here may start a command, which is what a hostile pickle would do first."""
    called: list[object] = []
    monkeypatch.setattr(os, "system", called.append)
    yield
    assert not called


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "folder", "the folder's parent"])
def test_every_layout_gives_the_very_pixels_labels_and_splits(pictures, tmp_path, kind):
    files = cifar10()
    if kind.startswith("tar"):
        path = pictures.tar(tmp_path / f"cifar-10-python.{kind}", files, "w:gz" if kind == "tar.gz" else "w")
    else:
        path = pictures.folder(tmp_path / "c", files)
        path = path / "cifar-10-batches-py" if kind == "folder" else path
    made = prepare(path, tmp_path / "out", resolution=32, quiet=True)
    assert (made.splits, made.classes, made.rejected, made.ignored) == ({"train": 12, "test": 6}, ("airplane", "bird-s", "cat"), 0, 1)
    dataset = open_packed(tmp_path / "out")
    for split, seeds in (("train", (0, 1)), ("test", (2,))):
        opened = dataset.split(split)
        given = np.concatenate([pixels(6, seed) for seed in seeds]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.concatenate([[(seed + row) % 3 for row in range(6)] for seed in seeds])
        rows = [6 * ("data_batch_2" in name) + int(name[-5:]) for name in opened.names]
        np.testing.assert_array_equal(opened.images, given[rows])
        np.testing.assert_array_equal(opened.labels, labels[rows])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(None, ("beaver", "dolphin", "shark")), ("fine", ("beaver", "dolphin", "shark")), ("coarse", ("fish", "mammals"))],
)
def test_cifar100_has_fine_and_coarse_labels(pictures, tmp_path, labels, classes):
    path = pictures.tar(tmp_path / "cifar-100-python.tar.gz", cifar100(), "w:gz")
    made = prepare(path, tmp_path / "out", resolution=32, labels=labels, quiet=True)
    assert (made.splits, made.classes) == ({"train": 6, "test": 3}, classes)


def test_labels_that_are_not_there(pictures, tmp_path):
    path = pictures.folder(tmp_path / "c", cifar100())
    with pytest.raises(UsageError, match=r'no labels "course"; did you mean "coarse"'):
        prepare(path, tmp_path / "out", labels="course", quiet=True)
    path = pictures.folder(tmp_path / "d", cifar10())
    with pytest.raises(UsageError, match="no labels to choose from"):
        prepare(path, tmp_path / "out", labels="fine", quiet=True)
    with pytest.raises(UsageError, match="no labels to choose from"):
        prepare(pictures.folder(tmp_path / "e", pictures.many(["a.png"])), tmp_path / "out", labels="fine", quiet=True)


def test_one_batch_is_in_memory_at_a_time_and_limits_and_classes_hold(pictures, tmp_path):
    path = pictures.tar(tmp_path / "c.tar.gz", cifar10(30), "w:gz")
    made = prepare(path, tmp_path / "out", resolution=16, limit=10, classes=["cat", "airplane"], quiet=True)
    assert (made.splits, made.classes) == ({"train": 10, "test": 10}, ("airplane", "cat"))


class Evil:
    """What a malicious pickle does: call something when it is loaded."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def table(**changes: Any) -> bytes:
    good: dict[str, Any] = {"data": pixels(4), "labels": [0, 1, 2, 0]}
    return pickle.dumps({key.encode(): value for key, value in (good | changes).items()}, 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps(Evil(os.system, "touch /tmp/evil"), 2), r'asks for "posix\.system"|asks for "nt\.system"'),
        (table(data=Evil(eval, "1")), r'asks for "(__builtin__|builtins)\.eval"'),
        (table(labels=Evil(np.load, "/etc/passwd", None, True)), "asks for"),
        (table(data=Evil(Path, "x")), "asks for"),
        (b"cos\nsystem\n(S'true'\ntR.", 'asks for "os.system"'),
        (b"(S'true'\nios\nsystem\n.", "instruction that data do not need"),
        (b"\x80\x02X\x05\x00\x00\x00True1Q.", "instruction that data do not need"),
        (b"\x80\x02]r\xff\xff\xff\xff.", "holds no table"),  # a place in the memo that would take 64 GiB
        (b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".", "instruction that data do not need"),  # a terabyte of bytes
        (b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b".", "can't be read"),
        (b"\x80\x02" + b"(" * 200_000 + b".", "can't be read"),
        (b"", "can't be read"),
        (table()[:-30], "can't be read"),
        (b"<html>not found</html>", "instruction that data do not need|can't be read"),
        (pickle.dumps([1, 2]), "holds no table"),
        (table(data=np.array([object()] * 4)), "asks for"),
        (table(data=np.zeros(4, [("a", "u1")])), "records"),
        (table(data=np.array(["abc"])), "not of numbers|no simple type"),
        (table(data=pixels(4).astype(np.float32)), "no pictures of 32 x 32"),
        (table(data=pixels(4)[:, :100].copy()), "no pictures of 32 x 32"),
        (table(data=[1, 2, 3]), "no pictures of 32 x 32"),
        (table(labels=[0, 1]), "4 pictures and 2 labels"),
        (table(labels=[0, 1, 2, -1]), "no list of labels"),
        (table(labels=["a"] * 4), "no list of labels"),
        (table(labels=None), "no list of labels"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_hostile_and_damaged_batches_are_refused_with_their_names(pictures, tmp_path, contents, data, words, packed):
    files = cifar10() | {"cifar-10-batches-py/data_batch_2": data}
    files = {name: files[name] for name in sorted(files)}
    path = pictures.tar(tmp_path / "c.tar.gz", files, "w:gz") if packed else pictures.folder(tmp_path / "c", files)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=rf"data_batch_2: .*({words})"):
        prepare(path, tmp_path / "out", quiet=True)
    assert contents(tmp_path) == before


def shaped(shape: tuple[int, ...], kind: bytes = b"u1") -> bytes:
    """A pickle of an array of 4 bytes that claims a shape and a type of its own."""
    good = pickle.dumps(np.zeros((2, 2), np.uint8), 2)
    small = pickletools.optimize(good)
    assert b"K\x02K\x02\x86" in small
    return small.replace(b"K\x02K\x02\x86", pickle.dumps(shape, 2)[2:-1].replace(b"q\x00", b"")).replace(b"u1", kind)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (shaped((1 << 40, 1 << 20)), "claims to be"),
        (shaped((-2, -2)), "no sound description"),
        (shaped((3, 2)), "claims to be"),
        (shaped((2, 2), b"O8"), "not of numbers"),
        (shaped((2, 2), b"V1"), "not of numbers"),
        (shaped((2, 2), b"zz"), 'type "zz"'),
    ],
)
def test_arrays_that_are_not_what_they_claim(data, words):
    with pytest.raises(pickles.Refused, match=words):
        pickles.read(data)


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    "array", [pixels(2), np.arange(6, dtype=">i4").reshape(2, 3), np.asfortranarray(np.ones((2, 3))), np.array([True])]
)
def test_arrays_and_plain_values_come_through(protocol, array):
    value = {"data": array, "labels": [1, 2], "f": 0.5, "t": (None, True, 2**40), "d": {"x": -1}}
    found = pickles.read(pickle.dumps(value, protocol))
    np.testing.assert_array_equal(found["data"], array)
    assert found["data"].dtype == array.dtype
    assert {key: item for key, item in found.items() if key != "data"} == {key: item for key, item in value.items() if key != "data"}


def test_a_tar_of_pictures_named_like_batches_is_a_tar_of_pictures(pictures, tmp_path):
    path = pictures.tar(tmp_path / "p.tar", {"train/a/1.png": pictures.png(1), "train/b/2.png": pictures.png(2)})
    with open_source(path) as source:
        assert source.kind == "tar"
    folder = pictures.folder(tmp_path / "f", pictures.many(["train/a/1.png", "test/a/2.png"]))
    with open_source(folder) as source:
        assert source.kind == "folder"
