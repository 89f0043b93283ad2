"""The scoring benchmark, in a few pictures: it runs, and both sides agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "evaluation.py"

pytest.importorskip("timm", reason="needs timm, of the test extra")
pytest.importorskip("torch_fidelity", reason="needs torch-fidelity, of the test extra")


def measured(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_it_prints_one_object_and_both_sides_agree() -> None:
    done = measured("--pictures", 32, "--rounds", 1, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    ours, peer = result["scores"]["ours"], result["scores"]["peer"]
    assert {"fd", "kid", "precision", "recall"} <= peer.keys()
    assert ours["fd"] == pytest.approx(peer["fd"], rel=1e-3)
    assert (ours["precision"], ours["recall"]) == pytest.approx((peer["precision"], peer["recall"]))
    # Rates are rounded to a tenth of a picture, seconds to a hundredth.
    seconds = {name: values[0] for name, values in result["seconds"].items()}
    assert result["ratio"] == pytest.approx(seconds["peer"] / seconds["ours"], rel=0.2)
    assert result["ours"] == pytest.approx(64 / seconds["ours"], rel=0.2)
    assert result["machine"]["threads"] == 1


def test_too_few_pictures_are_refused() -> None:
    done = measured("--pictures", 2)
    assert done.returncode == 2
    assert "16 pictures" in done.stderr
