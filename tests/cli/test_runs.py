"""`ganvas runs` and `ganvas info` on run folders in every condition."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from ganvas.config import io
from ganvas.runs import RunFolder

SCORE = {"features": "efficientnet-lite0", "n": 2000, "split": "train", "resizer": "bicubic to 160"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run, without checkpoints' contents."""
    folder = RunFolder(tmp_path / "runs" / "00001-dcgan32-cats")
    folder.samples.mkdir(parents=True)
    folder.config_file.write_text(io.dump(io.load("dcgan32", ["data.path=/data/cats"])))
    (folder.samples / "000000100.png").write_bytes(b"")
    (folder.checkpoints / "last").mkdir(parents=True)
    (folder.checkpoints / "last" / "state.json").write_text("{}")
    folder.provenance_file.write_text(json.dumps({"device": "cpu", "precision": "bf16", "parameters": {"generator": 1234567}}))
    folder.evaluation_file.write_text(json.dumps({"fd": {"value": 12.345, **SCORE}, "kid": {"value": 0.01, **SCORE}}))
    now = time.time()
    status = {"state": "finished", "pid": 1, "host": socket.gethostname(), "started": now, "heartbeat": now}
    status |= {
        "images": 100_000,
        "total_images": 100_000,
        "seconds": 750,
        "pictures_per_second": 1333.3,
        "best": {"images": 90_000, "kid": 0.02},
    }
    folder.status_file.write_text(json.dumps(status))
    return folder


def test_runs_are_listed_with_state_and_score(ganvas: Any, run: RunFolder) -> None:
    lines = ganvas("runs", run.path.parent).out.splitlines()
    assert lines[0].split() == ["RUN", "STATE", "PICTURES", "SCORE", "RECIPE", "DATA"]
    for word in (str(run.path), "finished", "100,000", "FD 12.35 (efficientnet-lite0, n=2,000)", "dcgan32", "/data/cats"):
        assert word in lines[1]
    assert json.loads(ganvas("runs", run.path.parent, "--json").out)[0]["recipe"] == "dcgan32"


def test_no_runs_is_no_error(ganvas: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = ganvas("runs")
    assert done.status == 0
    assert "no runs in runs yet" in done.out
    assert json.loads(ganvas("runs", "--json").out) == []


def test_a_folder_that_is_missing_or_is_a_run_itself_is_said(ganvas: Any, run: RunFolder, tmp_path: Path) -> None:
    assert "no folder" in ganvas("runs", tmp_path / "nowhere").err
    done = ganvas("runs", run.path)
    assert done.status == 1
    assert f"ganvas info {run.path}" in done.err


def test_info_tells_all_that_is_known(ganvas: Any, run: RunFolder) -> None:
    shown = ganvas("info", run.path).out
    for word in (
        "finished",
        "100,000",
        "12m30s",
        "1,333 pictures/s",
        "FD 12.35",
        "KID 0.0200 after 90,000",
        "dcgan32",
        "32x32",
        "/data/cats",
    ):
        assert word in shown
    for word in ("generator 1,234,567", "cpu, bf16", "000000100.png", "last"):
        assert word in shown


def test_what_was_best_before_a_run_copied_is_shown_with_its_score(ganvas: Any, run: RunFolder) -> None:
    assert "fresh" not in ganvas("info", run.path).out
    (run.checkpoints / "fresh").mkdir()
    (run.checkpoints / "fresh" / "state.json").write_text(json.dumps({"images": 60_000}))
    assert "fresh        after 60,000 pictures" in ganvas("info", run.path).out
    run.evaluations_file.write_text("".join(json.dumps({"images": n, "kid": kid}) + "\n" for n, kid in ((60_000, 0.031), (90_000, 0.02))))
    assert "fresh        KID 0.0310 after 60,000 pictures" in ganvas("info", run.path).out
    assert json.loads(ganvas("info", run.path, "--json").out)["fresh"] == {"images": 60_000, "kid": 0.031}


def test_info_as_json(ganvas: Any, run: RunFolder) -> None:
    value = json.loads(ganvas("info", run.path, "--json").out)
    assert (value["state"], value["images"], value["parameters"]) == ("finished", 100_000, {"generator": 1234567})
    assert value["evaluation"]["fd"]["value"] == 12.345
    assert value["checkpoints"] == ["last"]
    assert value["report"] is None


def test_a_damaged_run_is_shown_as_far_as_it_can_be(ganvas: Any, run: RunFolder) -> None:
    run.config_file.write_text("sede: 1\n")
    for path in (run.status_file, run.evaluation_file, run.provenance_file):
        path.write_bytes(b"{\xff")
    done = ganvas("info", run.path)
    assert done.status == 0
    assert 'did you mean "seed"' in done.out
    assert "no readable status.json" in done.out
    assert ganvas("runs", run.path.parent).status == 0


def test_a_run_that_only_began(ganvas: Any, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    done = ganvas("info", tmp_path)
    assert done.status == 0
    assert "none yet" in done.out


def test_diagnose_says_what_is_seen_since_when_and_what_helps(ganvas: Any, run: RunFolder) -> None:
    well = {"variety": 1.0, "twins": 0.0, "dimensions": 1.0, "detail": 1.0, "roughness": 1.0, "saturated": 0.0}
    lines = [{"images": 20_000 * i, **well, "variety": 1.0 if i < 4 else 0.1} for i in range(1, 8)]
    run.signals_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = ganvas("diagnose", run.path)
    assert done.status == 0
    assert done.out.startswith("collapsed (after 140,000 pictures)")
    for words in ("mode collapse, since 80,000 pictures", "differ by only 10%", "--set family.optimizer_g.lr=0.0001"):
        assert words in done.out
    found = json.loads(ganvas("diagnose", run.path, "--json").out)
    assert (found["verdict"], found["collapsed"], found["findings"][0]["since"]) == ("collapsed", True, 80_000)
    assert found["findings"][0]["helps"]
    run.signals_file.write_text("".join(json.dumps(line) + "\n" for line in lines[:3]))
    assert "no collapse" in ganvas("diagnose", run.path).out
    assert "Nothing out of the ordinary was seen." in ganvas("diagnose", run.path).out


def test_diagnose_of_no_run_is_said(ganvas: Any, tmp_path: Path) -> None:
    done = ganvas("diagnose", tmp_path / "nowhere")
    assert (done.status, done.out) == (1, "")
    assert "there is no run" in done.err
