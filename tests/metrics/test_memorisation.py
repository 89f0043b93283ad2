"""MiFID from its definition."""

from __future__ import annotations

import pytest
import torch

from ganvas.errors import UsageError
from ganvas.features.network import FeatureNetwork
from ganvas.metrics.memorisation import memorisation_distance, mifid, thresholded
from ganvas.metrics.moments import Moments
from ganvas.metrics.reference import Reference


class Named(FeatureNetwork):
    """Only a name: its features are given."""

    name, dim, layer, input_size, resizer, precision, checksum, chunk = "given", 6, "all", 4, "none", "fp32", "0", 4

    def _chunk(self, pixels: torch.Tensor, logits: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        raise AssertionError("no picture is looked at")


def reference(real: torch.Tensor, net: Named) -> Reference:
    return Reference(Moments.of(real), real, len(real), "train", "checksum", net.name, net.identity)


def by_definition(fake: torch.Tensor, real: torch.Tensor) -> float:
    fake, real = fake[fake.sum(1) != 0].double(), real[real.sum(1) != 0].double()
    unit = (fake / fake.norm(dim=1, keepdim=True)) @ (real / real.norm(dim=1, keepdim=True)).T
    return float((1 - unit.abs()).amin(1).mean())


def test_the_distance_is_that_of_the_definition_block_by_block() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(40, 6), torch.randn(70, 6)
    fake[3] = real[5] = 0
    assert memorisation_distance(fake, real.split(11)) == pytest.approx(by_definition(fake, real), abs=1e-6)


def test_copies_have_distance_zero_also_when_scaled_or_turned() -> None:
    real = torch.rand(30, 6) + 0.1
    assert memorisation_distance(real[:10] * 3, [real]) == pytest.approx(0, abs=1e-6)
    assert memorisation_distance(-real[:10], [real]) == pytest.approx(0, abs=1e-6)


def test_rows_that_are_all_zero_are_left_out_and_nothing_else_is_an_error() -> None:
    real = torch.rand(5, 6)
    with pytest.raises(UsageError, match="not all zero"):
        memorisation_distance(torch.zeros(3, 6), [real])
    with pytest.raises(UsageError, match="not all zero"):
        memorisation_distance(real, [torch.zeros(3, 6)])


def test_the_distance_divides_below_the_threshold_and_not_above() -> None:
    assert (thresholded(0.05, 0.1), thresholded(0.1, 0.1), thresholded(0.2, 0.25)) == (0.05, 1.0, 0.2)


def test_both_boards_are_scored_and_nothing_is_hidden() -> None:
    torch.manual_seed(0)
    net, real = Named(), torch.rand(200, 6)
    # Turned a little away from real rows: a distance between the two thresholds.
    fake = real[:100] + 0.45 * torch.randn(100, 6)
    result = mifid(fake, reference(real, net), [real], net, heldout=torch.rand(50, 6))
    assert 0.0 < result.d < 0.1
    assert result.public.value == pytest.approx(result.fd / result.d, rel=1e-6)
    assert result.private.value == pytest.approx(result.fd / result.d, rel=1e-6)
    far = mifid(torch.randn(100, 6), reference(real, net), [real], net)
    assert far.d > 0.1
    assert far.public.d_thr == 1.0
    assert far.public.value == pytest.approx(far.fd)
    assert (far.private.eps, far.d_heldout) == (0.25, None)
    text = result.summary()
    for words in (f"{result.d:.4f}", "given", "eps 0.1", "eps 0.25", "Inception-2015", "no leaderboard"):
        assert words in text


def test_copies_are_punished_without_bound() -> None:
    net, real = Named(), torch.rand(50, 6)
    shifted = mifid(real[:40] * 2, reference(real, net), [real], net)
    assert shifted.public.value > 1e3 * shifted.fd
