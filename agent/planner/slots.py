"""Read arguments by what they look like. A new kind of argument is a reader here, named in `signature.py`.

A reader is given the tokens and a place, and returns every way to read an argument there: where it ends, its value,
and a cost that is small when the look leaves no doubt.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.planner.numbers import NUMBER_PHRASES
from agent.planner.text import Look, Token, compare_form, tokenize

KINDS = ("dataset", "collection", "model", "concept", "job")
SURE, KNOWN, LIKELY, REFERRED, WEAK, FREE, FREE_WORD = 0.1, 0.1, 0.2, 0.3, 0.6, 1.0, 0.3
_ORDINALS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1
    )
}
_ORDINALS |= {f"{number}{ending}": number for number in range(1, 101) for ending in ("st", "nd", "rd", "th")}
_DETERMINERS = frozenset("the my our that this these those your its".split())
_NAMED = frozenset("called named titled name".split())
_THINGS = frozenset("it that this them those these".split())
_ASKING = frozenset(
    "who whom whose whos when where why how what whats which in is are was were did does do can".split()
)
_BETWEEN = frozenset(  # follow "the model" without being its name
    "and or but then with for to on as at in of under from by using over against that which is was are has will looks \
seems going doing".split()
)
_WHICH = frozenset("base original untrained starting best better other wrong right whole first second".split())
_FRESH = frozenset("last latest newest new same current recent previous trained fine-tuned finetuned resulting".split())
_PLACES = frozenset("folder directory dir path table file csv parquet jsonl spreadsheet archive subfolder tree".split())
_SHOWN = frozenset("picture image photo pic result hit one number match thumbnail file attached uploaded".split())
_SHOWN_MANY = _SHOWN | frozenset("pictures images photos pics thumbnails files".split())
MINUTES = {word: 1.0 for word in "min mins minute minutes".split()}
MINUTES |= {word: 60.0 for word in "h hr hrs hour hours".split()}
MINUTES |= {word: 1 / 60 for word in "sec secs second seconds".split()}
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
_POSSESSIVE = re.compile(r"(.+)['’]s")
_ON_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?:datasets/|models/)?([\w.-]+/[\w.-]+)/?")
_YOUTUBE = re.compile(r"\byoutu\.?be\b", re.IGNORECASE)
_BULLET = re.compile(r"(?:[-*•–]|\(?\w[.)])\s+")
_COMMA = re.compile(r",\s+(?:(?:or|and)\s+)?|\s+or\s+")


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


@dataclasses.dataclass(frozen=True)
class Reading:
    """A way to read an argument."""

    end: int  # index of the token after it
    value: Any
    cost: float
    sure: bool = True


Reader = Callable[[str, Sequence[Token], int, Context], list[Reading]]


def read_text(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read free text of any length; all in quotation marks is likelier than in part."""
    if tokens[start].quoted:
        return [Reading(start + 1, tokens[start].value, FREE / 2), *_runs(text, tokens, start)]
    return _runs(text, tokens, start)


