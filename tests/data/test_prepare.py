"""Preparing: the same from every source, whole or not at all, with every fault of a picture listed."""

from __future__ import annotations

import csv
import errno
import io
import json
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from ganvas.artifact import cache_folder
from ganvas.data import prepare as module
from ganvas.data.packed import is_packed, open_packed
from ganvas.data.prepare import prepare, resolve
from ganvas.errors import DataError, UsageError, UserError

NAMES = [f"{split}/{label}/{n}.png" for split in ("train", "test") for label in ("b", "a") for n in range(9)]


@pytest.fixture
def source(pictures, tmp_path):
    return pictures.folder(tmp_path / "source", pictures.many(NAMES))


def rows(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "shuffled tar.gz", "wrapped", "many threads", "one thread"])
def test_every_source_and_thread_count_makes_the_same_bytes(pictures, tmp_path, contents, source, kind, monkeypatch):
    """Chunks of a few pictures, so that order and gaps would show."""
    monkeypatch.setattr("ganvas.data.pool._CHUNK_PICTURES", 4)
    files = pictures.many(NAMES) | {"train/a/broken.png": b"broken", "test/b/0broken.png": b"broken"}
    pictures.folder(source, files)
    prepare(source, tmp_path / "expected", resolution=16, quiet=True)
    threads = None
    if kind == "zip":
        path = pictures.zip(tmp_path / "p.zip", files)
    elif kind == "tar":
        path = pictures.tar(tmp_path / "p.tar", files)
    elif kind == "tar.gz":
        path = pictures.tar(tmp_path / "p.tar.gz", files, "w:gz")
    elif kind == "shuffled tar.gz":
        shuffled = dict(sorted(files.items(), key=lambda pair: pair[1]))
        path = pictures.tar(tmp_path / "p.tar.gz", shuffled, "w:gz")
    elif kind == "wrapped":
        path = pictures.zip(tmp_path / "p.zip", {f"top/{name}": data for name, data in files.items()})
    else:
        path, threads = source, 7 if kind == "many threads" else 1
    prepare(path, tmp_path / "found", resolution=16, quiet=True, threads=threads)
    expected, found = contents(tmp_path / "expected"), contents(tmp_path / "found")
    one, other = json.loads(expected.pop("dataset.json")), json.loads(found.pop("dataset.json"))
    assert found == expected
    assert one.pop("source") == other.pop("source") or kind not in ("many threads", "one thread")
    assert one == (other | {"source": one["source"]} if "source" in one else other)


def test_what_is_written_is_what_is_said(pictures, tmp_path, source):
    pictures.folder(source, {"train/a/broken.jpg": b"text", "train/b/0.txt": b"", "train/b/1.JPG": b""})
    made = prepare(source, tmp_path / "out", resolution=32, quiet=True)
    assert (made.splits, made.classes, made.resolution) == ({"train": 18, "test": 18}, ("a", "b"), 32)
    assert (made.rejected, made.ignored, made.enlarged, made.unchanged) == (2, 1, 36, False)
    assert rows(tmp_path / "out" / "rejected.csv") == [
        {"name": "train/a/broken.jpg", "reason": "no picture in a format that can be read"},
        {"name": "train/b/1.JPG", "reason": "empty file"},
    ]
    assert "2 picture files were skipped: train/a/broken.jpg: no picture" in made.summary()
    assert "36 pictures were smaller than 32 pixels and enlarged" in made.summary()
    assert json.loads(json.dumps(made.to_json()))["splits"] == {"train": 18, "test": 18}
    dataset = open_packed(tmp_path / "out")
    dataset.verify()
    assert dataset.description.resizer.startswith("Pillow ")
    assert dataset.checksum == made.checksum


