"""What it is to read an argument: the ways to read it, what a reader may look up, what a reading costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.planner.text import Look, Token

KINDS = ("dataset", "collection", "model", "concept", "job")
SURE, KNOWN, LIKELY, REFERRED, WEAK, FREE, FREE_WORD = 0.1, 0.1, 0.2, 0.3, 0.6, 1.0, 0.3
DETERMINERS = frozenset("the my our that this these those your its".split())
THINGS = frozenset("it that this them those these".split())
ASKING = frozenset("who whom whose whos when where why how what whats which in is are was were did does do can".split())


@dataclasses.dataclass(frozen=True)
class Reference:
    """Something said before: "it" (kind None), "that dataset"."""

    kind: str | None


@dataclasses.dataclass(frozen=True)
class Named:
    """A name whose kind was said: "the collection photos"."""

    name: str
    kind: str | None


@dataclasses.dataclass(frozen=True)
class Context:
    """What a reader may look up."""

    names: Mapping[str, Sequence[str]]  # kind → names that exist
    files: Sequence[str]  # pictures that came with the message
    kind_words: Mapping[str, str]  # "data sets" → dataset
    never_names: frozenset[str]  # words that are no name unless a kind was said
    choices: Mapping[str, str]  # words → value, for a choice
    looks: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)  # kind → pieces of usual names

    def is_name(self, token: Token) -> bool:
        """Tell whether a word is a name that exists, or looks like one that may."""
        known = any(token.value in names for names in self.names.values())
        return known or (token.look is Look.WORD and any(self.looks_like(kind, token) for kind in ("model", "job")))

    def looks_like(self, kind: str, token: Token) -> bool:
        """Tell whether a name is as those of this kind usually are: a piece of it is, or (with a hyphen) its start."""
        pieces = self.looks.get(kind, frozenset())
        if kind == "model" and token.look in (Look.HUB, Look.PATH):
            return True
        if not pieces or token.look is not Look.WORD:
            return False
        said = token.word.split("-")
        return len(said) > 1 and (not pieces.isdisjoint(said) or f"{said[0]}-" in pieces)


@dataclasses.dataclass(frozen=True)
class Reading:
    """A way to read an argument."""

    end: int  # index of the token after it
    value: Any
    cost: float
    sure: bool = True


Reader = Callable[[str, Sequence[Token], int, Context], list[Reading]]
