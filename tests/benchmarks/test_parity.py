"""The parity table on features that cost nothing: through torch-fidelity's custom extractor, and by brute force."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ganvas.features.network import FeatureNetwork

pytest.importorskip("torch_fidelity", reason="needs torch-fidelity, of the test extra")


class Averages(FeatureNetwork):
    """Averages of a picture's parts, and some of them as logits."""

    name, dim, layer, input_size, resizer = "averages", 48, "averages", 4, "averages of 4x4 parts"
    precision, checksum, chunk, has_logits = "fp32", "0" * 64, 8, True

    def _chunk(self, pixels: Tensor, logits: bool) -> tuple[Tensor, Tensor | None]:
        rows = torch.nn.functional.adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), 4).flatten(1) / 64
        return rows, rows[:, :10] if logits else None


def test_every_score_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).resolve().parents[2] / "benchmarks"), *sys.path])
    import parity

    patterns = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
    tables = parity.parity(parity.worse(patterns[150:]), patterns[:150], Averages())
    found = {name: (ours, theirs) for name, ours, theirs in tables["torch-fidelity"]}
    assert set(found) == {
        *("FD", "KID, same subsets", "KID, std over subsets", "precision", "recall"),
        *("IS on averages", "IS on averages, std over splits"),
    }
    for name, (ours, theirs) in found.items():
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-6), name
    assert found["FD"][0] > 0.01
    for name, ours, theirs in tables["brute force"]:
        assert ours == pytest.approx(theirs, abs=1e-9), name
