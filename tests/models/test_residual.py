"""SNGAN, SAGAN and BigGAN: the papers' tables, gradients to every parameter, conditioning, precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganvas.config import BigganDiscriminator, BigganGenerator, ResnetDiscriminator, ResnetGenerator, io
from ganvas.errors import UsageError
from ganvas.losses.penalties import r1
from ganvas.models import build_discriminator, build_generator
from ganvas.models.residual import DiscriminatorBlock, GeneratorBlock
from ganvas.nn.attention import SelfAttention
from ganvas.nn.spectral import raw_weight
from players import check_both_learn, check_the_class_matters, unlearnt

NARROW: dict[str, Any] = {"width": 4, "max_width": 32}
VARIANTS: list[tuple[Any, Any]] = [
    (ResnetGenerator(**NARROW), ResnetDiscriminator(**NARROW)),
    (ResnetGenerator(**NARROW, labels="batchnorm"), ResnetDiscriminator(**NARROW, labels="projection", spectral_norm=False)),
    (
        ResnetGenerator(**NARROW, spectral_norm=True, attention=32, labels="batchnorm"),
        ResnetDiscriminator(**NARROW, attention=32, labels="projection"),
    ),
    (BigganGenerator(**NARROW, attention=16), BigganDiscriminator(**NARROW, attention=16)),
    (
        BigganGenerator(**NARROW, attention=64, slope=0.2, labels="shared"),
        BigganDiscriminator(**NARROW, attention=64, slope=0.2, labels="projection"),
    ),
]


def build(g: Any, d: Any, resolution: int, latent: int = 20) -> tuple[nn.Module, nn.Module, int]:
    torch.manual_seed(0)
    classes = 5 if g.labels else 0
    networks = build_generator(g, resolution, latent, classes), build_discriminator(d, resolution, classes)
    for network in networks:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            if isinstance(module, SelfAttention):
                # Zero at first, which hides the rest of the layer.
                nn.init.constant_(module.gamma, 0.5)
    return *networks, classes


@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
@pytest.mark.parametrize(("g", "d"), VARIANTS)
def test_shapes_and_gradients_to_every_parameter(resolution: int, g: Any, d: Any) -> None:
    generator, discriminator, classes = build(g, d, resolution)
    labels = torch.arange(6) % classes if classes else None
    pictures = check_both_learn(generator, discriminator, torch.randn(6, 20), labels, resolution)
    assert pictures.abs().max() <= 1


def blocks(network: nn.Module) -> list[tuple[int, int]]:
    """Maps that enter and leave each block."""
    kinds = GeneratorBlock | DiscriminatorBlock
    return [tuple(reversed(raw_weight(m.conv1).shape[:2])) for m in network.modules() if isinstance(m, kinds)]  # type: ignore[misc]


def test_sngans_tables() -> None:
    # Miyato et al. 2018, tables 3 and 5.
    generator, discriminator, _ = build(ResnetGenerator(width=256, max_width=256), ResnetDiscriminator(width=128, max_width=128), 32, 128)
    assert blocks(generator) == [(256, 256)] * 3
    assert blocks(discriminator) == [(3, 128), (128, 128), (128, 128), (128, 128)]
    assert generator.get_parameter("first.weight").shape == (4 * 4 * 256, 128)
    downs = [m.down for m in discriminator.modules() if isinstance(m, DiscriminatorBlock)]
    assert downs == [True, True, False, False]
    with torch.device("meta"):
        discriminator = build_discriminator(ResnetDiscriminator(spectral_norm=False), 128, 0)
        generator = build_generator(ResnetGenerator(), 128, 128, 0)
    assert blocks(discriminator) == [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024), (1024, 1024)]
    assert blocks(generator) == [(1024, 1024), (1024, 512), (512, 256), (256, 128), (128, 64)]


def test_biggans_table() -> None:
    # Brock et al. 2019, table 4, ch = 4: 16 ch -> 16, 8, 4, 2, 1 ch, attention at 64x64 in both players.
    generator, discriminator, _ = build(
        BigganGenerator(width=4, max_width=64, attention=64), BigganDiscriminator(width=4, max_width=64, attention=64), 128, 120
    )
    assert blocks(generator) == [(64, 64), (64, 32), (32, 16), (16, 8), (8, 4)]
    assert blocks(discriminator) == [(3, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 64)]
    assert [isinstance(m, SelfAttention) for m in generator.get_submodule("layers").children()] == [False] * 4 + [True, False]
    assert [isinstance(m, SelfAttention) for m in discriminator.get_submodule("layers").children()][:3] == [False, True, False]
    # Six chunks of 20, of which the first enters the first layer.
    assert raw_weight(generator.get_submodule("first")).shape == (4 * 4 * 64, 20)


@pytest.mark.parametrize(("g", "d"), [VARIANTS[2], VARIANTS[4]])
def test_the_class_matters(g: Any, d: Any) -> None:
    generator, discriminator, _ = build(g, d, 16)
    if g.kind == "resnet":
        for name, parameter in generator.named_parameters():
            if "to_affine" in name:
                # Gains and offsets of all classes are alike at first.
                nn.init.normal_(parameter)
    check_the_class_matters(generator, discriminator)


@pytest.mark.parametrize("labels", [None, "shared"])
def test_every_chunk_of_the_latent_matters(labels: Any) -> None:
    generator, _, classes = build(BigganGenerator(**NARROW, labels=labels), BigganDiscriminator(**NARROW), 32)
    z = torch.randn(4, 20, requires_grad=True)
    out = generator(z, torch.arange(4) % classes if classes else None)
    (out * torch.randn_like(out)).sum().backward()
    assert (z.grad.abs().amax(0) > 0).all()  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="4 chunks"):
        build_generator(BigganGenerator(**NARROW), 32, 3, 0)


@pytest.mark.parametrize(("g", "d"), [VARIANTS[0], VARIANTS[2], VARIANTS[4]])
def test_bf16_is_near_fp32(g: Any, d: Any) -> None:
    generator, discriminator, classes = build(g, d, 32)
    generator.eval()
    discriminator.eval()
    labels, z = (torch.arange(8) % classes if classes else None), torch.randn(8, 20)

    def both() -> tuple[Tensor, Tensor, list[Tensor]]:
        pictures = generator(z, labels)
        logits = discriminator(pictures, labels)
        parameters = [p for m in (generator, discriminator) for p in m.parameters()]
        return pictures, logits, list(torch.autograd.grad(logits.float().sum(), parameters))

    pictures, logits, gradients = both()
    with torch.autocast("cpu", torch.bfloat16):
        pictures_bf16, logits_bf16, gradients_bf16 = both()
    assert relative(pictures_bf16, pictures) < 0.03
    assert float((logits_bf16 - logits).detach().abs().max()) < 0.03 * float(logits.detach().abs().max()) + 0.05
    whole = [torch.cat([g.flatten().float() for g in part]) for part in (gradients_bf16, gradients)]
    assert relative(*whole) < 0.08


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.detach().float() - b.detach()).norm() / b.detach().norm())


def test_a_gradient_penalty_goes_through_all_of_the_discriminator() -> None:
    _, discriminator, _ = build(VARIANTS[0][0], BigganDiscriminator(**NARROW, attention=16), 32)
    real = torch.randn(4, 3, 32, 32, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        # Learning in bf16 comes first in a step; the penalty takes its own, in full precision.
        discriminator(real.detach()).sum().backward()
    discriminator.zero_grad()
    r1(real, discriminator(real)).mean().backward()
    # A bias moves no gradient at the pictures, but through the activations that it switches.
    without = set(unlearnt(discriminator))
    assert all(name.endswith("bias") for name in without)


def test_initial_weights_are_the_papers() -> None:
    generator, discriminator, _ = build(BigganGenerator(width=16, max_width=32), BigganDiscriminator(width=16, max_width=32), 32, 64)
    for network in (generator, discriminator):
        weight = raw_weight(network.get_submodule("layers.0.conv1")).detach().flatten(1)
        product = weight @ weight.t() if weight.shape[0] <= weight.shape[1] else weight.t() @ weight
        assert torch.allclose(product, torch.eye(len(product)), atol=1e-4)
    generator, _, _ = build(ResnetGenerator(width=32, max_width=32), ResnetDiscriminator(), 32, 64)
    bound = (2 * 6 / (9 * (32 + 32))) ** 0.5
    assert float(generator.get_parameter("layers.0.conv1.weight").detach().abs().max()) == pytest.approx(bound, rel=1e-2)


@pytest.mark.parametrize("resolution", [48, 8, 1024])
def test_a_resolution_that_is_no_power_of_two_is_an_error(resolution: int) -> None:
    for config in (ResnetGenerator(), BigganGenerator()):
        with pytest.raises(UsageError, match="power of two"):
            build_generator(config, resolution, 120, 0)
    with pytest.raises(UsageError, match="power of two"):
        build_discriminator(ResnetDiscriminator(), resolution, 0)


def test_the_dogs_recipe_is_its_row() -> None:
    config = io.recipe("dogs-biggan")
    family = config.family
    assert (family.loss.kind, family.latent.size, family.d_steps) == ("hinge", 120, 1)
    for optimizer in (family.optimizer_g, family.optimizer_d):
        assert (optimizer.lr, optimizer.betas) == (3e-4, (0.0, 0.999))
    assert (config.train.batch, config.train.epochs, config.seed, config.ema) == (32, 250, 2019, None)
    assert family.regulariser is not None
    assert (config.data.resolution, config.data.crop, config.augment.flip) == (64, "box", True)
    assert family.generator.kind == family.discriminator.kind == "biggan"
    assert (family.generator.labels, family.discriminator.labels) == ("shared", "projection")
    assert family.generator.attention == family.discriminator.attention == 32
