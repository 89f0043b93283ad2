"""DiffAugment: what each change does, and that its numbers belong to (seed, stream, picture)."""

from __future__ import annotations

import pytest
import torch

from ganvas.augment.diffaug import DiffAugment, color, cutout, flip, translation
from ganvas.config import DiffAugment as Config

U = torch.tensor([[0.1, 0.9, 0.4], [0.5, 0.5, 0.5], [0.9, 0.2, 0.99]])


def test_color_is_the_papers_three_steps() -> None:
    x = torch.randn(3, 3, 8, 8)
    u = U[:, :, None, None, None]
    y = x + (u[:, 0] - 0.5)
    mean = y.mean(1, keepdim=True)
    y = (y - mean) * (u[:, 1] * 2) + mean
    mean = y.mean((1, 2, 3), keepdim=True)
    y = (y - mean) * (u[:, 2] + 0.5) + mean
    assert torch.allclose(color(x, U), y, atol=1e-5)


def test_translation_shifts_by_whole_pixels_and_fills_with_zeros() -> None:
    x = torch.randn(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    u = torch.tensor([[0.999, 0.5], [0.5, 0.0]])
    y = translation(x, u)
    assert torch.equal(y[0, :, :-2], x[0, :, 2:])
    assert torch.equal(y[0, :, -2:], torch.zeros(3, 2, 16))
    assert torch.equal(y[1, :, :, 2:], x[1, :, :, :-2])
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_cutout_removes_a_square_of_half_the_side() -> None:
    y = cutout(torch.ones(1, 3, 16, 16), torch.tensor([[0.5, 0.5]]))
    assert int((y[0, 0] == 0).sum()) == 64
    corner = cutout(torch.ones(1, 3, 16, 16), torch.tensor([[0.0, 0.0]]))
    assert int((corner[0, 0] == 0).sum()) == 16


def test_flip_mirrors_every_other_picture() -> None:
    x = torch.randn(2, 3, 8, 8)
    y = flip(x, torch.tensor([[0.2], [0.7]]))
    assert torch.equal(y[0], x[0].flip(2))
    assert torch.equal(y[1], x[1])


def test_gradients_reach_the_pictures() -> None:
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    DiffAugment(Config(), seed=0)(x, "fake", 0).square().sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.3


@pytest.mark.parametrize("stream", ["real", "fake"])
def test_a_picture_is_changed_alike_in_any_batch(stream: str) -> None:
    augment = DiffAugment(Config(), seed=3)
    x = torch.randn(8, 3, 16, 16)
    assert torch.equal(augment(x, stream, 100)[5:], augment(x[5:], stream, 105))
    assert not torch.equal(augment(x, "real", 100), augment(x, "fake", 100))
