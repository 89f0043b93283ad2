"""Changes that codes tell of: which pictures, what is kept, the same for each place in the stream."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ganvas.augment.told import ToldAugment
from ganvas.config import ToldAugment as Config

SEED = 3


def pictures(count: int = 16, size: int = 16) -> Tensor:
    waves = torch.linspace(0, 3, size).sin()[None, None, :, None] * torch.linspace(0, 2, size).cos()[None, None, None, :]
    phases = torch.rand(count, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    return (waves * (2 * phases - 1)).contiguous(memory_format=torch.channels_last)


def changed(x: Tensor, start: int = 0, shown: int = 0, **values: Any) -> tuple[Tensor, Tensor]:
    return ToldAugment(Config(**values), SEED)(x, start, shown)


def test_it_says_which_pictures_it_changed_and_leaves_the_others() -> None:
    x = pictures(400, 8)
    kept = x.clone()
    y, which = changed(x, share=0.3)
    assert torch.equal(x, kept)
    assert torch.equal(y[~which], x[~which])
    assert bool((y[which] - x[which]).flatten(1).abs().amax(1).gt(0).all())
    assert 0.22 < float(which.float().mean()) < 0.38
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert float(y.abs().max()) <= 1


def test_a_picture_is_changed_by_its_place_in_the_stream_alone() -> None:
    x = pictures()
    whole, which = changed(x, start=40)
    part, some = changed(x[5:9], start=45)
    assert torch.equal(which[5:9], some)
    assert torch.allclose(whole[5:9], part, atol=1e-6)
    assert not torch.equal(changed(x, start=41)[1], which)


def test_nothing_is_changed_before_its_time() -> None:
    x = pictures()
    y, which = changed(x, shown=99, after=100, share=0.9)
    assert y is x
    assert not bool(which.any())
    assert bool(changed(x, shown=100, after=100, share=0.9)[1].any())


def test_half_of_the_changed_ones_are_mirrored() -> None:
    x = pictures(200, 8)
    y, which = changed(x, changes=("mirror",), share=0.99)
    mirrored = (y == x.flip(3)).flatten(1).all(1)
    same = (y == x).flatten(1).all(1)
    assert bool((mirrored | same).all())
    assert 0.35 < float(mirrored[which].float().mean()) < 0.65


def test_other_hues_keep_how_light_a_pixel_is() -> None:
    x = 0.3 * pictures()
    y, which = changed(x, changes=("hue",), share=0.9)
    torch.testing.assert_close(y.mean(1), x.mean(1), atol=1e-5, rtol=0)
    # A rotation keeps how far colours are from grey, too.
    torch.testing.assert_close((y - y.mean(1, keepdim=True)).norm(dim=1), (x - x.mean(1, keepdim=True)).norm(dim=1), atol=1e-5, rtol=0)
    assert float((y - x)[which].abs().max()) > 0.05


def test_an_even_picture_is_moved_to_itself_and_others_by_little() -> None:
    even = torch.full((8, 3, 16, 16), 0.25).contiguous(memory_format=torch.channels_last)
    y, _ = changed(even, changes=("geometry",), share=0.9)
    torch.testing.assert_close(y, even, atol=1e-5, rtol=0)
    dot = -torch.ones(64, 3, 32, 32)
    dot[:, :, 14:18, 14:18] = 1
    moved, which = changed(dot, changes=("geometry",), share=0.99)
    mass = (moved[which].mean(1) + 1).clamp(min=0)
    at = torch.arange(32.0)
    total = mass.sum((1, 2))
    across, down = (mass.sum(1) @ at) / total - 15.5, (mass.sum(2) @ at) / total - 15.5
    # Shifts are a sixteenth of the side in the mean square, 2 pixels here.
    assert 1.0 < float(torch.cat([across, down]).square().mean().sqrt()) < 3.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_keeps_the_type(dtype: torch.dtype) -> None:
    assert changed(pictures().to(dtype))[0].dtype == dtype
