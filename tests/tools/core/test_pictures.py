import io
import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.doubles import noise
from tools.core.errors import DataError
from tools.core.pictures import is_picture_name, open_picture, walk_pictures

EXACT = ("PNG", "BMP", "TIFF")
LOSSY = {"JPEG": {"quality": 95}, "WEBP": {"quality": 95}, "GIF": {}}


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def pixels(picture: Image.Image) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture, dtype=np.int16)


@pytest.mark.parametrize("form", EXACT)
def test_lossless_formats_come_back_exactly(form: str):
    original = noise(1)
    assert (pixels(open_picture(encoded(original, form))) == pixels(original)).all()


@pytest.mark.parametrize("form", LOSSY)
def test_lossy_formats_come_back_nearly(form: str):
    original = noise(1, (64, 64))
    opened = open_picture(encoded(original, form, **LOSSY[form]))
    assert np.abs(pixels(opened) - pixels(original)).mean() < 12


def test_a_file_and_its_bytes_give_the_same_picture(make_picture):
    file = make_picture("x.png", noise(2))
    assert (pixels(open_picture(file)) == pixels(open_picture(file.read_bytes()))).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_back_upright(form: str, orientation: int):
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste("red", (0, 0, 24, 16))
    upright.paste("blue", (24, 0, 48, 16))
    upright.paste("green", (0, 16, 24, 32))
    stored = {  # how a camera that was held so would have stored it
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    turned = upright
    for step in stored:
        turned = turned.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_picture(encoded(turned, form, exif=exif))
    assert opened.size == upright.size
    for corner, colour in (((6, 4), "red"), ((42, 4), "blue"), ((6, 28), "green"), ((42, 28), "white")):
        expected = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        assert np.abs(np.subtract(opened.getpixel(corner), expected)).max() < 60, (corner, colour)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_damaged_exif_entry_does_not_hide_the_picture_or_its_orientation(form: str):
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 2, b"x")  # a resolution of "x"
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    assert open_picture(encoded(noise(8, (40, 30)), form, exif=exif)).size == (30, 40)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_exif_of_nonsense_is_ignored(form: str):
    for exif in (b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\x7f"):
        assert open_picture(encoded(noise(8, (40, 30)), form, exif=exif)).size == (40, 30)


def test_cmyk_keeps_its_colour():
    opened = open_picture(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = opened.getpixel((4, 4))
    assert red > 200 and green < 60 and blue < 60


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    for form in ("PNG", "TIFF"):
        opened = pixels(open_picture(encoded(Image.fromarray(ramp), form)))
        assert (opened[..., 0] == ramp >> 8).all()
        assert (opened[..., 0] == opened[..., 2]).all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 5.0), (100.0, 1e6)])
def test_a_float_tiff_is_spread_over_all_greys(low: float, high: float):
    values = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    grey = pixels(open_picture(encoded(Image.fromarray(values), "TIFF")))[..., 0]
    assert (grey.min(), grey.max()) == (0, 255)
    assert (np.diff(grey.ravel()) >= 0).all()


def test_a_float_tiff_with_gaps_can_be_read():
    values = np.array([[0.0, np.nan], [np.inf, 1.0]], dtype=np.float32)
    assert open_picture(encoded(Image.fromarray(values), "TIFF")).size == (2, 2)


def test_a_palette_gives_its_colours():
    original = Image.new("RGB", (8, 8), "purple")
    assert open_picture(encoded(original.quantize(4), "PNG")).getpixel((3, 3)) == original.getpixel((3, 3))


def test_one_bit_pictures_are_black_and_white():
    original = Image.new("1", (8, 8), 0)
    original.putpixel((1, 1), 1)
    for form in ("PNG", "TIFF", "BMP"):
        opened = open_picture(encoded(original, form))
        assert (opened.getpixel((0, 0)), opened.getpixel((1, 1))) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_transparency_lies_on_white(mode: str, form: str):
    grey = (40, 40, 40) if mode == "RGBA" else (40,)
    original = Image.new(mode, (3, 1))
    for x, alpha in enumerate((0, 255, 128)):
        original.putpixel((x, 0), (*grey, alpha))
    clear, solid, half = (open_picture(encoded(original, form)).getpixel((x, 0))[0] for x in range(3))
    assert (clear, solid) == (255, 40)
    assert abs(half - (40 + 255) / 2) <= 1


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_palette_entry_lies_on_white(form: str):
    original = Image.new("P", (2, 1), 0)
    original.putpalette([10, 20, 30, 200, 0, 0])
    original.putpixel((1, 0), 1)
    opened = open_picture(encoded(original, form, transparency=0))
    assert (opened.getpixel((0, 0)), opened.getpixel((1, 0))) == ((255, 255, 255), (200, 0, 0))


