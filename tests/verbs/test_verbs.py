"""Train, load, sample and evaluate through the Python API, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file

import ganvas
from denoiser import Denoiser
from ganvas import artifact
from ganvas.errors import RunError, TrainingFailed, UsageError, UserError
from ganvas.families.base import Draw, StepState
from ganvas.runs import RunFolder
from small import config, disks

CONDITIONAL = {"family__generator__labels": "onehot", "family__discriminator__labels": "projection"}


@pytest.fixture(scope="module")
def run(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional run that ended, with everything on."""
    out = tmp_path_factory.mktemp("run") / "run"
    evaluation = {"every": 64, "samples": 100}
    ganvas.train(config(data=packed, **CONDITIONAL, log__tensorboard=True, evaluation=evaluation), out=out, quiet=True)
    return out


def test_a_run_folder_holds_all_that_later_commands_need(run: Path, packed: Path) -> None:
    folder = RunFolder(run)
    assert folder.config().data.path == str(packed)
    made = folder.provenance()
    assert made["torch"] == torch.__version__
    assert made["ganvas"] == ganvas.__version__
    assert made["data"]["checksum"]
    assert made["data"]["classes"] == ["blue", "red"]
    status = folder.status()
    assert status is not None
    assert (status.state, status.images) == ("finished", 128)
    assert [line["images"] for line in folder.metrics()] == [32, 64, 96, 128]
    assert {"loss_g", "loss_d", "d_real", "d_fake", "d_accuracy_train", "d_accuracy_heldout", "lr_g", "lr_d"} <= folder.metrics()[-1].keys()
    assert [images for images, _ in folder.grids()] == [0, 64, 128]
    assert len(list((run / "tensorboard").iterdir())) == 1
    assert folder.report_file.stat().st_size > 10_000
    for name in ("last", "best"):
        files = {p.name for p in (folder.checkpoints / name).iterdir()}
        assert {"generator.safetensors", "generator_ema.safetensors", "discriminator.safetensors", "state.json", "manifest.json"} <= files
        assert not any(p.suffix in (".pt", ".pth", ".pkl", ".ckpt") for p in (folder.checkpoints / name).iterdir())


def test_best_is_the_lowest_kid(run: Path) -> None:
    evaluations = RunFolder(run).evaluations()
    assert [e["images"] for e in evaluations] == [64, 128]
    best = json.loads((run / "checkpoints/best/state.json").read_text())
    assert best["images"] == min(evaluations, key=lambda e: e["kid"])["images"]


def test_averages_are_averages_and_their_batch_norms_fit(run: Path) -> None:
    last = load_file(run / "checkpoints/last/generator.safetensors")
    average = load_file(run / "checkpoints/last/generator_ema.safetensors")
    assert not torch.equal(last["layers.0.weight"], average["layers.0.weight"])
    model = ganvas.load(run, checkpoint="last")
    seen: list[torch.Tensor] = []
    first = model.generator.get_submodule("layers.1")
    handle = first.register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    model.sample(512, engine="eager")
    handle.remove()
    # Normalised by statistics of its own, a batch norm's output has the scale and shift that it learnt.
    normalised = (torch.cat(seen) - first.bias[:, None, None]) / first.weight[:, None, None]  # type: ignore[operator,index]
    assert float(normalised.mean()) == pytest.approx(0, abs=0.1)
    assert float(normalised.std()) == pytest.approx(1, abs=0.1)


