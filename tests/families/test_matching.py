"""A generator without a discriminator: what is remembered of real pictures, and what is learnt from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from curves import build, train
from ganvas.config import MatchingConfig, RunConfig, io
from ganvas.errors import UsageError
from ganvas.families import build_family
from ganvas.families.base import Settling, StepState
from ganvas.families.comparing import Memory
from ganvas.families.matching import Alone, Matching
from ganvas.types import Batch
from small import narrow_networks


def tiny(**values: Any) -> RunConfig:
    settings = {"data.resolution": 16, "train.batch": 8, **narrow_networks("matching32")}
    return io.load("matching32", (), settings | {key.replace("__", "."): value for key, value in values.items()})


def vectors(*numbers: float) -> list[torch.Tensor]:
    """One group of two numbers for each picture."""
    return [torch.tensor([[n, -n] for n in numbers])]


def test_the_oldest_pictures_are_forgotten_first() -> None:
    memory = Memory(4, [2], 0)
    memory.take(vectors(1, 2, 3), None)
    assert not memory.full
    memory.take(vectors(4, 5, 6), None)
    assert memory.full
    assert sorted(memory.get_buffer("values0")[:, 0].tolist()) == [3, 4, 5, 6]
    memory.take(vectors(*range(10, 19)), None)
    assert len(set(memory.get_buffer("values0")[:, 0].tolist())) == 4


def test_the_rule_stays_once_all_places_are_taken() -> None:
    memory = Memory(4, [2], 0)
    memory.take(vectors(-1, 1), None)
    first = memory.get_buffer("spread0").clone()
    memory.take(vectors(-3, 3), None)
    full = memory.get_buffer("spread0").clone()
    assert full[0] > first[0]
    memory.take(vectors(100, 200), None)
    assert torch.equal(memory.get_buffer("spread0"), full)


def test_what_is_compared_is_what_a_checkpoint_brings_back() -> None:
    torch.manual_seed(0)
    memory, other = Memory(8, [3, 5], 2), Memory(8, [3, 5], 2)
    for _ in range(5):
        memory.take([torch.randn(3, 3), torch.randn(3, 5)], torch.tensor([0, 1, 1]))
    other.take([torch.randn(8, 3), torch.randn(8, 5)], torch.zeros(8, dtype=torch.long))
    other.load_state_dict(memory.state_dict())
    fakes, labels = [torch.randn(4, 3), torch.randn(4, 5)], torch.tensor([0, 0, 1, 1])
    for dtype in (torch.float32, torch.bfloat16):
        first, second = (of.compared(of.by_rule(fakes), labels, dtype).mean(0) for of in (memory, other))
        assert torch.equal(first, second)


def test_bf16_changes_distances_little_where_the_numbers_lie_far_from_zero() -> None:
    torch.manual_seed(0)
    reals, fakes = torch.randn(200, 100) + 50, torch.randn(32, 100) * 0.8 + 50.2
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        memory = Memory(200, [100], 0)
        for batch in reals.split(40) * 2:
            memory.take([batch], None, dtype)
        moved = fakes.clone().requires_grad_()
        distance = memory.compared(memory.by_rule([moved]), None, dtype)[0]
        distance.mean().backward()
        assert moved.grad is not None
        found.append((distance.detach(), moved.grad))
    (plain, slope), (rounded, other) = found
    assert plain.mean() > 0.01
    assert float((plain - rounded).abs().max()) < 0.02 * float(plain.mean().abs() + plain.std())
    assert float((slope - other).norm()) < 0.01 * float(slope.norm())


def test_fakes_of_the_wrong_class_and_fakes_that_are_all_alike_are_farther() -> None:
    torch.manual_seed(0)
    memory = Memory(400, [2], 2)
    labels = torch.arange(400) % 2
    reals = torch.randn(400, 2) * 0.3 + labels[:, None] * 2.0
    memory.take([reals], labels)
    classes = torch.arange(64) % 2
    right = torch.randn(64, 2) * 0.3 + classes[:, None] * 2.0
    found = {
        "right": memory.compared(memory.by_rule([right]), classes).mean(),
        "wrong class": memory.compared(memory.by_rule([right]), 1 - classes).mean(),
        "one for each class": memory.compared(memory.by_rule([classes[:, None] * 2.0 + torch.zeros(64, 2)]), classes).mean(),
        "one": memory.compared(memory.by_rule([torch.ones(64, 2)]), classes).mean(),
    }
    assert abs(found["right"]) < 0.02
    assert found["right"] + 0.02 < found["one for each class"] < found["one"]
    assert found["wrong class"] > 0.1


def test_classes_are_part_of_what_is_learnt() -> None:
    config = tiny(family__generator__labels="embedding")
    family, metrics = train(config, 3)
    assert isinstance(family, Matching)
    assert family.classes == 3
    assert family.comparison.memory.labels.unique().tolist() == [0, 1, 2]
    assert all(step.keys() == {"loss_g"} for step in metrics)
    with pytest.raises(UsageError, match="labels"):
        build_family(config.family, resolution=16, classes=0, seed=0, device=torch.device("cpu"))


def test_any_generator_learns_and_its_distance_falls() -> None:
    small = {"kind": "dcgan", "width": 8, "max_width": 16}
    _, metrics = train(tiny(family__generator=small, family__optimizer_g__lr=5e-3, train__batch=16), 60)
    distance = [step["loss_g"] for step in metrics]
    assert sum(distance[-10:]) < 0.5 * sum(distance[:10])


def test_real_pictures_are_taken_in_where_they_are_due() -> None:
    family, _ = train(tiny(family__comparison__remembered=20, family__comparison__refresh=5), 11)
    assert isinstance(family, Matching)
    # Steps of 8: three until 20 are remembered, then at steps 5 and 10.
    assert int(family.comparison.memory.seen) == 8 * 5


def test_a_settled_family_takes_pictures_in_as_late_in_a_run() -> None:
    family = build(tiny(family__generator__labels="embedding", family__comparison__refresh=5))
    assert isinstance(family, Settling)
    family.settle(Batch(torch.rand(8, 3, 16, 16), torch.arange(8) % 3, 0), StepState(0, torch.device("cpu"), "fp32"))
    _, metrics = train(tiny(), 1, family=family)
    assert isinstance(family, Matching)
    assert family.comparison.memory.full
    assert sorted(set(family.comparison.memory.labels.tolist())) == [0, 1, 2]
    assert "loss_g" in metrics[0]


def test_the_same_comparison_beside_a_discriminator() -> None:
    settings = {"family.regulariser": {"kind": "matching", "remembered": 20, "input_sizes": [64]}, "data.resolution": 16, "train.batch": 8}
    narrowed = {f"family.{player}.{key}": v for player in ("generator", "discriminator") for key, v in (("width", 8), ("max_width", 16))}
    family, metrics = train(io.load("dcgan32", (), {**settings, **narrowed}), 3)
    assert all("matching" in step for step in metrics)
    assert int(family.modules()["regulariser"].state_dict()["seen"]) == 24


def test_backbones_are_told_so_that_scores_on_them_are_known_to_flatter() -> None:
    assert io.recipe("matching64").family.backbones == ("efficientnet-lite0",)
    beside = io.load("projected64", ["family.regulariser.kind=matching"])
    assert beside.family.backbones == ("efficientnet-lite0",)
    assert io.load("dcgan64", ["family.regulariser.kind=matching"]).family.backbones == ("efficientnet-lite0",)
    assert isinstance(io.recipe("matching64").family, MatchingConfig)


def test_a_family_of_another_kind_refuses_what_only_the_other_has() -> None:
    with pytest.raises(UsageError, match="d_steps"):
        io.load("matching32", ["family.d_steps=2"])
    assert build(tiny()).modules().keys() == {"generator", "memory"}


@pytest.mark.parametrize("name", ["matching32", "codes32"])
def test_in_bf16_distances_are_computed_in_bf16_and_what_is_remembered_is_measured_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    settings = {"data.resolution": 16, "train.batch": 8, **narrow_networks(name), "family.comparison.refresh": 2}
    family, _ = train(io.load(name, (), settings), 8, precision="bf16")
    assert isinstance(family, Alone)
    memory = family.comparison.memory
    assert memory.full
    assert {of.x.dtype for of in memory._measured} == {torch.bfloat16}
    monkeypatch.setattr(memory, "_taken", lambda _: pytest.fail("what is remembered was measured anew"))
    train(io.load(name, (), settings), 4, precision="bf16", family=family)
