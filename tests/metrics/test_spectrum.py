"""Spectra of known pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.errors import UsageError
from ganvas.metrics.spectrum import ROUNDING, Spectrum, compare_spectra, log_power


def noise(n: int, side: int = 32, deviation: float = 20.0, seed: int = 0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(128, deviation, (n, side, side, 3)), 0, 255).round().astype(np.uint8)


def blurred(pictures: np.ndarray) -> np.ndarray:
    x = pictures.astype(float)
    for axis in (1, 2):
        x = (x + np.roll(x, 1, axis) + np.roll(x, -1, axis)) / 3
    return x.round().astype(np.uint8)


@pytest.mark.parametrize("side", [16, 32, 33])
def test_white_noise_has_its_variance_at_every_frequency(side: int) -> None:
    power = 10 ** log_power(torch.from_numpy(noise(200, side))).numpy()
    assert power.shape == (200, side // 2)
    # (What is taken for the mean is missing from the first two.)
    np.testing.assert_allclose(power.mean(0)[2:], 400, rtol=0.12)


def test_a_wave_has_its_power_at_its_frequency_wherever_it_begins() -> None:
    x = np.arange(64)
    for phase in (0.0, 1.0, 2.0):
        wave = 128 + 60 * np.cos(2 * np.pi * 10 * x / 64 + phase)
        picture = np.broadcast_to(wave.round()[None, None, :, None], (1, 64, 64, 3)).astype(np.uint8)
        power = log_power(torch.from_numpy(picture.copy()))[0]
        assert int(power.argmax()) == 10 - 1
        turned = log_power(torch.from_numpy(picture.transpose(0, 2, 1, 3).copy()))[0]
        torch.testing.assert_close(turned, power, rtol=0, atol=0.01)


def test_the_window_keeps_the_jump_at_the_edges_out_of_the_high_frequencies() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 64).round()[None, None, :, None], (1, 64, 64, 3)).astype(np.uint8)
    power = 10 ** log_power(torch.from_numpy(ramp.copy()))[0]
    bare = np.abs(np.fft.rfft(ramp[0, 0, :, 0].astype(float))) ** 2
    assert power[20:].max() < 1.5 * ROUNDING, "nothing but rounding"
    assert bare[21:].min() > 1000 * ROUNDING


def test_plain_pictures_have_the_power_of_rounding() -> None:
    plain = torch.full((2, 16, 16, 3), 200, dtype=torch.uint8)
    torch.testing.assert_close(10 ** log_power(plain), torch.full((2, 8), ROUNDING, dtype=torch.float64))


def test_blocks_merge_to_the_same() -> None:
    images = noise(50)
    whole, parts = Spectrum.of([images]), Spectrum.of(np.split(images, [3, 20]))
    torch.testing.assert_close(parts.moments.mean, whole.moments.mean, rtol=1e-12, atol=0)
    first, second = Spectrum.of([images[:17]]), Spectrum.of([images[17:]])
    first.merge(second)
    torch.testing.assert_close(first.moments.mean, whole.moments.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(first.moments.cov, whole.moments.cov)
    assert first.moments.n == 50


def test_pictures_of_one_kind_differ_by_chance_only() -> None:
    found = compare_spectra(Spectrum.of([noise(100, seed=1)]), Spectrum.of([noise(100, seed=2)]))
    assert found.value < 2 * found.noise
    assert found.noise < 0.02
    assert "as by chance" in found.sentence()
    assert (found.n, found.reference_n) == (100, 100)


def test_blur_takes_the_high_frequencies_and_is_named() -> None:
    real = noise(100, seed=2)
    found = compare_spectra(Spectrum.of([blurred(noise(100, seed=1))]), Spectrum.of([real]))
    assert found.band == "details of 2 to 4 pixels"
    assert found.band_difference < -0.5
    assert found.value > 10 * found.noise
    assert "less power" in found.sentence()
    assert len(found.frequencies) == len(found.generated) == len(found.real) == 16
    assert found.frequencies[-1] == 0.5


def test_more_blur_is_farther_and_noise_is_more_power() -> None:
    real = Spectrum.of([blurred(noise(60))])
    sets = (blurred(noise(60, seed=3)), blurred(blurred(noise(60))), noise(60))
    once, twice, rough = (compare_spectra(Spectrum.of([pictures]), real) for pictures in sets)
    assert once.value < twice.value
    assert rough.band_difference > 0
    assert "times the power" in rough.sentence()


def test_sizes_must_agree() -> None:
    with pytest.raises(UsageError, match="one size"):
        compare_spectra(Spectrum.of([noise(2, 16)]), Spectrum.of([noise(2, 32)]))
    with pytest.raises(UsageError, match="one size"):
        Spectrum.of([noise(2, 16), noise(2, 32)])
    with pytest.raises(UsageError, match="no pictures"):
        Spectrum.of([])
    with pytest.raises(UsageError, match="sides of 4"):
        Spectrum.of([noise(2, 2)])
