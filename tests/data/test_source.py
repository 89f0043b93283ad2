"""Folders, zips and tars give the same pictures; what is damaged or malicious gives one clear message."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import struct
import sys
import tarfile
import zipfile

import pytest

from ganvas.data.decode import Rejected
from ganvas.data.opening import open_source
from ganvas.errors import DataError, UsageError

NAMES = ["train/b/2.png", "train/a/1.png", "test/a/deep/er/3.png"]


def read(source) -> dict[str, bytes]:
    if source.sequential:
        return {source.items[index].name: data for index, data in source.stream(source.items)}
    found = {}
    for item in source.items:
        with source.open(item) as file:
            found[item.name] = file.read()
    return found


@pytest.mark.parametrize("kind", ["folder", "zip", "deflated", "tar", "tar.gz", "tar.bz2", "tar.xz", "tgz without suffix"])
@pytest.mark.parametrize("wrapped", ["", "one/", "one/two/", "./one/"])
def test_every_kind_of_source_gives_the_same(pictures, tmp_path, kind, wrapped):
    files = pictures.many(NAMES)
    laid = {wrapped + name: data for name, data in files.items()}
    if kind == "folder":
        path = pictures.folder(tmp_path / "p", laid)
    elif kind in ("zip", "deflated"):
        path = pictures.zip(tmp_path / "p.zip", laid, zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED)
    else:
        path = pictures.tar(tmp_path / "p", laid, {"tar": "w", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}.get(kind, "w:gz"))
    with open_source(path) as source:
        assert [item.name for item in source.items] == sorted(NAMES)
        assert read(source) == files
        assert (source.rejected, source.ignored) == ([], 0)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tgz"])
def test_other_files_are_silent_and_unreadable_formats_are_not(pictures, tmp_path, kind):
    files = {
        **pictures.many(["a.png", "UPPER.PNG"]),
        ".DS_Store": b"x",
        "Thumbs.db": b"x",
        "desktop.ini": b"x",
        "__MACOSX/a.png": b"x",
        "._a.png": b"x",
        ".hidden/b.png": b"x",
        "notes.txt": b"x",
        "labels.csv": b"x",
        "n02085936_7": b"<annotation/>",
        "no_suffix": pictures.png(9),
        "phone.heic": b"x",
    }
    path = {
        "folder": lambda: pictures.folder(tmp_path / "p", files),
        "zip": lambda: pictures.zip(tmp_path / "p.zip", files),
        "tar": lambda: pictures.tar(tmp_path / "p.tar", files),
        "tgz": lambda: pictures.tar(tmp_path / "p.tgz", files, "w:gz"),
    }[kind]()
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["UPPER.PNG", "a.png", "no_suffix"]
        assert source.rejected == [("phone.heic", "format .heic can't be read")]
        assert read(source)["no_suffix"] == files["no_suffix"]


def test_a_split_is_no_wrapping(pictures, tmp_path):
    with open_source(pictures.zip(tmp_path / "p.zip", pictures.many(["x/train/1.png", "x/train/2.png"]))) as source:
        assert [item.name for item in source.items] == ["train/1.png", "train/2.png"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/tmp/evil.png", "..\\evil.png", "C:\\evil.png", "C:/evil.png"])
def test_names_that_lead_out_are_listed_and_never_used(pictures, tmp_path, kind, name):
    files = {**pictures.many(["a/good.png", "b/good.png"]), name: pictures.png(9)}
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    with open_source(getattr(pictures, kind)(place / f"p.{kind}", files)) as source:
        assert [item.name for item in source.items] == ["a/good.png", "b/good.png"]
        assert len(source.rejected) == 1
        assert "unsafe name" in source.rejected[0][1]


def test_links_and_devices_in_archives_are_ignored(pictures, tmp_path):
    path = tmp_path / "p.tar"
    with tarfile.open(path, "w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"{number}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("good.png")
        info.size = len(pictures.png())
        archive.addfile(info, io.BytesIO(pictures.png()))
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["good.png"]
        assert source.ignored == 4
    path = pictures.zip(tmp_path / "p.zip", {"good.png": pictures.png()})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["good.png"]


def test_the_last_of_files_of_one_name_counts_as_when_unpacking(pictures, tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", pictures.png(1))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", pictures.png(2))
    with open_source(path) as source:
        assert read(source) == {"a.png": pictures.png(2)}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_in_folders_are_followed_once_and_broken_ones_listed(pictures, tmp_path):
    pictures.folder(tmp_path / "elsewhere", pictures.many(["x.png"]))
    path = pictures.folder(tmp_path / "p", pictures.many(["a/1.png", "b/2.png"]))
    (path / "c").symlink_to(tmp_path / "elsewhere")
    (path / "a" / "loop").symlink_to(path)
    (path / "a" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["a/1.png", "b/2.png", "c/x.png"]
        assert source.rejected == [("a/broken.png", "can't be read: No such file or directory")]


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_with_strange_bytes_and_colons(pictures, tmp_path):
    path = pictures.folder(tmp_path / "p", pictures.many(["C:x.png", "new\nline.png", "ü.png"]))
    (path / os.fsdecode(b"\xff\xfe.png")).write_bytes(pictures.png(5))
    with open_source(path) as source:
        assert len(source.items) == 4
        assert len(read(source)) == 4


def message(path) -> str:
    with pytest.raises(DataError) as caught, open_source(path):
        pass
    return str(caught.value)


def test_missing_sources_say_what_was_expected(tmp_path):
    assert "does not exist: expected a folder" in message(tmp_path / "nowhere")
    assert "download it first" in message("https://example.com/cats.zip")
    with pytest.raises(UsageError, match=r'did you mean "builtin:emoji"'):
        open_source("builtin:emojis")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b"Dear Sir or Madam," * 100, "no archive"),
        (b"7z\xbc\xaf\x27\x1c" + b"\0" * 600, "unpack it"),
        (b"Rar!\x1a\x07" + b"\0" * 600, "unpack it"),
        (gzip.compress(b"only text" * 100, mtime=0), "no archive"),
        (bz2.compress(b"only text" * 100), "no archive"),
        (b"\0" * 10240, "no archive"),
    ],
    ids=["empty", "letter", "7z", "rar", "gzip of text", "bzip2 of text", "zeros"],
)
def test_files_that_are_no_archives(tmp_path, data, words):
    (tmp_path / "p").write_bytes(data)
    assert words in message(tmp_path / "p")


def test_a_single_picture_is_no_source(pictures, tmp_path):
    (tmp_path / "cat.png").write_bytes(pictures.png())
    assert "single picture" in message(tmp_path / "cat.png")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
def test_archives_that_were_cut_off(pictures, tmp_path, mode, share):
    files = pictures.many([f"{n}.png" for n in range(40)])
    path = pictures.zip(tmp_path / "p.zip", files) if mode == "zip" else pictures.tar(tmp_path / "p.tgz", files, mode)
    data = path.read_bytes()
    if mode == "w":
        data = data[: data.rindex(b"IEND") + 8]  # without the empty blocks at the end
    path.write_bytes(data[: int(len(data) * share)])
    assert "damaged" in message(path)


def test_a_tar_with_rubbish_in_the_middle_does_not_just_end_there(pictures, tmp_path):
    path = pictures.tar(tmp_path / "p.tar", pictures.many(["1.png", "2.png", "3.png"]))
    data = bytearray(path.read_bytes())
    place = data.index(b"2.png")
    data[place : place + 512] = b"?" * 512
    path.write_bytes(data)
    assert "damaged" in message(path)


def set_flag(data: bytes, which: int) -> bytes:
    """The zip with the encrypted flag set in the headers of its member number `which`."""
    found = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        for _ in range(which + 1):
            place = found.index(mark, place + 1)
        found[place + offset] |= 1
    return bytes(found)


def test_encrypted_zips(pictures, tmp_path):
    path = pictures.zip(tmp_path / "p.zip", pictures.many(["1.png", "2.png"]))
    path.write_bytes(set_flag(path.read_bytes(), 0))
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["2.png"]
        assert source.rejected == [("1.png", "encrypted")]
    path.write_bytes(set_flag(path.read_bytes(), 1))
    assert "is encrypted" in message(path)


def test_a_zip_bomb_is_rejected_by_its_ratio(pictures, tmp_path):
    path = pictures.zip(tmp_path / "p.zip", {"good.png": pictures.png(), "bomb.png": bytes(80 * 2**20)}, zipfile.ZIP_DEFLATED)
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["good.png"]
        assert "over 250 times its size" in source.rejected[0][1]


def test_a_zip_member_that_lies_about_its_size_gives_no_more_than_it_said(pictures, tmp_path):
    path = pictures.zip(tmp_path / "p.zip", {"bomb.png": bytes(30 * 2**20)}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + offset
        data[place : place + 4] = struct.pack("<I", 1000)
    path.write_bytes(data)
    with open_source(path) as source, pytest.raises(Rejected):
        source.open(source.items[0])


def test_a_member_that_claims_over_512_mib_is_rejected_unread(pictures, tmp_path):
    path = pictures.zip(tmp_path / "p.zip", {"good.png": pictures.png(1), "huge.png": pictures.png(2)})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[place + 20 : place + 28] = struct.pack("<II", 600 * 2**20, 600 * 2**20)
    path.write_bytes(data)
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["good.png"]
        assert source.rejected == [("huge.png", "larger than 512.0 MiB")]


def test_a_tar_bomb_is_refused_before_it_is_unpacked(tmp_path):
    """A gzipped tar of a megabyte that claims a member of 100 GiB, and one that has 600 MiB of name."""
    big = tarfile.TarInfo("a.png")
    big.size = 100 * 2**30
    (tmp_path / "p.tgz").write_bytes(gzip.compress(big.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    assert "more than 250 times its size" in message(tmp_path / "p.tgz")
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 600 * 2**20
    (tmp_path / "q.tgz").write_bytes(gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    assert "absurd size" in message(tmp_path / "q.tgz")


def test_a_damaged_member_costs_only_itself(pictures, tmp_path):
    path = pictures.zip(tmp_path / "p.zip", pictures.many(["1.png", "2.png"]))
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 0xFF
    path.write_bytes(data)
    with open_source(path) as source:
        with pytest.raises(Rejected, match="damaged in the archive"):
            source.open(source.items[0])
        with source.open(source.items[1]) as file:
            assert file.read() == pictures.png(1)


def test_the_fingerprint_follows_every_change(pictures, tmp_path):
    path = pictures.folder(tmp_path / "p", pictures.many(["a/1.png", "b/2.png"]))

    def fingerprint(of) -> str:
        with open_source(of) as source:
            return source.fingerprint()

    seen = {fingerprint(path)}
    assert fingerprint(path) in seen
    (path / "a" / "3.png").write_bytes(pictures.png(3))
    seen.add(fingerprint(path))
    (path / "a" / "3.png").rename(path / "b" / "3.png")
    seen.add(fingerprint(path))
    os.utime(path / "b" / "3.png", (1, 1))
    seen.add(fingerprint(path))
    assert len(seen) == 4
