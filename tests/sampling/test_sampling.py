"""Latents, classes, chunks and grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ganvas import rng
from ganvas.config import LatentConfig
from ganvas.sampling.grid import grid
from ganvas.sampling.labels import draw_labels
from ganvas.sampling.latent import draw, slerp
from ganvas.sampling.render import CHUNK, render
from ganvas.types import to_images, to_pixels


class Painter:
    """A sampler whose picture tells its latent: each chunk must be whole."""

    latent_size = 12

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> torch.Tensor:
        return draw(LatentConfig(size=12), seed, start, count, truncation=truncation, stream=stream)

    def __call__(self, latents: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        assert len(latents) == CHUNK
        return latents.view(-1, 3, 2, 2).tanh()


def test_a_latent_belongs_to_its_index() -> None:
    config = LatentConfig(size=7)
    assert torch.equal(draw(config, 5, 0, 100)[37:60], draw(config, 5, 37, 23))
    assert not torch.equal(draw(config, 5, 0, 10), draw(config, 6, 0, 10))
    assert not torch.equal(draw(config, 5, 0, 10), draw(config, 5, 0, 10, stream="other"))


def test_normals_are_normal_and_truncated_ones_follow_the_law_of_redrawing() -> None:
    values = rng.normals(0, "test", 0, 2000, 16).numpy().ravel()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    bounded = rng.normals(0, "test", 0, 2000, 16, bound=0.7).numpy().ravel()
    redrawn = values[np.abs(values) < 0.7]
    assert np.abs(bounded).max() <= 0.7
    assert stats.ks_2samp(bounded, redrawn).pvalue > 1e-3


def test_uniform_latents_fill_zero_to_one() -> None:
    values = draw(LatentConfig(size=50, distribution="uniform"), 0, 0, 200)
    assert 0 <= values.min() < 0.01 < 0.99 < values.max() <= 1


def test_slerp_keeps_the_length_and_meets_its_ends() -> None:
    a, b = torch.randn(64), torch.randn(64)
    a, b = a / a.norm(), b / b.norm()
    assert torch.allclose(slerp(a, b, 0.0), a, atol=1e-6)
    assert torch.allclose(slerp(a, b, 1.0), b, atol=1e-6)
    assert slerp(a, b, 0.3).norm() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(slerp(a, a, 0.5), a, atol=1e-6)


def test_labels_follow_their_weights() -> None:
    labels = draw_labels(torch.tensor([1.0, 0.0, 3.0]), 0, 0, 4000, "labels")
    counts = torch.bincount(labels, minlength=3) / 4000
    assert counts.tolist() == pytest.approx([0.25, 0, 0.75], abs=0.03)
    assert torch.equal(labels[100:200], draw_labels(torch.tensor([1.0, 0.0, 3.0]), 0, 100, 100, "labels"))


def test_picture_i_never_depends_on_n() -> None:
    many = np.concatenate(list(render(Painter(), 200, seed=1)))
    assert many.shape == (200, 2, 2, 3)
    assert np.array_equal(np.concatenate(list(render(Painter(), 3, seed=1))), many[:3])
    assert np.array_equal(np.concatenate(list(render(Painter(), 100, seed=1, start=60))), many[60:160])


def test_pixels_survive_the_way_to_the_networks_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(-1, -1, -1, 3).contiguous()
    images = to_images(pixels)
    assert images.min() == -1
    assert images.max() == 1
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(to_pixels(images), pixels)


def test_grid_places_row_by_row() -> None:
    pictures = np.stack([np.full((4, 4, 3), i, np.uint8) for i in range(5)])
    sheet = grid(pictures, columns=3, gap=1)
    assert sheet.shape == (2 * 5 + 1, 3 * 5 + 1, 3)
    assert sheet[6, 6, 0] == 4
    assert sheet[6, 11, 0] == 255
