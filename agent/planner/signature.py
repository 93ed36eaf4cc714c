"""What a tool's function says about itself: its arguments, their kinds, its purpose."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any

# How an argument that is plain text is written by people. Anything not named here is free text.
READER_OF_ARGUMENT = {
    "source": "source",
    "document": "source",
    "dataset": "dataset",
    "collection": "collection",
    "model": "model",
    "base_model": "model",
    "concept": "idea",
    "job": "job",
    "item": "item",
    "name": "name",
    "image": "picture",
    "thumbnails": "pictures",
    "titles": "texts",
    "captions": "texts",
    "channel": "channel",
    "repo_id": "hub",
    "min_minutes": "minutes",
    "more": "integer",  # of a change: so many more
    "_": "_",  # words that are no argument
    "question": "question",
    "context": "passage",
}
_ARGUMENT_LINE = re.compile(r"^ +(?P<name>\w+): (?P<text>.+(?:\n {12,}.+)*)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of a tool."""

    name: str
    reader: str  # a key of `slots.READERS`
    required: bool
    default: Any
    choices: tuple[str, ...]  # empty when any value may be said
    about: str  # from the docstring


@dataclasses.dataclass(frozen=True)
class Signature:
    """A tool as its function describes it."""

    name: str
    purpose: str  # first sentence of the docstring
    arguments: dict[str, Argument]

    @property
    def required(self) -> tuple[str, ...]:
        """The arguments that the function cannot do without."""
        return tuple(name for name, argument in self.arguments.items() if argument.required)


def read_signature(function: Callable[..., Any]) -> Signature:
    """Read a tool's signature and docstring; the first parameter is the workspace and is left out."""
    hints = typing.get_type_hints(function)
    about = {
        found["name"]: " ".join(found["text"].split()) for found in _ARGUMENT_LINE.finditer(function.__doc__ or "")
    }
    parameters = list(inspect.signature(function).parameters.values())[1:]
    arguments = {one.name: _argument(one, hints.get(one.name, str), about.get(one.name, "")) for one in parameters}
    first_line = " ".join((function.__doc__ or function.__name__).split("\n\n")[0].split())
    return Signature(function.__name__, first_line.split(". ")[0].rstrip("."), arguments)


def reader_of(name: str) -> str:
    """Return how an argument is read when only its name is known."""
    return READER_OF_ARGUMENT.get(name, "text")


def _argument(parameter: inspect.Parameter, hint: Any, about: str) -> Argument:
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    bare, *others = _parts(hint)
    several = any(typing.get_origin(other) is list for other in others)
    choices = (
        tuple(str(choice) for choice in typing.get_args(bare)) if typing.get_origin(bare) is typing.Literal else ()
    )
    return Argument(parameter.name, _reader(parameter.name, bare, several, choices), required, default, choices, about)


def _parts(hint: Any) -> list[Any]:
    """Return the types that an argument may have, None left out."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return [part for part in (typing.get_args(hint) if union else (hint,)) if part is not type(None)]


def _reader(name: str, hint: Any, several: bool, choices: tuple[str, ...]) -> str:
    if choices:
        return "choice"
    if hint is int:
        return "integers" if several else "integer"
    if hint is float:
        return READER_OF_ARGUMENT.get(name, "numbers" if several else "number")
    if typing.get_origin(hint) is list:
        return READER_OF_ARGUMENT.get(name, "texts")
    return reader_of(name)
