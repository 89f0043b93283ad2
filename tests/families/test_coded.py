"""A generator told codes of real pictures, compared with them in pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import ganvas
from curves import build, pictures, train
from ganvas.auto.pace import LATE
from ganvas.config import RunConfig, io
from ganvas.errors import UsageError
from ganvas.families import build_family
from ganvas.families.base import Settling, StepState
from ganvas.families.coded import TOLD, Coded
from ganvas.families.samplers import InstanceSampler
from ganvas.types import Batch
from small import config as small_config
from small import disks, narrow_networks


def tiny(**values: Any) -> RunConfig:
    settings = {"data.resolution": 16, "train.batch": 8, "family.latent.size": 4, **narrow_networks("codes32")}
    return io.load("codes32", (), settings | {key.replace("__", "."): value for key, value in values.items()})


def test_a_recipe_with_codes_is_told_of_real_pictures() -> None:
    family, metrics = train(tiny(family__classes=True), 3)
    assert isinstance(family, Coded)
    assert family.classes == 3
    assert family.modules().keys() == {"generator", "memory", "coder", "instances"}
    assert bool(family.coder.fitted)
    assert len(family.instances) == 20
    assert all({"loss_g", "distance", "features"} <= step.keys() for step in metrics)


def test_it_learns_to_make_pictures_of_their_codes() -> None:
    family, metrics = train(tiny(family__codes__pixels=4.0, family__codes__noise=0.0, family__latent__size=1, train__batch=16), 100)
    for term in ("features", "pixels"):
        values = [step[term] for step in metrics]
        assert sum(values[-10:]) < 0.85 * sum(values[:10]), term
    assert isinstance(family, Coded)
    real = pictures()
    with torch.no_grad():
        latents = torch.cat([family.coder(real), torch.randn(64, 1, generator=torch.Generator().manual_seed(0))], 1)
        made = family.generator(latents, None)
    # A picture of a code is nearer to its own picture than chance would have it, which is to half of them.
    apart = (made[:, None] - real).square().mean((2, 3, 4))
    nearer = (apart < apart.diagonal()[:, None]).float().mean()
    assert float(nearer) < 0.4


def test_a_loss_is_the_weighted_sum_of_its_terms() -> None:
    _, metrics = train(tiny(family__codes__pixels=0.5, family__codes__features=2.0), 2)
    for step in metrics:
        assert step["loss_g"] == pytest.approx(step["distance"] + 2 * step["features"] + 0.5 * step["pixels"], rel=1e-5)


def test_real_pictures_are_remembered_where_they_are_due_and_looked_at_in_halves_else() -> None:
    family, _ = train(tiny(family__comparison__remembered=20, family__comparison__refresh=5), 11)
    assert isinstance(family, Coded)
    # Steps of 8: three until 20 are remembered, then at steps 5 and 10.
    assert int(family.comparison.memory.seen) == 8 * 5


def test_a_warm_up_compares_pixels_alone_and_looks_at_no_features() -> None:
    values: dict[str, Any] = {"family__codes__warmup": 20, "family__codes__fitted": 8}
    family, metrics = train(tiny(**values), 5)
    # Eight are looked at for the rule and belong to the first step, so that it ends after 16 pictures; the second after 24.
    assert [sorted(step) for step in metrics] == [["loss_g", "pixels"]] * 2 + [["distance", "features", "loss_g"]] * 3
    assert isinstance(family, Coded)
    assert int(family.comparison.memory.seen) == 3 * 8
    assert len(family.instances) > 8
    alike, _ = train(tiny(**values), 2)
    assert isinstance(alike, Coded)
    assert int(alike.comparison.memory.seen) == 0
    settled, state = build(tiny(**values)), StepState(0, torch.device("cpu"), "fp32")
    assert isinstance(settled, Settling)
    state.images = LATE
    settled.settle(Batch(torch.rand(8, 3, 16, 16), None, 0), state)
    assert "features" in settled.step(lambda: Batch(torch.rand(8, 3, 16, 16), None, 0), state)


def test_a_share_of_the_fakes_is_made_of_mixtures_that_have_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    family = build(tiny(family__classes=True, family__codes__mixtures=0.5, family__codes__pixels=1.0))
    assert isinstance(family, Coded)
    seen: dict[str, Any] = {}
    for name, of in (("compared", family.comparison), ("paired", family.comparison), ("draw", family.instances)):
        inner = getattr(of, name)

        def outer(*args: Any, _name: str = name, _inner: Any = inner, **more: Any) -> Any:
            seen[_name] = (*args, *more.values())
            return _inner(*args, **more)

        monkeypatch.setattr(of, name, outer)
    _, metrics = train(tiny(), 2, family=family)
    # Of a batch of 8: two codes with two pictures each, and four mixtures, which are of the classes of real pictures, too.
    images, labels, features, _ = seen["compared"]
    assert len(images) == len(features[0]) == 8
    pairs, reals, _ = seen["paired"]
    assert (len(pairs[0]), len(reals[0])) == (4, 2)
    assert torch.equal(pairs[0], features[0][:4])
    seed, stream, start, count, asked = seen["draw"]
    assert (seed, stream, count) == (0, "mixture", 4)
    assert start > 0
    assert torch.equal(labels[4:], asked)
    assert torch.equal(labels[:2], labels[2:4])
    assert metrics[-1]["loss_g"] == pytest.approx(metrics[-1]["distance"] + 0.3 * metrics[-1]["features"] + metrics[-1]["pixels"], rel=1e-5)


def test_changed_pictures_are_learnt_told_apart_and_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {"family__codes__augment": {"share": 0.5}, "family__codes__fitted": 8, "family__codes__noise": 0.0}
    family = build(tiny(**told, family__classes=True))
    assert isinstance(family, Coded)
    known: list[Tensor] = []
    inputs: list[Tensor] = []
    inner = family.instances.remember
    monkeypatch.setattr(family.instances, "remember", lambda codes, labels: (known.append(codes.clone()), inner(codes, labels)))
    family.generator.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    train(tiny(), 6, family=family)
    # The last number of a code says it: of half of the pictures, by more than codes differ in it.
    lasts = torch.cat([x[: len(x) // 2, 7] for x in inputs])
    apart = lasts > TOLD / 2
    assert 0.2 < float(apart.float().mean()) < 0.8
    # What new pictures are made of are codes of the pictures themselves.
    real = family.coder(pictures())
    for codes in known:
        assert float(torch.cdist(codes, real).amin(1).max()) < 1e-3
    sampler = family.sampler({name: module.eval() for name, module in family.modules().items()})
    assert float(sampler.latents(0, 0, 200)[:, 7].max()) < TOLD / 2


def test_before_its_time_a_change_changes_nothing() -> None:
    _, plain = train(tiny(), 3)
    _, later = train(tiny(family__codes__augment={"after": 10**6}), 3)
    assert plain == later


def test_codes_are_the_same_by_maps_that_are_known_and_anew() -> None:
    family = build(tiny(family__codes__input_size=64))
    assert isinstance(family, Coded)
    torch.manual_seed(0)
    pictures = torch.rand(12, 3, 16, 16) * 2 - 1
    family.coder.fit(family.coder.features(pictures))
    maps = family.comparison.maps(pictures, family.comparison.input_sizes)
    assert torch.allclose(family.coder(pictures, maps[64]), family.coder(pictures), atol=1e-4)


def test_sides_in_turn_see_what_both_see_together(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {"family__comparison__input_sizes": [64, 96], "family__codes__input_size": 96}
    family = build(tiny(**sides, family__comparison__in_turn=40, family__comparison__refresh=2))
    assert isinstance(family, Coded)
    comparison = family.comparison
    first, second = comparison.view(0, 0), comparison.view(1, 39)
    assert (first.sides, second.sides, comparison.view(2, 16)) == ((64,), (96,), first)
    assert comparison.view(3, 40) is comparison.whole
    assert sorted({*first.groups, *second.groups}) == list(comparison.whole.groups) == list(comparison.memory.groups)
    torch.manual_seed(0)
    pictures = torch.rand(4, 3, 16, 16) * 2 - 1
    comparison.fill(torch.rand(8, 3, 16, 16), None)
    for view in (first, second):
        assert float(view.weights.sum()) == pytest.approx(1.0)
        whole = comparison.features(pictures, comparison.whole)
        assert all(torch.equal(x, whole[group]) for x, group in zip(comparison.features(pictures, view), view.groups, strict=True))
    # What both sides say together is the mean of what they say in turn.
    said = [comparison.distance(pictures, None, step, 0) for step in (0, 1)]
    everything = build(tiny(**sides))
    assert isinstance(everything, Coded)
    everything.comparison.memory.load_state_dict(comparison.memory.state_dict())
    assert torch.allclose(torch.stack(said).mean(0), everything.comparison.distance(pictures, None, 0, 0), atol=1e-5)
    seen: list[int] = []
    inner = comparison.frozen

    def forward(images: torch.Tensor) -> Any:
        if images.requires_grad:
            seen.append(images.shape[2])
        return inner(images)

    monkeypatch.setattr(comparison, "frozen", forward)
    train(tiny(**sides), 4, family=family)
    assert seen == [64, 96, 64, 64, 96]


def test_one_picture_in_a_batch_is_enough() -> None:
    _, metrics = train(tiny(train__batch=1, family__codes__fitted=4), 2)
    assert all(torch.tensor(list(step.values())).isfinite().all() for step in metrics)


def test_latents_are_codes_and_noise_beside_them_each_of_its_own_index() -> None:
    family, _ = train(tiny(family__classes=True, family__codes__noise=0.0, family__codes__blend=0.0), 3)
    sampler = family.sampler({name: module.eval() for name, module in family.modules().items()})
    assert isinstance(sampler, InstanceSampler)
    assert sampler.latent_size == 8 + 4
    latents = sampler.latents_of(torch.tensor([0, 1, 2, 0]), 0, 0, 4)
    assert torch.equal(latents[1:3], sampler.latents_of(torch.tensor([1, 2]), 0, 1, 2))
    assert isinstance(family, Coded)
    kept = family.instances.codes[: len(family.instances)]
    assert bool((latents[:, None, :8] == kept).all(2).any(1).all())
    bounded = sampler.latents(0, 0, 50, truncation=0.3)
    assert float(bounded[:, 8:].abs().max()) <= 0.3 + 1e-5
    assert not torch.equal(sampler.latents(1, 0, 4)[:, 8:], sampler.latents(0, 0, 4)[:, 8:])


def test_a_settled_family_steps_at_once() -> None:
    family = build(tiny())
    assert isinstance(family, Settling)
    family.settle(Batch(torch.rand(8, 3, 16, 16), None, 0), StepState(0, torch.device("cpu"), "fp32"))
    assert isinstance(family, Coded)
    assert family.instances.full
    assert family.comparison.memory.full
    _, metrics = train(tiny(), 1, family=family)
    assert "features" in metrics[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"family.generator.labels": "embedding"}, "family.generator.labels=null, and family.classes=true"),
        ({"family.generator": {"kind": "stylegan2"}}, "family.generator.kind=dcgan or fastgan"),
        ({"family.latent.distribution": "uniform"}, "family.latent.distribution=normal"),
        ({"family.codes.features": 0, "family.codes.pixels": 0}, "give one of them a weight"),
    ],
)
def test_what_can_not_be_told_codes_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        io.load("codes32", (), values)
    assert words in str(caught.value)


def test_classes_need_labels() -> None:
    with pytest.raises(UsageError, match=r"family\.classes=false"):
        build_family(tiny(family__classes=True).family, resolution=16, classes=0, seed=0, device=torch.device("cpu"))


def test_a_run_samples_its_classes_and_others_begin_with_it(tmp_path: Path) -> None:
    values: dict[str, Any] = {"family__codes__remembered": 64, "family__classes": True, "family__codes__pixels": 1.0}
    made = small_config("codes32", disks(tmp_path / "disks"), **values, train__images=1500, family__optimizer_g__lr=5e-3)
    ganvas.train(made, out=tmp_path / "run", quiet=True)
    model = ganvas.load(tmp_path / "run")
    blue, red = (model.sample(64, labels=[name]).mean((0, 1, 2)) for name in ("blue", "red"))
    assert red[0] - red[2] > blue[0] - blue[2] + 1
    ganvas.interpolate(tmp_path / "run", tmp_path / "walk", classes=["blue", "red"], rows=2, steps=3, formats=["png"])
    assert (tmp_path / "walk" / "interpolation.png").exists()
    values |= {"train__images": 64, "transfer": {"run": str(tmp_path / "run")}}
    more = disks(tmp_path / "more", size=28)
    ganvas.train(small_config("codes32", more, **values), out=tmp_path / "next", quiet=True)
    own = ganvas.load(tmp_path / "next").family
    assert isinstance(own, Coded)
    assert isinstance(model.family, Coded)
    assert len(own.instances) > 0
    assert not torch.equal(own.instances.codes, model.family.instances.codes)
    ganvas.train(small_config("codes32", more, **values, family__codes__input_size=64), out=tmp_path / "other", quiet=True)
    # What a code means stays, for the generator has learnt it, unless codes are made of other features.
    first, kept, other = (load_file(tmp_path / run / "checkpoints" / "last" / "coder.safetensors") for run in ("run", "next", "other"))
    assert all(torch.equal(first[key], kept[key]) for key in first)
    assert bool(other["fitted"])
    assert not torch.equal(first["directions"], other["directions"])
