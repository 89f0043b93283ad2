"""The energy distance: against its definition, and what a generator learns from it."""

from __future__ import annotations

import pytest
import torch

from ganvas.losses.matching import distances, energy, points


def test_distances_are_euclidean() -> None:
    a, b = torch.randn(5, 7), torch.randn(9, 7)
    assert torch.allclose(distances(points(a), points(b)), torch.cdist(a, b), atol=1e-3)
    assert distances(points(a), points(a)).diagonal().max() < 0.02


def test_other_classes_are_farther() -> None:
    a, b = torch.randn(3, 7), torch.randn(2, 7)
    found = distances(points(a, torch.tensor([0, 1, 2])), points(b, torch.tensor([1, 2])))
    expected = torch.cdist(a, b).square() + 2 * torch.tensor([[1, 1], [0, 1], [1, 0]])
    assert torch.allclose(found.square(), expected, atol=1e-3)


def test_it_is_the_definition_up_to_the_real_pictures_own_part() -> None:
    x, y = torch.randn(6, 3), torch.randn(8, 3) + 1
    expected = [
        2 * sum(float((a - b).norm()) for b in y) / 8 - sum(float((a - x[j]).norm()) for j in range(6) if j != i) / 5
        for i, a in enumerate(x)
    ]
    assert energy(points(x), points(y)).tolist() == pytest.approx(expected, abs=2e-3)
    one = points(x[:1])
    assert energy(one, points(y)).tolist() == pytest.approx([2 * float(distances(one, points(y)).mean())])


def test_it_is_least_where_both_are_of_one_distribution() -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(count: int, spread: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        return torch.randn(count, 4, generator=generator) * spread + mean

    real = points(drawn(4000))
    own = distances(points(drawn(4000)), real).mean()
    others = {"same": (1.0, 0.0), "shifted": (1.0, 0.5), "narrow": (0.5, 0.0), "one": (1e-3, 0.0), "wide": (2.0, 0.0)}
    excess = {name: float(energy(points(drawn(2000, *how)), real).mean() - own) for name, how in others.items()}
    assert abs(excess["same"]) < 0.02
    assert min(excess["shifted"], excess["narrow"], excess["wide"]) > 0.08
    assert excess["one"] > 4 * excess["narrow"]


def test_its_gradient_is_right_in_the_mean_for_few_fakes() -> None:
    """The mean gradient over many draws of four fakes and four real ones is that of many against many."""
    torch.manual_seed(0)
    fakes, real = torch.randn(2000, 2), torch.randn(2000, 2) + torch.tensor([1.0, 0.0])
    shift = torch.zeros(2, requires_grad=True)
    energy(points(fakes + shift), points(real)).mean().backward()
    whole, shift.grad = shift.grad, None
    for _ in range(1500):
        a, b = torch.randint(2000, (4,)), torch.randint(2000, (4,))
        (energy(points(fakes[a] + shift), points(real[b])).mean() / 1500).backward()
    assert whole is not None
    assert shift.grad is not None
    assert torch.allclose(whole, shift.grad, atol=0.05)
    assert whole[0] < -0.3


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_its_gradient_is_that_of_its_definition(labelled: bool, count: int) -> None:
    torch.manual_seed(count)
    fakes, reals, weights = torch.randn(count, 3), torch.randn(8, 3) + 1, torch.randn(count)
    kinds = (torch.arange(count) % 2, torch.arange(8) % 2) if labelled else (None, None)
    found, expected = (fakes.clone().requires_grad_() for _ in range(2))
    (energy(points(found, kinds[0]), points(reals, kinds[1])) * weights).sum().backward()
    more = [0.0 if a is None or b is None else 2.0 * (a[:, None] != b) for a, b in ((kinds[0], kinds[1]), (kinds[0], kinds[0]))]
    beside = ((expected[:, None] - reals).square().sum(2) + more[0] + 1e-4).sqrt().mean(1)
    among = ((expected[:, None] - expected).square().sum(2) + more[1] + 1e-4).sqrt() * (1 - torch.eye(count))
    ((2 * beside - among.sum(1) / max(1, count - 1)) * weights).sum().backward()
    assert found.grad is not None
    assert expected.grad is not None
    assert torch.allclose(found.grad, expected.grad, atol=1e-4)
