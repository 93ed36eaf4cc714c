"""Read the phrases files."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from agent.planner.template import Either, Sequence_, TemplateError, Word, parse
from agent.planner.text import compare_form

FOLDER = Path(__file__).parent / "phrases"


@dataclasses.dataclass(frozen=True)
class Phrase:
    """A template with the answer that it gets, when it is talk."""

    elements: Sequence_
    line: str
    answer: str = ""


@dataclasses.dataclass
class Phrases:
    """What people say to have one thing done."""

    name: str
    phrases: list[Phrase] = dataclasses.field(default_factory=list)
    tails: list[Phrase] = dataclasses.field(default_factory=list)  # may follow any of the phrases
    asks: dict[str, str] = dataclasses.field(default_factory=dict)  # argument → question
    needs: list[tuple[str, ...]] = dataclasses.field(default_factory=list)  # one of each group must be given
    choices: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)  # argument → words → value
    makes: tuple[str, ...] = ()  # kind of artifact made, then the arguments that name it, best first
    concerns: str = ""  # kind of what a call is about, or leaves running, without its name being said
    loose: bool = False  # words that add nothing may stand anywhere
    example: str = ""  # how to say it, for who did not make it clear
    certain: bool = False  # run only when the words are clear, never by likeness of meaning


@dataclasses.dataclass(frozen=True)
class Phrasebook:
    """All phrases."""

    tools: dict[str, Phrases]  # also of tools that do not exist (yet)
    talk: Phrases
    outside: Phrases
    again: Phrases
    lists: dict[str, frozenset[tuple[str, ...]]]  # name → word sequences


@functools.cache
def read_phrasebook(folder: Path = FOLDER) -> Phrasebook:
    """Read every phrases file of a folder; those whose name begins with an underscore belong to no tool.

    Raises:
        TemplateError: A line cannot be read; the message names the file.
    """
    lists = _lists(folder / "_words.txt")
    read = {file.stem: _phrases(file, lists) for file in sorted(folder.glob("*.txt")) if file.stem != "_words"}
    return Phrasebook(
        tools={name: phrases for name, phrases in read.items() if not name.startswith("_")},
        talk=read["_talk"],
        outside=read["_outside"],
        again=read["_again"],
        lists={name: frozenset(sequences(either.ways)) for name, either in lists.items()},
    )


def sequences(ways: tuple[Sequence_, ...]) -> list[tuple[str, ...]]:
    """Return every word sequence that some templates without slots allow."""
    found: list[tuple[str, ...]] = []
    for way in ways:
        partial: list[tuple[str, ...]] = [()]
        for element in way:
            if isinstance(element, Word):
                partial = [(*words, element.word) for words in partial]
            elif isinstance(element, Either):
                partial = [(*words, *more) for words in partial for more in sequences(element.ways)]
        found += partial
    return found


def _lists(file: Path) -> dict[str, Either]:
    lists: dict[str, Either] = {}
    for line in _lines(file):
        name, _, ways = line.partition("=")
        lists[name.strip()] = Either(tuple(parse(way.strip(), lists) for way in ways.split(",") if way.strip()))
    return lists


def _lines(file: Path) -> list[str]:
    stripped = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _phrases(file: Path, lists: Mapping[str, Either]) -> Phrases:
    found = Phrases(file.stem)
    waiting: list[Phrase] = []  # talk: phrases whose answer comes below them
    try:
        for line in _lines(file):
            if line.startswith("@"):
                _directive(found, line)
            elif line.startswith("+ "):
                found.tails.append(Phrase(parse(line[2:], lists), line[2:]))
            elif line.startswith("= "):
                found.phrases += [dataclasses.replace(phrase, answer=line[2:]) for phrase in waiting]
                waiting = []
            else:
                waiting.append(Phrase(parse(line, lists), line))
    except TemplateError as error:
        raise TemplateError(f"{file.name}: {error}") from error
    found.phrases += waiting
    return found


def _directive(found: Phrases, line: str) -> None:
    word, _, rest = line[1:].partition(" ")
    before, _, after = (part.strip() for part in rest.partition(": "))
    if word == "ask":
        found.asks[before] = after
    elif word == "need":
        found.needs.append(tuple(name.strip() for name in rest.split("|")))
    elif word == "choice":
        argument, value = before.split()
        words = found.choices.setdefault(argument, {})
        words.update({" ".join(map(compare_form, one.split())): value for one in after.split(",")})
    elif word == "makes":
        found.makes = tuple(rest.split())
    elif word == "concerns":
        found.concerns = rest
    elif word == "example":
        found.example = rest
    elif word == "loose":
        found.loose = True
    elif word == "certain":
        found.certain = True
    else:
        raise TemplateError(f"unknown directive @{word}")
