"""The library of kernels: compiled once for a machine, and never in the way where that fails."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from ganvas import native
from ganvas.artifact import cache_folder
from ganvas.nn.kernels import calls, library
from ganvas.nn.kernels.library import Unavailable
from ganvas.nn.norm import Layers

needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in library._FLAGS_OF or not any(map(shutil.which, native.COMPILERS)),
    reason="kernels need Linux and a C compiler",
)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache, and nothing found yet."""
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANVAS_KERNELS", raising=False)
    monkeypatch.delenv("CC", raising=False)
    calls._found.cache_clear()
    yield tmp_path
    calls._found.cache_clear()


def compiler(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only compiler on the PATH is this script."""
    (folder / "bin").mkdir()
    (folder / "bin" / "cc").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))


def trained() -> torch.Tensor:
    """A gradient through batch norm and activation in bf16."""
    torch.manual_seed(0)
    layers = Layers(nn.BatchNorm2d(8), nn.LeakyReLU(0.2, inplace=True))
    x = torch.randn(4, 8, 6, 6).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    layers(x).float().square().sum().backward()
    assert x.grad is not None
    return x.grad


@needs_compiler
def test_it_is_compiled_once_and_kept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert calls.state() == "ready"
    kept = list((cache_folder() / "compiled").iterdir())
    assert [path.suffix for path in kept] == [".so"]
    calls._found.cache_clear()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    assert calls.state() == "ready"


@needs_compiler
@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("x > 0 ? x : x * slope", "x > 0 ? x : x + slope", "activation"),
        ("variance * rows / (rows - 1)", "variance", "batch norm"),
        ("below % job->stride ||", "", "depthwise gradient of stride 2"),
        ("(scores[n] - most) * LOG2_E", "scores[n] - most", "attention"),
        ("up(weights[n]) * (up(gradient[n]) - sum)", "up(weights[n]) * up(gradient[n])", "attention"),
        ("count top = 2 * (chunk % rows) - 1;", "count top = 2 * (chunk % rows);", "patches"),
    ],
)
def test_other_numbers_than_pytorchs_are_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, named: str) -> None:
    text = library.source().decode()
    assert text.count(right) == 1
    if named == "patches":  # it would read beyond the picture
        text = text.replace("row >= job->height", "row >= job->height - 1")
    monkeypatch.setattr(library, "source", lambda: text.replace(right, wrong).encode())
    assert calls.kernels() is None
    assert "other numbers than PyTorch" in calls.state()
    assert named in calls.state()


@needs_compiler
def test_another_library_under_its_name_is_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "source", lambda: b"int nothing;")
    assert calls.kernels() is None
    assert "another one" in calls.state()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system is the reason")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "no C compiler"),
        ("echo 'no stdint.h here' >&2; exit 1", "no stdint.h here"),
        ("exit 0", "could not compile"),
        ('while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"', "can't be loaded"),
    ],
)
def test_without_a_working_compiler_pytorch_runs(fresh: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str) -> None:
    monkeypatch.setenv("GANVAS_KERNELS", "0")
    expected = trained()
    monkeypatch.delenv("GANVAS_KERNELS")
    if script is None:
        monkeypatch.setenv("PATH", str(fresh))
    else:
        compiler(fresh, script, monkeypatch)
    assert calls.kernels() is None
    assert reason in calls.state()
    assert torch.equal(trained(), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system is the reason")
def test_the_users_compiler_comes_first(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    assert calls.kernels() is None
    assert "no-such-compiler" in calls.state()


def test_another_system_is_a_reason(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="Linux"):
        library.load()


def test_it_can_be_turned_off(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANVAS_KERNELS", "0")
    assert calls.kernels() is None
    assert "GANVAS_KERNELS" in calls.state()


SHARING = """
import torch
from ganvas.nn.kernels import calls, library
torch.set_num_threads(2)
assert library.openmp() is not None
x = torch.randn(64, 64, 16, 16).bfloat16().contiguous(memory_format=torch.channels_last)
calls.kernels().norm(x, torch.ones(64), torch.zeros(64), None, 1e-5, 0.2)
torch.randn(1000, 1000).sin()
from pathlib import Path
print(len(library.mapped_openmp()), len(list(Path("/proc/self/task").iterdir())))
"""
ALONE = SHARING.replace("calls.kernels().norm(x, torch.ones(64), torch.zeros(64), None, 1e-5, 0.2)", "")


@needs_compiler
def test_threads_are_pytorchs_own() -> None:
    if library.openmp() is None:
        pytest.skip("this PyTorch computes with another OpenMP library than GNU's or Intel's")
    with_kernels, without = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() for code in (SHARING, ALONE)
    )
    assert with_kernels[0] == "1"
    assert with_kernels == without
