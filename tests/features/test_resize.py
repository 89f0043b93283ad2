from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ganvas.features.resize import resize


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (72, 72), (200, 131), (128, 96), (8, 300)])
def test_it_is_torchs_antialiased_bicubic(size: tuple[int, int]) -> None:
    planes = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 255
    expected = F.interpolate(planes, size=(128, 128), mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(resize(planes, 128), expected, rtol=0, atol=2e-3)


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    planes = torch.rand(1, 3, 128, 128) * 255
    assert torch.equal(resize(planes, 128), planes)


def test_flat_stays_flat() -> None:
    planes = torch.full((1, 3, 50, 70), 200.0)
    torch.testing.assert_close(resize(planes, 128), torch.full((1, 3, 128, 128), 200.0), rtol=0, atol=1e-3)
