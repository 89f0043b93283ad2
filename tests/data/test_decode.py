"""Every format, mode and orientation becomes the right pixels; bad files become a reason."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ganvas.data.decode import MAX_PIXELS, Rejected, Target, decode

# prepare() silences these where it starts its threads; here the reasons matter, not the warnings.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")

WHITE = (255, 255, 255)


def decoded(data: bytes, resolution: int = 24, crop: str = "center", background: tuple[int, int, int] = WHITE) -> np.ndarray:
    return decode(io.BytesIO(data), Target(resolution, crop, background))[0]


def reason(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        decoded(data)
    return str(caught.value)


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_lossless_formats_of_the_right_size_come_through_unchanged(pictures, format, options):
    image = pictures.image(3)
    np.testing.assert_array_equal(decoded(pictures.encode(image, format, **options)), np.asarray(image))


@pytest.mark.parametrize(("format", "options", "most"), [("JPEG", {"quality": 95}, 12), ("WEBP", {"quality": 95}, 20), ("GIF", {}, 40)])
def test_lossy_formats_come_close(pictures, format, options, most):
    image = pictures.image(3)
    assert np.abs(decoded(pictures.encode(image, format, **options)).astype(int) - np.asarray(image)).mean() < most


def test_the_first_frame_of_an_animation_counts(pictures):
    red, blue = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    data = pictures.encode(red, "GIF", save_all=True, append_images=[blue])
    assert decoded(data, 16)[8, 8].tolist() == [255, 0, 0]


def test_greyscale_and_bilevel_fill_all_channels(pictures):
    grey = pictures.image(5).convert("L")
    np.testing.assert_array_equal(decoded(pictures.encode(grey)), np.asarray(grey.convert("RGB")))
    bits = grey.point(lambda v: 255 * (v > 127)).convert("1")
    assert set(np.unique(decoded(pictures.encode(bits)))) == {0, 255}


def test_sixteen_bit_greyscale_is_scaled_not_clipped(pictures):
    levels = np.linspace(0, 65535, 24 * 24).astype(np.uint16).reshape(24, 24)
    found = decoded(pictures.encode(Image.fromarray(levels)))[..., 0]
    np.testing.assert_array_equal(found, np.round(levels / 257.0).astype(np.uint8))


def test_palettes_with_and_without_transparency(pictures):
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([10, 200, 30, 200, 0, 0] + [0] * 762)
    palette.paste(1, (0, 0, 8, 16))
    plain = decoded(pictures.encode(palette), 16)
    assert plain[8, 2].tolist() == [200, 0, 0]
    assert plain[8, 12].tolist() == [10, 200, 30]
    holed = decoded(pictures.encode(palette, transparency=1), 16, background=(0, 0, 255))
    assert holed[8, 2].tolist() == [0, 0, 255]
    assert holed[8, 12].tolist() == [10, 200, 30]


@pytest.mark.parametrize("hidden", [(0, 0, 0), (0, 255, 0)])
def test_what_transparency_hides_never_shows(pictures, hidden):
    """A red disc on transparent black or green, shrunk: edges go from red to white, through no third colour."""
    rgba = np.zeros((256, 256, 4), np.uint8)
    rgba[..., :3] = hidden
    y, x = np.mgrid[:256, :256]
    rgba[(y - 128) ** 2 + (x - 128) ** 2 < 90**2] = (255, 0, 0, 255)
    found = decoded(pictures.encode(Image.fromarray(rgba)), 32).astype(int)
    assert (found[..., 0] >= 250).all()
    assert (np.abs(found[..., 1] - found[..., 2]) <= 1).all()
    assert found[16, 16].tolist() == [255, 0, 0]
    assert found[0, 0].tolist() == [255, 255, 255]


def test_grey_with_alpha_and_half_transparency(pictures):
    la = Image.new("LA", (16, 16), (0, 128))
    assert decoded(pictures.encode(la), 16)[8, 8].tolist() == [127, 127, 127]
    assert decoded(pictures.encode(la), 16, background=(0, 0, 0))[8, 8].tolist() == [0, 0, 0]


def test_cmyk_as_adobe_writes_it(pictures):
    """Pillow writes Adobe's inverted inks; a reader that forgets about them shows the negative."""
    cmyk = Image.merge("CMYK", [Image.new("L", (16, 16), ink) for ink in (0, 255, 255, 0)])
    r, g, b = decoded(pictures.encode(cmyk, "JPEG", quality=95), 16)[8, 8].tolist()
    assert r > 240
    assert g < 15
    assert b < 15


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(pictures, orientation, format):
    """A picture stored in each of the eight ways looks as it was taken."""
    upright = np.zeros((24, 24, 3), np.uint8)
    upright[:12, :12] = (250, 0, 0)
    upright[:12, 12:] = (0, 250, 0)
    upright[12:, :12] = (0, 0, 250)
    store = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    options = {"quality": 95} if format == "JPEG" else {"lossless": True} if format == "WEBP" else {}
    data = pictures.encode(Image.fromarray(np.ascontiguousarray(store(upright))), format, exif=exif(orientation), **options)
    found = decoded(data)
    for y, x in ((5, 5), (5, 18), (18, 5), (18, 18)):
        np.testing.assert_allclose(found[y, x].astype(int), upright[y, x].astype(int), atol=12)


