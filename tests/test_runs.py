"""The run folder."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganvas import runs
from ganvas.config import io
from ganvas.errors import RunError
from ganvas.runs import RunFolder, Status


def write_status(folder: RunFolder, **changes: object) -> None:
    now = time.time()
    values = {"state": "running", "pid": os.getpid(), "host": socket.gethostname(), "started": now, "heartbeat": now, **changes}
    folder.status_file.write_text(json.dumps(values))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    path = tmp_path / "00001-dcgan32-x"
    path.mkdir()
    (path / "config.yaml").write_text(io.dump(io.recipe("dcgan32")))
    return RunFolder(path)


def test_a_run_is_opened_with_its_config(run: RunFolder) -> None:
    assert runs.open_run(run.path).config() == io.recipe("dcgan32")


def test_a_missing_folder_and_one_without_a_config_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        runs.open_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"config\.yaml"):
        runs.open_run(tmp_path)


def test_our_own_process_is_alive(run: RunFolder) -> None:
    write_status(run)
    status = run.status()
    assert status is not None
    assert status.state == "running"


def test_a_run_whose_process_is_gone_is_stopped(run: RunFolder) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    write_status(run, pid=int(ended.stdout), expected_end=1e12)
    status = run.status()
    assert status is not None
    assert (status.state, status.expected_end) == ("stopped", None)


def test_another_process_under_an_old_number_is_not_the_run(run: RunFolder) -> None:
    write_status(run, started=time.time() - 10**9)
    status = run.status()
    assert status is not None
    assert status.state == "stopped"


def test_a_run_elsewhere_lives_by_its_heartbeat(run: RunFolder) -> None:
    states = []
    for age in (0, 2 * runs.HEARTBEAT_SECONDS):
        write_status(run, host="elsewhere", heartbeat=time.time() - age)
        status = run.status()
        states.append(status.state if status else None)
    assert states == ["running", "stopped"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"state": "dancing"}'])
def test_a_damaged_status_is_none(run: RunFolder, content: bytes) -> None:
    run.status_file.write_bytes(content)
    assert run.status() is None


def test_status_keeps_to_what_it_knows() -> None:
    status = Status.model_validate({"state": "finished", "pid": 1, "host": "h", "started": 0, "heartbeat": 0, "a later key": 1})
    assert status.images == 0


def test_a_half_written_line_is_left_out(run: RunFolder) -> None:
    run.metrics_file.write_text('{"images": 1}\n\n[3]\n{"images": 2}\n{"ima')
    assert run.metrics() == [{"images": 1}, {"images": 2}]
    assert run.evaluations() == []


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"3"])
def test_damaged_json_is_none(run: RunFolder, content: bytes) -> None:
    run.evaluation_file.write_bytes(content)
    run.provenance_file.write_bytes(content)
    assert run.evaluation() is None
    assert run.provenance() == {}


def test_lines_beyond_a_checkpoint_go_away(run: RunFolder) -> None:
    run.metrics_file.write_text("".join(json.dumps({"images": n}) + "\n" for n in (10, 20, 30)) + '{"images"')
    runs.truncate_lines(run.metrics_file, 20)
    assert [line["images"] for line in run.metrics()] == [10, 20]
    runs.truncate_lines(run.evaluations_file, 20)
    assert not run.evaluations_file.exists()


def test_grids_come_in_order_of_pictures(run: RunFolder) -> None:
    run.samples.mkdir()
    for name in ("000020000.png", "1000000000.png", "000000000.png", "notes.png", "000000001.txt"):
        (run.samples / name).write_bytes(b"")
    assert [images for images, _ in run.grids()] == [0, 20_000, 1_000_000_000]


def test_runs_are_numbered_after_the_highest(tmp_path: Path) -> None:
    assert runs.next_folder("emoji", "emoji", tmp_path / "runs").name == "00001-emoji-emoji"
    for name in ("00007-a", "00003-b", "notes", "123-c"):
        (tmp_path / name).mkdir()
    assert runs.next_folder("dcgan64", "My pictures/été!", tmp_path).name == "00008-dcgan64-my-pictures-t"


def test_only_runs_are_listed(run: RunFolder) -> None:
    (run.path.parent / "other").mkdir()
    (run.path.parent / "file").write_text("")
    assert runs.list_runs(run.path.parent) == [run]
    assert runs.list_runs(run.path.parent / "nowhere") == []
