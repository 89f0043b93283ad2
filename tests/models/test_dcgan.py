"""DCGAN: the report's shapes, conditioning, and gradients to every parameter."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ganvas.config import DcganDiscriminator, DcganGenerator, io
from ganvas.errors import UsageError
from ganvas.models import build_discriminator, build_generator

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
]


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
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
    (logits * torch.randn(6)).sum().backward()
    for module in (generator, discriminator):
        missing = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
        assert missing == []


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
