"""Hugging Face's data sets on disk: what `datasets` 5.2 writes, made here by pyarrow alone, and what is wrong with some."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganvas.data.opening import open_source
from ganvas.data.packed import open_packed
from ganvas.data.prepare import prepare
from ganvas.errors import DataError, UsageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NAMES = ["n/a", "cat", "dog"]
FEATURES = {"img": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(pictures, count: int, start: int = 0, features: dict[str, Any] | None = FEATURES, **columns: Any) -> Any:
    rows = [{"bytes": pictures.png(start + n), "path": None} for n in range(count)]
    given = {"img": pa.array(rows, IMAGE), "label": pa.array([n % 3 for n in range(count)], pa.int64())} | columns
    made = pa.table({name: column for name, column in given.items() if column is not None})
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})} if features is not None else {})


def save(folder: Path, made: Any, shards: int = 1) -> Path:
    """What `Dataset.save_to_disk` writes."""
    folder.mkdir(parents=True)
    names = [f"data-{k:05}-of-{shards:05}.arrow" for k in range(shards)]
    step = -(-made.num_rows // shards)
    for k, name in enumerate(names):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, made.schema) as writer:
            writer.write_table(made.slice(k * step, step), max_chunksize=4)
    (folder / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], "_fingerprint": "x"}))
    return folder


def lay(pictures, folder: Path, layout: str) -> Path:
    train, test = table(pictures, 30), table(pictures, 6, start=30)
    if layout == "saved dict":
        save(folder / "train", train, shards=3)
        save(folder / "test", test)
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    elif layout == "parquet":
        (folder / "data").mkdir(parents=True)
        pq.write_table(train.slice(0, 20), folder / "data" / "train-00000-of-00002.parquet", row_group_size=7)
        pq.write_table(train.slice(20), folder / "data" / "train-00001-of-00002.parquet")
        pq.write_table(test, folder / "data" / "test-00000-of-00001.parquet")
    else:
        assert layout == "parquet by folders"
        for name, made in (("train", train), ("test", test)):
            (folder / name).mkdir(parents=True)
            pq.write_table(made, folder / name / "0000.parquet")
    return folder


@pytest.mark.parametrize("layout", ["saved dict", "parquet", "parquet by folders"])
def test_every_layout_gives_the_very_pictures_and_labels(pictures, tmp_path, layout):
    made = prepare(lay(pictures, tmp_path / "d", layout), tmp_path / "out", resolution=24, quiet=True)
    assert (made.splits, made.classes, made.rejected) == ({"train": 30, "test": 6}, ("cat", "dog", "n-a"), 0)
    dataset = open_packed(tmp_path / "out")
    for split, start in (("train", 0), ("test", 30)):
        opened = dataset.split(split)
        seeds = {np.asarray(pictures.image(start + n)).tobytes(): n for n in range(len(opened))}
        found = [seeds[picture.tobytes()] for picture in opened.images]
        assert sorted(found) == list(range(len(opened)))
        assert [dataset.classes[k] for k in opened.labels] == [NAMES[n % 3].replace("/", "-") for n in found]


@pytest.mark.parametrize("kind", ["saved", "parquet", "arrow stream", "arrow file"])
def test_a_single_table_has_no_splits(pictures, tmp_path, kind):
    made = table(pictures, 9)
    if kind == "saved":
        path = save(tmp_path / "d", made)
    elif kind == "parquet":
        path = tmp_path / "cats.parquet"
        pq.write_table(made, path)
    else:
        path = tmp_path / "cats.arrow"
        opener = pa.ipc.new_stream if kind == "arrow stream" else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as file, opener(file, made.schema) as writer:
            writer.write_table(made)
    done = prepare(path, tmp_path / "out", resolution=8, quiet=True)
    assert (done.splits, done.classes) == ({"train": 9}, ("cat", "dog", "n-a"))


@pytest.mark.parametrize(
    ("columns", "features", "labels", "classes"),
    [
        ({"label": None}, {"img": {"_type": "Image"}}, None, ()),
        ({"label": pa.array(["x", "y", "x"])}, {}, None, ("x", "y")),
        ({"label": pa.array(["x", "y", "x"])}, None, None, ("x", "y")),
        ({"label": pa.array([7, 8, 8])}, None, None, ("7", "8")),
        ({"label": pa.array([0, 1, -1])}, FEATURES, None, ()),
        ({"label": pa.array([0, 1, None])}, FEATURES, None, ()),
        ({"coarse": pa.array(["a", "b", "b"])}, FEATURES, "coarse", ("a", "b")),
        ({"img": None, "image": pa.array([b"", b"", b""])}, None, None, ("0", "1", "2")),
    ],
)
def test_which_column_holds_the_labels(pictures, tmp_path, columns, features, labels, classes):
    if "image" in columns:
        columns["image"] = pa.array([pictures.png(n) for n in range(3)])
    pq.write_table(table(pictures, 3, features=features, **columns), tmp_path / "p.parquet")
    made = prepare(tmp_path / "p.parquet", tmp_path / "out", resolution=8, holdout=0, labels=labels, quiet=True)
    assert (made.splits, made.classes) == ({"train": 3}, classes)


def test_pictures_that_are_missing_broken_or_only_a_path_are_listed(pictures, tmp_path):
    rows = [{"bytes": pictures.png(1), "path": None}, {"bytes": None, "path": "/etc/passwd"}, None, {"bytes": b"no picture", "path": None}]
    rows += [{"bytes": b"", "path": None}]
    columns = {"img": pa.array(rows, IMAGE), "label": pa.array([0] * 5)}
    for suffix in ("parquet", "saved"):
        made = table(pictures, 5, **columns)
        path = tmp_path / f"p.{suffix}"
        if suffix == "parquet":
            pq.write_table(made, path)
        else:
            save(path, made)
        done = prepare(path, tmp_path / f"out {suffix}", resolution=8, quiet=True)
        assert (done.splits, done.rejected) == ({"train": 1}, 4)
        reasons = (tmp_path / f"out {suffix}" / "rejected.csv").read_text()
        assert reasons.count("the picture itself is not in the table") == 2
        assert "empty file" in reasons


@pytest.mark.parametrize(
    ("columns", "options", "kind", "words"),
    [
        ({"img": None}, {}, DataError, "no column of pictures"),
        ({"img": pa.array(["a", "b", "c"])}, {}, DataError, "no column of pictures"),
        ({"label": pa.array([0, 1, 3])}, {}, DataError, "has a label 3 of 3 classes"),
        ({}, {"labels": "lable"}, UsageError, r'no labels "lable"; did you mean "label"'),
        ({}, {"labels": "img"}, UsageError, r'no labels "img".*it has label'),
    ],
)
def test_tables_that_do_not_fit(pictures, tmp_path, columns, options, kind, words):
    pq.write_table(table(pictures, 3, **columns), tmp_path / "p.parquet")
    with pytest.raises(kind, match=words):
        prepare(tmp_path / "p.parquet", tmp_path / "out", quiet=True, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("layout", ["saved dict", "parquet"])
def test_files_that_were_cut_off_or_changed(pictures, tmp_path, layout, share):
    folder = lay(pictures, tmp_path / "d", layout)
    file = sorted(folder.rglob("train*.parquet" if layout == "parquet" else "data-00001*.arrow"))[0]
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"is damaged|could be read"):
        prepare(folder, tmp_path / "out", quiet=True)
    noise = bytearray(data)
    noise[int(len(data) * share) :: 3] = b"\xff" * len(noise[int(len(data) * share) :: 3])
    file.write_bytes(noise)
    with pytest.raises(DataError, match=r"is damaged|could be read"):
        prepare(folder, tmp_path / "out", quiet=True)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"_data_files": [{"filename": "../../secret.arrow"}]}, "names no files of rows"),
        ({"_data_files": [{"filename": "gone.arrow"}]}, "gone.arrow is missing"),
        ({"_data_files": []}, "names no files of rows"),
        ({"_data_files": "x"}, "names no files of rows"),
        ({}, "names no files of rows"),
        ([], "holds no table"),
        ({"_data_files": [{"filename": "a.arrow"}], "_indices_data_files": [{"filename": "i.arrow"}]}, "flatten_indices"),
    ],
)
def test_what_a_saved_data_set_says_of_itself_is_checked(pictures, tmp_path, state, words):
    folder = save(tmp_path / "d", table(pictures, 3))
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=words):
        prepare(folder, tmp_path / "out", quiet=True)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "dataset_dict.json").write_text(json.dumps({"splits": ["../d"]}))
    with pytest.raises(DataError, match="names no splits"):
        prepare(tmp_path / "e", tmp_path / "out", quiet=True)


def test_a_group_of_rows_that_unpacks_to_too_much_is_refused(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("ganvas.data.arrow.MAX_ROW_GROUP_BYTES", 1000)
    pq.write_table(table(pictures, 9), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="rows in one group"):
        prepare(tmp_path / "p.parquet", tmp_path / "out", quiet=True)


def test_pictures_beside_a_table_are_a_folder_of_pictures(pictures, tmp_path):
    folder = pictures.folder(tmp_path / "d", pictures.many(["a.png", "b.png"]))
    pq.write_table(table(pictures, 3), folder / "metadata.parquet")
    with open_source(folder) as source:
        assert source.kind == "folder"


def test_without_the_package_it_says_how_to_get_it(pictures, tmp_path, monkeypatch):
    pq.write_table(table(pictures, 3), tmp_path / "p.parquet")
    load = builtins.__import__

    def missing(name, *arguments):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"pip install 'ganvas\[hf\]'"):
        prepare(tmp_path / "p.parquet", tmp_path / "out", quiet=True)
