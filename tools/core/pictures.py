"""Opening pictures that come from anywhere: upright, RGB, bounded, or refused with a reason."""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from tools.core.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff")
MAX_PIXELS = 100_000_000  # about 300 MB once decoded

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    struct.error,
)  # of Pillow
TURNS = {  # EXIF orientation → what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_picture_name(name: str) -> bool:
    """Tell by its suffix whether a file should be a picture."""
    return name.lower().endswith(SUFFIXES)


def suffix_of(content: bytes) -> str:
    """Return the usual suffix of a picture by its first bytes."""
    starts = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}
    return next((suffix for start, suffix in starts.items() if content.startswith(start)), ".tif")


def walk_pictures(folder: Path) -> Iterator[Path]:
    """Yield the picture files below a folder in a stable order; hidden files and folders are left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and is_picture_name(name):
                yield Path(parent, name)


def open_picture(source: Path | bytes, side: int | None = None) -> Image.Image:
    """Decode a picture: first frame, upright by its EXIF orientation, 8-bit RGB, transparency on white.

    Args:
        source: A file, or the bytes of one.
        side: Shrink so that the shorter side is about this many pixels, never less; None keeps the full size.

    Raises:
        DataError: It is missing, no picture of a known format, damaged, or of more than 100 million pixels.
    """
    name = str(source) if isinstance(source, Path) else "the picture"
    try:
        stream: IO[bytes] = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
        with stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged EXIF and Pillow's own size warning; the size is checked here
            with Image.open(stream, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise DataError(
                        f"{name} has {width} × {height} pixels; at most {MAX_PIXELS // 1_000_000} million are read: "
                        "shrink it first"
                    )
                if side and picture.format == "JPEG":
                    picture.draft("RGB", (2 * side, 2 * side))  # decodes at a fraction of the size, never smaller
                picture.load()
                return _shrink(_to_rgb(_upright(picture)), side)
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not a picture that can be read ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} has too many pixels; at most {MAX_PIXELS // 1_000_000} million are read: shrink it first"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"There is no file {name}") from error
    except DAMAGE as error:
        raise DataError(f"{name} is damaged or cannot be read: {error}") from error


def _upright(picture: Image.Image) -> Image.Image:
    """Turn by the EXIF orientation; ImageOps.exif_transpose would fail where any other entry is damaged."""
    try:
        turn = TURNS.get(int(picture.getexif().get(ExifTags.Base.Orientation) or 1))
    except DAMAGE:
        turn = None  # nothing is known of its orientation
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert any mode to RGB; more than 8 bits are scaled to 8, transparency is laid on white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture, dtype=np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        values = np.asarray(picture, dtype=np.float64)
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        if 0 <= low and high <= 65535 and picture.mode == "I":
            low, high = 0.0, 65535.0 if high > 255 else 255.0
        scaled = (values - low) / max(high - low, 1e-9) * 255
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return picture.convert("RGB")


def _shrink(picture: Image.Image, side: int | None) -> Image.Image:
    shorter = min(picture.size)
    if not side or shorter <= side:
        return picture
    width, height = (max(1, round(length * side / shorter)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
