"""Results of tools as plain data for the checkpoint, and back."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tools import TOOLS


def to_plain(result: Any) -> dict[str, Any]:
    """Turn a tool's frozen dataclass into JSON-like data that names its type."""
    return {"type": type(result).__name__, "data": dataclasses.asdict(result)}


def from_plain(plain: Any) -> Any | None:
    """Turn data from `to_plain` back into the tool's dataclass; None when it is of a type that no tool gives now."""
    if not isinstance(plain, dict) or plain.get("type") not in _types():
        return None
    try:
        return _types()[plain["type"]].validate_python(plain["data"])
    except ValidationError:
        return None  # an older conversation, from before the type changed


@functools.cache
def _types() -> dict[str, TypeAdapter[Any]]:
    returned = (typing.get_type_hints(tool)["return"] for tool in TOOLS)
    return {one.__name__: TypeAdapter(one) for one in returned}
