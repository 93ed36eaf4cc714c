"""Cut a message into tokens that know what they look like: a word, a number, a path, a quotation."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable, Sequence

PICTURE_SUFFIXES = ("jpg", "jpeg", "png", "gif", "webp", "bmp", "tif", "tiff", "avif", "heic")
TABLE_SUFFIXES = ("csv", "tsv", "jsonl", "json", "parquet", "txt", "md", "pdf", "html", "zip", "tar", "gz", "arrow")

_CHUNK = re.compile(
    r"""(?P<quote>"[^"]+"|“[^”]+”|‘[^’]+’|`[^`]+`|(?<![\w'])'(?:[^']|'(?=\w))+'(?!\w))|(?P<chunk>[^\s"“”|]+)"""
)
_EDGES = re.compile(r"^[(\[{<]*(?P<core>.*?)[\])}>,;:!?…]*$", re.DOTALL)
_LAST_STOPS = re.compile(r"(?<=[^./])\.+$")
_URL = re.compile(r"(?:https?://|www\.|(?:m\.)?youtube\.com/|youtu\.be/)\S+", re.IGNORECASE)
_PATH = re.compile(r"(?:\.{1,2}[/\\]|~|/|[A-Za-z]:[/\\]).*|\.{1,2}")
_FILE = re.compile(rf".*[^./]\.(?:{'|'.join(PICTURE_SUFFIXES + TABLE_SUFFIXES)})", re.IGNORECASE)
_PICTURE = re.compile(rf".*[^./]\.(?:{'|'.join(PICTURE_SUFFIXES)})", re.IGNORECASE)
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)+/?")
_HANDLE = re.compile(r"@[\w.-]+")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_NOT_IN_WORDS = re.compile(r"['’‘.]")
_SHORT = {"&": "and", "w/": "with", "w/o": "without"}
# What people write as one: "epochs=3", "10min", "a 4-epoch run", "10+", "@mkbhd's".
_SETTING = re.compile(r"(?P<first>[A-Za-z][\w-]*)=(?P<second>\S+)")
_UNIT = r"min|mins|minutes?|h|hrs?|hours?|secs?|seconds?|epochs?"
_WITH_UNIT = re.compile(rf"(?P<first>\d+(?:[.,]\d+)?)-?(?P<second>{_UNIT})", re.IGNORECASE)
_TRIMMED = re.compile(r"(?P<first>\d+)\+|(?P<handle>@[\w.-]*\w)['’]s")


class Look(enum.Enum):
    """What a token looks like."""

    WORD = enum.auto()
    NUMBER = enum.auto()
    URL = enum.auto()
    PATH = enum.auto()
    FILE = enum.auto()
    HUB = enum.auto()  # owner/name, or a path relative to here
    HANDLE = enum.auto()


@dataclasses.dataclass(frozen=True)
class Token:
    """A piece of a message."""

    value: str  # as written, without quotation marks or punctuation around it
    word: str  # for comparison: lower case, no apostrophes; empty for a quotation, which is data
    look: Look
    quoted: bool
    start: int  # in the message, quotation marks included
    end: int

    @property
    def is_picture(self) -> bool:
        """Whether it names a picture file."""
        return _PICTURE.fullmatch(self.value) is not None

    @property
    def is_address(self) -> bool:
        """Whether it can only be the place of something."""
        return self.look in (Look.URL, Look.PATH, Look.FILE, Look.HUB)


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a message; punctuation lies between them."""
    tokens = []
    for found in _CHUNK.finditer(text):
        if found["quote"]:
            inner = found["quote"][1:-1].strip()
            if inner:
                tokens.append(Token(inner, "", _look(inner), True, found.start(), found.end()))
            continue
        edges = _EDGES.match(found["chunk"])
        core = edges["core"] if edges else found["chunk"]
        start = found.start() + (edges.start("core") if edges else 0)
        core = _LAST_STOPS.sub("", core)
        if not any(char.isalnum() for char in core) and core not in (".", "..", "/", "~", "&"):
            continue
        for begin, end in _pieces(core):
            piece = core[begin:end]
            tokens.append(Token(piece, compare_form(piece), _look(piece), False, start + begin, start + end))
    return tokens


def _pieces(core: str) -> list[tuple[int, int]]:
    """Return where the tokens of a chunk begin and end; most chunks are one."""
    if two := _SETTING.fullmatch(core) or _WITH_UNIT.fullmatch(core):
        return [two.span("first"), two.span("second")]
    if trimmed := _TRIMMED.fullmatch(core):
        return [trimmed.span("first" if trimmed["first"] else "handle")]
    return [(0, len(core))]


def compare_form(word: str) -> str:
    """Return a word as it is compared: lower case, without apostrophes and full stops."""
    return _SHORT.get(word.lower()) or _NOT_IN_WORDS.sub("", word.lower()) or word


def _look(core: str) -> Look:
    for look, pattern in (
        (Look.URL, _URL),
        (Look.PATH, _PATH),
        (Look.HANDLE, _HANDLE),
        (Look.NUMBER, _NUMBER),
        (Look.FILE, _FILE),
        (Look.HUB, _HUB),
    ):
        if pattern.fullmatch(core):
            return look
    return Look.WORD


class Speller:
    """Finds the known word that a mistyped one was meant to be: one edit away, two for long words."""

    def __init__(self, words: Iterable[str]):
        self._known = {word for word in words if _is_wordlike(word)}
        self._by_deletion: dict[str, set[str]] = {}
        self._by_letters: dict[str, set[str]] = {}  # of three letters only their order is mended: "teh", "hwo"
        for word in self._known:
            if len(word) == 3:
                self._by_letters.setdefault("".join(sorted(word)), set()).add(word)
            if len(word) >= 4:
                for form in _deletions(word):
                    self._by_deletion.setdefault(form, set()).add(word)

    def corrections(self, word: str) -> Sequence[str]:
        """Return the known words that this one may stand for; none when it is itself known."""
        if word in self._known or len(word) < 3 or not _is_wordlike(word):
            return ()
        found: set[str] = set(self._by_letters.get("".join(sorted(word)), ()))
        for form in _deletions(word):
            found |= self._by_deletion.get(form, set())
        return sorted(near for near in found if near[0] == word[0] or sorted(near) == sorted(word))


def _is_wordlike(word: str) -> bool:
    return word.replace("-", "").isalpha()


def _deletions(word: str) -> set[str]:
    once = {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}
    if len(word) < 8:
        return once
    return once | {form[:place] + form[place + 1 :] for form in once for place in range(len(form))}
