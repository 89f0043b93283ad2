"""Spectrum and artefacts of what passes by, and what evaluations and reports say of them."""

from __future__ import annotations

import numpy as np
import torch

from ganvas.metrics.appearance import LEAST, Appearance
from ganvas.metrics.report_looks import looks


class Real:
    """Noise of 16 pixels, as a data set."""

    name = "train"

    def __init__(self, count: int, seed: int = 0):
        self.pixels = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[indices]


def test_batches_pass_by_as_they_are_and_are_counted() -> None:
    made, labels = Real(3 * LEAST, seed=1).pixels, torch.zeros(100, dtype=torch.long)
    batches = [made[:100], (torch.from_numpy(made[100:200]), labels), made[200:]]
    seen = Appearance(16, 16)
    passed = list(seen.watch(batches))
    assert [a is b for a, b in zip(passed, batches, strict=True)] == [True] * 3
    found = seen.beside(Real(500), quiet=True)
    assert found is not None
    spectrum, artefacts = found
    assert (spectrum.n, spectrum.reference_n, artefacts.n) == (300, 500, 300)
    assert spectrum.value < 2 * spectrum.noise


def test_pictures_of_another_size_pass_by_uncounted() -> None:
    seen = Appearance(16, 16)
    assert len(list(seen.watch([np.zeros((200, 8, 8, 3), np.uint8)]))) == 1
    assert seen.beside(Real(500), quiet=True) is None


def test_coarse_noise_is_told_from_fine_noise_in_the_report() -> None:
    coarse = Real(300).pixels[:, ::2, ::2].repeat(2, 1).repeat(2, 2)
    seen = Appearance(16, 16)
    list(seen.watch([coarse]))
    found = seen.beside(Real(500), quiet=True)
    assert found is not None
    page = looks({"spectrum": found[0].model_dump(mode="json"), "artefacts": found[1].model_dump(mode="json")})
    assert found[0].value > 20 * found[0].noise
    assert "decades apart" in page
    assert "data:image/png" in page


def test_older_and_damaged_evaluations_have_no_such_part() -> None:
    assert looks({}) == ""
    assert looks({"spectrum": {"value": "much"}, "artefacts": None}) == ""
