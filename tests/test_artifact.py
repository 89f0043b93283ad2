"""Files and folders are whole or absent."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ganvas import artifact
from ganvas.errors import UserError


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    artifact.write_text(path, "one")
    artifact.write_text(path, "twö")
    assert path.read_text(encoding="utf-8") == "twö"
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "a.txt"
    artifact.write_text(path, "old")
    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(UserError, match="disk is full"):
        artifact.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_and_folders_get_the_permissions_that_any_others_would(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        artifact.write_text(tmp_path / "a.txt", "")
        with artifact.new_folder(tmp_path / "f"):
            pass
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o755
    finally:
        os.umask(old)


def test_json_refuses_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        artifact.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert names(tmp_path) == []


def test_a_folder_appears_whole_and_replaces_the_old(tmp_path: Path) -> None:
    target = tmp_path / "f"
    for text in ("one", "two"):
        with artifact.new_folder(target) as folder:
            (folder / text).write_text(text)
            assert not (target / text).exists()
    assert names(target) == ["two"]
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("failure", [ValueError("x"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "f"
    with artifact.new_folder(target) as folder:
        (folder / "old").write_text("")

    def fail() -> None:
        with artifact.new_folder(target) as folder:
            (folder / "new").write_text("")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["f"]


def test_what_a_crash_leaves_is_recovered_and_cleared(tmp_path: Path) -> None:
    target = tmp_path / "f"
    with artifact.new_folder(target) as folder:
        (folder / "old").write_text("")
    os.rename(target, artifact.backup_of(target))  # a crash between the two renames
    (tmp_path / ".f.tmp-abc").mkdir()
    artifact.recover(target)
    artifact.clear_leftovers(target)
    assert names(tmp_path) == ["f"]
    assert names(target) == ["old"]


def test_recover_keeps_a_folder_that_is_there(tmp_path: Path) -> None:
    target = tmp_path / "f"
    with artifact.new_folder(target) as folder:
        (folder / "new").write_text("")
    artifact.backup_of(target).mkdir()
    artifact.recover(target)
    assert names(target) == ["new"]


def test_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert artifact.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("code", "words"), [(errno.EACCES, "can't be written"), (errno.EROFS, "can't be written"), (errno.EDQUOT, "disk is full")]
)
def test_system_errors_become_messages_that_name_the_path(tmp_path: Path, code: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught, artifact.disk_errors(tmp_path / "here"):
        raise OSError(code, os.strerror(code))
    assert "here" in str(caught.value)


def test_other_system_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), artifact.disk_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "gone")
