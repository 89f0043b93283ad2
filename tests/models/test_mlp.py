"""The fully connected GAN: shapes, gradients to every parameter, maxout, equalised layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ganvas.config import MlpDiscriminator, MlpGenerator
from ganvas.errors import UsageError
from ganvas.models import build_discriminator, build_generator
from ganvas.nn.linear import EqualizedLinear, Maxout
from players import check_both_learn

VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"slope": 0.2, "output": "sigmoid"}, {"pieces": 1, "dropout": 0.0}),
    ({"hidden": (7,), "init": "normal"}, {"hidden": (9, 8, 7), "pieces": 2, "init": "normal"}),
    ({"labels": "onehot", "init": "equalized"}, {"labels": "onehot", "init": "equalized"}),
    ({"norm": "batch"}, {"norm": "batch", "pieces": 1}),
    ({"norm": "batch", "init": "normal"}, {"norm": "batch", "pieces": 2, "init": "normal"}),
]


@pytest.mark.parametrize("resolution", [8, 13])
@pytest.mark.parametrize(("g", "d"), VARIANTS)
def test_shapes_and_gradients_to_every_parameter(resolution: int, g: dict[str, Any], d: dict[str, Any]) -> None:
    torch.manual_seed(0)
    classes = 3 if "labels" in g else 0
    generator = build_generator(MlpGenerator(**{"hidden": (12, 12), **g}), resolution, 10, classes)
    discriminator = build_discriminator(MlpDiscriminator(**{"hidden": (12, 12), **d}), resolution, classes)
    labels = torch.arange(6) % classes if classes else None
    pictures = check_both_learn(generator, discriminator, torch.randn(6, 10), labels, resolution)
    assert pictures.abs().max() <= 1


def test_the_critic_does_not_care_how_pictures_lie_in_memory() -> None:
    discriminator = build_discriminator(MlpDiscriminator(hidden=(12,)), 8, 0).eval()
    x = torch.randn(4, 3, 8, 8)
    assert torch.allclose(discriminator(x), discriminator(x.contiguous(memory_format=torch.channels_last)), atol=1e-6)


def test_conditional_networks_need_labels() -> None:
    with pytest.raises(UsageError, match="conditional"):
        build_generator(MlpGenerator(hidden=(4,), labels="onehot"), 8, 10, 3)(torch.randn(1, 10))


def test_maxout_is_the_largest_piece() -> None:
    x = torch.tensor([[3.0, -3.0, 1.0, 2.0], [-2.0, 2.0, 5.0, 4.0]])
    assert Maxout(2)(x).tolist() == [[3, 2], [2, 5]]


def test_an_equalised_step_moves_the_output_alike_however_wide_it_is() -> None:
    moved = []
    for width in (10, 10_000):
        layer, x = EqualizedLinear(width, 1, bias=False), torch.ones(1, width)
        before = layer(x)
        before.backward()
        with torch.no_grad():
            layer.weight -= 0.5 * layer.weight.grad  # type: ignore[operator]
            moved.append(float(before - layer(x)))
    assert moved == pytest.approx([0.5, 0.5], rel=1e-3)
