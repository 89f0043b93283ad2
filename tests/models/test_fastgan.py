"""FastGAN: the rule of its sizes, excitation, gates and noise; a discriminator that draws the real picture again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganvas.config import FastganDiscriminator, FastganGenerator, io
from ganvas.errors import UsageError
from ganvas.models import build_discriminator, build_generator, fastgan
from ganvas.models.common import SelfSupervised
from players import check_the_class_matters, unlearnt

NARROW: dict[str, Any] = {"width": 4, "max_width": 16}
VARIANTS: list[tuple[Any, Any]] = [
    (FastganGenerator(**NARROW), FastganDiscriminator(**NARROW, decoder_width=4)),
    (
        FastganGenerator(**NARROW, spectral_norm=False, noise=False, labels="embedding"),
        FastganDiscriminator(**NARROW, decoder_width=4, spectral_norm=False, norm=None, labels="projection"),
    ),
]


def networks(g: Any, d: Any, resolution: int) -> tuple[fastgan.Generator, fastgan.Discriminator]:
    torch.manual_seed(0)
    generator, discriminator = build_generator(g, resolution, 20, 5), build_discriminator(d, resolution, 5)
    assert isinstance(generator, fastgan.Generator)
    assert isinstance(discriminator, fastgan.Discriminator)
    return generator, discriminator


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256])
@pytest.mark.parametrize(("g", "d"), VARIANTS)
def test_shapes_and_gradients_to_every_parameter(resolution: int, g: Any, d: Any) -> None:
    generator, discriminator = networks(g, d, resolution)
    labels = torch.arange(4) % 5 if g.labels else None
    pictures = generator(torch.randn(4, 20), labels)
    assert pictures.shape == (4, 3, resolution, resolution)
    assert pictures.abs().max() <= 1
    logits, own = discriminator.learn(pictures, labels)
    assert logits.shape == (4, 25 if resolution >= 64 else 1)
    assert discriminator(pictures, labels).shape == logits.shape
    weight, loss = own["reconstruction"]
    assert weight == 1
    assert loss.shape == (4,)
    ((logits * torch.randn_like(logits)).sum() + loss.sum()).backward()
    assert unlearnt(generator) == []
    assert unlearnt(discriminator) == []


@pytest.mark.parametrize(
    ("resolution", "excited"),
    [(16, {16: 4}), (32, {32: 4}), (64, {64: 4}), (128, {64: 4, 128: 8}), (256, {64: 4, 128: 8, 256: 16})],
)
def test_maps_are_excited_by_those_of_a_sixteenth(resolution: int, excited: dict[int, int]) -> None:
    generator, _ = networks(FastganGenerator(width=2, max_width=64, spectral_norm=False), VARIANTS[0][1], resolution)
    found = {int(name): layer for name, layer in generator.excitations.items()}
    assert set(found) == set(excited)
    for side, layer in found.items():
        # By its width, an exciting map is known.
        assert layer.get_parameter("squeeze.weight").shape[1] == min(64, 2 * resolution // excited[side])


def test_excitation_scales_each_map_as_a_whole() -> None:
    layer = fastgan.Excitation(6, 3)
    low, high = torch.randn(2, 6, 8, 8), torch.randn(2, 3, 32, 32)
    scale = layer(low, high) / high
    assert torch.allclose(scale, scale[:, :, :1, :1].expand_as(scale), atol=1e-4)
    assert 0 < float(scale.detach().min()) <= float(scale.detach().max()) < 1
    # It sees the small map as means of 4x4 parts.
    means = low.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    assert torch.allclose(layer(means, high), layer(low, high), atol=1e-5)


def test_a_gate_is_one_half_times_the_logistic_function_of_the_other() -> None:
    x = torch.randn(2, 6, 3, 3)
    assert torch.allclose(fastgan.gate(x), nn.functional.glu(x, 1))


def test_noise_is_new_in_training_and_fixed_in_use() -> None:
    generator, _ = networks(*VARIANTS[0], 32)
    for module in generator.modules():
        if isinstance(module, fastgan.Noise):
            nn.init.constant_(module.strength, 0.5)
    z = torch.randn(3, 20)
    with torch.no_grad():
        generator.train()
        assert not torch.equal(generator(z), generator(z))
        generator.eval()
        assert torch.equal(generator(z), generator(z))
        torch.testing.assert_close(generator(z[1:]), generator(z)[1:])
    # Of a new generator it has no strength yet.
    fresh = [m.strength for m in networks(*VARIANTS[0], 32)[0].modules() if isinstance(m, fastgan.Noise)]
    assert len(fresh) == 3
    assert all(float(s.detach()) == 0 for s in fresh)


def test_drawing_again_is_learnt() -> None:
    _, discriminator = networks(*VARIANTS[0], 32)
    assert isinstance(discriminator, SelfSupervised)
    pictures = torch.rand(8, 3, 1, 1).mul(2).sub(1).expand(-1, -1, 32, 32).contiguous()
    optimizer = torch.optim.Adam(discriminator.parameters(), 0.01)
    losses = []
    for _ in range(60):
        loss = discriminator.learn(pictures)[1]["reconstruction"][1].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_a_part_is_compared_with_the_same_part_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    _, discriminator = networks(*VARIANTS[0], 64)
    seen: list[Tensor] = []

    def remember(drawn: Tensor, real: Tensor) -> Tensor:
        seen.append(real)
        return (drawn - real).flatten(1).mean(1)

    monkeypatch.setattr(fastgan, "difference", remember)
    monkeypatch.setattr(torch, "randint", lambda *_: torch.tensor([2, 5]))
    pictures = torch.randn(2, 3, 64, 64)
    discriminator.learn(pictures)
    whole, part = seen
    assert torch.allclose(whole, nn.functional.avg_pool2d(pictures, 2))
    # Maps of 16x16, of which 8x8 from row 2 and column 5 are seen: each is 4 pixels.
    assert torch.equal(part, pictures[:, :, 8:40, 20:52])


def test_differences_are_absolute_and_square() -> None:
    a, b = torch.zeros(2, 3, 4, 4), torch.tensor([0.0, 0.5])[:, None, None, None].expand(2, 3, 4, 4)
    assert fastgan.difference(a, b).tolist() == [0, 0.75]


def test_without_weight_there_are_no_decoders() -> None:
    _, discriminator = networks(VARIANTS[0][0], FastganDiscriminator(**NARROW, reconstruction=0), 32)
    assert discriminator.learn(torch.randn(2, 3, 32, 32))[1] == {}
    assert not any("whole" in name or "part" in name for name, _ in discriminator.named_parameters())


def test_the_class_matters() -> None:
    generator, discriminator = networks(*VARIANTS[1], 16)
    check_the_class_matters(generator.eval(), discriminator)


def test_a_penalty_asks_for_another_norm() -> None:
    with pytest.raises(UsageError, match=r"family\.discriminator\.norm=null"):
        io.load("fastgan64", ["family.penalty={kind: r1}"])
    assert io.load("fastgan64", ["family.penalty={kind: r1}", "family.discriminator.norm=null"]).family.penalty