def test_sample_gives_arrays_pil_and_the_same_picture_for_any_n(run: Path) -> None:
    model = ganvas.load(run)
    many = model.sample(80, seed=4)
    assert many.shape == (80, 16, 16, 3)
    assert many.dtype == np.uint8
    assert np.array_equal(model.sample(3, seed=4), many[:3])
    assert not np.array_equal(model.sample(3, seed=5), many[:3])
    assert not np.array_equal(model.sample(3, seed=4, truncation=0.5), many[:3])
    assert [p.size for p in model.sample(2, pil=True)] == [(16, 16)] * 2
    assert many[:4]._repr_png_().startswith(b"\x89PNG")
    assert "<img" in model._repr_html_()
    z = torch.randn(70, model.sampler.latent_size)
    assert np.array_equal(model.sample(latents=z)[66:], model.sample(latents=z)[66:])
    assert model.sample(latents=z, labels=["red"]).shape == (70, 16, 16, 3)
    with torch.no_grad():
        direct = model.generator(z[:2], torch.tensor([1, 1]))
    assert np.abs(direct.add(1).mul(127.5).permute(0, 2, 3, 1).numpy() - model.sample(latents=z[:2], labels=["red"])).max() < 1


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_sample_writes_pictures_and_their_history(run: Path, tmp_path: Path) -> None:
    made = ganvas.sample(run, tmp_path / "out", n=5, seed=3, truncation=0.7, classes=["red", "blue"], grid=True, quiet=True)
    record = json.loads((tmp_path / "out/samples.json").read_text())
    assert (record["seed"], record["truncation"]) == (3, 0.7)
    assert record["backend"] == "torch-cpu-" + ("fp32" if record["engine"] == "eager" else record["engine"])
    assert record["checkpoint_checksum"] == artifact.sha256(run / "checkpoints" / record["checkpoint"] / "manifest.json")
    assert [s["class"] for s in record["samples"]] == ["red", "blue", "red", "blue", "red"]
    assert [s["index"] for s in record["samples"]] == [0, 1, 2, 3, 4]
    pictures = np.stack([pixels(p) for p in made.paths])
    assert np.array_equal(pictures, ganvas.load(run).sample(5, seed=3, truncation=0.7, labels=["red", "blue"]))
    assert pixels(tmp_path / "out/grid.png").shape == (2 * 18 + 2, 3 * 18 + 2, 3)
    with pytest.raises(UsageError, match="not empty"):
        ganvas.sample(run, tmp_path / "out", n=5)


