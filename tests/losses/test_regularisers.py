"""Regularisers: zero where they should be, and the paper's formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganvas.losses.regularisers import Anchors, consistency, distance, orthogonal_penalty, orthogonality
from ganvas.nn.spectral import spectral_norm


def test_orthogonal_rows_cost_nothing_whatever_their_length() -> None:
    matrix = torch.nn.init.orthogonal_(torch.empty(5, 9))
    assert float(orthogonality(matrix)) == pytest.approx(0, abs=1e-5)
    assert float(orthogonality(matrix, diagonal=True)) == pytest.approx(0, abs=1e-5)
    longer = matrix * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])[:, None]
    assert float(orthogonality(longer)) == pytest.approx(0, abs=1e-3)
    assert float(orthogonality(longer, diagonal=True)) > 1


@pytest.mark.parametrize("shape", [(4, 7), (9, 3)])
def test_the_papers_formula(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape)
    gram, one = matrix @ matrix.t(), torch.eye(shape[0])
    assert torch.allclose(orthogonality(matrix), (gram * (1 - one)).square().sum(), rtol=1e-4)
    assert torch.allclose(orthogonality(matrix, diagonal=True), (gram - one).square().sum(), rtol=1e-4)


def test_it_takes_filters_of_all_layers_but_embeddings_before_spectral_norm() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 4, 3), nn.Linear(5, 6)
    expected = orthogonality(conv.weight.flatten(1)) + orthogonality(linear.weight)
    net = nn.ModuleList([spectral_norm(conv), linear, nn.Embedding(7, 2), nn.BatchNorm2d(3)])
    assert torch.allclose(orthogonal_penalty(net), expected)


def test_it_can_be_learnt_from() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(spectral_norm(nn.Conv2d(3, 8, 3)))
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    first = float(orthogonal_penalty(net).detach())
    for _ in range(50):
        optimizer.zero_grad()
        orthogonal_penalty(net).backward()
        optimizer.step()
    assert float(orthogonal_penalty(net).detach()) < first / 5


def test_anchors_begin_with_the_first_answers_and_then_follow_slowly() -> None:
    anchors = Anchors(0.9)
    anchors.update(torch.tensor([1.0, 3.0]), torch.tensor([-1.0, -1.0]))
    assert (float(anchors.real), float(anchors.fake)) == (2, -1)
    anchors.update(torch.tensor([12.0]), torch.tensor([-11.0]))
    assert float(anchors.real) == pytest.approx(3)
    assert float(anchors.fake) == pytest.approx(-2)
    # A copy that takes up the state goes on alike.
    copy = Anchors(0.9)
    copy.load_state_dict(anchors.state_dict())
    for one in (anchors, copy):
        one.update(torch.tensor([0.0]), torch.tensor([0.0]))
    assert float(copy.real) == float(anchors.real) == pytest.approx(2.7)


def test_lecam_draws_either_kind_to_the_other_ones_average() -> None:
    anchors = Anchors(0.99)
    anchors.update(torch.tensor([2.0]), torch.tensor([-1.0]))
    assert anchors(torch.tensor([-1.0, 1.0]), torch.tensor([2.0, 0.0])).tolist() == [0, 4 + 4]
    logits = torch.tensor([3.0], requires_grad=True)
    anchors(logits, torch.tensor([2.0])).sum().backward()
    assert logits.grad is not None
    # 2 (D(x) - alpha_F); nothing flows into the averages.
    assert float(logits.grad) == 8
    # Several logits for a picture count as their mean.
    assert anchors(torch.tensor([[-1.0, 1.0]]), torch.tensor([[2.0, 2.0]])).tolist() == [2]


def test_consistency_and_distance_are_squares_per_picture() -> None:
    assert consistency(torch.tensor([1.0, -2]), torch.tensor([1.0, 1])).tolist() == [0, 9]
    assert consistency(torch.tensor([[1.0, 3]]), torch.tensor([[1.0, 1]])).tolist() == [2]
    assert distance(torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)).tolist() == [0.25, 0.25]
