"""Walks between latents and between classes."""

from __future__ import annotations

import pytest
import torch

from ganvas.explore.walks import between, class_path


@pytest.mark.parametrize("mode", ["slerp", "linear"])
def test_a_walk_begins_and_ends_at_its_ends(mode: str) -> None:
    a, b = torch.randn(3, 50), torch.randn(3, 50)
    walk = between(a, b, 7, mode)  # type: ignore[arg-type]
    assert walk.shape == (3, 7, 50)
    torch.testing.assert_close(walk[:, 0], a)
    torch.testing.assert_close(walk[:, -1], b)


def test_slerp_keeps_the_length_and_linear_does_not() -> None:
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert between(a, b, 5, "slerp").norm(dim=2).tolist()[0] == pytest.approx([3.0] * 5, rel=1e-5)
    assert float(between(a, b, 3, "linear")[0, 1].norm()) == pytest.approx(3 / 2**0.5)


def test_linear_stays_within_the_cube_of_uniform_latents() -> None:
    walk = between(torch.rand(4, 30), torch.rand(4, 30), 9, "linear")
    assert 0 <= float(walk.min()) <= float(walk.max()) <= 1


def test_a_path_through_classes_passes_each_and_always_sums_to_one() -> None:
    path = class_path([2, 0, 1], 5, 4)
    assert path.tolist() == [[0, 0, 1, 0], [0.5, 0, 0.5, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0]]
    assert class_path([0, 3], 11, 4).sum(1).tolist() == pytest.approx([1] * 11)
