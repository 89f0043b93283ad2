"""Artefacts that were put there are found, and pictures without them are not accused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ganvas.errors import UsageError
from ganvas.metrics.artefacts import REAL_SHARE, Traces, compare_traces, grid_strides, largest_regions


def natural(n: int = 120, side: int = 32, seed: int = 0) -> np.ndarray:
    """Pictures whose power falls as 1 / f^2, as natural ones' does, with a little noise of a camera."""
    random = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) + 0.5 / side
    waves = np.fft.ifft2(np.fft.fft2(random.normal(0, 1, (n, 3, side, side))) / f).real
    waves = waves / waves.std((2, 3), keepdims=True) * 45 + 128 + random.normal(0, 1, waves.shape)
    return np.clip(waves, 2, 253).round().astype(np.uint8).transpose(0, 2, 3, 1)


def stripes(pictures: np.ndarray, stride: int, height: float) -> np.ndarray:
    """Each `stride`-th row and column brighter, as transposed convolutions whose kernels overlap unevenly leave them."""
    made = pictures.astype(float)
    made[:, :, ::stride] += height
    made[:, ::stride] += height
    return np.clip(made, 0, 255).round().astype(np.uint8)


def transposed(pictures: np.ndarray) -> np.ndarray:
    """Half the size and back by a transposed convolution of kernel 3 and stride 2: a checkerboard (Odena et al. 2016)."""
    small = torch.from_numpy(pictures[:, ::2, ::2].astype(np.float32)).permute(0, 3, 1, 2)
    kernel = torch.ones(3, 1, 3, 3) / 2.25
    made = F.conv_transpose2d(small, kernel, stride=2, padding=1, output_padding=1, groups=3)
    return made.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def repeated(pictures: np.ndarray, times: int) -> np.ndarray:
    return pictures[:, ::times, ::times].repeat(times, 1).repeat(times, 2)


@pytest.fixture(scope="module")
def real() -> Traces:
    return Traces.of([natural(200)])


def board(found, stride: int):
    return next(c for c in found.checkerboards if c.stride == stride)


def test_fresh_pictures_have_none(real: Traces) -> None:
    found = compare_traces(Traces.of([natural(200, seed=1)]), real)
    assert not any(c.seen for c in found.checkerboards)
    assert not found.blobs.seen
    assert not found.constant.seen
    assert found.sentences() == ["No checkerboard, saturated blobs or empty pictures beyond those of real ones."]
    assert (found.n, found.reference_n) == (200, 200)
    assert found.checkerboard is not None
    assert -0.2 < found.checkerboard < 0.1


def smooth(pictures: np.ndarray) -> np.ndarray:
    x = pictures.astype(float)
    for axis in (1, 2):
        x = (2 * x + np.roll(x, 1, axis) + np.roll(x, -1, axis)) / 4
    return x.round().astype(np.uint8)


def test_smooth_pictures_have_none(real: Traces) -> None:
    found = compare_traces(Traces.of([smooth(natural(200, seed=1))]), real)
    assert not any(c.seen for c in found.checkerboards)


@pytest.mark.parametrize(("stride", "height"), [(2, 12), (4, 40), (8, 80)])
def test_stripes_put_power_on_the_frequencies_of_their_stride(real: Traces, stride: int, height: int) -> None:
    found = compare_traces(Traces.of([stripes(natural(200, seed=1), stride, height)]), real)
    assert board(found, stride).lines > 0.15
    assert board(found, stride).seen
    stronger = compare_traces(Traces.of([stripes(natural(200, seed=1), stride, 1.5 * height)]), real)
    assert board(stronger, stride).lines > board(found, stride).lines
    if stride == 2:
        assert not board(found, 4).seen
        assert not board(found, 8).seen
        assert "repeats every 2 pixels" in " ".join(found.sentences())


def test_a_transposed_convolution_leaves_a_checkerboard(real: Traces) -> None:
    found = compare_traces(Traces.of([transposed(natural(200, seed=1))]), real)
    assert board(found, 2).lines > 0.5
    assert found.checkerboard == max(c.lines for c in found.checkerboards)


@pytest.mark.parametrize("times", [2, 4])
def test_repeated_pixels_show_on_their_grid(real: Traces, times: int) -> None:
    found = compare_traces(Traces.of([repeated(natural(200, seed=1), times)]), real)
    assert board(found, times).grid > 0.8
    assert board(found, times).seen
    assert board(found, 8).grid < 0.05
    assert f"Up-sampling by {times}" in " ".join(found.sentences()) or f"every {times} pixels" in " ".join(found.sentences())


def test_real_pictures_with_the_same_pattern_are_no_reason_to_complain() -> None:
    found = compare_traces(Traces.of([stripes(natural(seed=1), 2, 12)]), Traces.of([stripes(natural(seed=2), 2, 12)]))
    assert not any(c.seen for c in found.checkerboards)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
