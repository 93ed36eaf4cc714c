"""Read pictures and lists: files, results, quotations, lines after a colon."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agent.planner.reading import DETERMINERS, LIKELY, REFERRED, SURE, THINGS, Context, Reading, Reference
from agent.planner.text import Look, Token

_ORDINALS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1
    )
}
_ORDINALS |= {f"{number}{ending}": number for number in range(1, 101) for ending in ("st", "nd", "rd", "th")}
_SHOWN = frozenset("picture image photo pic result hit one number match thumbnail file attached uploaded".split())
_SHOWN_MANY = _SHOWN | frozenset("pictures images photos pics thumbnails files".split())
_BULLET = re.compile(r"(?:[-*•–]|\(?\w[.)])\s+")
_NUMBERED = re.compile(r"(?:^|\s)\(?\d{1,2}[.)]\s+")
_COMMA = re.compile(r",\s+(?:(?:or|and)\s+)?|\s+or\s+")


def read_picture(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a picture: a file, "the second one", "#3", or "this" when a picture came with the message."""
    place = start
    while place < len(tokens) and tokens[place].word in DETERMINERS | _SHOWN:
        place += 1
    found = []
    if place < len(tokens):
        token = tokens[place]
        ordinal = _ORDINALS.get(token.word)
        if token.is_picture:
            found.append(Reading(place + 1, token.value, SURE))
        elif ordinal:
            end = place + 1
            while end < len(tokens) and tokens[end].word in _SHOWN:
                end += 1
            found.append(Reading(end, f"result {ordinal}", LIKELY))
        elif token.look is Look.NUMBER and token.value.isdecimal():
            found.append(Reading(place + 1, f"result {int(token.value)}", LIKELY))
        elif token.word.startswith("#") and token.word[1:].isdecimal():
            found.append(Reading(place + 1, f"result {int(token.word[1:])}", LIKELY))
    said = tokens[start].word
    if said in THINGS | DETERMINERS and (place > start + 1 or said in THINGS):
        value = context.files[0] if context.files else Reference("picture")
        found += [Reading(end, value, REFERRED) for end in range(start + 1, place + 1)]
        if place == start:
            found.append(Reading(start + 1, value, REFERRED))
    return found


def read_pictures(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a list of picture files or folders of them; "these" when pictures came with the message."""
    said = tokens[start].word
    if said not in THINGS | DETERMINERS:
        return _list(tokens, start, lambda token: token.is_picture or (token.look is Look.PATH and not token.quoted))
    place = start + 1
    while place < len(tokens) and tokens[place].word in _SHOWN_MANY:
        place += 1
    value = list(context.files) if context.files else Reference("picture")
    cost = REFERRED + (-0.05 if context.files else 0.05)  # "match them" is rather of a dataset
    return [Reading(place, value, cost)] if place > start + 1 or said in THINGS else []


def read_texts(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a list of quotations, or what is listed after a colon or question mark: "best: One thing, Another"."""
    return _list(tokens, start, lambda token: token.quoted) or _listed(text, tokens, start)


def _list(tokens: Sequence[Token], start: int, fits: Callable[[Token], bool]) -> list[Reading]:
    values, place = [], start
    while place < len(tokens):
        if fits(tokens[place]):
            values.append(tokens[place].value)
        elif tokens[place].word not in ("and", "or", "/", "vs", "versus") or not values:
            break
        place += 1
    return [Reading(place, values, SURE)] if values else []


def _listed(text: str, tokens: Sequence[Token], start: int) -> list[Reading]:
    """Read the rest of the message as a list: its lines, or what stands between bars, semicolons or commas."""
    before = text[tokens[start - 1].end : tokens[start].start] if start else ""
    if not any(mark in before for mark in ":?\n") or any(token.quoted for token in tokens[start:]):
        return []
    rest = text[tokens[start].start :].strip()
    mark = next((mark for mark in "\n|;" if mark in rest), None)
    if not mark and len(_NUMBERED.findall(rest)) > 1:
        rest, mark = _NUMBERED.sub("\n", rest), "\n"
    pieces = rest.split(mark) if mark else _COMMA.split(rest.removesuffix("?") if ":" in before else rest)
    values = [_BULLET.sub("", piece.strip(), count=1) for piece in pieces if piece.strip()]
    return [Reading(len(tokens), values, LIKELY)] if len(values) > 1 else []
