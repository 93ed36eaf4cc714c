"""Read names: of what is in the library, of where data is, of channels and repositories."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from agent.planner.reading import (
    ASKING,
    DETERMINERS,
    KINDS,
    KNOWN,
    LIKELY,
    REFERRED,
    SURE,
    THINGS,
    WEAK,
    Context,
    Named,
    Reader,
    Reading,
    Reference,
)
from agent.planner.text import Look, Token, compare_form

_NAMED = frozenset("called named titled name".split())
_BETWEEN = frozenset(  # follow "the model" without being its name
    "and or but then with for to on as at in of under from by using over against that which is was are has will looks \
seems going doing please now thanks immediately too instead again".split()
)
_RESULTS = {("the", "result"), ("the", "outcome"), ("the", "output")}
_WHICH = frozenset("base original untrained starting best better other wrong right whole first second".split())
_FRESH = frozenset(  # say which one of a kind is meant, without naming it
    "last latest newest new same current recent previous trained fine-tuned finetuned resulting negatives mined \
collected loaded".split()
)
_PLACES = frozenset("folder directory dir path table file csv parquet jsonl spreadsheet archive subfolder tree".split())
_POSSESSIVE = re.compile(r"(.+)['’]s")
_ON_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?:datasets/|models/)?([\w.-]+/[\w.-]+)/?")
_YOUTUBE = re.compile(r"\byoutu\.?be\b", re.IGNORECASE)


def read_source(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read where data is: a path, an address, a hub id, a name."""
    place = start
    placed = False
    while place < len(tokens) and tokens[place].word in DETERMINERS | _PLACES | _NAMED:
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
    elif after and token.word in context.never_names and token.word not in THINGS | _FRESH and place > start:
        found.append(Reading(end + 1, token.value, LIKELY))  # "the photos folder"
    return found


def read_channel(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
    """Read a YouTube channel: a handle, an id, an address; a handle may lack its @."""
    token = tokens[start]
    looks = token.look is Look.HANDLE or (token.value.startswith("UC") and len(token.value) == 24)
    looks = looks or (token.look is Look.URL and _YOUTUBE.search(token.value) is not None)
    if looks:
        return [Reading(start + 1, token.value, SURE)]
    may_be = token.look is Look.WORD and token.word not in context.never_names | ASKING and " " not in token.value
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
    return [Reading(start + 1, token.value, SURE)] if fits and token.word not in DETERMINERS | THINGS else []


def artifact(kind: str) -> Reader:
    """Return a reader of names of a kind of artifact, "item" for any kind."""

    def read(text: str, tokens: Sequence[Token], start: int, context: Context) -> list[Reading]:
        return _named(kind, tokens, start, context)

    return read


def _named(
    kind: str, tokens: Sequence[Token], start: int, context: Context, kinds: tuple[str, ...] | None = None
) -> list[Reading]:
    """Read "[the] [dataset] [called] NAME [dataset]", "it", "the [last] dataset"."""
    allowed = kinds or (KINDS if kind == "item" else (kind,))
    known = {name for one in allowed for name in context.names.get(one, ())}
    found: list[Reading] = []
    place, definite, fresh, said = start, False, False, None
    if tokens[place].word in THINGS:
        longer = place + 1 < len(tokens) and tokens[place + 1].word == "one"
        found.append(Reading(place + 1 + longer, Reference(None), REFERRED))
    if kind in ("item", "model") and tuple(one.word for one in tokens[start : start + 2]) in _RESULTS:
        found.append(Reading(start + 2, Reference(None), REFERRED))
    while place < len(tokens) and tokens[place].word in DETERMINERS | _FRESH:
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
    if token.value not in known | others and context.looks_like(kind, token):
        found.append(Reading(end, Named(token.value, said), KNOWN))
    if token.look not in (Look.WORD, Look.HUB, Look.NUMBER, Look.FILE) and token.value not in known:
        return found
    after, kind_after = _kind_at(tokens, end, context)
    name_fits = token.quoted or token.value in known or _may_name(token, context)
    if kind_after in allowed and not said and (name_fits or definite) and token.word not in THINGS | _WHICH:
        found.append(Reading(end + after, Named(token.value, kind_after), LIKELY))
    if said and token.word not in THINGS | DETERMINERS | context.never_names - {token.value} | _BETWEEN:
        found.append(Reading(end, Named(token.value, said), LIKELY))
    elif token.value in known:
        found.append(Reading(end, Named(token.value, said), KNOWN))
    elif said and token.word in context.never_names and end == len(tokens):
        found.append(Reading(end, Named(token.value, said), LIKELY))  # "remove the collection photos"
    elif token.quoted:
        found.append(Reading(end, Named(token.value, None), LIKELY))
    elif name_fits and place <= start + 1:
        doubtful = kind == "model" or (kind == "dataset" and context.looks_like("model", token))
        found.append(Reading(end, Named(token.value, None), WEAK + 0.1 * doubtful, sure=False))
    return found


def _named_token(token: Token) -> Token:
    """Return a token as the name it may be: "talebi's" is talebi."""
    whose = None if token.quoted else _POSSESSIVE.fullmatch(token.value)
    return dataclasses.replace(token, value=whose[1], word=compare_form(whose[1])) if whose else token


def _may_name(token: Token, context: Context) -> bool:
    if any(token.value in known for known in context.names.values()):
        return True
    return token.look in (Look.WORD, Look.HUB) and bool(token.word) and token.word not in context.never_names


def _kind_at(tokens: Sequence[Token], place: int, context: Context) -> tuple[int, str | None]:
    for length in (2, 1):
        words = " ".join(one.word for one in tokens[place : place + length])
        if place + length <= len(tokens) and words in context.kind_words:
            return length, context.kind_words[words]
    return 0, None