def test_pictures_around_rejected_ones_stay_with_their_names_and_labels(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("ganvas.data.pool._CHUNK_PICTURES", 3)
    monkeypatch.setattr("ganvas.data.writer._BLOCK_BYTES", 1000)
    good = {f"{'ab'[n % 2]}/{n:03}.png": pictures.png(n, (16, 16)) for n in range(60)}
    bad = {f"{'ab'[n % 2]}/{n:03}x.png": b"bad" for n in (0, 1, 7, 8, 9, 30, 58, 59)}
    made = prepare(pictures.folder(tmp_path / "s", good | bad), tmp_path / "out", resolution=16, holdout=0, quiet=True)
    split = open_packed(tmp_path / "out").split()
    assert made.rejected == len(bad)
    assert split.names == sorted(good)
    for k, name in enumerate(split.names):
        np.testing.assert_array_equal(split.images[k], np.asarray(pictures.image(int(name[2:5]), (16, 16))))
        assert split.labels[k] == "ab".index(name[0])


def test_a_class_or_split_without_readable_pictures_is_left_out(pictures, tmp_path):
    files = pictures.many(["train/a/1.png", "train/c/2.png"]) | {"train/b/1.png": b"bad", "test/a/1.png": b"bad"}
    made = prepare(pictures.folder(tmp_path / "s", files), tmp_path / "out", quiet=True)
    assert (made.classes, made.splits) == (("a", "c"), {"train": 2})
    assert "left out b" in made.summary()
    np.testing.assert_array_equal(open_packed(tmp_path / "out").split().labels, [0, 1])
    assert not list((tmp_path / "out").glob("test*"))


def test_duplicates_are_kept_and_listed_and_those_held_out_warned_of(pictures, tmp_path):
    picture = pictures.image(1, (32, 32))
    files = {
        "train/a.png": pictures.encode(picture),
        "train/b.bmp": pictures.encode(picture, "BMP"),
        "train/c.png": pictures.png(2),
        "test/d.tif": pictures.encode(picture, "TIFF"),
        "test/e.png": pictures.png(3),
        "test/f.png": pictures.png(3),
    }
    made = prepare(pictures.folder(tmp_path / "s", files), tmp_path / "out", resolution=32, quiet=True)
    assert (made.splits, made.duplicates, made.shared) == ({"train": 3, "test": 3}, 3, 1)
    assert [tuple(row.values()) for row in rows(tmp_path / "out" / "duplicates.csv")] == [
        ("train", "train/b.bmp", "train", "train/a.png"),
        ("test", "test/d.tif", "train", "train/a.png"),
        ("test", "test/f.png", "test", "test/e.png"),
    ]
    assert "warning: 1 held-out picture is in train, too" in made.summary()


def test_the_same_again_does_nothing(tmp_path, contents, source):
    out = tmp_path / "out"
    first = prepare(source, out, resolution=16, classes=["a"], limit=5, quiet=True)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = prepare(str(source), str(out), resolution=16, classes=["a"], limit=5, quiet=True)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.to_json() | {"seconds": 0, "unchanged": 0} == first.to_json() | {"seconds": 0, "unchanged": 0}
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert "already prepared" in again.summary()


def test_other_arguments_are_refused_without_force(pictures, tmp_path, contents, source):
    out = tmp_path / "out"
    prepare(source, out, resolution=16, quiet=True)
    before = contents(out)
    for options, words in [
        ({"resolution": 32}, "resolution 16, now 32"),
        ({"resolution": 16, "crop": "none"}, "crop center, now none"),
        ({"resolution": 16, "classes": ["a"]}, "classes unset, now a"),
        ({"resolution": 16, "background": (0, 0, 0)}, "background 255,255,255, now 0,0,0"),
    ]:
        with pytest.raises(UsageError, match=words) as caught:
            prepare(source, out, quiet=True, **options)
        assert "--force" in str(caught.value)
    assert contents(out) == before
    pictures.folder(source, {"train/a/new.png": pictures.png(77)})
    with pytest.raises(UsageError, match="has changed since"):
        prepare(source, out, resolution=16, quiet=True)
    assert contents(out) == before
    assert prepare(source, out, resolution=32, quiet=True, force=True).splits == {"train": 19, "test": 18}
    assert open_packed(out).resolution == 32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_damaged_data_set_is_named_and_force_mends_it(tmp_path, source):
    out = tmp_path / "out"
    prepare(source, out, quiet=True)
    (out / "train.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"damaged.*--force"):
        prepare(source, out, quiet=True)
    prepare(source, out, quiet=True, force=True)
    open_packed(out).verify()


@pytest.mark.parametrize("force", [False, True])
def test_nothing_but_a_data_set_is_ever_replaced(pictures, tmp_path, contents, source, force):
    photos = pictures.folder(tmp_path / "photos", {"holiday.jpg": b"precious"})
    (tmp_path / "file").write_bytes(b"precious")
    ours = tmp_path / "ours"
    prepare(source, ours, resolution=16, quiet=True)
    (ours / "notes.txt").write_bytes(b"precious")
    before = contents(tmp_path)
    for out, words in [
        (photos, "is no data set"),
        (tmp_path / "file", "is a file"),
        (ours, r"not the data set's \(notes\.txt\)"),
        (source / "packed", "inside of the source"),
        (source, "inside of the source"),
        (tmp_path, "holds the source"),
    ]:
        with pytest.raises(UsageError, match=words):
            prepare(source, out, resolution=32, quiet=True, force=force)
    assert contents(tmp_path) == before


def test_an_empty_folder_and_a_link_to_a_folder_are_filled(tmp_path, source):
    (tmp_path / "real").mkdir()
    if sys.platform != "win32":
        (tmp_path / "link").symlink_to(tmp_path / "real")
        prepare(source, tmp_path / "link", quiet=True)
        assert (tmp_path / "link").is_symlink()
    else:
        prepare(source, tmp_path / "real", quiet=True)
    assert is_packed(tmp_path / "real")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 2}, "expected 4 to 1024"),
        ({"resolution": 4096}, "expected 4 to 1024"),
        ({"crop": "centre"}, 'did you mean "center"'),
        ({"crop": "box"}, "source with bounding boxes"),
        ({"limit": 0}, "at least 1"),
        ({"holdout": 1.0}, "below 1"),
        ({"background": (0, 0, 256)}, "0 to 255"),
        ({"threads": 0}, "1 or more"),
        ({"classes": ["cc"]}, 'no class "cc"'),
        ({"classes": []}, "no class was named"),
    ],
)
def test_wrong_arguments(tmp_path, contents, source, options, words):
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=words):
        prepare(source, tmp_path / "out", quiet=True, **options)
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def huge_png() -> bytes:
    """A true 30,000 x 30,000 picture of one bit, in some kilobytes."""
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    return file.getvalue()


