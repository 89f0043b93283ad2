"""StyleGAN2: the paper's layers, gradients to every parameter, styles, mixing, truncation in W, path lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from curves import build as build_gan
from curves import narrow, train
from ganvas.config import LatentConfig, Stylegan2Discriminator, Stylegan2Generator, io
from ganvas.errors import UsageError
from ganvas.families.samplers import StyleSampler
from ganvas.losses.penalties import r1
from ganvas.losses.regularisers import PathLength, path_lengths, usual_weight
from ganvas.models import build_discriminator, build_generator
from ganvas.models.stylegan2 import Discriminator, Generator
from ganvas.rng import Draws
from ganvas.sampling.render import render
from players import check_the_class_matters, unlearnt

NARROW: dict[str, Any] = {"width": 4, "max_width": 16}
SMALL: dict[str, Any] = {**NARROW, "style_size": 12, "mapping_depth": 2, "embedding": 6}


def generator(resolution: int = 16, classes: int = 0, **options: Any) -> Generator:
    torch.manual_seed(0)
    labels = "embedding" if classes else None
    network = build_generator(Stylegan2Generator(**{**SMALL, "labels": labels, **options}), resolution, 20, classes)
    assert isinstance(network, Generator)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def discriminator(resolution: int = 16, classes: int = 0, **options: Any) -> Discriminator:
    torch.manual_seed(1)
    labels = "projection" if classes else None
    network = build_discriminator(Stylegan2Discriminator(**{**NARROW, "labels": labels, **options}), resolution, classes)
    assert isinstance(network, Discriminator)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def draws(count: int, stream: str = "test", start: int = 0) -> Draws:
    return Draws(0, stream, start, count, torch.device("cpu"))


@pytest.mark.parametrize("resolution", [16, 64])
@pytest.mark.parametrize("classes", [0, 3])
def test_shapes_and_gradients_to_every_parameter(resolution: int, classes: int) -> None:
    g, d = generator(resolution, classes, mixing=0.5), discriminator(resolution, classes)
    labels = torch.arange(6) % classes if classes else None
    pictures = g(torch.randn(6, 20), labels, chance=draws(6))
    assert pictures.shape == (6, 3, resolution, resolution)
    logits = d(pictures, labels)
    assert logits.shape == (6,)
    (logits * torch.randn(6)).sum().backward()
    for module in (g, d):
        assert unlearnt(module) == []


def test_the_papers_layers() -> None:
    # Karras et al. 2020, figure 7 and appendix B, at 1024 pixels: 18 styles of 512, 8 fully connected layers.
    with torch.device("meta"):
        g = build_generator(Stylegan2Generator(width=64, max_width=512), 512, 512, 0)
        d = build_discriminator(Stylegan2Discriminator(width=64, max_width=512), 512, 0)
    assert isinstance(g, Generator)
    assert g.style_count == 2 * int(math.log2(512)) - 2
    assert [tuple(layer.weight.shape) for layer in g.mapping.layers] == [(512, 512)] * 8  # type: ignore[union-attr]
    sides = [layer.side for layer in g.layers]  # type: ignore[union-attr]
    assert sides == [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512]
    assert [tuple(layer.conv.weight.shape[:2])[::-1] for layer in g.layers][-4:] == [(256, 128), (128, 128), (128, 64), (64, 64)]  # type: ignore[union-attr]
    assert len(g.colours) == 8
    blocks = [tuple(b.conv2.weight.shape[:2])[::-1] for b in d.get_submodule("blocks").children()]  # type: ignore[union-attr]
    assert blocks == [(64, 128), (128, 256), (256, 512), (512, 512), (512, 512), (512, 512), (512, 512)]
    assert d.get_parameter("last.weight").shape == (512, 513, 3, 3)


@pytest.mark.parametrize("classes", [0, 3])
def test_bf16_is_near_fp32(classes: int) -> None:
    g, d = generator(32, classes), discriminator(32, classes)
    z, labels = torch.randn(8, 20), torch.arange(8) % classes if classes else None

    def both() -> tuple[Tensor, Tensor]:
        pictures = g(z, labels, chance=draws(8))
        return pictures, d(pictures, labels)

    pictures, logits = both()
    with torch.autocast("cpu", torch.bfloat16):
        pictures_bf16, logits_bf16 = both()
    assert pictures_bf16.dtype == logits_bf16.dtype == torch.float32
    assert float((pictures_bf16 - pictures).detach().norm() / pictures.detach().norm()) < 0.03
    assert float((logits_bf16 - logits).detach().abs().max()) < 0.05 * float(logits.detach().abs().max()) + 0.05


def test_a_gradient_penalty_goes_through_all_of_the_discriminator() -> None:
    d = discriminator(32)
    real = torch.randn(4, 3, 32, 32, requires_grad=True)
    r1(real, d(real)).mean().backward()
    without = set(unlearnt(d))
    assert all(name.endswith("bias") for name in without)


def test_latents_are_normalised() -> None:
    g, z = generator(), torch.randn(3, 20)
    torch.testing.assert_close(g(5 * z), g(z), rtol=1e-4, atol=1e-5)


def test_without_chance_a_picture_is_its_latent_alone() -> None:
    g, z = generator(), torch.randn(6, 20)
    for layer in g.layers:
        nn.init.constant_(layer.strength, 0.5)  # type: ignore[arg-type]
    torch.testing.assert_close(g(z)[2:3], g(z[2:3]))
    learning = g(z, chance=draws(6))
    assert not torch.allclose(learning, g(z), atol=0.05)
    # Noise belongs to a picture's place in the stream.
    torch.testing.assert_close(learning[2:4], g(z[2:4], chance=draws(2, start=2)))
    assert not torch.allclose(learning, g(z, chance=draws(6, "other")), atol=0.05)
    quiet = generator(noise=False, mixing=0.0)
    assert [name for name, _ in quiet.named_parameters() if "strength" in name] == []
    torch.testing.assert_close(quiet(z, chance=draws(6)), quiet(z))


def test_mixing_gives_finer_layers_another_latents_styles() -> None:
    g, z = generator(mixing=0.6), torch.randn(400, 20)
    plain, mixed = g.styles(z), g.styles(z, None, draws(400))
    same = (plain == mixed).all(2)
    assert same[:, 0].all()
    # Whose finer styles differ: about the share, all layers after the first of them.
    crossed = ~same.all(1)
    assert float(crossed.float().mean()) == pytest.approx(0.6, abs=0.08)
    first = same.float().cumprod(1)
    assert torch.equal(first, same.float())
    assert {int(n) for n in same[crossed].sum(1)} == set(range(1, g.style_count))
    assert torch.equal(generator(mixing=0.0).styles(z, None, draws(400)), generator(mixing=0.0).styles(z))


def test_given_styles_stand_in_for_latents() -> None:
    g, z = generator(), torch.randn(3, 20)
    torch.testing.assert_close(g(torch.zeros(3, 20), styles=g.styles(z)), g(z))


@pytest.mark.parametrize("classes", [0, 3])
def test_truncation_draws_styles_towards_their_mean(classes: int) -> None:
    g = generator(classes=classes)
    sampler = StyleSampler(g, LatentConfig(size=20))
    z, labels = sampler.latents(0, 0, 6, truncation=0.5), torch.arange(6) % classes if classes else None
    assert torch.equal(z, sampler.latents(0, 0, 6))
    with torch.no_grad():
        whole, half, none = sampler.styles(z, labels), sampler.truncated(0.5).styles(z, labels), sampler.truncated(1e-9).styles(z, labels)
        torch.testing.assert_close(half, (whole + none) / 2)
        torch.testing.assert_close(sampler.truncated(1.0)(z, labels), sampler(z, labels))
        many = torch.randn(20_000, 20)
        mean = g.mapping(many, torch.zeros(20_000, dtype=torch.int64) if classes else None)
        assert float((none[0, 0] - mean.mean(0)).norm()) < 5 * float(mean.std(0).norm()) / math.sqrt(2048)
        if labels is not None:
            weights = nn.functional.one_hot(labels, classes).float()
            torch.testing.assert_close(sampler.truncated(0.7)(z, weights), sampler.truncated(0.7)(z, labels))


def test_samples_get_alike_as_truncation_falls() -> None:
    sampler = StyleSampler(generator(), LatentConfig(size=20))
    spreads = [float(np.concatenate(list(render(sampler, 64, truncation=t))).astype(float).std(0).mean()) for t in (None, 1.0, 0.5, 0.1)]
    assert spreads[0] == spreads[1] > spreads[2] > spreads[3]


# -- Path lengths -------------------------------------------------------------------------------------------------


def test_path_lengths_of_a_linear_generator() -> None:
    # G(w) = M w has the derivatives M everywhere: |J^T y| = |M^T y|, whose mean square over y is |M|_F^2.
    torch.manual_seed(0)
    matrix = torch.randn(3 * 4 * 4, 2 * 5)
    styles = torch.randn(4000, 2, 5, requires_grad=True)
    directions = torch.randn(4000, 3, 4, 4)
    lengths = path_lengths((styles.flatten(1) @ matrix.t()).view(-1, 3, 4, 4), styles, directions).detach()
    torch.testing.assert_close(lengths, (directions.flatten(1) @ matrix).norm(dim=1))
    assert float(lengths.square().mean()) == pytest.approx(float(matrix.square().sum()), rel=0.03)


def test_the_penalty_is_the_variance_about_a_moving_mean() -> None:
    penalty = PathLength(0.9)
    assert usual_weight(64) == pytest.approx(math.log(2) / (64**2 * math.log(32)))
    assert usual_weight(1024) == pytest.approx(1.06e-7, rel=0.01)
    torch.testing.assert_close(penalty(torch.tensor([1.0, 3.0])), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(penalty(torch.tensor([12.0])), torch.tensor([(12 - (0.9 * 2 + 0.1 * 12)) ** 2]))
    other = PathLength(0.9)
    other.load_state_dict(penalty.state_dict())
    torch.testing.assert_close(other(torch.tensor([5.0])), penalty(torch.tensor([5.0])))


def test_path_lengths_come_when_due_and_reach_every_part_of_the_generator() -> None:
    config = io.load("stylegan2-64", (), {"data.resolution": 16, "train.batch": 8, "family.regulariser.every": 2, **NARROW_64})
    _, metrics = train(config, 4)
    assert ["path_length" in step for step in metrics] == [True, False, True, False]
    g = generator(mixing=0.9)
    styles = g.styles(torch.randn(4, 20), None, draws(4))
    pictures = g(torch.randn(4, 20), None, chance=draws(4), styles=styles)
    path_lengths(pictures, styles, torch.randn_like(pictures)).sum().backward()
    without = set(unlearnt(g))
    # What is added to every picture alike moves nothing; the last colours' bias, and those of earlier sides.
    assert all(name.startswith("colours") and name.endswith("bias") for name in without if not name.endswith("conv.style.bias"))


NARROW_64 = {f"family.{player}.{key}": value for player in ("generator", "discriminator") for key, value in NARROW.items()}


def test_the_mean_path_length_is_a_module_and_the_augmentation_is_state_of_the_family() -> None:
    config = narrow("stylegan2-64")
    family, _ = train(config, 1)
    kept = family.modules()["regulariser"].state_dict()
    assert float(kept["mean"]) > 0
    assert int(kept["updates"]) == 1
    other = build_gan(config)
    state = family.state_dict()  # type: ignore[attr-defined]
    assert state["augment"]["batches"] == 1
    other.load_state_dict(state)  # type: ignore[attr-defined]
    assert other.state_dict() == state  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"latent.distribution": "uniform"}, "normal latents"),
        ({"loss": {"kind": "wasserstein", "clip": 0.01}, "penalty": None}, "zero has no meaning"),
        ({"discriminator.labels": "projection"}, "go together"),
        ({"critic_augment": {"kind": "ada", "start": 0.9}}, "must not be above maximum"),
    ],
)
def test_what_can_not_be_asked_for(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        io.load("stylegan2-64", (), {f"family.{key}": value for key, value in settings.items()})


def test_path_lengths_need_styles() -> None:
    with pytest.raises(UsageError, match="generator with styles"):
        io.load("dcgan64", ["family.regulariser={kind: path_length}"])


@pytest.mark.parametrize("resolution", [48, 8, 1024])
def test_a_resolution_that_is_no_power_of_two_is_an_error(resolution: int) -> None:
    with pytest.raises(UsageError, match="power of two"):
        generator(resolution)
    with pytest.raises(UsageError, match="power of two"):
        discriminator(resolution)


def test_the_class_matters() -> None:
    g, d = generator(classes=3), discriminator(classes=3)
    check_the_class_matters(g, d)
