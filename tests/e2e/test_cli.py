"""Every verb, one after the other, on small real pictures, and the wrong turns that a user can take between them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.config import io
from ganvas.runs import RunFolder

NARROW = [
    *("--set", "family.generator.width=4", "--set", "family.generator.max_width=16"),
    *("--set", "family.discriminator.width=4", "--set", "family.discriminator.max_width=16"),
    *("--device", "cpu", "--precision", "fp32", "--threads", "1", "--batch", "16"),
]
SHORT = [*NARROW, "--set", "log.every=32", "--set", "log.tensorboard=false", "--set", "samples.every=64", "--set", "checkpoint.every=64"]
UNSCORED = [*SHORT, "--set", "evaluation=null"]


def command(*arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as a user has it, in a process of its own."""
    words = [sys.executable, "-m", "ganvas", *map(str, arguments)]
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="module")
def emoji(here: Path) -> Path:
    """Some of the built-in emoji, prepared at 32 pixels."""
    classes = "food-drink,animals-nature"
    done = command(
        "prepare", "builtin:emoji", "data/emoji32", "--resolution", "32", "--limit", "120", "--classes", classes, "--json", cwd=here
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["resolution"], made["splits"]["train"], made["unchanged"]) == (32, 120, False)
    assert sorted(made["classes"]) == sorted(classes.split(","))
    assert "CC-BY" in made["attribution"]
    return here / "data" / "emoji32"


@pytest.fixture(scope="module")
def run(here: Path, emoji: Path) -> Path:
    """A finished run on it, scored while training."""
    scores = ["--set", "evaluation.samples=100", "--set", "evaluation.every=64"]
    done = command("train", "dcgan32", "--data", emoji, "--images", 128, "--out", "runs/first", *SHORT, *scores, cwd=here)
    assert done.returncode == 0, done.stderr
    for word in ("finished after 128 pictures", "runs/first", "000000128.png", "ganvas evaluate runs/first"):
        assert word in done.stdout
    assert "KID" in done.stderr
    return here / "runs" / "first"


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, to see later that nothing changed."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(done: Any, status: int, *words: str) -> None:
    """One clear message and nothing else."""
    code = done.status if hasattr(done, "status") else done.returncode
    out, err = (done.out, done.err) if hasattr(done, "err") else (done.stdout, done.stderr)
    assert code == status, err
    assert out == ""
    assert err.count("ganvas: error: ") == 1
    assert "Traceback" not in err
    assert "unexpected" not in err
    for word in words:
        assert word in err


# -- The way through ----------------------------------------------------------------------------------------------


def test_the_same_prepare_again_does_nothing_and_another_refuses(ganvas: Any, emoji: Path) -> None:
    before, when = files(emoji), (emoji / "dataset.json").stat().st_mtime_ns
    same = ["prepare", "builtin:emoji", emoji, "--limit", "120", "--classes", "food-drink,animals-nature"]
    again = ganvas(*same, "--resolution", "32")
    assert again.status == 0
    assert "already" in again.out
    refused(ganvas(*same, "--resolution", "16"), 2, "--force")
    assert files(emoji) == before
    assert (emoji / "dataset.json").stat().st_mtime_ns == when


def test_a_run_holds_all_that_later_commands_need(run: Path) -> None:
    folder = RunFolder(run)
    assert folder.config().family.generator.width == 4
    assert [images for images, _ in folder.grids()] == [0, 64, 128]
    assert [line["images"] for line in folder.metrics()] == [32, 64, 96, 128]
    assert {"loss_g", "loss_d", "d_real", "d_fake", "d_accuracy_train", "d_accuracy_heldout", "lr_g", "lr_d"} <= set(folder.metrics()[-1])
    assert [line["images"] for line in folder.evaluations()][-1] == 128
    for name in ("last", "best"):
        held = {p.name for p in (folder.checkpoints / name).iterdir()}
        assert {"generator.safetensors", "generator_ema.safetensors", "discriminator.safetensors", "state.json", "manifest.json"} <= held
        assert not [name for name in held if name.endswith((".pt", ".pth", ".pkl", ".bin"))]
    status = folder.status()
    assert status is not None
    assert (status.state, status.images) == ("finished", 128)
    assert folder.provenance()["data"]["checksum"]