def test_bad_pictures_are_skipped_and_the_rest_prepared(pictures, tmp_path, capsys):
    """Under warnings as errors: Pillow's own about damaged metadata and large pictures must not get out."""
    jpeg = pictures.encode(pictures.image(4, (64, 64)), "JPEG")
    png = bytearray(pictures.png(5))
    png[-20] ^= 0xFF
    files = {
        "good.png": pictures.png(1),
        "odd exif.jpg": pictures.encode(pictures.image(6), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "crc.png": bytes(png),
        "text.jpg": b"Dear Sir or Madam",
        "tiny.png": pictures.png(2, (1, 1)),
        "huge.png": huge_png(),
    }
    made = prepare(pictures.zip(tmp_path / "p.zip", files, zipfile.ZIP_DEFLATED), tmp_path / "out", quiet=True)
    reasons = {row["name"]: row["reason"] for row in rows(tmp_path / "out" / "rejected.csv")}
    assert made.splits == {"train": 2}
    assert reasons.keys() == files.keys() - {"good.png", "odd exif.jpg"}
    assert reasons["truncated.jpg"] == "truncated"
    assert reasons["tiny.png"] == "smaller than 8 pixels (1 x 1)"
    assert reasons["huge.png"] == "larger than 120 million pixels"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"x"}, {"a.jpg": b"bad", "b.jpg": b"bad"}, {"a.heic": b"x"}])
