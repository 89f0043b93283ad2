"""Ordinary JPEG files by simplejpeg: the bits, and the judgements, that Pillow alone gives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ganvas.data import jpeg
from ganvas.data.decode import Box, Rejected, Target, decode
from ganvas.data.jpeg import MAX_BYTES, decode_ordinary, read_ordinary
from ganvas.data.prepare import prepare

pytest.importorskip("simplejpeg", reason="no wheel of simplejpeg for this platform")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")

TARGET = Target(16, "center", (255, 255, 255))


def outcome(data: bytes, target: Target = TARGET, box: Box | None = None) -> tuple[object, ...] | str:
    try:
        found = decode(io.BytesIO(data), target, box)
    except Rejected as error:
        return str(error)
    return found.pixels.tobytes(), found.enlarged, found.width, found.height


def both(monkeypatch: pytest.MonkeyPatch, data: bytes, *arguments) -> tuple:
    """What comes of a file with simplejpeg and without."""
    quick = outcome(data, *arguments)
    with monkeypatch.context() as patch:
        patch.setattr(jpeg, "simplejpeg", None)
        return quick, outcome(data, *arguments)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_pixels_are_pillows(pictures, monkeypatch, subsampling, progressive):
    for seed, size in enumerate([(33, 40), (64, 64), (17, 8), (90, 47)]):
        for mode in ("RGB", "L"):
            image = pictures.image(seed, size).convert(mode)
            data = pictures.encode(image, "JPEG", subsampling=subsampling, progressive=progressive, quality=60 + 10 * seed)
            found = read_ordinary(io.BytesIO(data))
            assert found is not None
            assert found[1:] == size
            np.testing.assert_array_equal(decode_ordinary(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
            for target in (TARGET, Target(16, "none", (0, 0, 0))):
                quick, plain = both(monkeypatch, data, target)
                assert quick == plain


def test_what_is_not_ordinary_is_left_to_pillow_and_the_file_rewound(pictures):
    cmyk = pictures.encode(Image.new("CMYK", (16, 16)), "JPEG")
    turned = Image.Exif()
    turned[0x0112] = 6
    exif = pictures.encode(pictures.image(1), "JPEG", exif=turned.tobytes())
    long = pictures.encode(pictures.image(1), "JPEG") + bytes(MAX_BYTES)
    for data in (cmyk, exif, long, pictures.png(), b"", b"\xff\xd8\xff" + b"\0" * 50):
        file = io.BytesIO(data)
        assert read_ordinary(file) is None
        assert file.tell() == 0


def test_boxes_and_large_pictures_come_to_the_same(pictures, monkeypatch):
    small, large = (pictures.encode(pictures.image(3, size), "JPEG") for size in ((60, 50), (400, 300)))
    target = Target(16, "box", (255, 255, 255))
    for data, box in [(small, Box(3.5, 4, 40, 41)), (small, Box(1, 1, 90, 40)), (large, Box(3, 4, 290, 280)), (large, Box(30, 40, 60, 80))]:
        quick, plain = both(monkeypatch, data, target, box)
        assert quick == plain


def test_every_damage_is_judged_as_by_pillow_alone(pictures, monkeypatch):
    """Files cut off at every tenth byte, and 600 with bytes changed at random: pixels and reasons are the same."""
    kinds = [pictures.encode(pictures.image(7, (40, 32)), "JPEG", progressive=p, subsampling=s) for p, s in ((False, 2), (True, 0))]
    files = [data[:end] for data in kinds for end in range(0, len(data), 10)]
    random = np.random.default_rng(0)
    for number in range(600):
        data = bytearray(kinds[number % 2])
        for place in random.integers(0, len(data), random.integers(1, 5)):
            data[place] = random.integers(0, 256)
        files.append(bytes(data))
    outcomes = [both(monkeypatch, data) for data in files]
    assert [quick for quick, _ in outcomes] == [plain for _, plain in outcomes]
    assert sum(isinstance(quick, str) for quick, _ in outcomes) > 100


@pytest.mark.data
def test_photographs_are_prepared_to_the_same_bytes(shared_data, tmp_path, monkeypatch):
    made = prepare(shared_data / "dogs-vs-cats.zip", tmp_path / "quick", resolution=64, limit=300, quiet=True)
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    plain = prepare(shared_data / "dogs-vs-cats.zip", tmp_path / "plain", resolution=64, limit=300, quiet=True)
    assert made.checksum == plain.checksum
