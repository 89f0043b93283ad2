"""Adaptive augmentation: nothing at p = 0, exact blits, invariances of the warp and of the colours, gradients of both orders, p."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from curves import build, narrow, train
from ganvas.augment import ada
from ganvas.augment.ada import AdaptiveAugment
from ganvas.augment.warp import doubled, gather, halved, places
from ganvas.config import AdaptiveAugment as Config
from ganvas.rng import Draws


@dataclass(frozen=True)
class Fixed(Draws):
    """Random numbers as a test wants them; what is not named is 0.5 or, for gates, 0.999, and 0 if normal."""

    named: dict[str, Tensor] = field(default_factory=dict)

    def uniforms(self, kind: str, per: int) -> Tensor:
        return self.named.get(kind, torch.full((per,), 0.999 if "gates" in kind else 0.5)).expand(self.count, per)

    def normals(self, kind: str, per: int) -> Tensor:
        return self.named.get(kind, torch.zeros(per)).expand(self.count, per)


def fixed(count: int, **named: Any) -> Draws:
    numbers = {key.replace("__", "/"): torch.tensor(value, dtype=torch.float32) for key, value in named.items()}
    return Fixed(0, "", 0, count, torch.device("cpu"), numbers)


def pictures(count: int = 4, size: int = 16) -> Tensor:
    torch.manual_seed(0)
    return (torch.rand(count, 3, size, size) * 2 - 1).contiguous(memory_format=torch.channels_last)


def smooth_pictures(count: int = 4, size: int = 32) -> Tensor:
    """Waves of eight pixels and longer."""
    at = torch.arange(size) / size * 2 * math.pi
    waves = [torch.sin(k * at)[:, None] * torch.cos((k + 1) * at + c)[None] for c in range(count) for k in (1, 2, 3)]
    return torch.stack(waves).view(count, 3, size, size) * 0.9


def test_p_of_zero_changes_nothing() -> None:
    x = pictures()
    augment = AdaptiveAugment(Config(), 0)
    assert augment(x, "real", 0) is x
    for change in (ada.blit, ada.geometry, ada.color):
        assert torch.equal(change(x, 0.0, Draws(0, "real", 0, 4, x.device)), x)


def test_what_changes_belongs_to_seed_stream_and_index() -> None:
    x = pictures(8)
    augment = AdaptiveAugment(Config(start=0.7), 0)
    whole = augment(x, "real", 100)
    assert torch.equal(augment(x[3:5], "real", 103), whole[3:5])
    assert not torch.equal(augment(x, "fake", 100), whole)
    assert not torch.equal(AdaptiveAugment(Config(start=0.7), 1)(x, "real", 100), whole)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    assert (whole != x).flatten(1).any(1).any()
    # The rest of a batch is exactly as it was.
    rare = AdaptiveAugment(Config(start=0.02), 0)(pictures(64), "real", 0)
    assert (rare == pictures(64)).flatten(1).all(1).float().mean() > 0.5


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [16, 15])
def test_blits_are_exact(turns: int, mirrored: bool, size: int) -> None:
    x = pictures(2, size)
    lots = [0.2 if mirrored else 0.8, (turns + 0.5) / 4, 0.5, 0.5]
    y = ada.blit(x, 0.5, fixed(2, blit__gates=[0.0, 0.0, 1.0], blit=lots))
    assert torch.equal(y, torch.rot90(x.flip(3) if mirrored else x, turns, (2, 3)))


def test_shifts_are_whole_pixels_and_reflect() -> None:
    x = pictures(1)
    y = ada.blit(x, 0.5, fixed(1, blit__gates=[1.0, 1.0, 0.0], blit=[0.5, 0.5, 1.0, 0.0]))
    assert torch.equal(y[..., 2:, :-2], x[..., :-2, 2:])
    assert torch.equal(y[..., :2, :-2], x[..., :2, 2:].flip(2))
    assert torch.equal(y[..., 2:, -2:], x[..., :-2, -2:].flip(3))
    # Pixels are moved, never mixed.
    assert set(y.flatten().tolist()) <= set(x.flatten().tolist())


def test_the_warp_undoes_itself() -> None:
    x = smooth_pictures()
    angle, inner = 0.3, (slice(None), slice(None), slice(8, -8), slice(8, -8))
    lots = {"geometry__gates": [1.0, 1.0, 1.0, 0.0, 1.0]}
    there = ada.geometry(x, 0.5, fixed(4, **lots, geometry__angles=[0.5 + angle / (2 * math.pi), 0.5]))
    back = ada.geometry(there, 0.5, fixed(4, **lots, geometry__angles=[0.5 - angle / (2 * math.pi), 0.5]))
    assert float((there - x)[inner].abs().mean()) > 0.1
    assert float((back - x)[inner].abs().max()) < 0.08
    # Two turns that cancel, in one map.
    lots = {"geometry__gates": [1.0, 1.0, 1.0, 0.0, 0.0]}
    same = ada.geometry(x, 0.5, fixed(4, **lots, geometry__angles=[0.6, 0.4]))
    assert float((same - x)[inner].abs().max()) < 0.03


def test_a_quarter_turn_of_the_warp_is_one_of_pixels() -> None:
    x = smooth_pictures()
    turned = ada.geometry(x, 0.9, fixed(4, geometry__gates=[1.0, 1.0, 1.0, 0.0, 1.0], geometry__angles=[0.75, 0.5]))
    assert min(float((turned - torch.rot90(x, k, (2, 3)))[..., 4:-4, 4:-4].abs().max()) for k in (1, 3)) < 0.03
    # On the scale of the picture: twice the size shows the middle half.
    scaled = ada.geometry(x, 0.5, fixed(4, geometry__gates=[0.0, 1.0, 1.0, 1.0, 1.0], geometry=[5.0, 0.0, 0.0, 0.0]))
    expected = torch.nn.functional.interpolate(x[..., 8:-8, 8:-8], scale_factor=2, mode="bicubic", align_corners=False)
    assert float((scaled - expected)[..., 4:-4, 4:-4].abs().max()) < 0.06


def test_pictures_that_shrink_do_not_alias() -> None:
    # The finest chequers, at two thirds of their size: what is left of them is far below half of their contrast.
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    x = board.expand(1, 3, 32, 32).contiguous()
    shrunk = fixed(1, geometry__gates=[0.0, 1.0, 1.0, 1.0, 1.0], geometry=[math.log(2 / 3) / ada.SCALE, 0.0, 0.0, 0.0])
    once = gather(x, places(torch.tensor([[[1.5, 0.0, 0.0], [0.0, 1.5, 0.0]]]), 32, 32))
    assert float(ada.geometry(x, 0.5, shrunk).std()) < 0.5 * float(once.std())


@pytest.mark.parametrize("size", [6, 32])
def test_doubling_and_halving(size: int) -> None:
    even = torch.full((1, 3, size, size), 0.3)
    torch.testing.assert_close(doubled(even), torch.full((1, 3, 2 * size, 2 * size), 0.3))
    torch.testing.assert_close(halved(doubled(even)), even)
    x, y = torch.randn(1, 3, size, size), torch.randn(1, 3, 2 * size, 2 * size)
    assert float((doubled(x) * y).sum()) == pytest.approx(4 * float((x * halved(y)).sum()), rel=1e-4, abs=1e-3)
    torch.testing.assert_close(doubled(x).flip(3), doubled(x.flip(3)))
    # 99% of a wave of 8 pixels and 88% of one of 4 are kept.
    for period, kept in ((8, 0.99), (4, 0.88)):
        line = torch.cos(torch.arange(32) * 2 * math.pi / period + 0.4).expand(1, 3, 32, 32).contiguous()
        again = halved(doubled(line))[..., 8:-8]
        assert float((again * line[..., 8:-8]).sum() / line[..., 8:-8].square().sum()) == pytest.approx(kept, abs=0.005)


def test_gradients_of_both_orders() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    grid = places(torch.tensor([[[0.8, 0.3, 0.1], [-0.3, 0.8, 0.2]]], dtype=torch.float64).expand(2, -1, -1), 6, 6)
    assert torch.autograd.gradcheck(lambda t: gather(t, grid), x)
    assert torch.autograd.gradgradcheck(lambda t: gather(t, grid).square(), x)
    # R1 through T differentiates at the pictures before it.
    y = pictures(6).requires_grad_()
    augment = AdaptiveAugment(Config(start=0.8), 3)
    weight = torch.ones(3, requires_grad=True)
    logits = (augment(y, "real", 0).square() * weight.view(1, 3, 1, 1)).sum((1, 2, 3))
    (gradient,) = torch.autograd.grad(logits.sum(), y, create_graph=True)
    gradient.square().sum().backward()
    assert weight.grad is not None
    assert (weight.grad.abs() > 0).all()


def test_colours_keep_what_they_should() -> None:
    x = pictures(3)
    gates = {"brightness": 0, "contrast": 1, "luma": 2, "hue": 3, "saturation": 4}

    def changed(kind: str, **numbers: Any) -> Tensor:
        on = [0.0 if place == gates[kind] else 1.0 for place in range(5)]
        return ada.color(x, 0.5, fixed(3, color__gates=on, **numbers))

    grey = x.mean(1, keepdim=True)
    torch.testing.assert_close(changed("brightness", color__normal=[1.5, 0.0, 0.0]), x + 1.5 * ada.BRIGHTNESS)
    torch.testing.assert_close(changed("contrast", color__normal=[0.0, 2.0, 0.0]), x * 2)
    torch.testing.assert_close(changed("saturation", color__normal=[0.0, 0.0, 1.0]), grey + 2 * (x - grey))
    # A luma flip turns grey into its negative and keeps what is beside it, and twice is none.
    flipped = changed("luma", color=[0.2, 0.5])
    torch.testing.assert_close(flipped, x - 2 * grey)
    # Hue keeps grey and saturation; three thirds of a turn are none, one third exchanges the channels.
    hued = changed("hue", color=[0.5, 0.5 + 1 / 3])
    torch.testing.assert_close(hued.mean(1, keepdim=True), grey)
    torch.testing.assert_close(hued.norm(dim=1), x.norm(dim=1))
    assert min(float((hued - x.roll(k, 1)).abs().max()) for k in (1, 2)) < 1e-5


def test_p_rises_while_d_overfits_and_falls_again() -> None:
    augment = AdaptiveAugment(Config(target=0.6, every=4, images=1000), 0)
    sure, unsure = torch.full((50,), 0.9), torch.cat([torch.full((25,), 0.9), torch.full((25,), 0.1)])
    metrics = [augment.observe(sure) for _ in range(8)]
    # 4 batches of 50 are a fifth of the way from 0 to 1.
    assert [float(m["ada_p"]) for m in metrics] == pytest.approx([0, 0, 0, 0, 0.2, 0.2, 0.2, 0.2])
    assert ["ada_r" in m for m in metrics] == [False] * 3 + [True] + [False] * 3 + [True]
    assert float(metrics[3]["ada_r"]) == 1
    assert augment.p == pytest.approx(0.4)
    for _ in range(16):
        augment.observe(unsure)
    assert augment.p == 0
    for _ in range(40):
        augment.observe(sure)
    assert augment.p == 0.8


def test_p_and_what_it_counts_are_state() -> None:
    config = Config(images=500)
    a = AdaptiveAugment(config, 0)
    for _ in range(6):
        a.observe(torch.tensor([0.9, 0.9, 0.9, 0.2]))
    b = AdaptiveAugment(config, 0)
    b.load_state_dict(a.state_dict())
    for augment in (a, b):
        augment.observe(torch.full((4,), 0.9))
        augment.observe(torch.full((4,), 0.9))
    assert a.state_dict() == b.state_dict()
    assert a.p > 0


def test_it_works_for_other_networks_and_steers_by_real_pictures() -> None:
    settings = {"kind": "ada", "start": 0.5, "images": 100}
    config = narrow("cifar10-sncgan")
    family = config.family.model_copy(update={"critic_augment": Config(**settings)})
    gan, metrics = train(config.model_copy(update={"family": family}), 8)
    assert float(metrics[0]["ada_p"]) == 0.5
    assert all(np.isfinite(list(step.values())).all() for step in metrics)
    assert float(metrics[-1]["ada_p"]) != 0.5
    assert build(config).state_dict() == {}  # type: ignore[attr-defined]
    assert set(gan.state_dict()) == {"augment"}  # type: ignore[attr-defined]