def test_info_and_runs_show_it(ganvas: Any, run: Path) -> None:
    described = json.loads(ganvas("info", run, "--json").out)
    assert (described["state"], described["images"], described["recipe"]) == ("finished", 128, "dcgan32")
    assert described["parameters"]["generator"] > 0
    assert {"best", "last"} <= set(described["checkpoints"])
    assert "finished" in ganvas("runs", run.parent).out


def test_evaluate_prints_scores_and_writes_the_report(here: Path, run: Path) -> None:
    done = command("evaluate", run, "--samples", 100, "--checkpoint", "last", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert {"fd", "kid", "precision", "recall"} <= set(scores)
    for name in ("fd", "kid", "precision", "recall"):
        assert {"value", "features", "n", "split", "resizer"} <= set(scores[name])
        assert scores[name]["features"] == "efficientnet-lite0"
    assert scores["fd"]["n"] == 100
    assert scores["fd"]["value"] > 0
    assert "Scores" in (run / "report.html").read_text(encoding="utf-8")
    described = json.loads((run / "evaluation.json").read_text())
    assert described["fd"] == scores["fd"]
    assert described == scores
    assert described["checkpoint"] == "last"


def test_evaluate_scores_pictures_of_any_generator(ganvas: Any, run: Path, emoji: Path, tmp_path: Path) -> None:
    assert ganvas("sample", run, tmp_path / "new", "-n", 100, "--grid", "--quiet").status == 0
    done = ganvas("evaluate", tmp_path / "new", "--data", emoji, "--out", tmp_path / "scores.json", "--json", "--quiet")
    assert done.status == 0, done.err
    scores = json.loads(done.out)
    assert scores == json.loads((tmp_path / "scores.json").read_text())
    assert (scores["fd"]["n"], scores["pictures"]["kind"]) == (100, "folder")
    refused(ganvas("evaluate", tmp_path / "new"), 1, "holds no run", "--data DATASET")


def test_samples_have_a_history_and_do_not_depend_on_how_many_are_drawn(ganvas: Any, run: Path, tmp_path: Path) -> None:
    few = ganvas("sample", run, tmp_path / "few", "-n", 3, "--seed", 5, "--truncation", 0.7, "--grid", "--json")
    assert few.status == 0, few.err
    record = json.loads(few.out)
    assert ganvas("sample", run, tmp_path / "many", "-n", 70, "--seed", 5, "--truncation", 0.7).status == 0
    names = [sample["file"] for sample in record["samples"]]
    assert len(names) == 3
    for name in names:
        with Image.open(tmp_path / "few" / name) as one, Image.open(tmp_path / "many" / name) as other:
            assert (one.size, one.mode) == ((32, 32), "RGB")
            assert np.array_equal(np.asarray(one), np.asarray(other))
    stored = json.loads((tmp_path / "few" / "samples.json").read_text())
    assert (stored["seed"], stored["truncation"]) == (5, 0.7)
    assert stored["checkpoint_checksum"]
    assert stored["backend"]
    assert (tmp_path / "few" / "grid.png").exists()


def test_samples_never_go_over_what_is_there(ganvas: Any, run: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear")
    refused(ganvas("sample", run, tmp_path, "-n", 2), 2, "not empty")
    assert [p.name for p in tmp_path.iterdir()] == ["diary.txt"]


def test_a_finished_run_goes_on_with_more_images(here: Path, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    done = command("train", "--resume", copy, "--images", 192, "--quiet", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "finished after 192 pictures" in done.stdout
    assert done.stderr == ""
    assert RunFolder(copy).config().train.images == 192


def test_stop_after_saves_and_resume_goes_on(here: Path, emoji: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    stopped = command("train", "dcgan32", "--data", emoji, "--images", "10M", "--stop-after", "6s", "--out", out, *UNSCORED, cwd=here)
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped" in stopped.stdout
    assert f"ganvas train --resume {out}" in stopped.stdout
    status = RunFolder(out).status()
    assert status is not None
    assert (status.state, status.total_images) == ("stopped", 10_000_000)
    done = command("train", "--resume", out, "--images", status.images + 64, cwd=here)
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout


def test_train_prepares_a_folder_once_and_names_the_run_after_it(here: Path, tmp_path: Path) -> None:
    source = pictures(tmp_path / "my pictures", 40)
    for number in ("00001", "00002"):
        done = command("train", "dcgan32", "--data", source, "--images", 16, *UNSCORED, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"runs/{number}-dcgan32-my-pictures" in done.stdout
        assert ("preparing" in done.stderr) is (number == "00001")


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    ganvas: Any, emoji: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ganvas("train", "dcgan32", "--data", emoji, "--images", 1000, "--dry-run", *UNSCORED)
    assert done.status == 0, done.err
    for word in ("120 pictures", "parameters", "fp32", "batch 16", "1,000 pictures"):
        assert word in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_printed_recipe_trains_with_its_own_data(here: Path, emoji: Path, tmp_path: Path) -> None:
    config = io.load("dcgan32", UNSCORED_SETTINGS, {"data.path": str(emoji), "train.images": 16, "train.batch": 16})
    (tmp_path / "mine.yaml").write_text(io.dump(config))
    done = command("train", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "finished after 16 pictures" in done.stdout


UNSCORED_SETTINGS = [word for word in UNSCORED if "=" in word]


# -- Wrong turns --------------------------------------------------------------------------------------------------


def pictures(folder: Path, count: int, size: int = 40) -> Path:
    """A folder of coloured PNG files."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(generator.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def quick_train(ganvas: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`ganvas train` into an empty folder that must stay empty of runs."""
    monkeypatch.chdir(tmp_path)

    def call(recipe: str, data: Any, *more: Any) -> Any:
        done = ganvas("train", recipe, "--data", data, "--images", 16, *UNSCORED, *more)
        assert not (tmp_path / "runs").exists()
        return done

    return call


def test_pictures_that_are_not_there(quick_train: Any, tmp_path: Path) -> None:
    refused(quick_train("dcgan32", tmp_path / "nowhere"), 1, "nowhere")
    (tmp_path / "empty").mkdir()
    refused(quick_train("dcgan32", tmp_path / "empty"), 1, "empty")
    (tmp_path / "words.zip").write_text("these are words")
    refused(quick_train("dcgan32", tmp_path / "words.zip"), 1, "words.zip")
    refused(quick_train("dcgan32", "builtin:emojy"), 2, "builtin:emoji")


def test_fewer_pictures_than_a_batch(quick_train: Any, tmp_path: Path) -> None:
    refused(quick_train("dcgan32", pictures(tmp_path / "few", 5)), 2, "fewer than a batch", "--batch 5")


def test_a_recipe_larger_than_the_data_names_the_mend(quick_train: Any, emoji: Path) -> None:
    refused(quick_train("dcgan64", emoji), 1, "32", "--resolution 64")


def test_a_smaller_recipe_takes_the_data_as_it_is(quick_train: Any, here: Path, emoji: Path, tmp_path: Path) -> None:
    done = command("train", "dcgan32", "--data", emoji, "--images", 16, *UNSCORED, "--set", "data.resolution=16", cwd=here)
    assert done.returncode == 0, done.stderr


def test_a_conditional_config_on_pictures_without_classes(quick_train: Any, tmp_path: Path) -> None:
    labels = ["--set", "family.generator.labels=onehot", "--set", "family.discriminator.labels=onehot"]
    refused(quick_train("dcgan32", pictures(tmp_path / "flat", 40), *labels), 2, "conditional", "labels")


def test_a_device_that_is_not_there(quick_train: Any, emoji: Path) -> None:
    refused(quick_train("dcgan32", emoji, "--device", "cuda:99"), 2, "cuda:99")
    refused(quick_train("dcgan32", emoji, "--device", "toaster"), 2, "toaster", "auto")


def test_a_run_folder_that_is_taken_stays_as_it_is(ganvas: Any, run: Path, emoji: Path) -> None:
    before = files(run)
    refused(ganvas("train", "dcgan32", "--data", emoji, "--out", run, *UNSCORED), 1, f"--resume {run}")
    assert files(run) == before


def test_a_folder_of_other_things_is_no_place_for_a_run(ganvas: Any, emoji: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear")
    refused(ganvas("train", "dcgan32", "--data", emoji, "--out", tmp_path, *UNSCORED), 1, "--out")
    assert [p.name for p in tmp_path.iterdir()] == ["diary.txt"]


def test_a_run_on_data_of_another_resolution(ganvas: Any, run: Path, tmp_path: Path) -> None:
    assert ganvas("prepare", pictures(tmp_path / "p", 30), tmp_path / "small", "--resolution", "16").status == 0
    refused(ganvas("evaluate", run, "--data", tmp_path / "small", "--samples", 100), 1, "16", "32", "--resolution 32")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
@pytest.mark.parametrize("verb", ["sample", "resume"])
def test_a_damaged_checkpoint_is_named_and_nothing_is_written(ganvas: Any, run: Path, tmp_path: Path, damage: str, verb: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    file = copy / "checkpoints" / "last" / "generator.safetensors"
    data = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(data[: len(data) // 2] if damage == "truncate" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    before = files(copy)
    if verb == "sample":
        words = ["sample", copy, tmp_path / "out", "--checkpoint", "last", "--no-ema"]
    else:
        words = ["train", "--resume", copy, "--images", 256]
    refused(ganvas(*words), 1, str(copy / "checkpoints" / "last"))
    assert not (tmp_path / "out").exists()
    after = files(copy)
    after.pop(".lock", None)
    assert after == {name: content for name, content in before.items() if name != ".lock"}


def test_a_second_trainer_on_the_same_run(ganvas: Any, run: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    with FileLock(copy / ".lock"):
        refused(ganvas("train", "--resume", copy, "--images", 256), 1, "another process", str(copy))


def test_features_and_classes_that_are_not_there(ganvas: Any, run: Path, tmp_path: Path) -> None:
    refused(ganvas("evaluate", run, "--features", "inceptoin"), 2, 'did you mean "inception"')
    refused(ganvas("evaluate", run, "--features", "inception"), 2, "GANVAS_INCEPTION_WEIGHTS")
    refused(ganvas("evaluate", run, "--samples", 5), 2, "too few")
    refused(ganvas("sample", run, tmp_path / "out", "--classes", "cats"), 2, "class-conditional")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_said_and_leaves_no_samples(ganvas: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    refused(ganvas("sample", run, tmp_path / "out", "-n", 2), 1, "disk is full", "out")
    assert list(tmp_path.iterdir()) == []


def test_broken_pictures_are_skipped_counted_and_listed(ganvas: Any, tmp_path: Path) -> None:
    source = pictures(tmp_path / "some", 12)
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff not much of a picture")
    done = ganvas("prepare", source, tmp_path / "out", "--resolution", "16")
    assert done.status == 0
    assert "rejected.csv" in done.out
    with (tmp_path / "out" / "rejected.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert any("broken.jpg" in row[0] for row in rows)


def test_json_of_a_failure_is_empty_on_standard_output(ganvas: Any, tmp_path: Path) -> None:
    refused(ganvas("prepare", tmp_path / "nowhere", tmp_path / "out", "--json"), 1, "nowhere")
    refused(ganvas("info", tmp_path / "nowhere", "--json"), 1, "nowhere")
