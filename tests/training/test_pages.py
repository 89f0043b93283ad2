"""Huge pages: asked for where there are any, and harmless elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ganvas.training.pages import use_huge_pages

OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")

CODE = """
import torch
from pathlib import Path
from ganvas.training.pages import use_huge_pages
size = use_huge_pages()
resident = lambda: int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) // 1024
before = resident()
assert use_huge_pages() == size
tensor = torch.zeros(16, 2**20) + 1
huge = sum(int(line.split()[1]) for line in Path("/proc/self/smaps").read_text().splitlines() if line.startswith("AnonHugePages"))
print(size, huge // 1024, resident() - before)
"""


def run(**environment: str) -> list[int]:
    import os

    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=os.environ | environment)
    return [int(word) for word in ended.stdout.split()]


@pytest.mark.skipif(not OFFERED.exists() or "[never]" in OFFERED.read_text(), reason="this system gives no huge pages")
def test_tensors_lie_in_huge_pages_and_take_no_more_memory() -> None:
    size, huge, more = run()
    if not size:
        pytest.skip("the C library is not glibc, or has no memory to spare")
    assert huge >= 32  # of 64 MiB; a system that is short of them gives fewer
    assert more < 64 + 64 + 16  # zeros, the sum, and what one page more at each end takes


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has the files that are read")
def test_it_can_be_turned_off() -> None:
    assert run(GANVAS_HUGE_PAGES="0")[0] == 0


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert use_huge_pages.__wrapped__() == 0
