"""What is made of a trained run: the best of many, marks, Kaggle, data sets, walks, timelines, sweeps, comparisons."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ganvas
from ganvas.errors import RunError, UsageError
from ganvas.metrics import health
from ganvas.runs import RunFolder
from ganvas.sampling.grid import cells
from small import config


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "samples.json").read_text())


# -- Sample -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["logit", "realism", "both"])
def test_the_best_are_kept_with_their_scores_and_out_of_how_many(trained: Path, tmp_path: Path, by: Any) -> None:
    made = ganvas.sample(trained, tmp_path / "out", n=70, seed=3, best="10%", by=by, grid=True, quiet=True)
    record = record_of(tmp_path / "out")
    chosen = record["selection"]
    assert (record["n"], chosen["drawn"], chosen["kept"], chosen["by"]) == (7, 70, 7, by)
    assert "7 pictures of 70 drawn, the best by" in made.summary()
    kept = [s["index"] for s in record["samples"]]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{i:04d}.png" for i in kept} | {"samples.json", "grid.png"}
    every = ganvas.load(trained).sample(70, seed=3)
    assert all(np.array_equal(pixels(path), every[i]) for path, i in zip(made.paths, kept, strict=True))
    if by != "both":
        scores = chosen["scores_of_all"][by]
        assert len(scores) == 70
        assert kept == sorted(range(70), key=lambda i: -scores[i])[:7]
        assert [s[by] for s in record["samples"]] == [scores[i] for i in kept]


def test_logits_are_the_discriminators_of_the_same_checkpoint(trained: Path) -> None:
    model = ganvas.load(trained, checkpoint="last")
    pictures, labels = np.asarray(model.sample(6, seed=1, labels=["red"])), torch.ones(6, dtype=torch.int64)
    logits = model.judge(pictures, labels)
    assert logits.shape == (6,)
    torch.testing.assert_close(model.judge(pictures[2:4], labels[:2]), logits[2:4], rtol=1e-4, atol=1e-5)
    best = ganvas.load(trained, checkpoint="best")
    assert torch.equal(best.judge(pictures, labels), logits) == (best.checkpoint.images == model.checkpoint.images)


def test_balance_is_kept_among_the_best(trained: Path, tmp_path: Path) -> None:
    made = ganvas.sample(trained, tmp_path / "out", n=40, balanced=True, best="25%", by="logit", quiet=True)
    assert made.record["class_counts"] == {"blue": 5, "red": 5}
    assert made.record["selection"]["of_each_class"] is True
    assert "5 of each" in made.summary()


def test_a_mark_is_on_every_copy_and_the_record_says_so(trained: Path, tmp_path: Path) -> None:
    mark = np.zeros((8, 8, 4), np.uint8)
    mark[...] = (255, 0, 255, 255)
    Image.fromarray(mark).save(tmp_path / "mark.png")
    plain = ganvas.sample(trained, tmp_path / "plain", n=4, best="2", by="logit", grid=True, quiet=True)
    made = ganvas.sample(trained, tmp_path / "out", n=4, best="2", by="logit", grid=True, watermark=str(tmp_path / "mark.png"), quiet=True)
    assert made.record["watermark"]["file"] == "mark.png"
    assert plain.record["watermark"] is None
    # It is judged without the mark, and given away with it; the grid is a copy, too.
    assert made.record["selection"] == plain.record["selection"]
    for stamped, original in zip(made.paths, plain.paths, strict=True):
        assert not np.array_equal(pixels(stamped)[11:15, 11:15], pixels(original)[11:15, 11:15])
        assert np.array_equal(pixels(stamped)[:10], pixels(original)[:10])
    assert np.array_equal(cells(pixels(tmp_path / "out/grid.png"), 16)[0], pixels(made.paths[0]))


def test_a_data_set_of_class_folders_can_be_prepared(trained: Path, tmp_path: Path) -> None:
    made = ganvas.sample(trained, tmp_path / "out", n=30, balanced=True, as_dataset=True, quiet=True)
    assert all(path.exists() for path in made.paths)
    prepared = ganvas.prepare(tmp_path / "out", tmp_path / "packed", resolution=16, quiet=True)
    assert (prepared.splits, prepared.classes, prepared.rejected) == ({"train": 30}, ("blue", "red"), 0)


def test_kaggles_zip_and_its_score(trained: Path, tmp_path: Path) -> None:
    made = ganvas.sample(trained, tmp_path / "out", n=100, kaggle=True, grid=True, quiet=True)
    with zipfile.ZipFile(tmp_path / "out/images.zip") as archive:
        assert len(archive.namelist()) == 100
        with Image.open(io.BytesIO(archive.read("0099.png"))) as picture:
            assert (picture.mode, picture.size) == ("RGB", (64, 64))
    score = record_of(tmp_path / "out")["kaggle"]
    assert (score["features"], score["n"], score["reference_n"], score["split"]) == ("efficientnet-lite0", 100, 80, "train")
    assert (score["public"]["eps"], score["private"]["eps"]) == (0.1, 0.25)
    assert 0 < score["d"] < 1
    assert 0 <= score["d_heldout"] < 1
    for board in ("public", "private"):
        d_thr = score["d"] if score["d"] < score[board]["eps"] else 1.0
        assert score[board]["value"] == pytest.approx(score["fd"] / (d_thr + 1e-15))
    assert "exactly 10,000" in made.summary()
    assert f"{score['d']:.4f}" in made.summary()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "logit"}, "add --best"),
        ({"best": "0%"}, "10%"),
        ({"best": "65"}, "from 1 to 64"),
        ({"kaggle": True, "best": "10%", "watermark": "x"}, "leave out --best and --watermark"),
        ({"kaggle": True, "as_dataset": True}, "--as-dataset"),
        ({"watermark": "far too long for these pictures"}, "too long"),
        ({"classes": ["rde"]}, 'did you mean "red"'),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(trained: Path, tmp_path: Path, options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ganvas.sample(trained, tmp_path / "out", quiet=True, **options)
    assert not (tmp_path / "out").exists()


def test_there_is_nothing_to_balance_without_classes(unconditional: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not class-conditional"):
        ganvas.sample(unconditional, tmp_path / "out", balanced=True, quiet=True)
    made = ganvas.sample(unconditional, tmp_path / "out", n=3, as_dataset=True, quiet=True)
    assert [p.relative_to(tmp_path / "out").as_posix() for p in made.paths] == ["train/0000.png", "train/0001.png", "train/0002.png"]


# -- Interpolate --------------------------------------------------------------------------------------------------


def walked(path: Path, steps: int, size: int = 64) -> np.ndarray:
    """(rows, steps, 64, 64, 3) of an interpolation without words."""
    found = cells(pixels(path), size)
    return found.reshape(-1, steps, size, size, 3)


def test_rows_lead_from_picture_to_picture_of_the_seed(trained: Path, tmp_path: Path) -> None:
    made = ganvas.interpolate(trained, tmp_path / "out", rows=3, steps=5, seed=4, classes=["red"])
    assert {p.name for p in made.paths} == {"interpolation.png", "interpolation.gif", "interpolation.json"}
    pictures = walked(tmp_path / "out/interpolation.png", 5)
    ends = np.asarray(ganvas.load(trained).sample(6, seed=4, labels=["red"])).repeat(4, 1).repeat(4, 2)
    # The chunks differ from a sample's: equal but for a level of rounding.
    assert np.abs(pictures[:, 0].astype(int) - ends[0::2]).max() <= 1
    assert np.abs(pictures[:, -1].astype(int) - ends[1::2]).max() <= 1
    record = json.loads((tmp_path / "out/interpolation.json").read_text())
    assert (record["mode"], record["walk"], record["from_to"]) == ("slerp", "latents", [[0, 1], [2, 3], [4, 5]])
    assert record["checkpoint_checksum"]
    with Image.open(tmp_path / "out/interpolation.gif") as moving:
        assert moving.n_frames >= 24  # type: ignore[attr-defined]


def test_a_walk_between_classes_begins_in_one_and_ends_in_the_other(trained: Path, tmp_path: Path) -> None:
    made = ganvas.interpolate(trained, tmp_path / "out.png", rows=2, steps=3, classes=["blue", "red"])
    assert [p.name for p in made.paths] == ["out.png", "out.json"]
    sheet = pixels(tmp_path / "out.png")
    pictures = walked_below_words(sheet, 2, 3)
    model = ganvas.load(trained)
    latents = model.sampler.latents(0, 0, 2)
    for column, label in ((0, 0), (2, 1)):
        whole = model.draw(latents, torch.full((2,), label)).repeat(4, 1).repeat(4, 2)
        assert np.abs(pictures[:, column].astype(int) - whole).max() <= 1
    middle = model.draw(latents, torch.full((2, 2), 0.5)).repeat(4, 1).repeat(4, 2)
    assert np.abs(pictures[:, 1].astype(int) - middle).max() <= 1


def walked_below_words(sheet: np.ndarray, rows: int, columns: int, size: int = 64) -> np.ndarray:
    height = rows * (size + 2) + 2
    return cells(sheet[-height:], size).reshape(rows, columns, size, size, 3)


def test_uniform_latents_are_walked_in_a_line(unconditional: Path, tmp_path: Path) -> None:
    made = ganvas.interpolate(unconditional, tmp_path / "out", rows=1, steps=2, formats=["png"])
    assert made.record["mode"] == "linear"
    with pytest.raises(UsageError, match="not class-conditional"):
        ganvas.interpolate(unconditional, tmp_path / "other", classes=["red", "blue"])


def test_networks_that_take_classes_only_whole_are_said_to_be_such(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.families.gan import GanSampler

    def whole(self: GanSampler, latents: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        assert labels is not None
        return torch.nn.functional.embedding(labels, torch.zeros(2, 3)).view(-1, 3, 1, 1).expand(-1, -1, 16, 16)

    monkeypatch.setattr(GanSampler, "__call__", whole)
    with pytest.raises(UsageError, match="only whole"):
        ganvas.interpolate(trained, tmp_path / "out", classes=["blue", "red"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        ("taken", {}, "not empty"),
        ("taken/old.png", {}, "there already"),
        ("new.gif", {"formats": ["png"]}, "leave one of them out"),
        ("new", {"steps": 1}, "2 or more"),
        ("new", {"rows": 0}, "1 or more"),
        ("new", {"classes": ["rde"]}, 'did you mean "red"'),
    ],
)
def test_interpolate_refuses(trained: Path, tmp_path: Path, out: str, options: Any, words: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/old.png").write_bytes(b"old")
    with pytest.raises(UsageError, match=words):
        ganvas.interpolate(trained, tmp_path / out, **options)
    assert (tmp_path / "taken/old.png").read_bytes() == b"old"
    assert not list(tmp_path.glob("new*"))


# -- Timeline -----------------------------------------------------------------------------------------------------


def test_a_timeline_shows_the_same_latents_at_each_moment(trained: Path, tmp_path: Path) -> None:
    made = ganvas.timeline(trained, tmp_path / "out", pictures=3)
    folder = RunFolder(trained)
    moments = folder.grids()
    assert made.record["strip_images"] == [images for images, _ in moments] == [0, 64, 128]
    found = walked_below_words(pixels(tmp_path / "out/strip.png"), 3, 3)
    for column, (_, path) in enumerate(moments):
        assert np.array_equal(found[:, column], cells(pixels(path), 16)[:3].repeat(4, 1).repeat(4, 2))
    with Image.open(tmp_path / "out/timeline.gif") as moving:
        assert moving.n_frames == 3  # type: ignore[attr-defined]


def test_a_run_without_grids_has_no_timeline(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/samples")
    with pytest.raises(RunError, match="no grids"):
        ganvas.timeline(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- Sweep --------------------------------------------------------------------------------------------------------


def test_a_sweep_scores_each_truncation_on_the_same_latents(trained: Path, tmp_path: Path) -> None:
    trained = copied(trained, tmp_path)
    made = ganvas.sweep_truncation(trained, tmp_path / "out", truncations=(0.5, None), samples=100, quiet=True)
    assert "Precision and recall over truncation" in (trained / "report.html").read_text()
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"distance.png", "precision-recall.png", "trade-off.png", "pictures.png", "sweep.csv", "sweep.json"}
    with (tmp_path / "out/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["truncation"] for row in rows] == ["0.5", "none"]
    record = json.loads((tmp_path / "out/sweep.json").read_text())
    assert [p["truncation"] for p in record["points"]] == [0.5, None]
    whole = ganvas.evaluate(trained, samples=100, quiet=True).to_json()
    assert record["points"][1]["fd"]["value"] == pytest.approx(whole["fd"]["value"], rel=1e-3)
    assert all(p["fd"]["features"] == "efficientnet-lite0" and p["fd"]["n"] == 100 for p in record["points"])
    assert "precision" in made.summary()


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "copy"))


def test_uniform_latents_have_nothing_to_truncate(unconditional: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="uniform latents"):
        ganvas.sweep_truncation(unconditional, tmp_path / "out", samples=100)
    with pytest.raises(UsageError, match="too few"):
        ganvas.sweep_truncation(unconditional, tmp_path / "out", samples=10)
    assert not (tmp_path / "out").exists()


# -- Report and compare -------------------------------------------------------------------------------------------


def test_real_pictures_stand_beside_generated_ones_of_the_same_classes(trained: Path, packed: Path) -> None:
    from ganvas.data.packed import open_packed

    folder = RunFolder(trained)
    real = cells(pixels(folder.real_file), 16)
    split = open_packed(packed).split("train")
    places = [int(np.flatnonzero((split.images == picture).all((1, 2, 3)))[0]) for picture in real]
    assert len(set(places)) == len(places) == 8
    from ganvas.sampling.render import class_labels

    wanted = class_labels(0, 8, 0, ganvas.load(trained).class_weights, None)
    assert wanted is not None
    assert split.labels is not None
    assert split.labels[places].tolist() == wanted.tolist()


def test_plots_are_files_and_old_runs_get_their_real_pictures(trained: Path, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    RunFolder(run).real_file.unlink()
    made = ganvas.report(run, plots=True)
    names = {p.name for p in made.plots}
    assert {"losses.png", "mean-prediction-of-d.png", "accuracy-of-d-on-real-pictures.png", "kid-while-training.png"} <= names
    assert all(p.stat().st_size > 1000 for p in made.plots)
    beside = pixels(run / "plots/real-beside-generated.png")
    assert beside.shape[1] == 2 * (4 * 18 + 2) + 16
    assert "Real" in made.report.read_text()
    assert ganvas.report(run, plots=True).plots == made.plots


def test_cost_is_in_the_status_and_the_metrics(trained: Path) -> None:
    status = RunFolder(trained).status()
    assert status is not None
    assert status.cpu_seconds is not None
    assert status.cpu_seconds > 0
    last = RunFolder(trained).metrics()[-1]
    assert 0 < last["cpu_seconds"] <= status.cpu_seconds
    assert ("joules" in last) == (status.joules is not None)


def test_cost_adds_up_over_sessions(trained: Path, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    before = RunFolder(run).status()
    ganvas.resume(run, images=192, quiet=True)
    after = RunFolder(run).status()
    assert before is not None
    assert after is not None
    assert before.cpu_seconds is not None
    assert after.cpu_seconds is not None
    assert after.cpu_seconds > 0.9 * before.cpu_seconds


def test_runs_are_compared_and_the_best_named_where_scores_compare(
    trained: Path, unconditional: Path, packed: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(trained, first)
    shutil.copytree(unconditional, second)
    found = ganvas.compare(first, second)
    assert found.best == {}
    assert any("no scores yet" in caution for caution in found.cautions)
    for run in (first, second):
        ganvas.evaluate(run, samples=200, quiet=True)
    found = ganvas.compare(first, second, out=tmp_path / "page.html")
    values = {row["run"]: row["scores"]["fd"] for row in found.rows}
    assert found.best["fd"] == (min(values, key=lambda run: values[run]),)
    row = found.rows[0]
    assert row["parameters"]["generator"] > 0
    assert (row["images"], row["state"]) == (128, "finished")
    assert row["collapsed"] in (True, False)
    assert found.to_json()["collapse_rule"] == health.RULE
    page = (tmp_path / "page.html").read_text()
    for words in ("first", "second", "data:image/png", "Losses: generator", health.RULE.split(":")[0], "http-equiv"):
        assert words in page
    assert page.count('class="grid"') == 3  # one real, two generated
    # Scores of another number of pictures don't compare.
    ganvas.evaluate(second, samples=150, quiet=True)
    found = ganvas.compare(first, second)
    assert found.best == {}
    assert any("don't compare" in caution for caution in found.cautions)


def test_compare_survives_damaged_and_bare_runs(trained: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.yaml").write_text("seed: [broken")
    found = ganvas.compare(trained, bare, out=tmp_path)
    assert found.rows[1]["recipe"] is None
    assert found.rows[1]["health"]["word"] == "unknown"
    assert (tmp_path / "compare.html").exists()
    json.dumps(found.to_json(), allow_nan=False)
    with pytest.raises(RunError, match="no run"):
        ganvas.compare(trained, tmp_path / "nowhere")


def test_a_family_without_a_judge_is_told_apart(packed: Path, tmp_path: Path) -> None:
    from denoiser import Denoiser

    ganvas.train(config(data=packed), family=Denoiser(16), out=tmp_path / "run", quiet=True)
    model = ganvas.load(tmp_path / "run", family=Denoiser(16))
    with pytest.raises(UsageError, match="--by realism"):
        model.judge(np.zeros((1, 16, 16, 3), np.uint8))
