"""What holds for every recipe that ships."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.config import RunConfig, io
from ganvas.families import build_family
from ganvas.families.base import Family, StepState
from ganvas.sampling.render import render
from ganvas.types import Batch

CLASSES = 3
RECIPES = io.recipe_names()


def narrow(name: str) -> RunConfig:
    """The recipe at 16 pixels, four times as narrow as it gets."""
    settings = {"data.resolution": 16, "train.batch": 8}
    for player in ("generator", "discriminator"):
        settings |= {f"family.{player}.width": 8, f"family.{player}.max_width": 32}
    return io.load(name, (), settings)


def build(config: RunConfig) -> Family:
    return build_family(config.family, resolution=config.data.resolution, classes=CLASSES, seed=config.seed, device=torch.device("cpu"))


def train(config: RunConfig, steps: int, precision: str = "fp32") -> tuple[Family, list[dict[str, float]]]:
    family, state, batch, metrics = build(config), StepState(config.seed, torch.device("cpu"), precision), config.train.batch, []
    real = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (64, 3, 16, 16)).astype(np.float32)).cumsum(3).div(8).clamp(-1, 1)
    position = 0

    def draw() -> Batch:
        nonlocal position
        places = torch.arange(position, position + batch) % len(real)
        start, position = position, position + batch
        return Batch(real[places].contiguous(memory_format=torch.channels_last), places % CLASSES, start)

    for _ in range(steps):
        torch.manual_seed(state.images)
        metrics.append({name: float(value) for name, value in family.step(draw, state).items()})
        state.images, state.step = position, state.step + 1
    return family, metrics


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_complete_and_survives_yaml(name: str) -> None:
    config = io.recipe(name)
    assert config.name == name
    assert config.about
    assert config.source
    assert io.validate(io.parse(io.dump(config), name), name) == config


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_steps_train_every_parameter_with_finite_numbers(name: str, precision: str) -> None:
    config = narrow(name)
    before = {f"{m}.{n}": p.clone() for m, module in build(config).modules().items() for n, p in module.named_parameters()}
    family, metrics = train(config, 4, precision)
    assert all(np.isfinite(list(step.values())).all() for step in metrics)
    assert {"loss_g", "loss_d", "d_real", "d_fake"} <= metrics[-1].keys()
    after = {f"{m}.{n}": p for m, module in family.modules().items() for n, p in module.named_parameters()}
    assert [name for name in before if torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("name", RECIPES)
def test_samples_belong_to_seed_and_index(name: str) -> None:
    family = build(narrow(name))
    modules = {n: m.eval() for n, m in family.modules().items()}
    weights = torch.ones(CLASSES) if family.classes else None
    many = np.concatenate(list(render(family.sampler(modules), 70, seed=2, weights=weights)))
    few = np.concatenate(list(render(family.sampler(modules), 5, seed=2, weights=weights)))
    assert many.shape == (70, 16, 16, 3)
    assert many.dtype == np.uint8
    assert np.array_equal(many[:5], few)
    assert len(np.unique(many.reshape(70, -1), axis=0)) == 70


@pytest.mark.parametrize("name", RECIPES)
def test_a_probe_leaves_no_trace(name: str) -> None:
    family, _ = train(narrow(name), 1)
    before = {f"{m}.{k}": v.clone() for m, module in family.modules().items() for k, v in module.state_dict().items()}
    modes = {m: module.training for m, module in family.modules().items()}
    batch = Batch(torch.zeros(4, 3, 16, 16), torch.zeros(4, dtype=torch.int64))
    found = family.probe(batch, StepState(0, torch.device("cpu"), "fp32"))
    assert 0 <= float(found["d_accuracy"]) <= 1
    after = {f"{m}.{k}": v for m, module in family.modules().items() for k, v in module.state_dict().items()}
    assert before.keys() == after.keys()
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    assert modes == {m: module.training for m, module in family.modules().items()}


@pytest.mark.parametrize("name", [name for name in RECIPES if io.recipe(name).family.conditional])
def test_a_conditional_generator_takes_mixtures_of_classes(name: str) -> None:
    family = build(narrow(name))
    sampler = family.sampler({n: m.eval() for n, m in family.modules().items()})
    latents, labels = sampler.latents(0, 0, 6), torch.arange(6) % CLASSES
    weights = torch.nn.functional.one_hot(labels, CLASSES).float()
    with torch.no_grad():
        torch.testing.assert_close(sampler(latents, weights), sampler(latents, labels))
        half = sampler(latents[:1], torch.full((1, CLASSES), 1 / CLASSES))
    assert bool(half.isfinite().all())