def test_the_first_frame_of_an_animation_is_used():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    for form in ("GIF", "WEBP", "TIFF"):
        extra = {"lossless": True} if form == "WEBP" else {}
        content = encoded(frames[0], form, save_all=True, append_images=frames[1:], **extra)
        assert open_picture(content).getpixel((4, 4)) == (255, 0, 0), form


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG of some bytes whose header claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_001, 12_000, 20_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(side: int):
    with pytest.raises(DataError, match="at most 100 million are read: shrink it first"):
        open_picture(png_claiming(side, side))


@pytest.mark.parametrize("form", [*EXACT, *LOSSY])
def test_a_truncated_picture_is_refused(form: str):
    content = encoded(noise(3, (200, 200)), form)
    with pytest.raises(DataError, match=r"is damaged|is not a picture"):
        open_picture(content[: len(content) // 2])


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n" * 20, b"<html>", b"\0" * 500, b"%PDF-1.7", b"GIF8"])
def test_what_is_no_picture_is_refused_with_the_formats_there_are(tmp_path: Path, content: bytes):
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"photo\.jpg is not a picture that can be read \(JPEG, PNG"):
        open_picture(file)


def test_formats_that_run_programs_or_rarely_hold_pictures_are_refused():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    for content in (postscript, encoded(noise(1), "PPM"), encoded(noise(1), "TGA")):
        with pytest.raises(DataError, match="is not a picture"):
            open_picture(content)


@pytest.mark.parametrize("name", ["missing.jpg", "a" * 5000, "nul\0.jpg", "."])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str):
    with pytest.raises(DataError):
        open_picture(tmp_path / name)


@pytest.mark.parametrize("form", [*EXACT, *LOSSY])
def test_damage_anywhere_gives_a_picture_or_our_error(form: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(noise(4, (40, 30)), form, **({"exif": exif} if form in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, min(len(damaged), int(random.choice([60, 400, len(damaged)]))), 3):
            damaged[place] = random.integers(0, 256)
        try:
            assert open_picture(bytes(damaged)).mode == "RGB"
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert "refused" in outcomes


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize(("width", "height"), [(400, 100), (100, 400), (300, 300), (1000, 20)])
def test_shrinking_keeps_the_shorter_side_and_the_shape(form: str, width: int, height: int):
    content = encoded(noise(5, (width, height)), form)
    for side in (16, 50, 64):
        opened = open_picture(content, side=side)
        assert min(opened.size) == min(side, width, height)
        assert abs(opened.width / opened.height - width / height) <= 0.06 * width / height


def test_a_small_picture_is_not_enlarged():
    assert open_picture(encoded(noise(6, (20, 10)), "PNG"), side=64).size == (20, 10)


def test_shrinking_keeps_the_colours():
    whole, small = (open_picture(encoded(noise(7, (512, 512)), "JPEG"), side=side) for side in (None, 32))
    assert np.abs(pixels(whole).mean((0, 1)) - pixels(small).mean((0, 1))).max() < 3


def test_walking_finds_pictures_in_order_and_nothing_hidden(tmp_path: Path):
    for name in ("b.JPG", "a.png", "sub/c.webp", "sub/deep/d.tiff", "a.txt", ".hidden.png", ".git/e.png", "noext"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [file.relative_to(tmp_path).as_posix() for file in walk_pictures(tmp_path)]
    assert found == ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tiff"]


def test_names_tell_pictures_from_the_rest():
    pictures = ["a.jpg", "A.JPEG", "x.y.png", "a.webp", "a.gif", "a.bmp", "a.tif"]
    others = ["a", "jpg", "a.jpg.txt", "a.svg", "a.pdf", ""]
    assert [is_picture_name(name) for name in itertools.chain(pictures, others)] == [True] * 7 + [False] * 6
