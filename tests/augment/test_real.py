"""Mirroring: half of the pictures, each by its place in the stream, whatever the batches are."""

from __future__ import annotations

import pytest
import torch

from ganvas.augment.real import RealAugment
from ganvas.config import AugmentConfig


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)


def test_each_picture_is_itself_or_its_mirror_image():
    given = images(400)
    kept = given.clone()
    found = RealAugment(AugmentConfig(flip=True), seed=1)(given, 0)
    same = (found == given).flatten(1).all(1)
    mirrored = (found == given.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250
    assert torch.equal(given, kept)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_it_does_not_depend_on_the_batches(batch):
    augment = RealAugment(AugmentConfig(flip=True), seed=3)
    given = images(128)
    whole = augment(given, 1000)
    parts = [augment(given[k : k + batch], 1000 + k) for k in range(0, 128, batch)]
    assert torch.equal(torch.cat(parts), whole)


def test_places_and_seeds_differ():
    given = images(64)
    outcomes = [RealAugment(AugmentConfig(flip=True), seed)(given, start) for seed, start in ((0, 0), (0, 64), (1, 0))]
    assert not torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])


def test_memory_stays_channels_last():
    assert RealAugment(AugmentConfig(flip=True), 0)(images(16), 0).is_contiguous(memory_format=torch.channels_last)


def test_off_gives_the_pictures_themselves():
    given = images(4)
    assert RealAugment(AugmentConfig(flip=False), 0)(given, 0) is given