def read_question(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a question, with its question mark."""
    if tokens[start].word not in _ASKING and not tokens[start].quoted:
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
    amounts += [(length, 0.5) for length in (1, 2) if words[:length] in (["half"], ["half", "a"], ["half", "an"])]
    amounts += [(1, 1)] if words[0] in ("a", "an") else []
    for length, amount in amounts:
        unit = MINUTES.get(words[length]) if length < len(words) else None
        if unit:
            half = words[length + 1 : length + 4] == ["and", "a", "half"]
            minutes = round((amount + half / 2) * unit, 2)
            value = int(minutes) if minutes.is_integer() else minutes
            found.append(Reading(start + length + 1 + 3 * half, value, SURE))
    return found


def _several(one: Reader) -> Reader:
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


def read_choice(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read one of the words that stand for a value."""
    found = []
    for length in (4, 3, 2, 1):
        words = " ".join(one.word for one in tokens[start : start + length])
        if start + length <= len(tokens) and words in context.choices:
            found.append(Reading(start + length, context.choices[words], SURE))
    return found


def read_picture(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a picture: a file, "the second one", "#3", or "this" when a picture came with the message."""
    place = start
    while place < len(tokens) and tokens[place].word in _DETERMINERS | _SHOWN:
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
    if said in _THINGS | _DETERMINERS and (place > start + 1 or said in _THINGS):
        value = context.files[0] if context.files else Reference("picture")
        found += [Reading(end, value, REFERRED) for end in range(start + 1, place + 1)]
        if place == start:
            found.append(Reading(start + 1, value, REFERRED))
    return found


def read_source(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read where data is: a path, an address, a hub id, a name."""
    place = start
    placed = False
    while place < len(tokens) and tokens[place].word in _DETERMINERS | _PLACES | _NAMED:
        placed = placed or tokens[place].word in _PLACES
        place += 1
    found = _named("dataset", tokens, start, context, kinds=("dataset", "collection"))
    if place == len(tokens):
        return found
    token, end = tokens[place], place + 1
    after = end < len(tokens) and tokens[end].word in _PLACES
    if token.is_address or token.quoted:
        found.append(Reading(end, token.value, SURE))
        if after:
            found.append(Reading(end + 1, token.value, SURE))
    elif _may_name(token, context) and (placed or after or place == start):
        found.append(Reading(end + after, token.value, LIKELY if placed or after else WEAK, placed or after))
    elif after and token.word in context.never_names and token.word not in _THINGS | _FRESH and place > start:
        found.append(Reading(end + 1, token.value, LIKELY))  # "the photos folder"
    return found


def read_pictures(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a list of picture files or folders of them; "these" when pictures came with the message."""
    said = tokens[start].word
    if said not in _THINGS | _DETERMINERS:
        return _list(tokens, start, lambda token: token.is_picture or (token.look is Look.PATH and not token.quoted))
    place = start + 1
    while place < len(tokens) and tokens[place].word in _SHOWN_MANY:
        place += 1
    value = list(context.files) if context.files else Reference("picture")
    cost = REFERRED + (-0.05 if context.files else 0.05)  # "match them" is rather of a dataset
    return [Reading(place, value, cost)] if place > start + 1 or said in _THINGS else []


def read_texts(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a list of quotations, or what is listed after a colon or question mark: "best: One thing, Another"."""
    return _list(tokens, start, lambda token: token.quoted) or _listed(text, tokens, start)


def read_channel(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a YouTube channel: a handle, an id, an address; a handle may lack its @."""
    token = tokens[start]
    looks = token.look is Look.HANDLE or (token.value.startswith("UC") and len(token.value) == 24)
    looks = looks or (token.look is Look.URL and _YOUTUBE.search(token.value) is not None)
    if looks:
        return [Reading(start + 1, token.value, SURE)]
    may_be = token.look is Look.WORD and token.word not in context.never_names | _ASKING and " " not in token.value
    return [Reading(start + 1, token.value, LIKELY if token.quoted else WEAK, sure=False)] if may_be else []


def read_hub(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read owner/name, also as an address of the hub."""
    token = tokens[start]
    if found := _ON_HUB.fullmatch(token.value):
        return [Reading(start + 1, found[1], SURE)]
    return [Reading(start + 1, token.value, SURE)] if token.look is Look.HUB else []


def read_name(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read the name of something new."""
    token = tokens[start]
    fits = token.quoted or token.look in (Look.WORD, Look.HUB, Look.FILE, Look.NUMBER)
    return [Reading(start + 1, token.value, SURE)] if fits and token.word not in _DETERMINERS | _THINGS else []


def _artifact(kind: str) -> Reader:
    def read(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
        return _named(kind, tokens, start, context)

    return read


READERS: dict[str, Reader] = {
    "text": read_text,
    "idea": read_text,  # a concept: free words, or the name of one that exists
    "question": read_question,
    "passage": read_passage,
    "integer": read_integer,
    "number": read_number,
    "minutes": read_minutes,
    "integers": _several(read_integer),
    "numbers": _several(read_number),
    "choice": read_choice,
    "picture": read_picture,
    "pictures": read_pictures,
    "texts": read_texts,
    "source": read_source,
    "channel": read_channel,
    "hub": read_hub,
    "name": read_name,
    "item": _artifact("item"),
} | {kind: _artifact(kind) for kind in KINDS}


def _runs(text: str, tokens: Sequence[Token], start: int) -> list[Reading]:
    return [
        Reading(end, text[tokens[start].start : tokens[end - 1].end], FREE + FREE_WORD * (end - start), sure=False)
        for end in range(start + 1, len(tokens) + 1)
    ]


def _may_name(token: Token, context: Context) -> bool:
    if any(token.value in known for known in context.names.values()):
        return True
    return token.look in (Look.WORD, Look.HUB) and bool(token.word) and token.word not in context.never_names


def _named(
    kind: str, tokens: Sequence[Token], start: int, context: Context, kinds: tuple[str, ...] | None = None
) -> list[Reading]:
    """Read "[the] [dataset] [called] NAME [dataset]", "it", "the [last] dataset"."""
    allowed = kinds or (KINDS if kind == "item" else (kind,))
    known = {name for one in allowed for name in context.names.get(one, ())}
    found: list[Reading] = []
    place, definite, fresh, said = start, False, False, None
    if tokens[place].word in _THINGS:
        longer = place + 1 < len(tokens) and tokens[place + 1].word == "one"
        found.append(Reading(place + 1 + longer, Reference(None), REFERRED))
    while place < len(tokens) and tokens[place].word in _DETERMINERS | _FRESH:
        definite, fresh = True, fresh or tokens[place].word in _FRESH
        place += 1
    length, said = _kind_at(tokens, place, context)
    if said and said not in allowed:
        return found
    place += length
    if said and definite:
        found.append(Reading(place, Reference(said), REFERRED + 0.1))
    if fresh and place < len(tokens) and tokens[place].word in ("one", "thing"):
        found.append(Reading(place + 1, Reference(None), REFERRED))
    while place < len(tokens) and tokens[place].word in _NAMED:
        place += 1
        definite = True
    if place >= len(tokens):
        return found
    token, end = _named_token(tokens[place]), place + 1
    others = {name for one, names in context.names.items() if one not in allowed for name in names}
    if token.value not in known | others and _looks_like(kind, token, context):
        found.append(Reading(end, Named(token.value, said), KNOWN))
    if token.look not in (Look.WORD, Look.HUB, Look.NUMBER, Look.FILE) and token.value not in known:
        return found
    after, kind_after = _kind_at(tokens, end, context)
    name_fits = token.quoted or token.value in known or _may_name(token, context)
    if kind_after in allowed and not said and (name_fits or definite) and token.word not in _THINGS | _WHICH:
        found.append(Reading(end + after, Named(token.value, kind_after), LIKELY))
    if said and token.word not in _THINGS | _DETERMINERS | context.never_names - {token.value} | _BETWEEN:
        found.append(Reading(end, Named(token.value, said), LIKELY))
    elif token.value in known:
        found.append(Reading(end, Named(token.value, said), KNOWN))
    elif said and token.word in context.never_names and end == len(tokens):
        found.append(Reading(end, Named(token.value, said), LIKELY))  # "remove the collection photos"
    elif token.quoted:
        found.append(Reading(end, Named(token.value, None), LIKELY))
    elif name_fits and place <= start + 1:
        doubtful = kind == "model" or (kind == "dataset" and _looks_like("model", token, context))
        found.append(Reading(end, Named(token.value, None), WEAK + 0.1 * doubtful, sure=False))
    return found


def _named_token(token: Token) -> Token:
    """Return a token as the name it may be: "talebi's" is talebi."""
    whose = None if token.quoted else _POSSESSIVE.fullmatch(token.value)
    return dataclasses.replace(token, value=whose[1], word=compare_form(whose[1])) if whose else token


def _looks_like(kind: str, token: Token, context: Context) -> bool:
    """Tell whether a name is as those of this kind usually are: a piece of it is, or (with a hyphen) its beginning."""
    pieces = context.looks.get(kind, frozenset())
    if kind == "model" and token.look in (Look.HUB, Look.PATH):
        return True
    if not pieces or token.look is not Look.WORD:
        return False
    said = token.word.split("-")
    return len(said) > 1 and (not pieces.isdisjoint(said) or f"{said[0]}-" in pieces)


def _kind_at(tokens: Sequence[Token], place: int, context: Context) -> tuple[int, str | None]:
    for length in (2, 1):
        words = " ".join(one.word for one in tokens[place : place + length])
        if place + length <= len(tokens) and words in context.kind_words:
            return length, context.kind_words[words]
    return 0, None


def _list(tokens: Sequence[Token], start: int, fits: Callable[[Token], bool]) -> list[Reading]:
    values, place = [], start
    while place < len(tokens):
        if fits(tokens[place]):
            values.append(tokens[place].value)
        elif tokens[place].word not in ("and", "or") or not values:
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
    pieces = rest.split(mark) if mark else _COMMA.split(rest.removesuffix("?") if ":" in before else rest)
    values = [_BULLET.sub("", piece.strip(), count=1) for piece in pieces if piece.strip()]
    return [Reading(len(tokens), values, LIKELY)] if len(values) > 1 else []
