"""DCGAN: the report's shapes, conditioning, and gradients to every parameter."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import BatchNorm2d

from ganvas.config import DcganDiscriminator, DcganGenerator, io
from ganvas.errors import UsageError
from ganvas.models import build_discriminator, build_generator
from players import unlearnt

# The two modules that report 001 prints (docs/systems.md lists the reports).
REPORT_G = [(100, 512, 4, 4), *[(512,)] * 2, (512, 256, 4, 4), *[(256,)] * 2, (256, 128, 4, 4), *[(128,)] * 2, (128, 64, 4, 4)]
REPORT_G += [*[(64,)] * 2, (64, 3, 4, 4)]
REPORT_D = [(64, 3, 4, 4), (128, 64, 4, 4), *[(128,)] * 2, (256, 128, 4, 4), *[(256,)] * 2, (512, 256, 4, 4), *[(512,)] * 2, (1, 512, 4, 4)]


def test_the_reports_parameter_shapes() -> None:
    config = io.recipe("cifar10-dcgan64").family
    generator = build_generator(config.generator, 64, config.latent.size, 0)
    discriminator = build_discriminator(config.discriminator, 64, 0)
    assert [tuple(p.shape) for p in generator.parameters()] == REPORT_G
    assert [tuple(p.shape) for p in discriminator.parameters()] == REPORT_D


VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"norm": "pixel"}, {"norm": None, "minibatch_std": True}),
    ({"norm": None}, {"norm": None, "spectral_norm": True}),
    ({"labels": "onehot"}, {"labels": "onehot"}),
    ({"labels": "embedding"}, {"labels": "projection"}),
    ({"labels": "embedding"}, {"labels": "projection", "spectral_norm": True, "norm": None, "minibatch_std": True}),
    ({}, {"dropout": 0.3, "slope": 0.01}),
    ({"kernel": 3, "slope": 0.2, "output": "sigmoid"}, {"kernel": 3, "norm": "pixel"}),
    ({"kernel": 5, "extra_layers": 2, "dropout": 0.1}, {"kernel": 5, "extra_layers": 1, "slope": 0}),
    ({"spectral_norm": True, "norm_momentum": 0.8, "norm_eps": 1e-4, "init": "torch"}, {"norm_momentum": 0.8, "init": "torch"}),
    ({"labels": "onehot"}, {"labels": "auxiliary", "minibatch_std": True}),
]


@pytest.mark.parametrize("resolution", [16, 64])
@pytest.mark.parametrize(("g", "d"), VARIANTS)
def test_shapes_and_gradients_to_every_parameter(resolution: int, g: dict[str, Any], d: dict[str, Any]) -> None:
    torch.manual_seed(0)
    classes = 5 if "labels" in g else 0
    generator = build_generator(DcganGenerator(width=4, max_width=16, **g), resolution, 10, classes)
    discriminator = build_discriminator(DcganDiscriminator(width=4, max_width=16, **d), resolution, classes)
    labels = torch.arange(6) % classes if classes else None
    pictures = generator(torch.randn(6, 10), labels)
    assert pictures.shape == (6, 3, resolution, resolution)
    assert pictures.abs().max() <= 1
    logits = discriminator(pictures, labels)
    assert logits.shape == (6,)
    # Not a plain sum: that of batch-normalised maps is constant, and has no gradient.
    loss = (logits * torch.randn(6)).sum()
    if d.get("labels") == "auxiliary":
        same, guesses = discriminator(pictures, labels, with_classes=True)
        assert same.shape == (6,)
        assert guesses.shape == (6, classes)
        loss = loss + torch.nn.functional.cross_entropy(guesses, labels)
    loss.backward()
    assert unlearnt(generator) == []
    assert unlearnt(discriminator) == []


def test_the_class_matters() -> None:
    torch.manual_seed(0)
    generator = build_generator(DcganGenerator(width=4, max_width=16, labels="onehot"), 16, 10, 3)
    discriminator = build_discriminator(DcganDiscriminator(width=4, max_width=16, labels="projection"), 16, 3).eval()
    z = torch.randn(1, 10).expand(2, -1)
    pictures = generator(z, torch.tensor([0, 2]))
    assert not torch.equal(pictures[0], pictures[1])
    same = pictures[:1].expand(2, -1, -1, -1)
    a, b = discriminator(same, torch.tensor([0, 2]))
    assert a != b


def test_conditional_networks_need_labels() -> None:
    generator = build_generator(DcganGenerator(width=4, max_width=16, labels="onehot"), 16, 10, 3)
    with pytest.raises(UsageError, match="conditional"):
        generator(torch.randn(1, 10))


@pytest.mark.parametrize("resolution", [48, 4, 2048])
def test_a_resolution_that_is_no_power_of_two_is_an_error(resolution: int) -> None:
    with pytest.raises(UsageError, match="power of two"):
        build_generator(DcganGenerator(), resolution, 10, 0)


def test_initial_weights_are_the_papers() -> None:
    torch.manual_seed(0)
    generator = build_generator(DcganGenerator(width=32), 32, 100, 0)
    weight = generator.get_parameter("layers.3.weight").detach()
    assert float(weight.mean()) == pytest.approx(0, abs=1e-3)
    assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    assert float(generator.get_parameter("layers.1.weight").detach().mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_any_power_of_two(resolution: int, kernel: Any) -> None:
    pictures = build_generator(DcganGenerator(width=2, max_width=4, kernel=kernel), resolution, 5, 0)(torch.randn(2, 5))
    assert pictures.shape == (2, 3, resolution, resolution)
    assert pictures.is_contiguous(memory_format=torch.channels_last) or resolution == 8
    discriminator = build_discriminator(DcganDiscriminator(width=2, max_width=4, kernel=kernel), resolution, 0)
    assert discriminator(pictures).shape == (2,)


def count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def players(recipe: str, classes: int = 0) -> tuple[torch.nn.Module, torch.nn.Module]:
    config = io.recipe(recipe)
    family, resolution = config.family, config.data.resolution
    generator = build_generator(family.generator, resolution, family.latent.size, classes)
    return generator, build_discriminator(family.discriminator, resolution, classes)


def test_the_cats_have_over_seven_million_parameters() -> None:
    assert 7_000_000 < count(*players("cats-dcgan")) < 7_200_000


def test_the_winners_networks_are_reduced_to_what_the_report_says() -> None:
    generator, discriminator = players("cifar10-sncgan", 10)
    assert count(generator) == pytest.approx(850_000, rel=0.01)
    assert count(discriminator) == pytest.approx(400_000, rel=0.04)


@pytest.mark.parametrize("recipe", ["cifar10-cgan-1", "cifar10-cgan-2", "cifar10-sncgan"])
def test_classes_enter_as_channels(recipe: str) -> None:
    generator, discriminator = players(recipe, 10)
    assert next(generator.parameters()).shape[0] == 138
    assert discriminator.get_parameter("layers.0.parametrizations.weight.original").shape[1] == 13


def test_six_layers_at_128() -> None:
    for player in players("churches-dcgan128"):
        assert sum(isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d) for m in player.modules()) == 6


def test_networks_of_another_range_speak_the_usual_one() -> None:
    torch.manual_seed(0)
    config = DcganGenerator(width=4, max_width=16, output="sigmoid")
    generator = build_generator(config, 16, 10, 0, (0.0, 1.0)).eval()
    inner = build_generator(config, 16, 10, 0).eval()
    assert inner.state_dict().keys() == generator.state_dict().keys()
    inner.load_state_dict(generator.state_dict())
    z = torch.randn(3, 10)
    assert 0 <= inner(z).min() <= inner(z).max() <= 1
    assert torch.allclose(generator(z), inner(z) * 2 - 1)
    assert torch.equal(copy.deepcopy(generator)(z), generator(z))
    plain = build_discriminator(DcganDiscriminator(width=4, max_width=16), 16, 0).eval()
    judge = build_discriminator(DcganDiscriminator(width=4, max_width=16), 16, 0, (0.0, 1.0)).eval()
    judge.load_state_dict(plain.state_dict())
    x = torch.rand(3, 3, 16, 16) * 2 - 1
    assert torch.allclose(judge(x), plain((x + 1) / 2), atol=1e-6)


def test_batch_norm_remembers_as_asked() -> None:
    norms = [
        m for m in build_generator(DcganGenerator(norm_momentum=0.8, norm_eps=1e-4), 16, 10, 0).modules() if isinstance(m, BatchNorm2d)
    ]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.8, 1e-4)}
    assert len(norms) == 2


def test_pytorchs_own_start_is_left_alone() -> None:
    torch.manual_seed(0)
    weight = build_generator(DcganGenerator(init="torch"), 32, 100, 0).get_parameter("layers.3.weight").detach()
    assert float(weight.std()) != pytest.approx(0.02, rel=0.05)
