"""Compiling on the user's machine: once, for this machine, and whatever fails is told."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path

import pytest

from ganvas import native
from ganvas.artifact import cache_folder
from ganvas.native import Unavailable, key, load

SOURCE = b"int answer(void) { return 42; }"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows' compilers are not looked for")
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, native.COMPILERS)), reason="no C compiler")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and no compiler chosen."""
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)


def compiler(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is this script."""
    path = folder / "some-cc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))


def answer(library: ctypes.CDLL) -> int:
    return library.answer()


@needs_compiler
def test_it_is_compiled_when_allowed_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="not been compiled"):
        load("some", SOURCE, (), compiling=False)
    assert answer(load("some", SOURCE, ())) == 42
    (kept,) = (cache_folder() / "compiled").iterdir()
    assert kept.name.startswith("some-")
    monkeypatch.setattr(native, "_compiled", lambda *_: pytest.fail("compiled again"))
    assert answer(load("some", SOURCE, (), compiling=False)) == 42


def test_its_name_tells_sources_flags_compilers_and_machines_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("a compiler")
    other.write_text("another compiler")
    keys = [key(SOURCE, (), [str(one)]), key(b"int x;", (), [str(one)]), key(SOURCE, ("-O1",), [str(one)]), key(SOURCE, (), [str(other)])]
    with monkeypatch.context() as patch:
        patch.setattr(native, "_processor", lambda: ["flags: mmx"])
        keys.append(key(SOURCE, (), [str(one)]))
    assert len(set(keys)) == 5
    assert key(SOURCE, (), [str(one)]) == keys[0]


@needs_compiler
def test_a_damaged_file_is_made_again() -> None:
    kept = cache_folder() / "compiled" / f"some-{key(SOURCE, (), native._compiler())}.so"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"\x7fELF and no more")
    assert answer(load("some", SOURCE, ())) == 42
    assert kept.stat().st_size > 1000


@needs_compiler
def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert answer(load("some", SOURCE, ())) == 42


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'no stdint.h here' >&2; exit 1", "could not compile: no stdint.h here"),
        ("exit 0", "could not compile: status 0"),
        ('while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"', "can't be loaded"),
    ],
)
def test_what_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str) -> None:
    compiler(tmp_path, script, monkeypatch)
    with pytest.raises(Unavailable, match=f"some-cc.*{reason}"):
        load("some", SOURCE, ())


def test_without_a_compiler_the_names_that_were_looked_for_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="cc, gcc, clang"):
        load("some", SOURCE, ())
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(Unavailable, match="no-such-compiler"):
        load("some", SOURCE, ())
