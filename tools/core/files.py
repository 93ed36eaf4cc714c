"""Files that are either old or new, never half: write aside, flush to disk, rename."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Give a path beside `path` to write a file or folder to; rename it to `path` if the block succeeds.

    With `durable` the content is forced to disk first, so that it survives a power cut; without, it survives only the
    death of the process, which is much faster for many small files that can be made again. An existing file at `path`
    is replaced in one step. An existing folder is moved aside first and removed last, so a killed process leaves the
    old folder or the new one whole, at worst only under a name that starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.new"
    try:
        yield aside
        if durable:
            flush(aside)
        if path.is_dir():
            old = aside.with_suffix(".old")
            path.rename(old)
            aside.rename(path)
            shutil.rmtree(old)
        else:
            aside.replace(path)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def flush(path: Path) -> None:
    """Force a file, or every file of a folder, to disk."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with file.open("r+b") as stream:  # Windows flushes only what may be written
            os.fsync(stream.fileno())
