"""Read numbers: whole, with fractions, several of them, lengths of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agent.planner.numbers import NUMBER_PHRASES
from agent.planner.reading import LIKELY, SURE, Context, Reader, Reading
from agent.planner.text import Look, Token, tokenize

MINUTES = {word: 1.0 for word in "min mins minute minutes".split()}
MINUTES |= {word: 60.0 for word in "h hr hrs hour hours".split()}
MINUTES |= {word: 1 / 60 for word in "sec secs second seconds".split()}
_PARTS = {"half": 0.5, "half a": 0.5, "half an": 0.5, "a quarter of an": 0.25, "quarter of an": 0.25, "a quarter": 0.25}
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")


def read_integer(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a whole number in figures or words."""
    token = tokens[start]
    if _THOUSANDS.fullmatch(token.value) and not token.quoted:
        return [Reading(start + 1, int(token.value.replace(",", "")), SURE)]
    if token.look is Look.NUMBER and not token.quoted:
        return [Reading(start + 1, int(token.value), SURE)] if token.value.lstrip("+").isdecimal() else []
    for length in (3, 2, 1):
        words = tuple(one.word for one in tokens[start : start + length])
        if words in NUMBER_PHRASES:
            return [Reading(start + len(words), NUMBER_PHRASES[words], SURE)]
    return []


def read_number(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a number that may have a fraction or an exponent."""
    token = tokens[start]
    if token.look is Look.NUMBER and not token.quoted:
        number = float(token.value.replace(",", "."))
        return [Reading(start + 1, int(number) if number.is_integer() else number, SURE)]
    return read_integer(text, tokens, start, context)


def read_minutes(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a length of time, in minutes: "10 minutes", "an hour", "one and a half hours", "90 seconds", "10"."""
    words = [one.word for one in tokens[start : start + 8]]
    found, amounts = [], []
    for one in read_number(text, tokens, start, context):
        found.append(Reading(one.end, one.value, LIKELY))
        amounts.append((one.end - start, one.value))
        if words[one.end - start :][:3] == ["and", "a", "half"]:
            amounts.append((one.end - start + 3, one.value + 0.5))
    amounts += [(length, _PARTS[part]) for length in (1, 2, 3, 4) if (part := " ".join(words[:length])) in _PARTS]
    amounts += [(1, 1)] if words[0] in ("a", "an") else []
    for length, amount in amounts:
        unit = MINUTES.get(words[length]) if length < len(words) else None
        if unit:
            half = words[length + 1 : length + 4] == ["and", "a", "half"]
            minutes = round((amount + half / 2) * unit, 2)
            value = int(minutes) if minutes.is_integer() else minutes
            found.append(Reading(start + length + 1 + 3 * half, value, SURE))
    return found


def several(one: Reader) -> Reader:
    """Read one value, or several in a list: "1e-4, 3e-5 or 1e-5", "2,4,8"."""

    def read(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
        glued = tokenize(tokens[start].value.replace(",", " ").replace("/", " "))
        parts = [one(text, glued, place, context) for place in range(len(glued))]
        if len(parts) > 1 and all(parts):
            return [Reading(start + 1, [part[0].value for part in parts], SURE)]
        found: list[Reading] = []
        values: list[Any] = []
        place = start
        while place < len(tokens) and (next_one := one(text, tokens, place, context)):
            values.append(next_one[0].value)
            place = next_one[0].end
            found.append(Reading(place, values[0] if len(values) == 1 else list(values), SURE))
            place += place < len(tokens) and tokens[place].word in ("and", "or", "versus", "vs")
        return found

    return read
