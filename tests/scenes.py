"""Pictures that behave as thumbnails do: each unlike the others, and itself again when shrunk or saved anew."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw


def scene(seed: int) -> Image.Image:
    """Return a picture of soft shapes, as thumbnails are: they survive shrinking, unlike noise."""
    dice = random.Random(seed)
    picture = Image.new("RGB", (480, 270), tuple(dice.randrange(256) for _ in range(3)))
    drawing = ImageDraw.Draw(picture)
    for _ in range(9):
        left, top = dice.randrange(400), dice.randrange(220)
        box = (left, top, left + dice.randrange(40, 200), top + dice.randrange(30, 150))
        drawing.ellipse(box, fill=tuple(dice.randrange(256) for _ in range(3)))
    return picture


def jpeg(seed: int, quality: int = 90) -> bytes:
    """Return the file of a scene."""
    stream = io.BytesIO()
    scene(seed).save(stream, "JPEG", quality=quality)
    return stream.getvalue()
