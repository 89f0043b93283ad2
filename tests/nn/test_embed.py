"""Classes and mixtures of them on their way into a network."""

from __future__ import annotations

import torch

from ganvas.nn.embed import ClassEmbedding, onehot, onehot_channels


def test_weights_with_a_single_one_are_that_class() -> None:
    labels = torch.tensor([2, 0, 1])
    weights = torch.eye(3)[labels]
    table = ClassEmbedding(3, 5)
    assert torch.equal(onehot(labels, 3, torch.float32), weights)
    assert torch.equal(onehot(weights, 3, torch.float32), weights)
    torch.testing.assert_close(table(weights), table(labels))
    images = torch.randn(3, 3, 4, 4)
    assert torch.equal(onehot_channels(images, weights, 3), onehot_channels(images, labels, 3))


def test_a_mixture_is_the_weighted_mean_of_the_vectors() -> None:
    table = ClassEmbedding(3, 5)
    mixed = table(torch.tensor([[0.25, 0.75, 0.0]]))
    torch.testing.assert_close(mixed[0], 0.25 * table.weight[0] + 0.75 * table.weight[1])


def test_its_state_is_that_of_an_embedding() -> None:
    assert ClassEmbedding(3, 5).state_dict().keys() == torch.nn.Embedding(3, 5).state_dict().keys()
