"""A run that begins with what an older one learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import ganvas
from ganvas.errors import RunError, UsageError
from ganvas.runs import RunFolder
from small import config, disks, narrow_networks


def weights(run: Path, module: str, checkpoint: str = "last") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / checkpoint / f"{module}.safetensors")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("older")
    out = base / "run"
    ganvas.train(config("emoji", disks(base / "disks"), train__images=64), out=out, quiet=True)
    return out


def begun(out: Path, older: Path, data: Path, **values: Any) -> Path:
    """A run of one batch at a rate so low that its weights hardly move."""
    still = {f"family__optimizer_{player}__lr": 1e-12 for player in "gd"}
    changes = {"transfer": {"run": str(older), **values.pop("transfer", {})}, "train__images": 16, **still, **values}
    ganvas.train(config("emoji", data, **changes), out=out, quiet=True)
    return out


def test_it_begins_with_the_average_of_g_and_with_d(older: Path, tmp_path: Path) -> None:
    run = begun(tmp_path / "run", older, disks(tmp_path / "disks"))
    for module, source in (("generator", "generator_ema"), ("discriminator", "discriminator")):
        before, after = weights(older, source), weights(run, module)
        learnt = [key for key in before if "running" not in key and "num_batches" not in key and before[key].is_floating_point()]
        assert learnt
        assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in learnt)
    told = RunFolder(run).provenance()["transfer"]
    assert (told["run"], told["checkpoint"], told["images"]) == (str(older), "last", 64)
    assert told["modules"]["generator"]["fresh"] == []
    assert RunFolder(run).config().transfer is not None


def test_what_a_regulariser_remembers_begins_anew(older: Path, tmp_path: Path) -> None:
    run = begun(tmp_path / "run", older, disks(tmp_path / "disks"), family__regulariser={"kind": "lecam"})
    assert set(RunFolder(run).provenance()["transfer"]["modules"]) == {"generator", "discriminator"}


def test_classes_that_are_others_begin_anew(older: Path, tmp_path: Path) -> None:
    data = disks(tmp_path / "disks", classes=("blue", "green", "red"))
    told = RunFolder(begun(tmp_path / "run", older, data)).provenance()["transfer"]["modules"]
    assert told["generator"]["fresh"] == ["embedding.weight"]
    assert told["discriminator"]["fresh"] == ["projection.weight"]


def test_frozen_layers_stay_and_others_learn_also_after_a_stop(older: Path, tmp_path: Path) -> None:
    data = disks(tmp_path / "disks")
    run = tmp_path / "run"
    ganvas.train(config("emoji", data, transfer={"run": str(older), "freeze": 2}, train__images=64), out=run, quiet=True)
    # The older run is needed once only.
    older.rename(tmp_path / "away")
    try:
        ganvas.resume(run, images=128, quiet=True)
    finally:
        (tmp_path / "away").rename(older)
    before, after = weights(older, "discriminator"), weights(run, "discriminator")
    order = ganvas.load(run).family.modules()["discriminator"].state_dict()
    convolutions = [key for key, value in order.items() if value.ndim == 4]
    moved = [not torch.equal(before[key], after[key]) for key in convolutions]
    assert moved == [False, False, *[True] * (len(moved) - 2)]


@pytest.mark.parametrize(
    ("recipe", "values", "error", "words"),
    [
        ("emoji", {"transfer": {"run": "nowhere"}}, RunError, "nowhere"),
        ("emoji", {"transfer": {"freeze": 99}}, UsageError, "expected 0 to"),
        ("sngan32", {}, RunError, "the same networks"),
    ],
)
def test_what_can_not_be_taken_is_refused(
    older: Path, tmp_path: Path, recipe: str, values: dict[str, Any], error: type[Exception], words: str
) -> None:
    transfer = {"run": str(older), **values.get("transfer", {})}
    with pytest.raises(error, match=words):
        ganvas.train(config(recipe, disks(tmp_path / "disks"), transfer=transfer), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_command_takes_the_older_runs_own_networks(ganvas: Any, older: Path, tmp_path: Path) -> None:
    data = disks(tmp_path / "disks")
    refused = ganvas("train", "--from", older)
    assert (refused.status, "--data" in refused.err) == (2, True)
    assert ganvas("train", "emoji", "--data", data, "--freeze", 2).status == 2
    done = ganvas("train", "--from", older, "--freeze", 1, "--data", data, "--images", 32, "--out", tmp_path / "run", "-q")
    assert done.status == 0, done.err
    made = RunFolder(tmp_path / "run").config()
    assert made.family == RunFolder(older).config().family
    assert made.transfer is not None
    assert made.transfer.freeze == 1
    assert (
        narrow_networks("emoji").items()
        <= {f"family.generator.{k}": v for k, v in made.family.generator}.items()
        | {f"family.discriminator.{k}": v for k, v in made.family.discriminator}.items()
    )
