"""The little language of the phrases files: `[optional]`, `(this|that)`, `<a list of words>`, `{argument}`.

`{argument!}` takes only what is surely meant (a known name, a path, "the dataset x"), `{argument=value}` sets an
argument that the words themselves decide, `{argument=@other}` one that an earlier command gave as `other`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from agent.planner.text import compare_form

_PIECE = re.compile(r"\s*(?:(?P<mark>[\[\]()|])|<(?P<list>[\w-]+)>|\{(?P<slot>[^}]+)\}|(?P<word>[^\s\[\]()|<>{}]+))")


@dataclasses.dataclass(frozen=True)
class Word:
    """A word to be said."""

    word: str


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place where an argument is said."""

    argument: str
    sure: bool  # take only what cannot be anything else


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What an earlier command gave as an argument, or made."""

    argument: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """An argument decided by the words around it."""

    argument: str
    value: str | Earlier


@dataclasses.dataclass(frozen=True)
class Either:
    """One of several sequences."""

    ways: tuple[tuple[Element, ...], ...]


Element = Word | Slot | Setting | Either
Sequence_ = tuple[Element, ...]


class TemplateError(ValueError):
    """A line of a phrases file cannot be read."""


def parse(line: str, lists: Mapping[str, Either]) -> Sequence_:
    """Return the elements of a template.

    Args:
        line: The template.
        lists: What `<name>` stands for.

    Raises:
        TemplateError: Brackets do not match, or a list is unknown.
    """
    pieces = [found for found in _PIECE.finditer(line) if found.group().strip()]
    elements, rest = _either(pieces, 0, line, lists, closing=None)
    if rest != len(pieces):
        raise TemplateError(f"{line!r}: a bracket closes that was not opened")
    return elements.ways[0] if len(elements.ways) == 1 else (elements,)


def example(elements: Sequence_, fillers: Mapping[str, str]) -> str:
    """Return a plain sentence: the first of each alternative, `fillers` (by argument) in the slots."""
    words = []
    for element in elements:
        match element:
            case Word(word):
                words.append(word)
            case Slot(argument):
                words.append(fillers.get(argument, "something"))
            case Either(ways):
                words.append(example(ways[0], fillers))
            case Setting():
                pass
    return " ".join(word for word in words if word)


def _either(
    pieces: list[re.Match[str]], place: int, line: str, lists: Mapping[str, Either], closing: str | None
) -> tuple[Either, int]:
    ways: list[list[Element]] = [[]]
    while place < len(pieces):
        piece = pieces[place]
        place += 1
        if piece["mark"] in ("]", ")"):
            if piece["mark"] != closing:
                raise TemplateError(f"{line!r}: brackets do not match")
            return Either(tuple(map(tuple, ways))), place
        if piece["mark"] == "|":
            ways.append([])
        elif piece["mark"] == "[":
            inside, place = _either(pieces, place, line, lists, "]")
            ways[-1].append(Either((*inside.ways, ())))
        elif piece["mark"] == "(":
            inside, place = _either(pieces, place, line, lists, ")")
            ways[-1].append(inside)
        elif piece["list"]:
            if piece["list"] not in lists:
                raise TemplateError(f"{line!r}: there is no list <{piece['list']}>")
            ways[-1].append(lists[piece["list"]])
        elif piece["slot"]:
            ways[-1].append(_slot(piece["slot"]))
        else:
            ways[-1].append(Word(compare_form(piece["word"])))
    if closing:
        raise TemplateError(f"{line!r}: a bracket is not closed")
    return Either(tuple(map(tuple, ways))), place


def _slot(inside: str) -> Slot | Setting:
    argument, equals, value = inside.partition("=")
    if value.startswith("@"):
        return Setting(argument, Earlier(value[1:]))
    return Setting(argument, value) if equals else Slot(argument.rstrip("!"), argument.endswith("!"))
