"""The classification accuracy score, in a minute's worth less."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "classification.py"


def measured(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_it_prints_one_object_with_all_three(trained: Path) -> None:
    done = measured(trained, "--images", 2560, "--width", 4, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["real_pictures"], result["synthetic_pictures"], result["tested_pictures"]) == (80, 80, 16)
    # Red and blue disks are told apart by anybody who saw real ones.
    assert result["peer"] > 0.9
    assert all(0 <= result[key] <= 1 for key in ("ours", "peer", "both"))
    assert result["ratio"] == pytest.approx(result["ours"] / result["peer"])


def test_a_run_without_classes_is_refused(unconditional: Path) -> None:
    done = measured(unconditional, "--images", 128, "--quiet")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "not class-conditional" in done.stderr
