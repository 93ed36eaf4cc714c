"""Find the nearest example when the words of a command are new."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agent.planner.bind import TEXTS
from agent.planner.message import Language, Message
from agent.planner.phrasebook import Phrases
from agent.planner.quantities import MINUTES
from agent.planner.reading import SURE, Named, Reading, Reference
from agent.planner.template import Slot, example
from agent.planner.text import Look, Token

Embed = Callable[[list[str]], np.ndarray]
THRESHOLD = 0.57  # cosine with the nearest example; below it the command is not understood
MOST_EXAMPLES = 24  # of a tool; each costs milliseconds when the first unknown words are met
_FUNCTION_WORDS = frozenset("the a an me my of to in for with on something is are i it this".split())
MARGIN = 0.08  # lead over the nearest example of anything else
# What stands in for an argument in the examples, and for its look in a command.
_FILLERS = {"source": "a folder", "picture": "a picture", "integer": "five", "number": "five", "item": "an item"}
_FILLERS |= {"integers": "five", "numbers": "five", "minutes": "five minutes"}
_NUMBERS = ("integer", "integers", "number", "numbers")
_SCANNED = (*_NUMBERS, "minutes", "choice", "picture", "pictures", "texts", "source", "channel", "hub")


@dataclasses.dataclass(frozen=True)
class Likeness:
    """The owner whose examples are nearest to a command."""

    owner: str
    phrase: int
    example: str
    score: float  # cosine, −1…1


class Meaning:
    """The examples of all phrases files, embedded when first needed."""

    def __init__(self, language: Language, embed: Embed | None):
        self._language = language
        self._embed = embed
        self._examples: list[tuple[str, int, str]] = []
        self._vectors: np.ndarray | None = None

    def nearest(self, message: Message) -> Likeness | None:
        """Return the owner that a command means; None when nothing is near or two are equally near.

        A tool that has no place for a channel or a picture of the message is not what it means.
        """
        vectors, embed = self._load()
        scores = vectors @ embed([_masked(message)])[0]  # (examples,)
        best: dict[str, Likeness] = {}
        for place in np.argsort(-scores)[:50]:
            owner, phrase, text = self._examples[place]
            if self._has_place(owner, message):
                best.setdefault(owner, Likeness(owner, phrase, text, float(scores[place])))
        if not best:
            return None
        first, *others = best.values()
        lead = first.score - (others[0].score if others else 0.0)
        return first if first.score >= THRESHOLD and lead >= MARGIN else None

    def _has_place(self, owner: str, message: Message) -> bool:
        if owner not in self._language.signatures:
            return True
        readers = {one.reader for one in self._language.signatures[owner].arguments.values()}
        channel = any(token.look is Look.HANDLE for token in message.tokens)
        picture = any(token.is_picture for token in message.tokens)
        return (not channel or "channel" in readers) and (
            not picture or not readers.isdisjoint(("picture", "pictures", "source"))
        )

    def _load(self) -> tuple[np.ndarray, Embed]:
        if self._embed is None:
            self._embed = _minilm()
        if self._vectors is None:
            book = self._language.book
            for phrases in (*book.tools.values(), book.talk, book.outside):
                self._examples += self._examples_of(phrases)
            texts = tuple(text for _, _, text in self._examples)
            self._vectors = _shared(texts) if self._embed is _minilm() else self._embed(list(texts))
        return self._vectors, self._embed

    def _examples_of(self, phrases: Phrases) -> list[tuple[str, int, str]]:
        arguments = {
            element.argument for phrase in phrases.phrases for element in phrase.elements if isinstance(element, Slot)
        }
        fillers = {name: _FILLERS.get(self._language.reader(phrases.name, name), "something") for name in arguments}
        texts = [example(phrase.elements, fillers) for phrase in phrases.phrases]
        chosen: list[tuple[int, str]] = []
        for number, text in enumerate(texts):
            new = not any(_alike(text, other) for _, other in chosen)
            if new and len(text.split()) > 1 and (phrases.name.startswith("_") or len(chosen) < MOST_EXAMPLES):
                chosen.append((number, text))
        return [(phrases.name, number, text) for number, text in chosen]


def extract(tool: str, message: Message, language: Language) -> dict[str, Any]:
    """Return the arguments that can be told by their look alone, wherever they stand."""
    found: dict[str, Any] = {}
    for argument in language.signatures[tool].arguments:
        reader = language.reader(tool, argument)
        readings = [
            one
            for place in range(len(message.tokens))
            for one in message.read(tool, Slot(argument, sure=True), place)
            if one.sure and not isinstance(one.value, Reference) and (reader in _SCANNED or _is_known(one))
        ]
        if reader == "minutes":
            readings = [one for one in readings if one.cost <= SURE]  # with its unit
        elif reader in _NUMBERS:
            readings = [one for one in readings if not _is_time(message, one.end)]
        values = {str(one.value): one.value for one in readings}
        if len(values) == 1:  # two candidates are a doubt
            found[argument] = next(iter(values.values()))
        elif reader in TEXTS:
            said = _text(message, language)
            if said:
                found[argument] = said
    for group in language.phrases(tool).needs:
        for spare in [name for name in reversed(group) if name in found][:-1]:
            del found[spare]
    return found


def _alike(one: str, other: str) -> bool:
    """Tell whether two examples have at least half of their words in common, so that one of them will do."""
    words, others = ({*text.split()} - _FUNCTION_WORDS or {*text.split()} for text in (one, other))
    return 2 * len(words & others) >= len(words | others)


def _is_time(message: Message, place: int) -> bool:
    return place < len(message.tokens) and message.tokens[place].word in MINUTES


def _is_known(reading: Reading) -> bool:
    return isinstance(reading.value, Named) and reading.cost < 0.3


def _text(message: Message, language: Language) -> str | None:
    """Return a quotation, or what follows the first "of", "with", "showing" and the like."""
    quoted = [token.value for token in message.tokens if token.quoted and not token.is_address]
    if quoted:
        return quoted[0] if len(quoted) == 1 else None
    leads = {words[0] for words in language.book.lists["text-leads"]}
    for place, token in enumerate(message.tokens[:-1]):
        end = message.ends()[-1]
        if token.word in leads and place + 1 < end:
            return message.text[message.tokens[place + 1].start : message.tokens[end - 1].end]
    return None


def _masked(message: Message) -> str:
    return " ".join(_mask(token, message) for token in message.tokens)


def _mask(token: Token, message: Message) -> str:
    if token.is_picture:
        return _FILLERS["picture"]
    if token.look is Look.HANDLE or message.context.is_name(token):
        return "something"
    if token.is_address:
        return _FILLERS["source"]
    if token.look is Look.NUMBER:
        return _FILLERS["integer"]
    return "something" if token.quoted else token.value


@functools.cache
def _minilm() -> Embed:
    from sentence_transformers import SentenceTransformer

    from tools.core.starter import text_encoder_folder

    model = SentenceTransformer(str(text_encoder_folder()), device="cpu")

    def embed(texts: Sequence[str]) -> np.ndarray:
        return model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False).astype(np.float32)

    return embed


@functools.cache
def _shared(texts: tuple[str, ...]) -> np.ndarray:
    """Embed the examples once a process, however many planners there are."""
    return _minilm()(list(texts))