def test_evaluate_names_what_its_numbers_are(run: Path) -> None:
    result = ganvas.evaluate(run, samples=200, quiet=True).to_json()
    for name in ("fd", "kid", "precision", "recall", "density", "coverage"):
        assert result[name]["low"] <= result[name]["value"] <= result[name]["high"]
        assert result[name]["features"] == "efficientnet-lite0"
        # Precision and recall compare equally many real and generated pictures; the data set has 80 to train on.
        assert result[name]["n"] == (80 if name in ("precision", "recall", "density", "coverage") else 200)
        assert result[name]["split"] == "train"
        assert result[name]["resizer"]
    stored = RunFolder(run).evaluation()
    assert stored is not None
    assert stored["fd"] == result["fd"]
    assert stored["checkpoint"] == "best"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "1 or more"),
        ({"seed": -1}, "below zero"),
        ({"truncation": 0.0}, "above zero"),
        ({"classes": ["rde"]}, 'did you mean "red"'),
    ],
)
def test_sample_refuses(run: Path, tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ganvas.sample(run, tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_latents_of_a_wrong_size_are_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="expected"):
        ganvas.load(run).sample(latents=np.zeros((2, 3), np.float32))


class Exploding(Denoiser):
    """Its loss, or silently its weights, become NaN after 64 pictures."""

    def __init__(self, silent: bool) -> None:
        super().__init__(16)
        self.silent = silent

    def step(self, draw: Draw, state: StepState) -> dict[str, torch.Tensor]:
        metrics = super().step(draw, state)
        if state.images >= 64 and self.silent:
            next(self.net.parameters()).data.fill_(float("nan"))
            return {"loss": torch.zeros(())}
        return metrics if state.images < 64 else {"loss": torch.tensor(float("inf"))}


@pytest.mark.parametrize("silent", [False, True])
def test_nan_stops_with_the_last_good_checkpoint(packed: Path, tmp_path: Path, silent: bool) -> None:
    settings = config(data=packed, train__images=640, checkpoint__every=16)
    with pytest.raises(TrainingFailed, match=r"NaN or Inf in .* after 80 pictures.* last good checkpoint is .*last"):
        ganvas.train(settings, family=Exploding(silent), out=tmp_path / "run", quiet=True)
    status = RunFolder(tmp_path / "run").status()
    assert status is not None
    assert status.state == "failed"
    assert "NaN" in (status.reason or "")
    saved = load_file(tmp_path / "run/checkpoints/last/denoiser.safetensors")
    assert all(torch.isfinite(value).all() for value in saved.values())
    assert json.loads((tmp_path / "run/checkpoints/last/state.json").read_text())["images"] == 64


def test_a_damaged_checkpoint_is_named(packed: Path, tmp_path: Path) -> None:
    ganvas.train(config(data=packed), out=tmp_path / "run", quiet=True)
    weights = tmp_path / "run/checkpoints/last/generator_ema.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    for call in (lambda: ganvas.load(tmp_path / "run"), lambda: ganvas.resume(tmp_path / "run", images=256, quiet=True)):
        with pytest.raises(RunError, match=r"damaged: generator_ema\.safetensors is changed"):
            call()


def test_a_second_trainer_is_refused(packed: Path, tmp_path: Path) -> None:
    ganvas.train(config(data=packed), out=tmp_path / "run", quiet=True)
    with FileLock(tmp_path / "run/.lock"), pytest.raises(RunError, match="is being trained by another process"):
        ganvas.resume(tmp_path / "run", images=256, quiet=True)


def test_a_taken_folder_is_refused(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="holds other files"):
        ganvas.train(config(data=packed), out=tmp_path / "notes", quiet=True)
    assert (tmp_path / "notes/thesis.txt").read_text() == "years of work"
    ganvas.train(config(data=packed), out=tmp_path / "run", quiet=True)
    before = (tmp_path / "run/config.yaml").read_bytes()
    with pytest.raises(RunError, match="--resume"):
        ganvas.train(config(data=packed, seed=9), out=tmp_path / "run", quiet=True)
    assert (tmp_path / "run/config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train__batch": 500}, "fewer than a batch of 500"),
        ({"data__resolution": 64}, "--resolution 64"),
        ({"train__device": "cuda:7"}, "ganvas doctor"),
        ({"train__device": "toaster"}, "is no device"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    packed: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ganvas.train(config(data=packed, **values), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_conditional_recipe_on_unlabelled_pictures_is_an_error(tmp_path: Path) -> None:
    folder = disks(tmp_path / "flat", classes=("only",))
    with pytest.raises(UsageError, match="no labels"):
        ganvas.train(config(data=folder / "only", **CONDITIONAL), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_keeps_the_last_checkpoint(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ganvas.train(config(data=packed, train__images=64), out=tmp_path / "run", quiet=True)
    before = (tmp_path / "run/checkpoints/last/manifest.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ganvas.training.checkpoint.save_file", full)
    with pytest.raises(UserError, match="disk is full"):
        ganvas.resume(tmp_path / "run", images=192, quiet=True)
    assert (tmp_path / "run/checkpoints/last/manifest.json").read_bytes() == before
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["last"]
    monkeypatch.undo()
    assert ganvas.resume(tmp_path / "run", images=192, quiet=True).state == "finished"


def test_missing_folders_and_folders_that_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        ganvas.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="holds no run"):
        ganvas.evaluate(tmp_path)


def test_engines_are_within_one_level_of_the_reference_and_recorded(run: Path, tmp_path: Path) -> None:
    model = ganvas.load(run)
    chosen = np.asarray(model.sample(70, seed=4))
    reference = np.asarray(model.sample(70, seed=4, engine="eager"))
    assert np.abs(chosen.astype(int) - reference).max() <= 1
    assert np.array_equal(np.asarray(model.sample(5, seed=4)), chosen[:5])
    assert np.array_equal(np.asarray(ganvas.load(run).sample(70, seed=4)), chosen)
    by_name = np.asarray(model.sample(70, seed=4, engine=model.engine.engine))
    assert np.array_equal(by_name, chosen)
    latents = model.sampler.latents(4, 0, 3)
    assert np.array_equal(np.asarray(model.sample(latents=latents, labels=[0])), np.asarray(model.sample(3, seed=4, labels=[0])))
    for engine in ("auto", "eager"):
        made = ganvas.sample(run, tmp_path / engine, n=3, seed=4, engine=engine, quiet=True)
        record = json.loads((made.folder / "samples.json").read_text())
        assert record["engine"] == (model.engine.engine if engine == "auto" else "eager")
        pictures = chosen if engine == "auto" else reference
        assert np.array_equal(np.asarray(Image.open(made.paths[2])), pictures[2])


def test_an_unknown_engine_is_refused_before_anything_is_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no engine: expected auto, eager"):
        ganvas.sample(run, tmp_path / "new", engine="fp8", quiet=True)
    assert not (tmp_path / "new").exists()
