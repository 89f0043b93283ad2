"""A resumed run equals an uninterrupted one, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ganvas
from denoiser import Denoiser
from ganvas.errors import RunError, UsageError
from ganvas.metrics.quick import QuickScores
from ganvas.runs import RunFolder
from ganvas.training.loop import Trainer
from small import config


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """All numbers of a run's last checkpoint: weights, averages, optimizers; and its snapshots of averages."""
    files = sorted([*(run / "checkpoints" / "last").glob("*.safetensors"), *(run / "averages").glob("*.safetensors")])
    return {f"{file.name}/{key}": value for file in files for key, value in load_file(file).items()}


def check_equal(a: Path, b: Path) -> None:
    first, second = tensors(a), tensors(b)
    assert first.keys() == second.keys()
    assert any("exp_avg" in key or "momentum_buffer" in key for key in first)
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert different == []


def lines(run: Path) -> list[dict[str, object]]:
    timed = ("seconds", "pictures_per_second", "cpu_seconds", "joules")
    return [{k: v for k, v in line.items() if k not in timed} for line in RunFolder(run).metrics()]


# The second has everything that draws random numbers or has state; the third runs in bf16 with patches.
SETTINGS = {
    "bce": {"family__critic_augment": None},
    "all": {
        "augment__flip": True,
        "family__discriminator__dropout": 0.2,
        "family__discriminator__norm": None,
        "family__discriminator__spectral_norm": True,
        "family__discriminator__minibatch_std": True,
        "family__discriminator__labels": "projection",
        "family__generator__labels": "onehot",
        "family__loss": {"kind": "hinge"},
        "family__penalty": {"kind": "r1", "every": 3},
        "family__d_steps": 2,
        "family__reuse_fakes": False,
        "schedule": {"kind": "cosine", "warmup_images": 50},
    },
    "bf16": {"train__precision": "bf16"},
    "sgd": {
        "family__critic_augment": None,
        "family__optimizer_g": {"kind": "sgd", "lr": 0.01, "momentum": 0.9},
        "family__optimizer_d": {"kind": "sgd", "lr": 0.01},
        "family__loss": {"kind": "least_squares", "label_noise": 0.2},
        "family__d_every": 2,
        "schedule": {"kind": "step", "steps": 3},
    },
    "muon": {"family__optimizer_g": {"kind": "muon"}, "family__optimizer_d": {"kind": "muon"}},
    "wasserstein": {
        "family__critic_augment": None,
        "family__discriminator__norm": None,
        "family__loss": {"kind": "wasserstein"},
        "family__penalty": {"kind": "gradient"},
        "family__d_steps": 2,
    },
    "mlp": {
        "recipe": "dogs-simple",
        "family__generator__labels": "onehot",
        "family__discriminator__labels": "onehot",
        "family__optimizer_d__momentum": 0.5,
    },
    "cats": {"recipe": "cats-dcgan"},
    "auxiliary": {"family__generator__labels": "onehot", "family__discriminator__labels": "auxiliary"},
    # Power iterations in both players, conditional batch norms, orthogonal regularisation; with averages to fit.
    "biggan": {
        "family__generator": {"kind": "biggan", "width": 8, "max_width": 16, "attention": 8, "labels": "shared"},
        "family__discriminator": {"kind": "biggan", "width": 8, "max_width": 16, "attention": 8, "labels": "projection"},
        "family__loss": {"kind": "hinge"},
        "family__regulariser": {"kind": "orthogonal"},
        "family__d_steps": 2,
        "train__precision": "bf16",
    },
    # Noise, mixing, lazy penalties of both players; a probability and a mean in the family's own state; two averages.
    "stylegan2": {
        "recipe": "stylegan2-64",
        "family__generator__labels": "embedding",
        "family__discriminator__labels": "projection",
        "family__penalty__every": 3,
        "family__regulariser__every": 2,
        "family__critic_augment": {"kind": "ada", "start": 0.3, "images": 300},
        "train__precision": "bf16",
        "ema": {"kind": "power", "every": 16, "snapshots": 4},
    },
    # Noise, a random part to draw again, logits of patches, and averages of what D says.
    "fastgan": {
        "recipe": "fastgan64",
        "family__generator__labels": "embedding",
        "family__discriminator__labels": "projection",
        "family__regulariser": {"kind": "lecam"},
        "train__precision": "bf16",
    },
    "projected": {"recipe": "projected32", "train__precision": "bf16"},
    # Weights of penalties and beta2 that move with the rate, and all terms of consistency.
    "r3gan": {
        "recipe": "r3gan32",
        "family__regulariser": {"kind": "consistency", "real": 10, "fake": 10, "latent": 5, "spread": 0.5},
    },
    # The real pictures that are remembered, before and after all places are taken, alone and beside a discriminator.
    "matching": {"recipe": "matching32", "family__generator__labels": "embedding", "train__precision": "bf16"},
    "matching beside": {
        "family__regulariser": {"kind": "matching", "remembered": 40, "refresh": 3, "input_sizes": [64]},
        "family__generator__labels": "onehot",
        "family__discriminator__labels": "projection",
    },
    # Codes, and the pictures that they are of, before and after all places are taken; a warm-up before that, sides in turn after it.
    "instance": {"recipe": "drawings64", "family__classes": True, "family__codes__remembered": 70, "train__precision": "bf16"},
    "coded": {
        "recipe": "codes32",
        "family__classes": True,
        "family__codes__remembered": 70,
        "family__codes__pixels": 1.0,
        "family__codes__warmup": 60,
        "family__comparison__input_sizes": [64, 96],
        "family__comparison__in_turn": 60,
        "family__codes__augment": {"after": 90},
        "train__precision": "bf16",
    },
    "relativistic": {"recipe": "sngan32-diffaug", "family__loss": {"kind": "relativistic_hinge"}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_and_resumed_equals_uninterrupted(packed: Path, tmp_path: Path, name: str) -> None:
    whole = config(data=packed, train__images=192, **SETTINGS[name])
    ganvas.train(whole, out=tmp_path / "whole", quiet=True)
    # 100 is no multiple of the log, grid and checkpoint intervals, nor of an epoch (80 pictures).
    part = whole.model_copy(update={"train": whole.train.model_copy(update={"images": 100})})
    if whole.schedule.kind != "constant":
        # A rate that depends on the run's length: the same run, stopped after its first step.
        halted = ganvas.train(whole, out=tmp_path / "part", stop_after=1e-6, quiet=True)
        assert halted.state == "stopped"
    else:
        ganvas.train(part, out=tmp_path / "part", quiet=True)
    ganvas.resume(tmp_path / "part", images=192, quiet=True)
    check_equal(tmp_path / "whole", tmp_path / "part")
    assert lines(tmp_path / "whole")[-1]["images"] == lines(tmp_path / "part")[-1]["images"] == 192
    last = RunFolder(tmp_path / "whole").grids()[-1][1].name
    assert (tmp_path / "whole/samples" / last).read_bytes() == (tmp_path / "part/samples" / last).read_bytes()


def test_a_plateau_falls_alike_after_a_resume(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A number made of the samples stands in for their KID, which takes seconds. It is never better by 99%: the rate
    # halves at the second evaluation and at each one after.
    monkeypatch.setattr(
        "ganvas.monitor.best.quick_scores", lambda batches, *_: QuickScores(sum(float(b.mean()) for b in batches), None, None, 0)
    )
    plateau = {"kind": "plateau", "patience": 1, "threshold": 0.99, "gamma": 0.5}
    planned = config(data=packed, train__images=256, schedule=plateau, evaluation={"every": 32, "samples": 100}, log__every=16)
    ganvas.train(planned, out=tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_must_stop", lambda self, _: self.state.images >= 112)
        assert ganvas.train(planned, out=tmp_path / "part", quiet=True).images == 112
    ganvas.resume(tmp_path / "part", quiet=True)
    check_equal(tmp_path / "whole", tmp_path / "part")
    rates = [line["lr_g"] for line in lines(tmp_path / "whole")]
    assert rates == [line["lr_g"] for line in lines(tmp_path / "part")]
    assert rates[0] == 2e-4
    assert min(rates) <= 2e-4 * 0.5**3  # type: ignore[type-var]


def test_same_seed_same_bits_and_another_seed_others(packed: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        ganvas.train(config(data=packed, seed=seed), out=tmp_path / name, quiet=True)
    check_equal(tmp_path / "a", tmp_path / "b")
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    a, c = tensors(tmp_path / "a"), tensors(tmp_path / "c")
    assert not torch.equal(a["generator.safetensors/layers.0.weight"], c["generator.safetensors/layers.0.weight"])


def start_process(packed: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """`ganvas train` of its own process: slow enough to be caught while it runs."""
    from ganvas.config import io

    file = out.with_suffix(".yaml")
    file.write_text(io.dump(config(data=packed, train__images=3200, checkpoint__every=160, log__every=160, samples__every=100000)))
    return subprocess.Popen(
        [sys.executable, "-m", "ganvas", "train", str(file), "--out", str(out), "--threads", "1", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_killed_and_resumed_equals_uninterrupted(packed: Path, tmp_path: Path) -> None:
    whole = start_process(packed, tmp_path / "whole")
    whole.communicate(timeout=120)
    assert whole.returncode == 0
    killed = start_process(packed, tmp_path / "killed")
    wait_for(lambda: len(RunFolder(tmp_path / "killed").metrics()) > 3 and (tmp_path / "killed/checkpoints/last").exists())
    killed.kill()
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    status = RunFolder(tmp_path / "killed").status()
    assert status is not None
    assert status.state == "stopped"
    resumed = subprocess.run(
        [sys.executable, "-m", "ganvas", "train", "--resume", str(tmp_path / "killed")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    check_equal(tmp_path / "whole", tmp_path / "killed")
    assert [line["images"] for line in lines(tmp_path / "whole")] == [line["images"] for line in lines(tmp_path / "killed")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_say_how_to_go_on(packed: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = start_process(packed, tmp_path / "run")
    wait_for(lambda: RunFolder(tmp_path / "run").metrics())
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert f"ganvas train --resume {tmp_path / 'run'}" in out
    status = RunFolder(tmp_path / "run").status()
    assert status is not None
    assert status.state == "stopped"
    saved = json.loads((tmp_path / "run/checkpoints/last/state.json").read_text())
    assert saved["images"] == status.images > 0


@pytest.fixture(scope="module")
def imported(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a first training imports and compiles takes seconds of a budget, which tests count in seconds."""
    ganvas.train(config(data=packed, train__images=16), out=tmp_path_factory.mktemp("first") / "run", quiet=True)


@pytest.mark.usefixtures("imported")
def test_a_budgets_plan_is_replayed(packed: Path, tmp_path: Path) -> None:
    planned = config(data=packed, train__budget="4s", schedule={"kind": "linear"}, log__every=1000, samples__every=100000)
    ganvas.train(planned, out=tmp_path / "whole", quiet=True)
    decisions = json.loads((tmp_path / "whole/plan.json").read_text())["decisions"]
    total = decisions[-1][1]
    assert total == RunFolder(tmp_path / "whole").status().images  # type: ignore[union-attr]
    # The same run, killed half-way: its folder as it was then, with the plan as it was made.
    halted = ganvas.train(planned, out=tmp_path / "part", stop_after=1e-6, quiet=True)
    assert halted.images < total
    shutil.copy(tmp_path / "whole/plan.json", tmp_path / "part/plan.json")
    assert all(at > halted.images for at, _ in decisions)
    resumed = ganvas.resume(tmp_path / "part", quiet=True)
    assert resumed.images == total
    check_equal(tmp_path / "whole", tmp_path / "part")


@pytest.mark.usefixtures("imported")
def test_a_budget_ends_in_time(packed: Path, tmp_path: Path) -> None:
    begun = time.time()
    run = ganvas.train(config(data=packed, train__budget="3s", samples__every=100000), out=tmp_path / "run", quiet=True)
    assert run.state == "finished"
    # Not a speed: that the plan, made of measured rates, holds. The margin is for a machine that others use too.
    assert 1.5 < time.time() - begun < 6


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("length", [{"images": 96}, {"budget": "2s"}])
def test_a_finished_run_given_more_time_equals_one_that_had_it(packed: Path, tmp_path: Path, length: dict[str, Any]) -> None:
    run = ganvas.train(config(data=packed, train=length | {"batch": 16}), out=tmp_path / "part", quiet=True)
    seconds = run.folder.status().seconds  # type: ignore[union-attr]
    longer = ganvas.resume(run.path, budget=f"{seconds + 2:.1f}s", quiet=True)
    assert longer.state == "finished"
    assert longer.images > run.images
    assert longer.folder.config().train.budget == f"{seconds + 2:.1f}s"
    # Not a speed: that it took the time it was given. The margin is for a machine that others use too.
    assert seconds + 0.5 < longer.folder.status().seconds < seconds + 5  # type: ignore[union-attr]
    ganvas.train(config(data=packed, train={"images": longer.images, "batch": 16}), out=tmp_path / "whole", quiet=True)
    check_equal(tmp_path / "whole", tmp_path / "part")


@pytest.mark.usefixtures("imported")
def test_a_finished_run_says_how_it_could_be_longer(packed: Path, tmp_path: Path) -> None:
    run = ganvas.train(config(data=packed, train={"budget": "2s", "batch": 16}), out=tmp_path / "run", quiet=True)
    assert f"ganvas train --resume {run.path} --budget 4s (all that" in run.message


def test_passes_can_be_the_new_length(packed: Path, tmp_path: Path) -> None:
    run = ganvas.train(config(data=packed, train__images=96), out=tmp_path / "run", quiet=True)
    assert ganvas.resume(run.path, epochs=2, quiet=True).images == 160  # of 80 pictures
    assert run.folder.config().train.images is None


@pytest.mark.parametrize(
    ("length", "words"),
    [
        ({"images": 64}, r"has shown 96 pictures already.* 64 pictures would be fewer"),
        ({"epochs": 0.5}, r"has shown 96 pictures already.* 0.5 passes, 40 pictures, would be fewer"),
        ({"budget": "0.001s"}, r"has trained for \d+s already.* give more than 0.001s"),
        ({"budget": "1h", "images": 200}, r"images and budget each say how long"),
        ({"budget": "soon"}, r'"soon" is no duration'),
    ],
)
def test_a_length_that_a_run_has_behind_it_is_refused(packed: Path, tmp_path: Path, length: dict[str, Any], words: str) -> None:
    run = ganvas.train(config(data=packed, train__images=96), out=tmp_path / "run", quiet=True)
    with pytest.raises(UsageError, match=words):
        ganvas.resume(run.path, **length, quiet=True)
    assert run.folder.config().train.images == 96
    assert run.folder.status().state == "finished"  # type: ignore[union-attr]


def test_stop_after_leaves_the_length_alone(packed: Path, tmp_path: Path) -> None:
    run = ganvas.train(config(data=packed, train__images=10_000_000), out=tmp_path / "run", stop_after=1.5, quiet=True)
    assert run.state == "stopped"
    assert run.folder.config().train.images == 10_000_000
    assert "--stop-after" in run.message
    assert f"ganvas train --resume {run.path}" in run.message


def test_a_stop_file_stops(packed: Path, tmp_path: Path) -> None:
    process = start_process(packed, tmp_path / "run", "--images", "1000000")
    wait_for(lambda: RunFolder(tmp_path / "run").metrics())
    (tmp_path / "run/control").mkdir()
    (tmp_path / "run/control/stop").touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert RunFolder(tmp_path / "run").status().reason == "control/stop"  # type: ignore[union-attr]


def test_a_family_of_ones_own_trains_resumes_and_samples(packed: Path, tmp_path: Path) -> None:
    whole = config(data=packed, train__images=192)
    ganvas.train(whole, family=Denoiser(16), out=tmp_path / "whole", quiet=True)
    part = whole.model_copy(update={"train": whole.train.model_copy(update={"images": 96})})
    ganvas.train(part, family=Denoiser(16), out=tmp_path / "part", quiet=True)
    with pytest.raises(UsageError, match="family of its own"):
        ganvas.resume(tmp_path / "part", images=192, quiet=True)
    ganvas.resume(tmp_path / "part", images=192, family=Denoiser(16), quiet=True)
    check_equal(tmp_path / "whole", tmp_path / "part")
    model = ganvas.load(tmp_path / "whole", family=Denoiser(16))
    assert model.sample(3).shape == (3, 16, 16, 3)
    with pytest.raises(RunError, match="no generator"):
        _ = model.generator


def test_other_data_are_refused(packed: Path, tmp_path: Path) -> None:
    from ganvas.data.prepare import prepare
    from small import disks

    copy = tmp_path / "packed"
    shutil.copytree(packed, copy)
    ganvas.train(config(data=copy), out=tmp_path / "run", quiet=True)
    shutil.rmtree(copy)
    prepare(disks(tmp_path / "others", count=90), copy, resolution=16, holdout=0, quiet=True)
    with pytest.raises(RunError, match=r"is not what .* was trained on"):
        ganvas.resume(tmp_path / "run", images=256, quiet=True)
