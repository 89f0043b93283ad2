"""Noise on the codes that pictures are made of: in every command that draws some, and swept."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import ganvas
from ganvas.errors import UsageError
from ganvas.families.samplers import InstanceSampler
from ganvas.runs import read_json
from small import config, disks


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is told codes."""
    folder = tmp_path_factory.mktemp("coded")
    made = config("codes32", disks(folder / "disks", count=120), family__codes__noise=0.2, family__codes__remembered=64)
    ganvas.train(made, out=folder / "run", quiet=True)
    return folder / "run"


@pytest.fixture
def run(coded: Path, tmp_path: Path) -> Path:
    """A copy of it, into which commands may write."""
    return Path(shutil.copytree(coded, tmp_path / "run"))


def codes(run: Path, noise: float | None) -> torch.Tensor:
    """Of 20 pictures, without the numbers that are noise alone."""
    model = ganvas.load(run, noise=noise)
    assert isinstance(model.sampler, InstanceSampler)
    return model.sampler.latents(3, 0, 20)[:, : model.sampler.instances.config.size]


def test_noise_is_a_deviation_and_the_runs_own_unless_it_is_named(coded: Path) -> None:
    none, own, much = codes(coded, 0), codes(coded, None), codes(coded, 1.0)
    assert ganvas.load(coded).noise == 0.2
    assert torch.allclose(own - none, 0.2 * (much - none), atol=1e-5)
    assert float((much - none).std()) == pytest.approx(1, abs=0.2)


def test_every_command_that_draws_takes_it_and_says_so(run: Path, tmp_path: Path) -> None:
    far = np.asarray(ganvas.load(run, noise=0.9).sample(4, seed=7, engine="eager"))
    assert not np.array_equal(far, np.asarray(ganvas.load(run).sample(4, seed=7, engine="eager")))
    made = ganvas.sample(run, tmp_path / "pictures", n=4, seed=7, noise=0.9, engine="eager", quiet=True)
    assert made.record["noise"] == 0.9
    assert ganvas.sample(run, tmp_path / "own", n=4, quiet=True).record["noise"] == 0.2
    walk = ganvas.interpolate(run, tmp_path / "walk", rows=2, steps=3, formats=["png"], noise=0.9)
    assert walk.record["noise"] == 0.9
    scores = ganvas.evaluate(run, samples=100, noise=0.9, quiet=True)
    assert scores.noise == 0.9
    assert "Noise of deviation 0.9 was added to the codes that pictures are made of, and 0.2 in training." in scores.summary()
    assert (read_json(run / "evaluation.json") or {})["noise"] == 0.9
    assert ganvas.neighbours(run, samples=100, noise=0.9, quiet=True).origin["noise"] == 0.9


def test_a_sweep_finds_scores_and_near_copies_at_each_noise(run: Path, tmp_path: Path) -> None:
    made = ganvas.sweep_noise(run, tmp_path / "out", noises=(0.6, 0.2), samples=100, quiet=True)
    names = {"distance.png", "precision-recall.png", "trade-off.png", "near-copies.png", "pictures.png", "sweep.csv", "sweep.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    with (tmp_path / "out/sweep.csv").open() as file:
        assert [row["noise"] for row in csv.DictReader(file)] == ["0.2", "0.6"]
    record = json.loads((tmp_path / "out/sweep.json").read_text())
    alone = ganvas.neighbours(run, samples=100, noise=0.6, quiet=True).memorisation.near_copies
    assert record["points"][1]["near_copies"]["share"] == alone.share
    whole = ganvas.evaluate(run, samples=100, noise=0.6, quiet=True)
    assert record["points"][1]["fd"]["value"] == pytest.approx(whole.fd.value, rel=1e-3)
    assert "near-copies" in made.summary()
    assert "Near-copies over noise" in (run / "report.html").read_text()
    assert [p.value for p in ganvas.sweep_noise(run, tmp_path / "all", samples=100, quiet=True).points] == [0.1, 0.2, 0.3, 0.5, 0.7, 1.0]


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_what_is_no_deviation_is_refused(coded: Path, tmp_path: Path, noise: float) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        ganvas.load(coded, noise=noise)
    with pytest.raises(UsageError, match="0 or more"):
        ganvas.sweep_noise(coded, tmp_path / "out", noises=[noise])
    assert not (tmp_path / "out").exists()


def test_models_that_are_told_no_codes_have_none(trained: Path, packed: Path, tmp_path: Path) -> None:
    assert ganvas.load(trained).noise is None
    with pytest.raises(UsageError, match="told no codes"):
        ganvas.sample(trained, tmp_path / "out", noise=0.1)
    with pytest.raises(UsageError, match="told no codes"):
        ganvas.sweep_noise(trained, tmp_path / "out")
    with pytest.raises(UsageError, match="--noise is for runs"):
        ganvas.evaluate(packed, data=packed, noise=0.1)
    with pytest.raises(UsageError, match="--noise is for runs"):
        ganvas.neighbours(packed, data=packed, noise=0.1)
    assert not (tmp_path / "out").exists()
