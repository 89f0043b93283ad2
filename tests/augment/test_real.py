"""Real pictures change as the config says, each by its own place in the stream and by nothing else."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from ganvas.augment.real import LUMA, RealAugment, moved, recoloured
from ganvas.config import AugmentConfig

ALL = AugmentConfig(flip=True, rotate=20, crop=0.8, jitter=0.3)


def images(count: int, size: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0)).clamp(-1, 1).to(memory_format=torch.channels_last)


def affine(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([rows])


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
@pytest.mark.parametrize("config", [AugmentConfig(flip=True), AugmentConfig(rotate=20), AugmentConfig(crop=0.5), ALL])
def test_it_does_not_depend_on_the_batches(config, batch):
    augment = RealAugment(config, seed=3)
    given = images(128)
    whole = augment(given, 1000)
    parts = [augment(given[k : k + batch], 1000 + k) for k in range(0, 128, batch)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("config", [AugmentConfig(flip=True), AugmentConfig(rotate=20), AugmentConfig(crop=0.5), AugmentConfig(jitter=0.5)])
def test_places_and_seeds_differ(config):
    given = images(64)
    outcomes = [RealAugment(config, seed)(given, start) for seed, start in ((0, 0), (0, 64), (1, 0))]
    assert not torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])


@pytest.mark.parametrize("format", [torch.channels_last, torch.contiguous_format])
def test_shape_range_type_and_memory_stay_and_the_given_pictures_too(format):
    given = images(16).contiguous(memory_format=format)
    kept = given.clone()
    found = RealAugment(ALL, 0)(given, 0)
    assert found.shape == given.shape
    assert found.dtype == given.dtype
    assert found.is_contiguous(memory_format=format)
    assert found.abs().max() <= 1
    assert torch.equal(given, kept)


def test_off_gives_the_pictures_themselves():
    given = images(4)
    assert RealAugment(AugmentConfig(flip=False), 0)(given, 0) is given


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        (affine((1, 0, 0), (0, 1, 0)), lambda x: x),
        (affine((-1, 0, 0), (0, 1, 0)), lambda x: x.flip(3)),
        (affine((0, -1, 0), (1, 0, 0)), lambda x: x.rot90(1, (2, 3))),
        (affine((1, 0, 0.25), (0, 1, 0)), lambda x: torch.cat([x[..., 1:], x[..., -1:]], 3)),  # by one of 8 pixels, reflected
        (affine((1, 0, 0.5), (0, 1, 0)), lambda x: torch.cat([x[..., 2:], x[..., -1:], x[..., -2:-1]], 3)),
    ],
)
def test_maps_of_whole_pixels_are_exact(maps, expected):
    given = images(1)
    torch.testing.assert_close(moved(given, maps), expected(given), atol=1e-5, rtol=0)


def test_a_constant_picture_stays_constant_however_it_is_moved():
    flat = torch.full((32, 3, 12, 12), 0.25)
    torch.testing.assert_close(RealAugment(AugmentConfig(rotate=180, crop=0.3), 0)(flat, 0), flat)


def test_rotation_turns_by_up_to_so_many_degrees_either_way():
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    given = columns.expand(500, 3, 64, 64)
    found = RealAugment(AugmentConfig(rotate=20), seed=0)(given, 0)[:, 0, 24:40, 24:40]
    across, down = (found * columns[24:40, 24:40]).sum((1, 2)), (found * rows[24:40, 24:40]).sum((1, 2))
    degrees = torch.atan2(down, across).rad2deg()
    assert degrees.min() < -19
    assert degrees.max() > 19
    assert degrees.abs().max() < 20.1
    assert degrees.mean().abs() < 1.5


def test_crops_keep_at_least_their_share_and_go_everywhere():
    ramp = torch.linspace(-1, 1, 65)[:-1] + 1 / 64  # the places of the pixels' centres
    given = torch.stack([ramp.expand(64, 64), ramp.view(-1, 1).expand(64, 64), torch.zeros(64, 64)]).expand(500, 3, 64, 64)
    found = RealAugment(AugmentConfig(crop=0.5), seed=0)(given, 0)
    low, high = found[:, :2].amin((2, 3)), found[:, :2].amax((2, 3))
    sides = (high - low) / (2 - 2 / 64)
    torch.testing.assert_close(sides[:, 0], sides[:, 1], atol=0.01, rtol=0)  # square
    assert sides.min() == pytest.approx(0.5, abs=0.01)
    assert sides.max() == pytest.approx(1, abs=0.01)
    assert (low[:, 0] - low[:, 1]).abs().mean() > 0.05  # across and down are drawn apart
    assert low.min() < -0.97
    assert high.max() > 0.97


def test_recolouring_does_what_its_three_steps_do_one_after_the_other():
    given = images(6) * 0.5
    brightness, contrast, saturation = (torch.rand(6, generator=torch.Generator().manual_seed(k)) * 0.6 + 0.7 for k in range(3))

    def grey(levels: torch.Tensor) -> torch.Tensor:
        return (levels * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)

    b, c, s = (factor.view(-1, 1, 1, 1) for factor in (brightness, contrast, saturation))
    levels = (given + 1) / 2 * b
    mean = grey(levels).mean((1, 2, 3), keepdim=True)
    levels = mean + c * (levels - mean)
    levels = grey(levels) + s * (levels - grey(levels))
    torch.testing.assert_close(recoloured(given, brightness, contrast, saturation), (2 * levels - 1).clamp(-1, 1))


def test_factors_of_one_change_nothing_and_no_saturation_is_grey():
    given, one = images(4), torch.ones(4)
    torch.testing.assert_close(recoloured(given, one, one, one), given)
    grey = recoloured(given, one, one, torch.zeros(4))
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


@pytest.mark.parametrize("values", [{"rotate": 181}, {"rotate": -1}, {"crop": 0}, {"crop": 1.1}, {"jitter": 2}, {"jitter": float("nan")}])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ValidationError):
        AugmentConfig(**values)
