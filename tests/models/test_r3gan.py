"""R3GAN: blocks that begin as the identity, no norm anywhere, gradients of gradients through all of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ganvas.config import R3ganDiscriminator, R3ganGenerator, io
from ganvas.losses.penalties import r1
from ganvas.models import build_discriminator, build_generator, r3gan
from players import check_both_learn, check_the_class_matters, unlearnt

NARROW: dict[str, Any] = {"width": 4, "max_width": 16, "group": 4}
VARIANTS: list[tuple[Any, Any]] = [
    (R3ganGenerator(**NARROW), R3ganDiscriminator(**NARROW)),
    (
        R3ganGenerator(width=4, max_width=16, group=None, blocks=1, expansion=1, labels="embedding"),
        R3ganDiscriminator(width=4, max_width=16, group=None, blocks=1, expansion=1, labels="projection"),
    ),
]


def networks(g: Any, d: Any, resolution: int, started: bool = True) -> tuple[nn.Module, nn.Module]:
    """`started`: as after some steps, when the blocks do something."""
    torch.manual_seed(0)
    made = build_generator(g, resolution, 20, 5), build_discriminator(d, resolution, 5)
    for network in made:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            if started and isinstance(module, r3gan.Block):
                nn.init.normal_(module.conv3.weight, 0, 0.1)
    return made


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize(("g", "d"), VARIANTS)
def test_shapes_and_gradients_to_every_parameter(resolution: int, g: Any, d: Any) -> None:
    generator, discriminator = networks(g, d, resolution)
    labels = torch.arange(4) % 5 if g.labels else None
    check_both_learn(generator, discriminator, torch.randn(4, 20), labels, resolution)


def test_blocks_begin_as_the_identity_and_keep_variance() -> None:
    block = r3gan.Block(8, R3ganGenerator(**NARROW))
    block.reset(16)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x), x)
    wide = r3gan.Block(64, R3ganGenerator(group=16, expansion=2))
    wide.reset(16)
    # He et al. 2015 for leaky ReLU: sqrt(2 / (1.04 fan_in)), and 16 to the power of -1/4 is a half.
    assert float(wide.conv1.weight.detach().std()) == pytest.approx(0.5 * (2 / (1.04 * 64)) ** 0.5, rel=0.03)
    assert float(wide.conv2.weight.detach().std()) == pytest.approx(0.5 * (2 / (1.04 * 16 * 9)) ** 0.5, rel=0.03)
    generator, _ = networks(*VARIANTS[0], 64, started=False)
    assert 0.3 < float(generator(torch.randn(64, 20)).detach().std()) < 3


def test_sizes_blocks_and_groups() -> None:
    config = R3ganGenerator(width=16, max_width=128, blocks=2, group=16, expansion=2)
    with torch.device("meta"):
        generator = build_generator(config, 64, 64, 0)
    convolutions = [m.conv2 for m in generator.modules() if isinstance(m, r3gan.Block)]
    assert [c.in_channels for c in convolutions] == [256, 256] * 2 + [128, 128] + [64, 64] + [32, 32]
    assert all(c.in_channels // c.groups == 16 for c in convolutions)
    assert not any("Norm" in type(m).__name__ for m in generator.modules())


def test_a_penalty_goes_through_all_of_the_discriminator() -> None:
    _, discriminator = networks(*VARIANTS[0], 32)
    real = torch.randn(4, 3, 32, 32, requires_grad=True)
    r1(real, discriminator(real)).mean().backward()
    without = unlearnt(discriminator)
    # A bias moves no gradient at the pictures, but through the activations that it switches.
    assert all(name.endswith("bias") for name in without)


def test_the_penaltys_gradient_is_that_of_numbers() -> None:
    _, discriminator = networks(R3ganGenerator(**NARROW, blocks=1), R3ganDiscriminator(**NARROW, blocks=1), 16)
    discriminator.double()
    # Logits of features are computed in fp32, which is too coarse for differences: the last map is looked at instead.
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    layers = nn.Sequential(discriminator.get_submodule("first"), discriminator.get_submodule("layers"))
    assert torch.autograd.gradgradcheck(layers, (x,), fast_mode=True)


def test_only_differences_are_left_to_a_relativistic_loss() -> None:
    _, discriminator = networks(*VARIANTS[0], 16)
    assert [n for n, _ in discriminator.named_parameters() if n in ("head.bias", "gather.bias")] == []


def test_bf16_is_near() -> None:
    generator, discriminator = networks(*VARIANTS[0], 32)
    z = torch.randn(8, 20)
    with torch.no_grad():
        pictures = generator(z)
        logits = discriminator(pictures)
        with torch.autocast("cpu", torch.bfloat16):
            half, judged = generator(z), discriminator(pictures)
    assert float((half.float() - pictures).norm() / pictures.norm()) < 0.03
    assert float((judged.float() - logits).norm() / logits.norm()) < 0.05


def test_the_class_matters() -> None:
    generator, discriminator = networks(*VARIANTS[1], 16)
    check_the_class_matters(generator, discriminator)


def test_the_recipes_are_the_papers_method() -> None:
    for name, gamma in (("r3gan32", 0.05), ("r3gan64", 2.0)):
        config = io.recipe(name)
        family = config.family
        assert family.loss.kind == "relativistic_pairing"
        assert family.penalty is not None
        assert (family.penalty.kind, family.penalty.weight, family.penalty.every) == ("r1r2", gamma, 1)
        assert family.critic_augment is None
        assert (config.schedule.kind, family.optimizer_g.lr, family.optimizer_g.kind) == ("cosine", 2e-4, "adam")
