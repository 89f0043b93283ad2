"""The compiled resizing: Pillow's bits, whatever the size and the part; absent without harm where it can't be made."""

from __future__ import annotations

import ctypes
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from ganvas import native
from ganvas.data.decode import Target, decode
from ganvas.data.lanczos import REDUCING_GAP, Lanczos, load
from ganvas.data.prepare import prepare


@pytest.fixture(scope="module", params=[{"avx512bw", "avx2"}, {"avx2"}, set()], ids=["all instructions", "avx2", "none"])
def lanczos(request, tmp_path_factory) -> Lanczos:
    """Compiled for what this processor has of some vector instructions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANVAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        known = native.instructions() & request.param
        patch.setattr(native, "instructions", lambda: known)
        made = load()
    if made is None:
        assert next(filter(shutil.which, native.COMPILERS), None) is None, "there is a compiler: the resizing should have been made"
        pytest.skip("no C compiler")
    return made


def noise(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Black and white, where every rounding and clipping shows."""
    return random.choice(np.array([0, 1, 127, 254, 255], np.uint8), (height, width, 3))


def test_its_bits_are_pillows_for_all_sizes_and_parts(lanczos):
    """400 pictures: whole, cut to the centre, and by boxes with fractions, larger and smaller than the result."""
    random = np.random.default_rng(0)
    compared = 0
    for number in range(400):
        width = int(random.integers(8, 300))
        height = int(width * random.uniform(0.3, 1.9)) + 8
        side = int(random.integers(4, 150))
        least = min(width, height)
        left, top = (width - least) // 2, (height - least) // 2
        low, high = random.uniform(0, 0.4, 2), random.uniform(0.6, 1, 2)
        box = [
            (0, 0, width, height),
            (left, top, left + least, top + least),
            (low[0] * width, low[1] * height, high[0] * width, high[1] * height),
        ][number % 3]
        if not lanczos.takes(width, height, side, box):
            continue
        pixels = noise(random, height, width)
        expected = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS, box, REDUCING_GAP)
        np.testing.assert_array_equal(lanczos.resize(pixels, side, box), np.asarray(expected), err_msg=f"{width}x{height} to {side}, {box}")
        compared += 1
    assert compared > 200


def test_a_picture_of_the_right_size_is_unchanged_and_views_are_fine(lanczos):
    pixels = noise(np.random.default_rng(1), 40, 80)
    np.testing.assert_array_equal(lanczos.resize(pixels[:, ::2], 40, (0, 0, 40, 40)), pixels[:, ::2])


@pytest.mark.parametrize(
    ("size", "box", "why"),
    [((512, 512), (0, 0, 512, 512), "Pillow averages first"), ((100, 400), (0, 150, 100, 250), "Pillow goes along columns first")],
)
def test_what_pillow_does_otherwise_is_left_to_it(lanczos, size, box, why):
    assert not lanczos.takes(*size, 64, box), why


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_pictures_are_decoded_to_the_same_pixels_with_and_without_it(lanczos, pictures, mode, crop):
    for seed, size in enumerate([(100, 90), (64, 64), (200, 61), (70, 150), (30, 30), (700, 650)]):
        image = pictures.image(seed, size).convert(mode)
        data = pictures.encode(image, "PNG" if mode == "P" else "JPEG")
        target = Target(32, crop, (255, 255, 255))
        plain, quick = decode(io.BytesIO(data), target), decode(io.BytesIO(data), target, lanczos=lanczos)
        np.testing.assert_array_equal(plain.pixels, quick.pixels)
        assert plain[1:] == quick[1:]


def test_one_that_is_absent_broken_or_has_other_bits_is_not_used(lanczos, tmp_path, monkeypatch):
    monkeypatch.setenv("GANVAS_CACHE", str(tmp_path))
    assert load(compiling=False) is None
    assert load() is not None
    assert load(compiling=False) is not None
    with monkeypatch.context() as patch:
        patch.setattr(Lanczos, "resize", lambda _, pixels, side, box: np.zeros((side, side, 3), np.uint8))
        assert load() is None
    monkeypatch.setattr(native, "load", lambda *_, **__: ctypes.CDLL(None))  # what this process has loaded: no resizing
    assert load() is None


def test_prepared_sets_are_the_same_with_and_without_it(lanczos, pictures, tmp_path, monkeypatch, contents):
    files = {f"{n}.jpg": pictures.encode(pictures.image(n, (50 + n, 60)), "JPEG") for n in range(30)}
    source = pictures.folder(tmp_path / "source", files)
    monkeypatch.setattr("ganvas.data.prepare.load_lanczos", lambda *_, **__: None)
    prepare(source, tmp_path / "plain", resolution=16, quiet=True)
    monkeypatch.setattr("ganvas.data.prepare.load_lanczos", lambda *_, **__: lanczos)
    prepare(source, tmp_path / "quick", resolution=16, quiet=True)
    assert contents(tmp_path / "quick") == contents(tmp_path / "plain")
