"""Read arguments by what they look like. A new kind of argument is a reader, listed here and named in `signature.py`.

A reader is given the tokens and a place, and returns every way to read an argument there: where it ends, its value,
and a cost that is small when the look leaves no doubt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from agent.planner.lists import read_picture, read_pictures, read_texts
from agent.planner.names import artifact, read_channel, read_hub, read_name, read_source
from agent.planner.quantities import read_integer, read_minutes, read_number, several
from agent.planner.reading import ASKING, FREE, FREE_WORD, KINDS, SURE, Context, Reader, Reading
from agent.planner.text import Look, Token


def read_text(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read free text of any length; all in quotation marks is likelier than in part."""
    if tokens[start].quoted:
        return [Reading(start + 1, tokens[start].value, FREE / 2), *_runs(text, tokens, start)]
    return _runs(text, tokens, start)


def read_words(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read words that stand for no argument: nothing that looks like one."""
    plain = next((place for place in range(start, len(tokens)) if not _is_plain(tokens[place])), len(tokens))
    return [one for one in _runs(text, tokens, start) if one.end <= plain]


def _is_plain(token: Token) -> bool:
    return token.look in (Look.WORD, Look.NUMBER) and not token.quoted


def read_question(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a question, with its question mark."""
    if tokens[start].word not in ASKING and not tokens[start].quoted:
        return []
    marked = [
        dataclasses.replace(one, value=one.value + "?") if text[tokens[one.end - 1].end :].startswith("?") else one
        for one in read_text(text, tokens, start, context)
    ]
    return marked


def read_passage(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a passage of text, which some word has announced, with its last full stop."""
    found = []
    for one in read_text(text, tokens, start, context):
        end = tokens[one.end - 1].end
        stop = text[end : end + 1] if text[end : end + 1] in (".", "!", "?") and not tokens[start].quoted else ""
        found.append(dataclasses.replace(one, value=one.value + stop, cost=one.cost - FREE))
    return found


def read_choice(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read one of the words that stand for a value."""
    found = []
    for length in (4, 3, 2, 1):
        words = " ".join(one.word for one in tokens[start : start + length])
        if start + length <= len(tokens) and words in context.choices:
            found.append(Reading(start + length, context.choices[words], SURE))
    return found


def _runs(text: str, tokens: Sequence[Token], start: int) -> list[Reading]:
    return [
        Reading(end, text[tokens[start].start : tokens[end - 1].end], FREE + FREE_WORD * (end - start), sure=False)
        for end in range(start + 1, len(tokens) + 1)
    ]


READERS: dict[str, Reader] = {
    "text": read_text,
    "_": read_words,
    "idea": read_text,  # a concept: free words, or the name of one that exists
    "question": read_question,
    "passage": read_passage,
    "integer": read_integer,
    "number": read_number,
    "minutes": read_minutes,
    "integers": several(read_integer),
    "numbers": several(read_number),
    "choice": read_choice,
    "picture": read_picture,
    "pictures": read_pictures,
    "texts": read_texts,
    "source": read_source,
    "channel": read_channel,
    "hub": read_hub,
    "name": read_name,
    "item": artifact("item"),
} | {kind: artifact(kind) for kind in KINDS}
