"""Keeps this machine's own affairs out of what is published: folders of the person's disk, keys."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

# An absolute path of two parts or more, not inside an address, a word or a relative path.
START = r"(?<![\w/.~\\-])(?:file:///|~/|/(?=[^\s/]+/)|[A-Za-z]:\\)"
QUOTED = re.compile(rf"""(?P<quote>[`'"])(?P<path>{START}[^`'"\n]*)(?P=quote)""")
BARE = re.compile(rf"""{START}[^\s`'"<>|,;)\]]*""")
TO_THE_END = re.compile(rf"{START}.*", re.DOTALL)
KEYS = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|AIza[\w-]{35}|sk-[\w-]{20,})")


def last_part(path: str) -> str:
    """Return the name of a file or folder without the folders above it."""
    pure = PureWindowsPath(path) if re.match(r"[A-Za-z]:\\", path) else PurePosixPath(path)
    return pure.name or "a folder"


def is_local_path(text: str) -> bool:
    """Tell whether a text is, as a whole, an absolute path of two parts or more."""
    return bool(re.match(START, text)) and "\n" not in text


def without_paths(text: str) -> str:
    """Shorten every absolute path in a text to its last part; one with spaces only where it is quoted."""
    shortened = QUOTED.sub(lambda m: f"{m['quote']}{last_part(m['path'])}{m['quote']}", text)
    return BARE.sub(lambda m: last_part(m[0]), shortened)


def source_without_path(source: str) -> str:
    """Shorten the path at the end of "the folder /home/me/my photos", which may hold spaces, to its last part."""
    return TO_THE_END.sub(lambda m: last_part(m[0]), source)


def json_without_paths(text: str) -> str:
    """Shorten absolute paths in the strings of a JSON text; return the text as it is when there are none."""
    value = json.loads(text)
    changed = _shorten(value)
    return text if changed == value else json.dumps(changed, indent=2, ensure_ascii=False) + "\n"


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shorten(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shorten(one) for one in value]
    if isinstance(value, str):
        return last_part(value) if is_local_path(value) else without_paths(value)
    return value


def holds_key(text: str, known: tuple[str | None, ...]) -> bool:
    """Tell whether a text holds one of the known keys, or anything that looks like one."""
    return any(key and key in text for key in known) or bool(KEYS.search(text))


def cell_without_path(cell: str) -> str:
    """Return the last part of a cell that is a path on this machine, any other as it is: titles may begin with "/"."""
    if not is_local_path(cell):
        return cell
    try:
        ours = cell.startswith(("~/", f"{Path.home()}/")) or Path(cell).exists()
    except (OSError, ValueError):
        return cell  # it cannot be a path here
    return last_part(cell) if ours else cell
