"""A GAN told codes of real pictures: the codes, what new pictures are made of, and what is learnt."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganvas
from curves import build, train
from ganvas.config import InstanceConfig, RunConfig, io
from ganvas.config.family import CodeConfig
from ganvas.errors import UsageError
from ganvas.families import build_family
from ganvas.families.base import Judging, Settling, StepState
from ganvas.families.coding import Coder, Instances
from ganvas.families.instance import InstanceGan
from ganvas.families.samplers import InstanceSampler
from ganvas.features.pyramid import FrozenPyramid
from ganvas.runs import RunFolder
from ganvas.sampling.render import OfClass
from ganvas.types import Batch
from small import config as small_config
from small import disks, narrow_networks


def tiny(**values: Any) -> RunConfig:
    settings = {"data.resolution": 16, "train.batch": 8, **narrow_networks("drawings64")}
    return io.load("drawings64", (), settings | {key.replace("__", "."): value for key, value in values.items()})


def codes(**values: Any) -> CodeConfig:
    return CodeConfig(**({"size": 4, "remembered": 10} | values))


def kept(many: int, **values: Any) -> Instances:
    """So many codes, of three classes in turn."""
    torch.manual_seed(0)
    instances = Instances(codes(remembered=many, **values))
    instances.remember(torch.randn(many, 4), torch.arange(many) % 3)
    return instances


def test_a_code_s_numbers_have_mean_square_one_and_the_first_differ_most() -> None:
    torch.manual_seed(0)
    coder = Coder(codes(), 16, FrozenPyramid())
    pictures = torch.randn(40, 3, 16, 16).cumsum(2).clamp(-1, 1)
    assert not coder.fitted
    coder.fit(coder.features(pictures))
    found = coder(pictures)
    assert found.shape == (40, 4)
    assert bool(coder.fitted)
    assert float(found.square().mean()) == pytest.approx(1, rel=1e-3)
    assert float(found.mean(0).abs().max()) < 1e-3
    spread = found.var(0)
    assert bool((spread[:-1] >= spread[1:]).all())
    other = Coder(codes(), 16, FrozenPyramid())
    other.load_state_dict(coder.state_dict())
    assert torch.equal(other(pictures[:5]), coder(pictures[:5]))


def test_fewer_pictures_than_directions_leave_numbers_at_zero_and_all_finite() -> None:
    coder = Coder(codes(size=64), 16, FrozenPyramid())
    pictures = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    coder.fit(coder.features(pictures))
    found = coder(pictures)
    assert bool(found.isfinite().all())
    assert float(found[:, 8:].abs().max()) < 1e-3


def test_each_picture_is_remembered_once_until_all_places_are_taken() -> None:
    instances = Instances(codes())
    first = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    instances.remember(torch.cat([first[:3], first[:3]]), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert len(instances) == 3
    instances.remember(first, torch.arange(6))
    assert len(instances) == 6
    assert torch.equal(instances.codes[:6], first)
    assert instances.labels[:6].tolist() == [0, 1, 2, 3, 4, 5]
    instances.remember(torch.randn(20, 4), None)
    assert instances.full
    before = instances.codes.clone()
    instances.remember(torch.randn(20, 4), None)
    assert torch.equal(instances.codes, before)


def test_codes_of_new_pictures_belong_to_seed_index_and_class() -> None:
    instances = kept(30)
    many = instances.draw(1, "sample", 0, 50)
    assert torch.equal(many[10:20], instances.draw(1, "sample", 10, 10))
    assert not torch.equal(many, instances.draw(2, "sample", 0, 50))
    exact = kept(30, blend=0, noise=0)
    for kind in range(3):
        drawn = exact.draw(0, "sample", 0, 64, labels=torch.full((64,), kind))
        own = exact.codes[: len(exact)][exact.labels[: len(exact)] == kind]
        assert bool((drawn[:, None] == own).all(2).any(1).all())
    # A class that no kept picture has: of all.
    assert bool(exact.draw(0, "sample", 0, 8, labels=torch.full((8,), 9)).isfinite().all())


def test_a_new_code_lies_between_a_picture_and_one_of_its_neighbours() -> None:
    exact, mixed = kept(30, blend=0, noise=0, neighbours=2), kept(30, blend=0.5, noise=0, neighbours=2)
    starts, drawn = exact.draw(0, "sample", 0, 100), mixed.draw(0, "sample", 0, 100)
    all_codes = mixed.codes[: len(mixed)]
    apart = torch.cdist(starts, all_codes)
    near = all_codes[apart.topk(3, largest=False).indices[:, 1:]]
    ways = near - starts[:, None]
    shares = (drawn - starts).norm(dim=1)[:, None] / ways.norm(dim=2)
    off = ((starts[:, None] + shares[..., None] * ways) - drawn[:, None]).norm(dim=2)
    best = off.argmin(1)
    assert float(off.amin(1).max()) < 1e-4
    assert float(shares[torch.arange(100), best].max()) <= 0.5 + 1e-4
    assert sorted(best.unique().tolist()) == [0, 1]


def test_truncation_bounds_the_noise_and_nothing_else() -> None:
    noisy, exact = kept(30, noise=1.0), kept(30, noise=0)
    moved = noisy.draw(0, "sample", 0, 200, bound=0.5) - exact.draw(0, "sample", 0, 200)
    assert 0.4 < float(moved.abs().max()) <= 0.5 + 1e-5
    assert float((noisy.draw(0, "sample", 0, 200) - exact.draw(0, "sample", 0, 200)).abs().max()) > 2


def test_before_any_picture_there_is_noise_and_with_one_there_is_that_one() -> None:
    assert Instances(codes()).draw(0, "sample", 0, 5).shape == (5, 4)
    single = Instances(codes(noise=0))
    single.remember(torch.ones(1, 4), None)
    assert torch.equal(single.draw(0, "sample", 0, 5), torch.ones(5, 4))


def test_a_generator_and_its_average_share_one_memory() -> None:
    instances = kept(5)
    assert copy.deepcopy(instances) is instances


def test_it_learns_to_make_pictures_again_and_tells_d_their_codes() -> None:
    family, metrics = train(tiny(family__optimizer_g__lr=2e-3, train__batch=16, family__codes__noise=0.0), 120)
    assert isinstance(family, InstanceGan)
    again = [step["reconstruction"] for step in metrics]
    assert sum(again[-10:]) < 0.9 * sum(again[:10])
    pictures = torch.rand(6, 3, 16, 16) * 2 - 1
    assert isinstance(family, Judging)
    told = family.judge(pictures, None)
    assert not torch.equal(told, family.discriminator(pictures, family.coder(pictures).flip(0)))
    assert bool(family.coder.fitted)
    assert len(family.instances) == 20


def test_classes_are_asked_for_by_codes_and_mixtures_are_refused() -> None:
    family, _ = train(tiny(family__classes=True), 3)
    sampler = family.sampler({name: module.eval() for name, module in family.modules().items()})
    assert isinstance(sampler, InstanceSampler)
    assert isinstance(sampler, OfClass)
    latents = sampler.latents_of(torch.tensor([0, 1]), 0, 0, 2)
    with torch.no_grad():
        assert torch.equal(sampler(latents, torch.tensor([0, 1])), sampler(latents, None))
        with pytest.raises(TypeError, match="mixtures"):
            sampler(latents, torch.ones(2, 3) / 3)
    with pytest.raises(UsageError, match=r"family\.classes=false"):
        build_family(tiny(family__classes=True).family, resolution=16, classes=0, seed=0, device=torch.device("cpu"))
    assert build(tiny()).classes == 0


def test_a_settled_family_steps_at_once() -> None:
    family = build(tiny())
    assert isinstance(family, Settling)
    family.settle(Batch(torch.rand(8, 3, 16, 16), None, 0), StepState(0, torch.device("cpu"), "fp32"))
    assert isinstance(family, InstanceGan)
    assert family.instances.full
    _, metrics = train(tiny(), 1, family=family)
    assert "reconstruction" in metrics[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"family.generator.labels": "embedding", "family.discriminator.labels": "projection"}, "family.classes=true"),
        ({"family.discriminator": {"kind": "resnet"}}, "family.discriminator.kind=dcgan"),
        ({"family.generator": {"kind": "stylegan2"}}, "family.generator.kind=dcgan or fastgan"),
        ({"family.regulariser": {"kind": "matching"}}, "family.regulariser=null"),
    ],
)
def test_what_can_not_be_told_codes_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace(".", r"\.")):
        io.load("drawings64", (), values)


def test_scores_on_its_own_network_are_known_to_flatter() -> None:
    family = io.recipe("drawings64").family
    assert isinstance(family, InstanceConfig)
    assert family.backbones == ("efficientnet-lite0",)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("instance")
    made = small_config(
        "drawings64",
        disks(base / "disks"),
        family__classes=True,
        family__codes__remembered=64,
        train__images=1500,
        family__optimizer_g__lr=3e-3,
        family__optimizer_d__lr=1e-3,
    )
    ganvas.train(made, out=base / "run", quiet=True)
    return base / "run"


def test_a_run_samples_its_classes_and_walks_between_them(run: Path, tmp_path: Path) -> None:
    model = ganvas.load(run)
    blue, red = (model.sample(64, labels=[name]).mean((0, 1, 2)) for name in ("blue", "red"))
    assert red[0] - red[2] > blue[0] - blue[2] + 1
    ganvas.interpolate(run, tmp_path / "walk", classes=["blue", "red"], rows=2, steps=3, formats=["png"])
    assert (tmp_path / "walk" / "interpolation.png").exists()
    ganvas.interpolate(run, tmp_path / "latents", rows=2, steps=3, formats=["png"])
    assert (tmp_path / "latents" / "interpolation.png").exists()
    assert np.isfinite(model.judge(model.sample(4)).numpy()).all()
    assert RunFolder(run).config().family == model.folder.config().family


def test_others_begin_with_it_and_remember_their_own_pictures(run: Path, tmp_path: Path) -> None:
    data = disks(tmp_path / "disks", size=28)
    settings = {"family__codes__remembered": 64, "train__images": 64, "transfer": {"run": str(run)}}
    ganvas.train(small_config("drawings64", data, **settings), out=tmp_path / "run", quiet=True)
    family = ganvas.load(tmp_path / "run").family
    older = ganvas.load(run).family
    assert isinstance(family, InstanceGan)
    assert isinstance(older, InstanceGan)
    assert not torch.equal(family.instances.codes, older.instances.codes)
