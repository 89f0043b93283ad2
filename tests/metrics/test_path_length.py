"""Path lengths of generators whose paths are known."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from ganvas import rng
from ganvas.errors import UsageError
from ganvas.features.continuous import features_of_floats
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.path_length import path_length, trimmed_mean
from ganvas.types import to_images


class Plain(FeatureNetwork):
    """Features are the pixels, in [-1, 1]."""

    name, dim, layer, input_size, resizer, precision, checksum, chunk = "plain", 48, "pixels", 4, "none", "fp32", "0", 16

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        return pixels.float().div(127.5).sub(1).flatten(1), None


class Linear:
    """A generator that is a matrix: pictures (b, 3, 4, 4) of 8 latents, small enough to stay within the range."""

    latent_size = 8

    def __init__(self, uniform: bool = False):
        self.matrix = 0.02 * torch.randn(8, 48, generator=torch.Generator().manual_seed(0))
        self.uniform, self.labels = uniform, []

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Tensor:
        if self.uniform:
            return rng.uniforms(seed, stream, start, count, 8).float()
        return rng.normals(seed, stream, start, count, 8)

    def __call__(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        self.labels.append(labels)
        return (latents @ self.matrix).view(-1, 3, 4, 4)

    def ends(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        return self.latents(seed, 0, n, stream="path length/from"), self.latents(seed, 0, n, stream="path length/to")


def test_a_straight_path_has_the_length_of_its_ends_distance() -> None:
    made = Linear(uniform=True)
    found = path_length(made, Plain(), n=200, mode="linear", quiet=True)
    a, b = made.ends(200)
    # Along a line the speed is the same everywhere: |f(G(b)) - f(G(a))|.
    speeds = ((b - a) @ made.matrix).double().square().sum(1).sort().values
    assert found.value == pytest.approx(float(speeds[2:-2].mean()), rel=1e-3)
    assert found.low < found.value < found.high
    assert (found.n, found.mode, found.where, found.features) == (200, "linear", "full", "plain")
    ends = path_length(made, Plain(), n=200, mode="linear", where="ends", quiet=True)
    assert ends.value == pytest.approx(found.value, rel=1e-3)


def test_a_path_on_the_sphere_has_the_length_of_its_angle() -> None:
    made = Linear()
    made.matrix = torch.zeros(8, 48)
    made.matrix[:, :8] = 0.1 * torch.eye(8)
    found = path_length(made, Plain(), n=200, where="ends", quiet=True, epsilon=1e-3)
    a, b = (x.double() for x in made.ends(200))
    angle = torch.nn.functional.cosine_similarity(a, b).arccos()
    # d/dt slerp(a, b; t) at t = 0: angle (b - a cos angle) / sin angle.
    speed = angle[:, None] * (b - a * angle.cos()[:, None]) / angle.sin()[:, None]
    expected = (0.1 * speed).square().sum(1).sort().values[2:-2].mean()
    assert found.value == pytest.approx(float(expected), rel=5e-3)


def test_paths_depend_on_their_index_alone_and_keep_their_class() -> None:
    made = Linear()
    weights = torch.tensor([1.0, 1.0])
    few, many = (path_length(made, Plain(), n=n, weights=weights, quiet=True) for n in (100, 300))
    assert few != many
    assert few == path_length(made, Plain(), n=100, weights=weights, quiet=True)
    pairs = list(zip(made.labels[0::2], made.labels[1::2], strict=True))
    assert all(torch.equal(first, second) for first, second in pairs)
    assert torch.cat([first for first, _ in pairs]).unique().tolist() == [0, 1]


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    torch.manual_seed(0)
    truth = trimmed_mean(torch.rand(200_000).double() ** 2, 0.01)[0]
    hits = 0
    for _ in range(300):
        value, error = trimmed_mean(torch.rand(150).double() ** 2, 0.01)
        hits += abs(value - truth) < 1.96 * error
    assert 0.9 < hits / 300 < 0.99


def test_the_trimmed_mean_is_that_of_scipy() -> None:
    values = torch.randn(230, dtype=torch.float64).exp()
    value, error = trimmed_mean(values, 0.01)
    assert value == pytest.approx(stats.trim_mean(values.numpy(), 0.01))
    winsorised = stats.mstats.winsorize(values.numpy(), (0.01, 0.01))
    assert error == pytest.approx(float(winsorised.std(ddof=1)) / ((1 - 2 * 2 / 230) * 230**0.5))


def test_too_few_paths_are_refused() -> None:
    with pytest.raises(UsageError, match="expected 100 or more"):
        path_length(Linear(), Plain(), n=10)


def test_floats_have_the_features_of_their_levels_and_less_than_a_level_counts() -> None:
    net = Plain()
    pixels = torch.randint(0, 256, (21, 4, 4, 3), dtype=torch.uint8)
    images = to_images(pixels)
    torch.testing.assert_close(features_of_floats(net, images), net.features(pixels), rtol=1e-5, atol=1e-5)
    moved = features_of_floats(net, images + 1e-4) - features_of_floats(net, images)
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-4), rtol=1e-2, atol=0)


def test_a_network_of_whole_levels_is_refused(classifying) -> None:
    with pytest.raises(UsageError, match="whole levels only"):
        features_of_floats(classifying, torch.zeros(1, 3, 4, 4))
