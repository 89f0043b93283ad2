"""The preparing benchmark, in a few pictures: it runs, and says what it says it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from benchmark_modules import load

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "prepare.py"


def measured(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_it_times_both_sides_and_names_machine_and_date(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20):
            with archive.open(f"{number}.jpg", "w") as file:
                Image.new("RGB", (50, 40), (number, 0, 0)).save(file, "JPEG")
    done = measured(path, "--resolution", 16, "--rounds", 3, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["pictures"] == 20
    assert result["ratio_range"][0] <= result["ratio"] <= result["ratio_range"][1]
    assert result["peak_memory_mib"] < 200
    assert {"processor", "cores", "date"} <= result["machine"].keys()


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell a process's peak memory there")
def test_memory_of_generated_pictures(tmp_path: Path) -> None:
    done = measured("--memory", 10, 300, "--folder", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["pictures"] for row in rows] == [10, 300]
    assert all(20 < row["peak_memory_mib"] < 200 for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_generated_pictures_are_all_different(tmp_path: Path) -> None:
    load("prepare").make_zip(tmp_path / "p.zip", 3000)
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert len({archive.read(name) for name in archive.namelist()}) == 3000


def test_nothing_to_measure_is_refused() -> None:
    done = measured("--json")
    assert done.returncode == 2
    assert "either a zip of pictures or --memory" in done.stderr