def test_painted_blobs_are_found_and_counted(real: Traces, colour: tuple[int, int, int]) -> None:
    painted = natural(200, seed=1)
    painted[:50, 8:16, 4:14] = colour
    found = compare_traces(Traces.of([painted]), real)
    assert found.blobs.generated == pytest.approx(0.25, abs=0.01)
    assert found.blobs.real <= REAL_SHARE
    assert found.blobs.seen
    assert "saturated blob" in " ".join(found.sentences())


def test_white_backgrounds_are_no_blobs_where_real_pictures_have_them() -> None:
    def on_white(seed: int) -> np.ndarray:
        made = natural(150, seed=seed)
        for i, width in enumerate(np.random.default_rng(seed).integers(2, 10, 150)):
            made[i, :width], made[i, :, -width:] = 255, 255
        return made

    real = Traces.of([on_white(0)])
    assert not compare_traces(Traces.of([on_white(1)]), real).blobs.seen
    black = on_white(1)
    black[:30, 20:28, 5:13] = 0
    found = compare_traces(Traces.of([black]), real)
    assert found.blobs.seen
    assert found.blobs.generated == pytest.approx(0.2, abs=0.03)


def test_dead_pictures_are_counted(real: Traces) -> None:
    dead = natural(200, seed=1)
    dead[:20] = np.random.default_rng(0).integers(60, 190, (20, 1, 1, 3))
    dead[20:30, :, :] = 100 + np.random.default_rng(0).integers(0, 2, (10, 32, 32, 3))
    found = compare_traces(Traces.of([dead]), real)
    assert found.constant.generated == pytest.approx(0.15)
    assert found.constant.real == 0
    assert found.constant.seen
    assert "15.0% of the generated pictures show one colour only" in " ".join(found.sentences())


def by_flooding(picture: np.ndarray) -> list[float]:
    """The largest regions of a picture, by walking from pixel to pixel."""
    side = len(picture)
    extreme = ((picture >= 254) | (picture <= 1)).all(-1)
    kind = (picture >= 254) @ np.array([1, 2, 4])
    largest, seen = [0] * 8, np.zeros((side, side), bool)
    for start in zip(*np.nonzero(extreme), strict=True):
        waiting, size = [start], 0
        while waiting:
            y, x = waiting.pop()
            if not (0 <= y < side and 0 <= x < side) or seen[y, x] or not extreme[y, x] or kind[y, x] != kind[start]:
                continue
            seen[y, x] = True
            size += 1
            waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        largest[kind[start]] = max(largest[kind[start]], size)
    return [size / side**2 for size in largest]


def test_regions_are_those_of_flooding() -> None:
    random = np.random.default_rng(0)
    pictures = (random.integers(0, 2, (12, 20, 20, 1)).repeat(3, 3) * 255).astype(np.uint8)
    pictures[4:8] = random.choice([0, 1, 128, 254, 255], (4, 20, 20, 3), p=[0.3, 0.15, 0.1, 0.15, 0.3])
    pictures[8] = 77
    # A spiral: one region, however long the way from end to end.
    pictures[9] = 255
    for k in range(0, 9, 4):
        pictures[9, k : 20 - k, k : 20 - k] = 0
        pictures[9, k + 1 : 19 - k, k + 1 : 19 - k] = 255
        pictures[9, k, k + 1] = 255
    found = largest_regions(pictures)
    np.testing.assert_allclose(found.numpy(), [by_flooding(p) for p in pictures], atol=1e-7)


def test_blocks_merge_to_the_same(real: Traces) -> None:
    images = natural(60, seed=1)
    first, second = Traces.of([images[:11], images[11:30]]), Traces.of([images[30:]])
    first.merge(second)
    torch.testing.assert_close(
        torch.tensor([c.lines for c in compare_traces(first, real).checkerboards]),
        torch.tensor([c.lines for c in compare_traces(Traces.of([images]), real).checkerboards]),
    )
    assert compare_traces(first, real).blobs == compare_traces(Traces.of([images]), real).blobs


def test_small_pictures_and_other_sizes(real: Traces) -> None:
    assert (grid_strides(8, 8), grid_strides(16, 16), grid_strides(33, 33)) == ((2,), (2, 4), ())
    tiny = compare_traces(Traces.of([natural(9, 6)]), Traces.of([natural(9, 6, seed=1)]))
    assert (tiny.checkerboards, tiny.checkerboard) == ((), None)
    with pytest.raises(UsageError, match="one size"):
        compare_traces(Traces.of([natural(4, 16)]), real)
    with pytest.raises(UsageError, match="no pictures"):
        Traces.of([])
