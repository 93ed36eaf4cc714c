"""Arguments that a person typed, or a model wrote, made to fit the tool's own signature."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tools import Tool
from tools.core.errors import InputError

_NOTHING = ("", "none", "null")
_LEADS = frozenset("with use using set change edit make it and but please".split())
_EXPECTED = {int: "a whole number", float: "a number", bool: "yes or no", str: "text"}


def fitted(tool: Tool, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with the types of the tool's signature.

    Raises:
        InputError: A value does not fit, one is missing, or the tool has no such argument.
    """
    typed = _typed(tool, args)
    parameters = list(inspect.signature(tool).parameters.values())[1:]
    missing = [one.name for one in parameters if one.default is one.empty and one.name not in args]
    if missing:
        raise InputError(f"{tool.__name__} needs {' and '.join(missing)}")
    return typed


def changed(
    tool: Tool, args: Mapping[str, Any], changes: Mapping[str, Any], editable: Collection[str]
) -> dict[str, Any]:
    """Return `args` with the changes that a person makes before approving.

    Raises:
        InputError: An argument may not be changed there, or a value does not fit.
    """
    fixed = [name for name in changes if name not in editable]
    if fixed:
        may = f"you can change {', '.join(editable)}" if editable else "nothing can be changed"
        raise InputError(f"{fixed[0]} cannot be changed here: {may}; otherwise say no, and ask for what you want")
    return {**args, **_typed(tool, changes)}


def choices(tool: Tool, name: str) -> tuple[str, ...]:
    """Return the values an argument may have, when they are few; none when any may be typed."""
    parts = _parts(_hints(tool)[name])
    return tuple(
        str(one) for part in parts if typing.get_origin(part) is typing.Literal for one in typing.get_args(part)
    )


def is_switch(tool: Tool, name: str) -> bool:
    """Tell whether an argument is a plain yes or no."""
    return _hints(tool)[name] is bool


def written(value: Any) -> str:
    """Write a value as a person would type it."""
    if value is None:
        return ""
    return ", ".join(map(written, value)) if isinstance(value, list | tuple) else f"{value}"


def read_assignments(text: str, names: Collection[str]) -> dict[str, str]:
    """Read "epochs=3 batch_size=8, learning_rate=1e-4, 3e-5"; nothing when the text is anything else.

    Args:
        text: What the person typed.
        names: The arguments there are.
    """
    found = list(re.finditer(r"(?<![\w.-])(\w+)\s*=\s*", text))
    if not found or any(one[1] not in names for one in found):
        return {}
    if any(word not in _LEADS for word in re.findall(r"\w+", text[: found[0].start()].lower())):
        return {}
    ends = [*(one.start() for one in found[1:]), len(text)]
    values = (text[one.end() : end].strip() for one, end in zip(found, ends, strict=True))
    return {one[1]: re.sub(r"[\s,;.]*(\band\b)?[\s,;]*$", "", value) for one, value in zip(found, values, strict=True)}


def _typed(tool: Tool, args: Mapping[str, Any]) -> dict[str, Any]:
    hints = _hints(tool)
    unknown = [name for name in args if name not in hints]
    if unknown:
        raise InputError(f"{tool.__name__} has no argument {unknown[0]!r}; it has {', '.join(hints) or 'none'}")
    return {name: _fitted(name, value, hints[name]) for name, value in args.items()}


def _hints(tool: Tool) -> dict[str, Any]:
    hints = typing.get_type_hints(tool)
    return {name: hint for name, hint in hints.items() if name not in ("workspace", "return")}


def _fitted(name: str, value: Any, hint: Any) -> Any:
    given = value
    parts = _parts(hint)
    if isinstance(value, str) and str not in parts:
        value = value.strip()
        if type(None) in parts and value.lower() in _NOTHING:
            return None
        if any(typing.get_origin(part) is list for part in parts) and ("," in value or value.startswith("[")):
            value = [item.strip() for item in value.strip("[]").split(",") if item.strip()]
    elif value == "" and type(None) in parts:
        return None
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise InputError(f"{name} is {given!r}; expected {' or '.join(map(_expected, parts))}") from error


def _parts(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _expected(part: Any) -> str:
    if part is type(None):
        return "nothing"
    if typing.get_origin(part) is typing.Literal:
        return ", ".join(map(str, typing.get_args(part)))
    if typing.get_origin(part) is list:
        return "several with commas between"
    return _EXPECTED.get(part, str(part))
