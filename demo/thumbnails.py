"""Pictures small enough, and of a format, for a browser to show.

Everything shown is a copy under the cache folder, the only folder the app serves: the person's own folders stay closed.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

from PIL import Image, ImageDraw

from tools.core.errors import DataError
from tools.core.files import replacing
from tools.core.pictures import open_picture

SHOWN_AS_IS = (".jpg", ".jpeg", ".png", ".webp", ".gif")
MAX_BYTES = 300_000
SIDE = 512  # pixels, the shorter side of a thumbnail


def cache_folder(home: Path) -> Path:
    """Return the folder that holds everything shown."""
    return home / "cache" / "shown"


def shown(file: Path, home: Path) -> str:
    """Return a file to show for a picture: a copy when it is small, else a thumbnail of the same name, made once.

    A picture that is gone or damaged is shown as a frame with the reason.
    """
    try:
        status = file.stat()
    except OSError:
        return str(_frame(f"{file.name}\nis no longer there", home))
    small = file.suffix.lower() in SHOWN_AS_IS and status.st_size <= MAX_BYTES
    key = hashlib.sha256(f"{file}:{status.st_size}:{status.st_mtime_ns}".encode()).hexdigest()[:24]
    copy = cache_folder(home) / key / (file.name if small else f"{file.stem}.jpg")
    try:
        if not copy.exists():
            with replacing(copy, durable=False) as aside:
                if small:
                    shutil.copyfile(file, aside)
                else:
                    open_picture(file, side=SIDE).save(aside, "JPEG", quality=88)
    except (DataError, OSError):
        return str(_frame(f"{file.name}\ncannot be read", home))
    return str(copy)


def prune(home: Path) -> None:
    """Remove copies that have not been made anew for a week; what is still shown is made again."""
    for copy in cache_folder(home).glob("*"):
        if time.time() - copy.stat().st_mtime > 7 * 86_400:
            shutil.rmtree(copy) if copy.is_dir() else copy.unlink()


def _frame(text: str, home: Path) -> Path:
    file = cache_folder(home) / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.png"
    if not file.exists():
        picture = Image.new("RGB", (320, 240), "#f4f4f5")
        ImageDraw.Draw(picture).multiline_text((16, 100), text, fill="#52525b", font_size=18)
        with replacing(file, durable=False) as aside:
            picture.save(aside, "PNG")
    return file
