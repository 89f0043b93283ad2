"""Health while training: it changes no bits, says what begins, stops a collapse or rolls it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ganvas
from ganvas.config import RunConfig
from ganvas.errors import TrainingFailed, UsageError
from ganvas.metrics.quick import QuickScores
from ganvas.runs import RunFolder, read_lines
from ganvas.training.checkpoint import Checkpoint
from ganvas.training.hooks import CONTINUE
from ganvas.training.loop import NotFinite, Trainer
from ganvas.training.power_ema import snapshots
from small import config

WELL = {"variety": 1.0, "twins": 0.0, "dimensions": 1.0, "detail": 1.0, "roughness": 1.0, "saturated": 0.0}
Signs = Callable[[int, int], dict[str, float]]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All numbers of a run's last checkpoint but the monitor's own."""
    folder = run / "checkpoints" / "last"
    found = {f"{file.name}/{key}": value for file in sorted(folder.glob("*.safetensors")) for key, value in load_file(file).items()}
    return {key: value for key, value in found.items() if "hooks/health" not in key}


def check_equal(a: Path, b: Path) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


def pretend(monkeypatch: pytest.MonkeyPatch, signs: Signs) -> None:
    """Signals by pictures shown and how often the run was rolled back; a KID that is best after 96 pictures."""

    def found(folder: RunFolder, _config: object, _after: int, until: int) -> dict[str, float]:
        return WELL | signs(until, len(folder.provenance().get("rollbacks", ())))

    monkeypatch.setattr("ganvas.monitor.health.grid_signals", found)
    monkeypatch.setattr("ganvas.monitor.best.quick_scores", lambda batches, *_: QuickScores(_kid(batches), None, None, 0))


_seen: dict[str, Any] = {}


def _kid(batches: Any) -> float:
    for _ in batches:
        pass
    return _seen["kid"]


