"""Pictures to start from come as other programs save them, and look the same to us."""

import contextlib
import logging
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sound_diffusion.errors import ParameterError
from sound_diffusion.starting_pictures import as_rgb, load_picture

TURNED = {  # how a photograph lies in the file, by its orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
LEVELS = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)


@pytest.fixture
def said(monkeypatch):
    """List what is logged."""
    lines = []
    logger = logging.getLogger("sound_diffusion.starting_pictures")
    monkeypatch.setattr(logger, "warning", lambda text, *values: lines.append(text % values))
    return lines


def write_png(path, rows, depth, colour_type, transparent=b""):
    """Write a PNG of any depth and colour type from the bytes of its rows."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 8, len(rows), depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *([chunk(b"tRNS", transparent)] if transparent else [])]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]))


def levels_of(picture):
    """Return the red of a grey picture, when it is as large as LEVELS."""
    assert picture.mode == "RGB"
    pixels = np.asarray(picture)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_of_every_kind(channels, tmp_path, said):
    deep = (LEVELS.astype(np.uint16) * 257).astype(">u2")
    opaque = np.full_like(deep, 65_535)
    planes = [deep] * (channels if channels % 2 else channels - 1) + [opaque] * (1 - channels % 2)
    rows = [np.stack([plane[row] for plane in planes], axis=-1).tobytes() for row in range(8)]
    write_png(tmp_path / "deep.png", rows, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels])
    assert np.abs(levels_of(load_picture(tmp_path / "deep.png")).astype(int) - LEVELS).max() <= 1
    assert said == []


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (LEVELS.astype(np.float32) / 255, "tiff"),
        (LEVELS.astype(np.int32) * 257, "tiff"),
        (LEVELS.astype(np.uint16) * 257, "tiff"),
        (LEVELS.astype(np.uint16) * 257, "pgm"),
        (LEVELS.astype(np.float32), "tiff"),
    ],
)
def test_grey_of_any_depth_is_scaled(values, suffix, tmp_path, said):
    Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
    np.testing.assert_array_equal(levels_of(load_picture(tmp_path / f"deep.{suffix}")), LEVELS)
    assert len(said) == (values.dtype == np.float32 and values.max() > 1)  # 255 is a guess, and it is said


def test_lights_brighter_than_white_stay_white():
    assert as_rgb(Image.fromarray(np.array([[1.0, 3.5, 0.5]], np.float32))).getpixel((2, 0)) == (128,) * 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_light_are_refused(value):
    with pytest.raises(ParameterError, match="NaN or infinite"):
        as_rgb(Image.fromarray(np.array([[value]], np.float32)))


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "I", "F", "I;16"]
)
def test_every_mode_becomes_rgb(mode, said):
    grey = Image.new("L", (4, 4), 255)
    if mode in ("I", "F", "I;16"):
        picture = Image.new(mode, (4, 4), {"I": 65_535, "F": 1.0, "I;16": 65_535}[mode])
    else:
        picture = (
            Image.new("LAB", (4, 4), (255, 0, 0)) if mode == "LAB" else grey.convert("RGB").convert(mode)
        )
    assert as_rgb(picture).mode == "RGB"
    if mode != "LAB":
        assert min(as_rgb(picture).getpixel((0, 0))) >= 254
    assert said == []


@given(
    level=st.integers(0, 255),
    alpha=st.integers(0, 255),
    mode=st.sampled_from(["RGBA", "LA", "PA", "RGBa", "La"]),
)
def test_transparency_is_laid_on_black(level, alpha, mode):
    if mode == "PA":
        picture = Image.new("P", (2, 2), 1)
        picture.putpalette([0, 0, 0, level, level, level])
        picture.putalpha(alpha)
        assert picture.mode == "PA"
    else:
        picture = Image.new("RGBA", (2, 2), (level, level, level, alpha))
        picture = picture if mode == "RGBA" else picture.convert("RGBa" if mode == "RGBa" else "LA")
        picture = picture.convert("La") if mode == "La" else picture
    expected = level * alpha / 255
    assert max(abs(value - expected) for value in as_rgb(picture).getpixel((0, 0))) <= 2


def test_a_colour_that_stands_for_transparency(tmp_path, said):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=1)
    palette.save(tmp_path / "palette.gif", transparency=1)
    palette.convert("RGB").save(tmp_path / "colour.png", transparency=(0, 255, 0))
    for name in ("palette.png", "palette.gif", "colour.png"):
        picture = load_picture(tmp_path / name)
        assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 0, 0)]
    assert len(said) == 3
    assert all("transparent in it is laid on black" in line for line in said)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)])
def test_a_deep_colour_that_stands_for_transparency(colour_type, channels, tmp_path, said):
    row = struct.pack(">8H", *[65_535] * 4, *[0x8001] * 4)
    pixels = np.frombuffer(row, ">u2").repeat(channels).tobytes()
    write_png(tmp_path / "deep.png", [pixels] * 8, 16, colour_type, struct.pack(">H", 0x8001) * channels)
    picture = load_picture(tmp_path / "deep.png")
    assert (picture.getpixel((0, 0)), picture.getpixel((7, 7))) == ((255,) * 3, (0,) * 3)
    assert len(said) == 1


def test_opaque_pictures_with_an_alpha_channel_are_not_remarked_on(said):
    assert as_rgb(Image.new("RGBA", (2, 2), (9, 8, 7, 255))).getpixel((0, 0)) == (9, 8, 7)
    assert said == []


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_a_photograph_is_turned_upright(orientation, suffix, tmp_path):
    upright = Image.new("RGB", (32, 16), "black")
    upright.paste(Image.new("RGB", (16, 8), "white"), (0, 0))
    stored = upright if orientation == 1 else upright.transpose(TURNED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"photo.{suffix}", exif=exif)
    picture = load_picture(tmp_path / f"photo.{suffix}")
    assert picture.size == (32, 16)
    assert min(picture.getpixel((3, 3))) > 200
    assert max(max(picture.getpixel(place)) for place in ((28, 3), (3, 13), (28, 13))) < 50


@pytest.mark.parametrize("suffix", ["gif", "tiff", "webp", "png"])
def test_the_first_of_several_pictures(suffix, tmp_path, said):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"many.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    assert load_picture(tmp_path / f"many.{suffix}").getpixel((8, 8)) == (255, 0, 0)
    assert len(said) == 1
    assert "3 pictures in it, the first is used" in said[0]


@given(
    cut=st.integers(0, 3000),
    flipped=st.integers(0, 3000),
    suffix=st.sampled_from(["png", "gif", "tiff", "bmp"]),
)
def test_damaged_files_are_errors_of_ours(cut, flipped, suffix, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / f"damaged.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[flipped % len(content)] ^= 0xFF
    path.write_bytes(content[: max(1, len(content) - cut)])
    with contextlib.suppress(ParameterError):
        assert load_picture(path).mode == "RGB"
