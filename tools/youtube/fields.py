"""Reading the API's answers, in which anything may be missing."""

from __future__ import annotations

from typing import Any


def dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects of what should be a list of them; the API leaves a list out when it is empty."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def part(item: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a part of a resource; empty when it is missing."""
    found = item.get(name)
    return found if isinstance(found, dict) else {}


def text(item: dict[str, Any], name: str) -> str:
    """Return a field as text that any file can hold; empty when it is missing."""
    value = item.get(name)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return ""
    return str(value).encode(errors="replace").decode()


def number(item: dict[str, Any], name: str) -> int | None:
    """Return a whole number, which the API writes as text here and there; None when it is missing."""
    digits = text(item, name)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None