@pytest.fixture
def kid_by_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The KID falls until 96 pictures and is higher from then on."""
    from ganvas.monitor.best import BestCheckpoint

    call = BestCheckpoint.__call__

    def telling(self: BestCheckpoint, moment: Any) -> Any:
        _seen["kid"] = abs(moment.images - 96) / 10_000
        return call(self, moment)

    monkeypatch.setattr(BestCheckpoint, "__call__", telling)


def collapsing(packed: Path, **values: Any) -> RunConfig:
    """Looks and evaluations at every 32 pictures."""
    every = {"every": 32, "samples": 100}
    return config(data=packed, train__images=320, log__every=32, checkpoint__every=64, evaluation=every, **values)


def once(images: int, rollbacks: int) -> dict[str, float]:
    """Always the same picture from 128 pictures on, until it is rolled back."""
    return {"variety": 0.1} if images >= 128 and not rollbacks else {}


def again(images: int, rollbacks: int) -> dict[str, float]:
    """Whatever is done."""
    return {"variety": 0.1} if images >= 128 else {}


def stop_at(monkeypatch: pytest.MonkeyPatch, images: int, rollbacks: int) -> None:
    monkeypatch.setattr(Trainer, "_must_stop", lambda self, _: self.state.images >= images and len(self.rollbacks.records) == rollbacks)


@pytest.mark.parametrize("recipe", ["dcgan32", "sngan32"])
def test_looking_changes_no_bits(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    settings = config(recipe, data=packed, train__images=128, log__every=16)
    ganvas.train(settings, out=tmp_path / "watched", quiet=True)
    assert len(RunFolder(tmp_path / "watched").signals()) >= 4
    monkeypatch.setattr("ganvas.monitor.health.HealthMonitor.__call__", lambda *_: CONTINUE)
    ganvas.train(settings, out=tmp_path / "alone", quiet=True)
    assert RunFolder(tmp_path / "alone").signals() == []
    check_equal(tmp_path / "watched", tmp_path / "alone")


def test_a_collapse_is_said_once_and_kept(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    # Ill from 128 to 192 pictures, well again from 224 on: over after as many looks as it took to begin.
    pretend(monkeypatch, lambda images, _: {"variety": 0.1} if 128 <= images < 224 else {})
    run = ganvas.train(collapsing(packed), out=tmp_path / "run")
    assert run.state == "finished"
    events = [(line["images"], line["event"], line["kind"], line["since"], line["until"]) for line in read_lines(run.folder.health_file)]
    assert [event for event in events if event[2] == "mode collapse"] == [
        (192, "begins", "mode collapse", 128, None),
        (288, "ends", "mode collapse", 128, 192),
    ]
    said = capsys.readouterr().err
    assert said.count("collapse: mode collapse, since 128 pictures: the fixed latents' pictures differ by only 10%") == 1
    assert said.count("over: mode collapse (from 128 to 192 pictures)") == 1
    assert "--set family.optimizer_g.lr=0.0001" in said
    found = ganvas.diagnose(run.path)
    assert found.collapsed is False
    assert [f.until for f in found.findings if f.kind == "mode collapse"] == [192]


def test_stop_ends_the_run_with_the_reason(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None) -> None:
    pretend(monkeypatch, once)
    run = ganvas.train(collapsing(packed, on_collapse="stop"), out=tmp_path / "run", quiet=True)
    assert (run.state, run.images) == ("stopped", 192)
    status = run.folder.status()
    assert status is not None
    assert status.reason is not None
    assert status.reason.startswith("collapse: mode collapse, since 128 pictures")
    assert status.reason in run.message
    # Who resumes it wants it to go on.
    assert ganvas.resume(run.path, quiet=True).state == "finished"


def test_rollback_goes_on_from_the_best_with_half_the_rates(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None
) -> None:
    pretend(monkeypatch, once)
    run = ganvas.train(collapsing(packed, on_collapse="rollback"), out=tmp_path / "run", quiet=True)
    assert (run.state, run.images) == ("finished", 320)
    (back,) = run.folder.provenance()["rollbacks"]
    assert (back["images"], back["collapsed_at"], back["rate_factor"], back["number"]) == (96, 192, 0.5, 1)
    assert "mode collapse, since 128 pictures" in back["reason"]
    assert [line["images"] for line in run.folder.metrics()] == list(range(32, 321, 32))
    assert [line["lr_g"] for line in run.folder.metrics()] == [2e-4] * 3 + [1e-4] * 7
    assert [line["event"] for line in read_lines(run.folder.health_file)].count("rollback") == 1
    found = ganvas.diagnose(run.path)
    assert found.collapsed is False
    assert "rollback at 192 pictures to 96" in found.summary()


@pytest.mark.parametrize(("images", "rollbacks"), [(176, 0), (96, 1), (208, 1)])
def test_a_resume_around_a_rollback_equals_the_uninterrupted_run(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None, images: int, rollbacks: int
) -> None:
    pretend(monkeypatch, once)
    settings = collapsing(packed, on_collapse="rollback")
    ganvas.train(settings, out=tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patch:
        stop_at(patch, images, rollbacks)
        assert ganvas.train(settings, out=tmp_path / "part", quiet=True).state == "stopped"
    ganvas.resume(tmp_path / "part", quiet=True)
    check_equal(tmp_path / "whole", tmp_path / "part")
    whole, part = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "part")
    assert whole.signals() == part.signals()
    assert read_lines(whole.health_file) == read_lines(part.health_file)
    assert len(part.provenance()["rollbacks"]) == 1


def test_a_rollback_restores_what_is_in_no_module(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None
) -> None:
    pretend(monkeypatch, once)
    # Right after the rollback, whose state `last` then holds.
    stop_at(monkeypatch, 96, 1)
    ada, ema = {"kind": "ada", "start": 0.5, "target": 0.99, "images": 1000}, {"kind": "power", "every": 32}
    settings = collapsing(packed, on_collapse="rollback", recipe="stylegan2-64", family__critic_augment=ada, ema=ema)
    run = ganvas.train(settings, out=tmp_path / "run", quiet=True)
    assert [back["collapsed_at"] for back in run.folder.provenance()["rollbacks"]] == [192]
    best, last = (Checkpoint(run.folder.checkpoints / name).owners() for name in ("best", "last"))
    # One adjustment in four batches of 16; at the collapse there had been three.
    assert best["family"]["augment"]["p"] == pytest.approx(0.5 - 64 / 1000)
    assert last["family"] == best["family"]
    assert last["ema"]["second"].keys() == best["ema"]["second"].keys()
    assert all(torch.equal(tensor, best["ema"]["second"][key]) for key, tensor in last["ema"]["second"].items())
    assert [path.stem for path in snapshots(run.folder.averages)] == ["000000032", "000000064", "000000096"]


def test_the_fourth_collapse_stops(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None) -> None:
    pretend(monkeypatch, again)
    run = ganvas.train(collapsing(packed, on_collapse="rollback"), out=tmp_path / "run", quiet=True)
    assert (run.state, run.images) == ("stopped", 192)
    assert "rolled back 3 times already" in run.message
    assert [back["rate_factor"] for back in run.folder.provenance()["rollbacks"]] == [0.5, 0.25, 0.125]


def test_without_an_older_checkpoint_it_stops(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None) -> None:
    # Repeated from the third look on, while the best KID comes with it.
    pretend(monkeypatch, lambda images, _: {"variety": 0.1} if images >= 96 else {})
    run = ganvas.train(collapsing(packed, on_collapse="rollback"), out=tmp_path / "run", quiet=True)
    assert run.state == "stopped"
    assert "no checkpoint from before" in run.message


def test_nan_is_rolled_back_too(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None) -> None:
    pretend(monkeypatch, lambda *_: {})

    def check(self: Trainer) -> None:
        if self.state.images == 160 and not self.rollbacks.records:
            raise NotFinite(self._not_finite("loss_d"))

    monkeypatch.setattr(Trainer, "_check_finite", check)
    run = ganvas.train(collapsing(packed, on_collapse="rollback"), out=tmp_path / "run", quiet=True)
    assert run.state == "finished"
    assert "NaN or Inf in loss_d" in run.folder.provenance()["rollbacks"][0]["reason"]
    with pytest.raises(TrainingFailed, match="NaN or Inf in loss_d"):
        ganvas.train(collapsing(packed), out=tmp_path / "other", quiet=True)
    assert ganvas.diagnose(tmp_path / "other").word == "collapsed"


def test_a_rollback_needs_evaluations() -> None:
    with pytest.raises(UsageError, match="on_collapse is rollback"):
        config(on_collapse="rollback")


def test_what_is_kept_is_json(packed: Path, tmp_path: Path) -> None:
    run = ganvas.train(config(data=packed), out=tmp_path / "run", quiet=True)
    assert [line["images"] for line in run.folder.signals()] == [32, 64, 96, 128]
    json.dumps(ganvas.diagnose(run.path).to_json(), allow_nan=False)
    # The grids come every 64 pictures, and are looked at beside the live pictures.
    assert ["grid_variety" in line for line in run.folder.signals()] == [False, True, False, True]


def test_one_collapse_seen_twice_is_said_and_answered_once(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kid_by_pictures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    # The average follows the generator: at 64, 128, ... pictures its grids are looked at too.
    def both(images: int, rollbacks: int) -> dict[str, float]:
        signs = WELL | once(images, rollbacks)
        return signs | ({f"grid_{name}": value for name, value in signs.items()} if images % 64 == 0 else {})

    pretend(monkeypatch, both)
    run = ganvas.train(collapsing(packed, on_collapse="stop"), out=tmp_path / "run")
    assert run.state == "stopped"
    resumed = ganvas.resume(run.path)
    assert resumed.state == "finished"
    assert capsys.readouterr().err.count("collapse: mode collapse") == 1
    assert [f.kind for f in ganvas.diagnose(run.path).going_on if f.severity == "collapse"] == ["mode collapse"] * 2