def test_damaged_exif_loses_no_picture(pictures):
    data = pictures.encode(pictures.image(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decoded(data).shape == (24, 24, 3)


def test_center_crops_and_none_stretches(pictures):
    wide = Image.new("RGB", (60, 20), (0, 0, 255))
    wide.paste((255, 0, 0), (20, 0, 40, 20))
    assert (decoded(pictures.encode(wide), 20) == [255, 0, 0]).all()
    stretched = decoded(pictures.encode(wide), 30, crop="none")
    assert stretched[15, 2].tolist() == [0, 0, 255]
    assert stretched[15, 15].tolist() == [255, 0, 0]
    assert stretched[15, 27].tolist() == [0, 0, 255]


def test_shrinking_is_antialiased(pictures):
    """Stripes of one pixel, 16 times smaller, are grey: every second pixel alone would be black or white."""
    stripes = np.zeros((512, 512), np.uint8)
    stripes[:, ::2] = 255
    found = decoded(pictures.encode(Image.fromarray(stripes)), 32).astype(int)
    assert np.abs(found[4:-4, 4:-4] - 128).max() <= 3


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same_and_keeps_its_place(pictures):
    """An odd size, so that half-pixel slips of the crop would show."""
    image = pictures.image(9, (1501, 1003))
    exact = decoded(pictures.encode(image, "PNG"), 32).astype(int)
    quick = decoded(pictures.encode(image, "JPEG", quality=97, subsampling=0), 32).astype(int)
    assert np.abs(exact - quick).max() <= 4


def test_enlarging_is_told(pictures):
    target = Target(32, "center", WHITE)
    assert decode(io.BytesIO(pictures.png(0, (40, 31))), target)[1]
    assert not decode(io.BytesIO(pictures.png(0, (40, 32))), target)[1]
    assert decode(io.BytesIO(pictures.png(0, (40, 31))), Target(32, "none", WHITE))[1]


def test_too_small_is_rejected(pictures):
    assert reason(pictures.png(0, (1, 1))) == "smaller than 8 pixels (1 x 1)"
    assert reason(pictures.png(0, (100, 7))) == "smaller than 8 pixels (100 x 7)"
    assert decoded(pictures.png(0, (8, 8))).shape == (24, 24, 3)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_too_large_is_rejected_before_a_pixel_is_decoded(side):
    """A PNG of some bytes that claims 30,000 x 30,000; no warning of Pillow's gets out."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    assert side * side > MAX_PIXELS
    assert "larger than 120 million pixels" in reason(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_truncated_files_are_rejected(pictures, format):
    data = pictures.encode(pictures.image(2, (64, 64)), format)
    assert reason(data[: len(data) * 2 // 3])


def test_a_truncated_jpeg_says_so(pictures):
    data = pictures.encode(pictures.image(2, (64, 64)), "JPEG")
    assert reason(data[:-200]) == "truncated"


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_a_png_with_a_wrong_checksum_is_rejected(pictures, name):
    data = bytearray(pictures.png(4))
    start = data.index(name) - 4
    end = start + 8 + int.from_bytes(data[start : start + 4], "big")
    data[end] ^= 0xFF
    assert reason(bytes(data))


@pytest.mark.parametrize("data", [b"this is a letter, not a picture", b"\xff\xd8\xff" + b"\0" * 50, b"GIF89a", b"\x89PNG\r\n\x1a\n", b""])
def test_what_is_no_picture_is_rejected(data):
    assert reason(data)


def test_pixels_of_unknown_range_are_rejected(pictures):
    image = Image.fromarray(np.linspace(0, 1, 24 * 24, dtype=np.float32).reshape(24, 24))
    assert "range is not known" in reason(pictures.encode(image, "TIFF"))


def test_random_damage_is_rejected_or_read_and_nothing_else(pictures):
    """300 files with bytes changed at random: every outcome is pixels or a reason, never another exception."""
    random = np.random.default_rng(0)
    kinds = [
        pictures.encode(pictures.image(7), f, **o)
        for f, o in (("PNG", {}), ("JPEG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {}), ("TIFF", {}))
    ]
    reasons = []
    for number in range(300):
        data = bytearray(kinds[number % len(kinds)])
        for place in random.integers(0, len(data), random.integers(1, 8)):
            data[place] = random.integers(0, 256)
        try:
            assert decoded(bytes(data)).shape == (24, 24, 3)
        except Rejected as error:
            reasons.append(str(error))
    assert 20 < len(reasons) < 280
    assert all(reason and "\n" not in reason for reason in reasons)