def test_nothing_readable_is_an_error_and_leaves_nothing(pictures, tmp_path, contents, files):
    source = pictures.folder(tmp_path / "s", files)
    with pytest.raises(DataError, match=r"holds no pictures|none of the 2 pictures"):
        prepare(source, tmp_path / "out", quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_missing_sources_and_packed_sources(tmp_path, source):
    with pytest.raises(DataError, match="does not exist"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    prepare(source, tmp_path / "packed", quiet=True)
    with pytest.raises(DataError, match="packed data set already"):
        prepare(tmp_path / "packed", tmp_path / "out")


def test_traversal_writes_nothing_outside(pictures, tmp_path, contents):
    place = tmp_path / "deep"
    place.mkdir()
    path = pictures.zip(place / "p.zip", pictures.many(["../evil.png", "/evil.png", "good.png"]))
    made = prepare(path, place / "out", quiet=True)
    assert (made.splits, made.rejected) == ({"train": 1}, 2)
    assert not [name for name in contents(tmp_path) if "evil" in name]


@pytest.mark.parametrize("when", [1, 5])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path, contents, source, monkeypatch, when):
    out = tmp_path / "out"
    prepare(source, out, resolution=16, quiet=True)
    before = contents(tmp_path)
    from ganvas.data.writer import RowFile

    calls = []
    write = RowFile._put

    def full(self, *arguments) -> None:
        calls.append(1)
        if len(calls) > when:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr("ganvas.data.pool._CHUNK_PICTURES", 4)
    monkeypatch.setattr(RowFile, "_put", full)
    with pytest.raises(UserError, match=r"disk is full.*free some space"):
        prepare(source, out, resolution=32, quiet=True, force=True)
    assert contents(tmp_path) == before


def test_too_little_room_is_told_before_anything_is_written(tmp_path, source, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"needs 432\.0 KiB, 1000 B is free"):
        prepare(source, tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_limit_on_file_sizes_ends_with_a_message(tmp_path, source):
    """What the system itself does when a file may not grow, in a process of its own."""
    code = (
        "import resource, sys\n"
        "from ganvas.data.prepare import prepare\n"
        "from ganvas.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try:\n    prepare(sys.argv[1], sys.argv[2], quiet=True)\n"
        "except UserError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, source, tmp_path / "out"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "may not grow" in run.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_an_interruption_leaves_everything_as_it_was(tmp_path, contents, source, monkeypatch):
    out = tmp_path / "out"
    prepare(source, out, resolution=16, quiet=True)
    before = contents(tmp_path)

    def interrupted(*_arguments) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_split", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, resolution=32, quiet=True, force=True)
    assert contents(tmp_path) == before


def test_what_a_killed_prepare_left_is_cleared(tmp_path, source):
    (tmp_path / ".out.tmp-abc").mkdir()
    (tmp_path / ".out.tmp-abc" / "train.npy").write_bytes(b"half")
    prepare(source, tmp_path / "out", quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_two_at_once_into_one_folder(tmp_path, source):
    import filelock

    with filelock.FileLock(tmp_path / ".out.lock"), pytest.raises(UserError, match="another process is preparing"):
        prepare(source, tmp_path / "out", quiet=True)


@pytest.mark.parametrize("call", ["prepare", "resolve"])
def test_a_place_that_can_not_be_made_is_told_and_not_waited_for(tmp_path, source, monkeypatch, call):
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "file" / "cache"))
    out = tmp_path / "file" / "deep" / "out"
    run = {"prepare": lambda: prepare(source, out, quiet=True), "resolve": lambda: resolve(source, resolution=16, quiet=True)}[call]
    with pytest.raises(UserError, match="can't be made"):
        run()


def test_memory_is_bounded_by_the_pool_not_the_source(pictures, tmp_path, monkeypatch):
    """Of 200 chunks no more than a few for each thread are alive at once."""
    from ganvas.data import pool

    alive, most = 0, 0
    make = pool._Chunk

    class Counted(make):
        def __init__(self, *arguments) -> None:
            nonlocal alive, most
            super().__init__(*arguments)
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    monkeypatch.setattr(pool, "_Chunk", Counted)
    monkeypatch.setattr(pool, "_CHUNK_PICTURES", 1)
    path = pictures.tar(tmp_path / "p.tgz", {f"{n}.png": pictures.png(n, (8, 8)) for n in range(200)}, "w:gz")
    prepare(path, tmp_path / "out", resolution=8, quiet=True, threads=2)
    assert 2 <= most <= 12


def test_resolve_prepares_once_into_the_cache(tmp_path, source, capsys):
    first = resolve(source, resolution=16)
    said = capsys.readouterr()
    assert first.path.is_relative_to(cache_folder())
    assert (said.out, f"preparing {source} once, into {first.path}" in said.err) == ("", True)
    assert resolve(source, resolution=16).path == first.path
    others = [resolve(source, resolution=8, quiet=True), resolve(source, resolution=16, crop="none", quiet=True)]
    assert len({first.path, *(other.path for other in others)}) == 3
    assert capsys.readouterr() == ("", "")  # which copy is in use was said


def test_resolve_says_once_which_copy_it_uses(source, capsys):
    first = resolve(source, resolution=16, quiet=True)
    for expected in (f"using the copy of {source} prepared in {first.path}\n", ""):
        assert resolve(source, resolution=16).path == first.path
        assert capsys.readouterr().err == expected


def test_resolve_notices_a_changed_source_and_a_damaged_copy(pictures, tmp_path, source):
    first = resolve(source, resolution=16, quiet=True)
    (first.path / "train.npy").write_bytes(b"")
    resolve(source, resolution=16, quiet=True).verify()
    pictures.folder(source, {"train/a/new.png": pictures.png(77)})
    assert len(resolve(source, resolution=16, quiet=True).split()) == 19


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_resolve_lists_an_archive_once(pictures, tmp_path, monkeypatch, kind):
    made = {"zip": pictures.zip, "tgz": lambda path, files: pictures.tar(path, files, "w:gz")}[kind]
    path = made(tmp_path / f"p.{kind}", pictures.many(["1.png", "2.png"]))
    first = resolve(path, resolution=16, quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, "open_source", lambda *_, **__: pytest.fail("the archive was opened again"))
        assert resolve(path, resolution=16, quiet=True).path == first.path
    made(path, pictures.many(["1.png", "2.png", "3.png"]))
    assert len(resolve(path, resolution=16, quiet=True).split()) == 3


def test_resolve_opens_packed_data_and_resizes_it(tmp_path, source):
    prepare(source, tmp_path / "packed", resolution=32, quiet=True)
    assert resolve(tmp_path / "packed", resolution=32).path == tmp_path / "packed"
    assert resolve(str(tmp_path / "packed"), resolution=16, quiet=True).resolution == 16
    with pytest.raises(DataError, match="--resolution 64"):
        resolve(tmp_path / "packed", resolution=64)


def test_resolve_passes_the_holdout_on(pictures, tmp_path):
    source = pictures.folder(tmp_path / "s", pictures.many([f"{n}.png" for n in range(40)]))
    assert resolve(source, resolution=8, quiet=True).splits == ("train",)
    assert len(resolve(source, resolution=8, holdout=0.25, quiet=True).split("val")) == 10


def test_a_tar_with_a_picture_bomb_inside_costs_only_itself(pictures, tmp_path):
    path = pictures.tar(tmp_path / "p.tar", {"huge.png": huge_png(), "good.png": pictures.png()})
    assert tarfile.is_tarfile(path)
    made = prepare(path, tmp_path / "out", quiet=True)
    assert (made.splits, made.rejected) == ({"train": 1}, 1)


@pytest.mark.data
def test_real_pictures(shared_data, tmp_path):
    made = prepare(shared_data / "churches.zip", tmp_path / "churches", resolution=32, quiet=True)
    assert (made.splits, made.classes, made.rejected) == ({"train": 941, "val": 409}, (), 0)
    made = prepare(shared_data / "stanford-dogs" / "images.tar", tmp_path / "dogs", resolution=32, holdout=0, quiet=True)
    assert (made.splits, len(made.classes), made.rejected) == ({"train": 724}, 4, 0)
    made = prepare(shared_data / "cifar10.zip", tmp_path / "cifar", resolution=16, limit=500, quiet=True)
    assert (made.splits, len(made.classes)) == ({"train": 500, "test": 500}, 10)
    np.testing.assert_array_equal(np.bincount(open_packed(tmp_path / "cifar").split().labels), [50] * 10)
