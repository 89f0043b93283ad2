"""What is said of pictures: widths, values that can be worked out, gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ganvas.features.summaries import _edges, _sums, summaries

MAPS = [torch.randn(3, channels, side, side) for channels, side in ((4, 16), (5, 8), (6, 4), (7, 2))]
IMAGES = torch.rand(3, 3, 32, 32) * 2 - 1


@pytest.mark.parametrize(
    ("kind", "widths"),
    [
        ("whole", [8, 10, 12, 14]),
        ("quarters", [16, 20, 24, 28]),
        ("deviations", [16, 20, 24]),
        ("sixteenths", [64, 80, 96]),
        ("pixels", [768, 48]),
        ("edges", [144, 144]),
    ],
)
def test_each_kind_has_a_vector_for_each_map_that_is_large_enough(kind, widths) -> None:
    images = IMAGES.clone().requires_grad_()
    maps = [x.clone().requires_grad_() for x in MAPS]
    found = summaries([kind], maps, images)
    assert [tuple(x.shape) for x in found] == [(3, width) for width in widths]
    sum(x.sum() for x in found).backward()  # type: ignore[union-attr]
    learning = [images] if kind in ("pixels", "edges") else maps[: len(widths)]
    assert all(x.grad is not None and bool(x.grad.isfinite().all()) and bool((x.grad != 0).any()) for x in learning)


def test_values() -> None:
    (whole,) = summaries(["whole"], MAPS[:1], IMAGES)
    assert torch.allclose(whole[:, :4], MAPS[0].mean((2, 3)), atol=1e-6)
    assert torch.allclose(whole[:, 4:], (MAPS[0].var((2, 3), unbiased=False) + 1e-2).sqrt(), atol=1e-4)
    (quarters,) = summaries(["quarters"], MAPS[:1], IMAGES)
    assert torch.allclose(quarters.view(3, 4, 2, 2)[:, :, 0, 1], MAPS[0][:, :, :8, 8:].mean((2, 3)), atol=1e-6)
    (deviations,) = summaries(["deviations"], MAPS[:1], IMAGES)
    assert torch.allclose(
        deviations.view(3, 4, 2, 2)[:, :, 1, 0], (MAPS[0][:, :, 8:, :8].var((2, 3), unbiased=False) + 1e-2).sqrt(), atol=1e-4
    )


def test_edges_see_fine_patterns_and_where_they_are() -> None:
    flat = torch.zeros(1, 3, 32, 32)
    woven = flat.clone()
    woven[..., :16, :16] = (torch.arange(16) % 2 * 0.2 - 0.1).expand(16, 16)
    (smooth, _), (seen, halved) = summaries(["edges"], [], flat), summaries(["edges"], [], woven)
    corner = seen.view(3, 3, 4, 4)
    assert smooth.max() < 0.04
    assert corner[0, :, :2, :2].min() > 0.15  # along rows
    assert corner[1, :, :1, :1].max() < 0.04  # along columns there are none
    assert corner[0, :, 2:, 2:].max() < 0.04
    assert halved.max() < 0.04  # the pattern is gone at half the size


def test_flat_maps_and_maps_of_one_pixel_are_fine() -> None:
    flat = torch.ones(2, 3, 4, 4, requires_grad=True)
    found = summaries(["whole", "quarters", "deviations", "sixteenths"], [flat, torch.ones(2, 5, 1, 1)], IMAGES)
    sum(x.sum() for x in found).backward()  # type: ignore[union-attr]
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())


@pytest.mark.parametrize("laid_out", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("count", "side"), [(4, 8), (2, 6), (1, 2), (4, 6)])
def test_moments_and_their_gradients_are_those_of_pooling(laid_out: torch.memory_format, count: int, side: int) -> None:
    torch.manual_seed(side)
    found, expected = (MAPS[0][:, :, :side, :side].clone().contiguous(memory_format=laid_out).requires_grad_() for _ in range(2))
    ours = _sums(found, count)
    plain = F.adaptive_avg_pool2d(expected, count), F.adaptive_avg_pool2d(expected.square(), count)
    weights = [torch.randn_like(x) for x in plain]
    for a, b in zip(ours, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    torch.autograd.backward(ours, weights)
    torch.autograd.backward(plain, weights)
    assert found.grad is not None
    assert expected.grad is not None
    assert torch.allclose(found.grad, expected.grad, atol=1e-6)


@pytest.mark.parametrize("side", [32, 30, 5])
def test_edges_and_their_gradients_are_those_of_their_definition(side: int) -> None:
    torch.manual_seed(side)
    found, expected = (IMAGES[:, :, :side, :side].clone().contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(2))
    corner = expected[:, :, :-1, :-1]
    right, below = expected[:, :, :-1, 1:] - corner, expected[:, :, 1:, :-1] - corner
    across = expected[:, :, 1:, 1:] - corner - right - below
    plain = (F.adaptive_avg_pool2d(torch.cat([right, below, across], 1).square(), 4) + 1e-3).sqrt().flatten(1)
    ours = _edges(found)
    assert torch.allclose(ours, plain, atol=1e-5)
    weights = torch.randn_like(plain)
    torch.autograd.backward(ours, weights)
    torch.autograd.backward(plain, weights)
    assert found.grad is not None
    assert expected.grad is not None
    assert torch.allclose(found.grad, expected.grad, atol=1e-5)
