"""Scores of any generator's pictures, through the Python API and the command line, on features that cost nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import ganvas as api
from ganvas.data.packed import open_packed
from ganvas.errors import DataError, RunError, UsageError
from ganvas.features import backbone
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.scores import Evaluation
from ganvas.runs import RunFolder
from ganvas.verbs import evaluating
from small import disks


class Averages(FeatureNetwork):
    """Averages of a picture's parts, whatever its size."""

    name, dim, layer, input_size, resizer = "averages", 12, "averages", 2, "averages of 2x2 parts"
    precision, checksum, chunk = "fp32", "0" * 64, 8

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        return torch.nn.functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), 2).flatten(1) / 64, None


@pytest.fixture(autouse=True)
def _averages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "load_features", lambda *_, **__: Averages())


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """120 disks of the data's two classes, at another size than the data set's."""
    return disks(tmp_path / "given", 120, size=24)


def test_a_folder_of_class_folders_against_a_packed_data_set(given: Path, packed: Path, tmp_path: Path) -> None:
    result = api.evaluate(given, data=packed, out=tmp_path / "scores.json", quiet=True)
    assert Evaluation.model_validate_json((tmp_path / "scores.json").read_text()).to_json() == result.to_json()
    assert (result.fd.n, result.fd.reference_n, result.data_checksum) == (120, 80, open_packed(packed).checksum)
    assert result.pictures is not None
    assert (result.pictures.kind, result.pictures.found, result.pictures.sizes) == ("folder", 120, ["24x24"])
    assert result.fd_infinity is not None
    assert result.per_class is not None
    assert set(result.per_class.too_few) == {"blue", "red"}, "40 real pictures of each are too few"
    assert any("24x24 and the real ones of 16x16" in note for note in result.notes)
    assert (result.checkpoint, result.images) == (None, None)


def test_zip_array_and_data_set_score_as_the_folder_does(given: Path, packed: Path, tmp_path: Path) -> None:
    whole = api.evaluate(given, data=packed, quiet=True)
    archive = shutil.make_archive(str(tmp_path / "given"), "zip", given)
    zipped = api.evaluate(archive, data=packed, quiet=True)
    array = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in sorted(given.rglob("*.png"))])
    from_array = api.evaluate(array, data=packed, quiet=True)
    for other in (zipped, from_array):
        assert {key: score.value for key, score in other.scores().items()} == {key: score.value for key, score in whole.scores().items()}
    itself = api.evaluate(packed, data=packed, quiet=True)
    assert itself.fd.value == pytest.approx(0, abs=1e-6)
    assert itself.kid.value < 0
    assert itself.coverage is not None
    assert (itself.precision.value, itself.recall.value, itself.coverage.value) == (1, 1, 1)
    assert itself.notes == []


def test_a_source_of_real_pictures_is_packed_at_the_pictures_own_size(given: Path, tmp_path: Path) -> None:
    real = disks(tmp_path / "real", 150, size=40)
    result = api.evaluate(given, data=real, samples=100, quiet=True)
    assert result.fd.n == 100
    assert open_packed(str(result.data)).resolution == 24
    assert result.notes == []
    assert open_packed(str(api.evaluate(given, data=real, resolution=16, quiet=True).data)).resolution == 16


def test_what_is_done_with_odd_pictures_is_said(given: Path, packed: Path) -> None:
    Image.new("RGB", (40, 24), (250, 250, 250)).save(given / "blue" / "wide.png")
    (given / "blue" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxxxx")
    (given / "blue").rename(given / "azure")
    text = api.evaluate(given, data=packed, quiet=True).summary()
    for words in ("1 pictures were cut to the middle square", "1 files could not be read", "broken.png", "azure is no class"):
        assert words in text


def test_nonsense_is_refused_with_a_way_out(given: Path, packed: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run.*--data DATASET"):
        api.evaluate(given)
    with pytest.raises(RunError, match="there is no run"):
        api.evaluate(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        api.evaluate(tmp_path / "nowhere", data=packed)
    with pytest.raises(UsageError, match="is a run: expected real pictures"):
        api.evaluate(given, data=trained)
    with pytest.raises(UsageError, match="--checkpoint is for runs"):
        api.evaluate(given, data=packed, checkpoint="best")
    with pytest.raises(UsageError, match="--resolution is for pictures that are given"):
        api.evaluate(trained, resolution=32)
    with pytest.raises(UsageError, match="need real ones"):
        api.evaluate(np.zeros((5, 8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match="JSON file"):
        api.evaluate(given, data=packed, out=tmp_path)
    (tmp_path / "few").mkdir()
    for i in range(3):
        Image.new("RGB", (16, 16), (i, 0, 0)).save(tmp_path / "few" / f"{i}.png")
    with pytest.raises(UsageError, match="3 generated pictures"):
        api.evaluate(tmp_path / "few", data=packed, quiet=True)


def test_a_run_says_its_checkpoint_and_classes(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    result = api.evaluate(run, samples=300, quiet=True)
    stored = RunFolder(run).evaluation()
    assert stored == json.loads(json.dumps(result.to_json()))
    assert (result.checkpoint, result.seed, result.pictures) == ("best", evaluating.SEED, None)
    assert result.per_class is not None
    made = {name: count for name, (count, _) in result.per_class.too_few.items()}
    assert sum(made.values()) == 300
    assert min(made.values()) > 100
    assert result.yardstick is None, "16 pictures held out are too few"


def test_a_weights_file_is_held_to_the_checksum_that_was_given(
    ganvas: Any, given: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(backbone, "load_features", lambda name, **more: (asked.append({"name": name, **more}), Averages())[1])
    words = ("--features", "dinov2-vits14", "--weights", tmp_path / "vits14.pth", "--weights-sha256", "1a2b3c4d")
    assert ganvas("evaluate", given, "--data", packed, *words, "--quiet").status == 0
    assert (asked[0]["name"], asked[0]["weights"], asked[0]["sha256"]) == ("dinov2-vits14", tmp_path / "vits14.pth", "1a2b3c4d")
    monkeypatch.undo()
    with pytest.raises(UsageError, match="is no SHA-256"):
        api.evaluate(given, data=packed, weights_sha256="sha", quiet=True)


def test_a_run_with_the_judge_in_its_loss_is_flagged(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganvas.config.family import GanConfig

    monkeypatch.setattr(GanConfig, "backbones", ("averages-large",))
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    result = api.evaluate(run, samples=100, quiet=True)
    assert any("averages-large in its loss" in warning for warning in result.to_json()["warnings"])
    assert "averages-large in its loss" in (run / "report.html").read_text()


def test_the_command_line_prints_and_writes(ganvas: Any, given: Path, packed: Path, tmp_path: Path) -> None:
    done = ganvas("evaluate", given, "--data", packed, "--out", tmp_path / "scores.json")
    assert done.status == 0, done.err
    for words in ("95% interval", "coverage", "FD-infinity"):
        assert words in done.out
    assert str(tmp_path / "scores.json") in done.err
    assert "report" not in done.out
    written = json.loads((tmp_path / "scores.json").read_text())
    printed = json.loads(ganvas("evaluate", given, "--data", packed, "--json", "--quiet").out)
    assert printed["coverage"] == written["coverage"]
    refused = ganvas("evaluate", given)
    assert (refused.status, refused.out) == (1, "")
    assert "--data DATASET" in refused.err
