"""A message as the graph sees it: tokens, what they may be misspellings of, filler at both ends, readings of slots."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence

from agent.planner.align import TYPO
from agent.planner.phrasebook import Phrasebook, Phrases
from agent.planner.reading import KINDS, Context, Reading
from agent.planner.signature import Signature, reader_of
from agent.planner.slots import READERS
from agent.planner.template import Slot
from agent.planner.text import Speller, Token, tokenize

_FIRM_BREAK = re.compile(r"[;\n]|[.!?](?=\s)")
MOST_BREAKS = 12
LONGEST = 2000  # characters of a command that are looked at


@dataclasses.dataclass(frozen=True)
class Language:
    """What the planner knows of words and tools; the same for every message."""

    book: Phrasebook
    signatures: dict[str, Signature]  # of the tools that exist
    speller: Speller

    def reader(self, owner: str, argument: str) -> str:
        """Return the name of the reader of an argument."""
        signature = self.signatures.get(owner)
        known = signature.arguments.get(argument) if signature else None
        if argument in self.phrases(owner).choices:
            return "choice"
        return known.reader if known else reader_of(argument)

    def choices(self, owner: str, argument: str) -> dict[str, str]:
        """Return the words that stand for the values of an argument."""
        signature = self.signatures.get(owner)
        known = signature.arguments.get(argument) if signature else None
        plain = {value.replace("_", " "): value for value in known.choices} if known else {}
        return plain | self.phrases(owner).choices.get(argument, {})

    def phrases(self, owner: str) -> Phrases:
        """Return the phrases file of an owner."""
        special = {"_talk": self.book.talk, "_outside": self.book.outside, "_again": self.book.again}
        return special.get(owner) or self.book.tools.get(owner) or Phrases(owner)

    def answer(self, owner: str, phrase: int) -> str:
        """Return what to say to a phrase of talk."""
        return self.phrases(owner).phrases[phrase].answer

    def kind_words(self) -> dict[str, str]:
        """Return the words that say an artifact's kind."""
        return {" ".join(words): kind for kind in KINDS for words in self.book.lists[f"kind-{kind}"]}

    def looks(self) -> dict[str, frozenset[str]]:
        """Return the pieces that names of a kind usually have."""
        lists = {kind: self.book.lists.get(f"looks-{kind}", frozenset()) for kind in KINDS}
        return {kind: frozenset(words[0] for words in found) for kind, found in lists.items() if found}

    def never_names(self) -> frozenset[str]:
        """Return the words that are no name unless a kind was said with them."""
        return frozenset(words[0] for words in self.book.lists["never-names"] if len(words) == 1)


class Message:
    """A message, or one step of it."""

    def __init__(self, text: str, language: Language, context: Context):
        self.text = text[:LONGEST]
        self.tokens = tokenize(self.text)
        self.spelled = [_spelled(token, language.speller) for token in self.tokens]
        self._language = language
        self.context = context
        self._readings: dict[tuple[str, str, int], Sequence[Reading]] = {}

    def read(self, owner: str, slot: Slot, place: int) -> Sequence[Reading]:
        """Return the readings of a slot at a place."""
        reader = self._language.reader(owner, slot.argument)
        key = (f"{owner}.{slot.argument}" if reader == "choice" else "", reader, place)
        if key not in self._readings:
            context = self.context
            if reader == "choice":
                context = dataclasses.replace(context, choices=self._language.choices(owner, slot.argument))
            self._readings[key] = READERS[reader](self.text, self._corrected(reader), place, context)
        return self._readings[key]

    def before(self, piece: str) -> str:
        """Return the word before a piece at the end of the message; empty when there is none."""
        words = self.text[: self.text.rfind(piece)].split()
        return words[-1] if words else ""

    def starts(self, filler: str = "starts", place: int = 0) -> list[int]:
        """Return the places where a command may begin: at `place`, and after each piece of filler there."""
        places = [place]
        sequences = self._language.book.lists[filler]
        while place < len(self.tokens):
            length = max((size for size in range(1, 7) if self._words(place, place + size) in sequences), default=0)
            if not length:
                break
            place += length
            places.append(place)
        return [place for place in places if place < len(self.tokens)]

    def ends(self) -> list[int]:
        """Return the places where a command may end."""
        places, place = [len(self.tokens)], len(self.tokens)
        sequences = self._language.book.lists["ends"]
        while place > 0:
            length = max((size for size in range(1, 7) if self._words(place - size, place) in sequences), default=0)
            if not length:
                break
            place -= length
            places.append(place)
        return [place for place in places if place > 0]

    def breaks(self) -> list[tuple[str, str, str]]:
        """Return (left, right, join) for every place where one step may end and the next begin.

        They are joined by a word such as "then", by a "stop" such as a semicolon, or by something "soft" such as a
        comma, which may as well stand within a step.

        Nobody gives so many steps at once that there are more than `MOST_BREAKS`: that is a text, not a command.
        """
        found = list(itertools.islice(self._breaks(), MOST_BREAKS + 1))
        return found if len(found) <= MOST_BREAKS else []

    def _breaks(self) -> Iterator[tuple[str, str, str]]:
        for place in range(1, len(self.tokens)):
            gap = self.text[self.tokens[place - 1].end : self.tokens[place].start]
            firm_words = self._joined(place, "firm-joins")
            words = firm_words or self._joined(place, "joins")
            if not (words or _FIRM_BREAK.search(gap) or "," in gap) or place + words >= len(self.tokens):
                continue
            join = "then" if firm_words else "stop" if _FIRM_BREAK.search(gap) else "soft"
            left = self.text[: self.tokens[place - 1].end] + ("?" if gap.lstrip("\"'”’)").startswith("?") else "")
            yield left, self.text[self.tokens[place + words].start :], join

    def _joined(self, place: int, name: str) -> int:
        sequences = self._language.book.lists[name]
        return max((size for size in range(1, 5) if self._words(place, place + size) in sequences), default=0)

    def _words(self, start: int, end: int) -> tuple[str, ...]:
        if start < 0 or end > len(self.tokens):
            return ()
        return tuple(token.word for token in self.tokens[start:end])

    def _corrected(self, reader: str) -> list[Token]:
        """Choices are words of the command, so their typos are mended; everything else is data and stays as said."""
        if reader != "choice":
            return self.tokens
        return [
            dataclasses.replace(token, word=forms[1][0]) if len(forms) > 1 else token
            for token, forms in zip(self.tokens, self.spelled, strict=True)
        ]


def _spelled(token: Token, speller: Speller) -> list[tuple[str, float]]:
    if not token.word:
        return []
    return [(token.word, 0.0), *((word, TYPO) for word in speller.corrections(token.word))]
