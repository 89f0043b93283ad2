"""Which engine is chosen, and that the check decides."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganvas import rng
from ganvas.sampling.engines import CHECKED, REFERENCE, Choice, Difference, choose, difference, remembered
from ganvas.sampling.render import CHUNK, Sampler


class Painter:
    """A sampler that is off by so many grey levels in one value of one picture, and takes so long."""

    latent_size = 12

    def __init__(self, off: float = 0.0, seconds: float = 0.0, picture: int = 0):
        self.off, self.seconds, self.picture = off, seconds, picture

    def latents(self, seed: int, start: int, count: int, *, truncation: float | None = None, stream: str = "sample") -> Tensor:
        return rng.normals(seed, stream, start, count, self.latent_size)

    def __call__(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        assert len(latents) == CHUNK
        time.sleep(self.seconds)
        images = latents.view(-1, 3, 2, 2).tanh() * 0.5
        wrong = self.latents(0, self.picture, 1, stream="engine check")
        images[(latents == wrong).all(1), 0, 0, 0] += self.off / 127.5
        return images


def chosen(engines: dict[str, Painter | None], reference: float = 0.03) -> Choice:
    def make(name: str) -> Sampler:
        found = engines[name]
        if found is None:
            raise RuntimeError("no such unit")
        return found

    return choose(Painter(seconds=reference), make, list(engines), quiet=True)


def test_the_first_engine_within_one_level_is_taken() -> None:
    found = chosen({"fp16": Painter(off=0.5), "fp32": Painter(seconds=0.02)})
    assert found.engine == "fp16"
    assert found.difference is not None
    assert found.difference.largest == pytest.approx(0.5, abs=1e-3)
    assert found.difference.beyond == 0
    assert found.speedup > 1


@pytest.mark.parametrize("picture", [0, CHECKED - 1])
@pytest.mark.parametrize("off", [1.5, float("nan"), float("inf")])
def test_one_wrong_value_in_one_picture_is_enough_to_refuse(off: float, picture: int) -> None:
    found = chosen({"fp16": Painter(off=off, picture=picture), "fp16/1": Painter(off=0.2), "fp32": Painter(seconds=0.02)})
    assert found.engine == "fp16/1"


def test_an_engine_that_this_machine_lacks_is_passed_over() -> None:
    assert chosen({"fp16": None, "fp32": Painter()}).engine == "fp32"


def test_the_reference_stays_where_nothing_is_faster_or_right() -> None:
    assert chosen({"fp16": Painter(off=3), "fp32": Painter(seconds=0.03)}, reference=0.01) == Choice(REFERENCE)
    assert chosen({}) == Choice(REFERENCE)


def test_an_exact_engine_is_taken_where_half_precision_is_slow() -> None:
    assert chosen({"fp16": Painter(seconds=0.02), "fp16/1": Painter(), "fp32": Painter()}).engine == "fp32"


def test_a_difference_is_in_grey_levels() -> None:
    right = [torch.zeros(2, 3, 4, 4)]
    wrong = right[0].clone()
    wrong[0, 0, 0, 0] = 2 / 127.5
    found = difference(right, [wrong])
    assert found.largest == pytest.approx(2)
    assert found.mean == pytest.approx(2 / 96)
    assert found.beyond == pytest.approx(1 / 96)
    # What lies outside of the range is cut off in pixels, and is no difference.
    assert difference([torch.full((1, 3, 2, 2), 1.0)], [torch.full((1, 3, 2, 2), 1.5)]).largest == 0


def test_pictures_that_are_near_by_luck_are_not_enough() -> None:
    torch.manual_seed(0)
    right = [torch.zeros(512, 3, 4, 4)]
    # The largest of each picture spreads about 0.4: one in many thousands is beyond 1.
    farthest = 0.4 - 0.1 * (-torch.rand(512).log()).log()
    wrong = right[0].clone()
    wrong[:, 0, 0, 0] = farthest.clamp(max=0.7) / 127.5
    found = difference(right, [wrong])
    assert found.largest < 0.71
    assert found.expected > 1
    assert not found.passes
    wrong[:, 0, 0, 0] = 0.4 / 127.5
    assert difference(right, [wrong]).expected == pytest.approx(0.4, abs=1e-4)
    assert difference(right, [wrong]).passes
    # And one that is nearly off by a level is a sign of others that are.
    wrong[0, 0, 0, 0] = 0.8 / 127.5
    assert not difference(right, [wrong]).passes


def test_a_choice_is_kept_and_a_damaged_file_replaced(tmp_path: Path) -> None:
    path, asked = tmp_path / "engines" / "x.json", []

    def find() -> Choice:
        asked.append(1)
        return Choice("fp16", Difference(0.5, 0.1, 0.0, 0.7), 5.0)

    first = remembered(path, ["fp16"], find)
    assert remembered(path, ["fp16"], find) == first
    assert len(asked) == 1
    for damaged in ("{", "[]", json.dumps({"engine": "fp8", "difference": None, "speedup": 1})):
        path.write_text(damaged)
        assert remembered(path, ["fp16"], find) == first
    assert len(asked) == 4
