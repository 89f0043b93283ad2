"""Projected GAN's discriminators: what is frozen, what learns, and that both come from the run's seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from curves import build, narrow
from ganvas.config import ProjectedDiscriminator, io
from ganvas.errors import UsageError
from ganvas.features.efficientnet import PYRAMID
from ganvas.features.pyramid import resized
from ganvas.models import build_discriminator
from ganvas.models.projected import Discriminator, Mixing
from players import unlearnt

NARROW: dict[str, Any] = {"width": 4, "max_width": 16}


def discriminator(resolution: int = 64, seed: int = 0, **values: Any) -> Discriminator:
    torch.manual_seed(seed)
    made = build_discriminator(ProjectedDiscriminator(**{**NARROW, **values}), resolution, 5)
    assert isinstance(made, Discriminator)
    return made


@pytest.mark.parametrize("mixing", ["none", "channels", "scales"])
@pytest.mark.parametrize("labels", [None, "projection"])
def test_logits_of_four_scales_and_gradients_to_every_parameter(mixing: str, labels: Any) -> None:
    network = discriminator(mixing=mixing, labels=labels)
    pictures = torch.rand(3, 3, 64, 64).mul(2).sub(1).requires_grad_()
    classes = torch.tensor([0, 2, 4]) if labels else None
    logits = network(pictures, classes)
    # 4x4, 4x4, 4x4 and, where the frozen maps are no larger, 2x2.
    assert logits.shape == (3, 16 + 16 + 16 + 4)
    (logits * torch.randn_like(logits)).sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad != 0).float().mean() > 0.9
    assert unlearnt(network) == []
    if labels:
        with pytest.raises(UsageError, match="conditional"):
            network(pictures)


def test_projections_come_from_the_seed_and_are_kept_in_checkpoints() -> None:
    a, b, other = (discriminator(seed=seed).state_dict() for seed in (0, 0, 1))
    frozen = {name for name in a if name.startswith("mixing.")}
    assert frozen == {*(f"mixing.channels{i}" for i in range(4)), *(f"mixing.scales{i}" for i in range(3))}
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], other[name]) for name in frozen)
    # The frozen network itself is known by its checksum.
    assert not any("stem" in name or "stages" in name for name in a)
    assert sum(v.numel() for v in a.values()) < 30_000


def test_nothing_frozen_is_a_parameter_even_where_all_are_thawed() -> None:
    network = discriminator()
    before = {name: value.clone() for name, value in network.mixing.named_buffers()}
    network.requires_grad_(False).requires_grad_(True)
    assert not any(p.requires_grad for p in network.frozen.full.parameters())
    assert list(network.mixing.parameters()) == []
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(torch.equal(before[name], value) for name, value in network.mixing.named_buffers())


def test_scales_are_mixed_from_the_coarsest_to_the_finest() -> None:
    maps = [torch.randn(2, c, 16 >> i, 16 >> i) for i, c in enumerate(PYRAMID)]
    changed = [m.clone() for m in maps]
    changed[2] += 1
    moved: dict[Any, list[bool]] = {}
    for kind in ("none", "channels", "scales"):
        torch.manual_seed(0)
        mixing = Mixing(ProjectedDiscriminator(**NARROW, mixing=kind))  # type: ignore[arg-type]
        assert [m.shape[1] for m in mixing(maps)] == mixing.widths
        moved[kind] = [not torch.equal(a, b) for a, b in zip(mixing(maps), mixing(changed), strict=True)]
    assert moved["none"] == moved["channels"] == [False, False, True, False]
    assert moved["scales"] == [True, True, True, False]


@pytest.mark.parametrize(("resolution", "size", "seen"), [(16, None, 64), (64, None, 64), (128, None, 128), (64, 96, 96), (128, 64, 64)])
def test_the_frozen_network_sees_pictures_at_their_own_size_or_the_one_asked_for(resolution: int, size: int | None, seen: int) -> None:
    network = discriminator(resolution, input_size=size)
    assert resized(torch.zeros(1, 3, resolution, resolution), network.input_size).shape == (1, 3, seen, seen)
    assert network(torch.zeros(1, 3, resolution, resolution)).isfinite().all()
    flat = torch.full((1, 3, resolution, resolution), 0.5)
    assert torch.allclose(resized(flat, network.input_size), torch.full((1, 3, seen, seen), 0.5))


def test_batch_norm_follows_each_convolution_but_the_last_if_wanted() -> None:
    plain, normed = discriminator(64), discriminator(64, norm="batch")
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in plain.modules())
    for scale in normed.scales:
        assert [type(norm) for norm in scale.norms] == [torch.nn.BatchNorm2d] * len(scale.layers)  # type: ignore[union-attr, arg-type]
    logits = normed(torch.randn(3, 3, 64, 64))
    assert logits.shape == plain(torch.randn(3, 3, 64, 64)).shape
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in normed.parameters() if p.requires_grad)


def test_layer_norm_looks_at_one_picture_at_a_time() -> None:
    images = torch.randn(4, 3, 64, 64)
    alone, among = (discriminator(64, norm="layer").eval() for _ in range(2))
    among.load_state_dict(alone.state_dict())
    assert torch.allclose(alone.train()(images)[:1], among.train()(images[:1]), atol=1e-4)
    shifted = alone(images) - alone(images + 0.5)
    assert shifted.abs().mean() > 0.01, "what all pictures have in common must count"


def test_one_that_sees_the_picture_itself_may_stand_beside_the_scales() -> None:
    alone, beside = discriminator(64, norm="batch"), discriminator(64, norm="batch", pixels=8)
    images = torch.randn(3, 3, 64, 64, requires_grad=True)
    logits = beside(images)
    assert logits.shape == (3, alone(images).shape[1] + 16)
    own = beside.pixels
    assert own is not None
    assert own.layers[0].weight.shape == (8, 3, 4, 4)  # type: ignore[union-attr]
    # A pattern of single pixels, which the frozen network's first maps blur away, is what it is there to see.
    logits[:, -16:].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().min() > 0


def test_its_features_are_named_to_those_who_judge() -> None:
    assert io.recipe("projected64").family.backbones == ("efficientnet-lite0",)
    assert io.recipe("fastgan64").family.backbones == ()


def test_a_judgement_of_a_picture_is_one_number() -> None:
    family: Any = build(narrow("projected32"))
    assert family.judge(torch.zeros(3, 3, 16, 16), None).shape == (3,)


def test_r1_is_the_squared_gradient_at_the_mixed_features() -> None:
    network = discriminator(32, norm="layer", r1=0.5)
    images = torch.randn(3, 3, 32, 32)
    logits, terms = network.learn(images, None)
    weight, steepness = terms["r1"]
    assert (weight, steepness.shape) == (0.5, (3,))
    assert torch.allclose(logits, network(images), atol=1e-4)
    # By finite differences along the gradient itself: D(f + h g / |g|) - D(f) = h |g|.
    with torch.no_grad():
        maps = network.mixing(network.frozen(resized(images, network.input_size)))
    leaves = [x.clone().requires_grad_() for x in maps]
    gradients = torch.autograd.grad(network._logits(leaves, images, None).mean(1).sum(), leaves)
    size = torch.stack([g.square().flatten(1).sum(1) for g in gradients]).sum(0).sqrt()
    step = 1e-2
    with torch.no_grad():
        ahead = [x + step * g / size.view(-1, 1, 1, 1) for x, g in zip(maps, gradients, strict=True)]
        risen = (network._logits(ahead, images, None) - network._logits(maps, images, None)).mean(1) / step
    assert torch.allclose(risen.square(), steepness, rtol=0.1)
    steepness.mean().backward()
    assert all(p.grad is not None for name, p in network.named_parameters() if "head" in name)
    assert discriminator(32).learn(images, None)[1] == {}
