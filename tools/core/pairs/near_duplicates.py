"""Finds pairs whose pictures or titles are nearly the same, so that they are never split between training and judging.

Two rows belong together when
- their pictures look alike: the 64-bit perceptual hashes differ in at most `LOOK_ALIKE_BITS`;
- their titles are the same once case, spaces, punctuation and emoji are gone ("WiFi!" and "wi-fi"), or
- their titles are the same but for the numbers ("Part 1" and "Part 2") and their pictures are at least alike: the
  hashes differ in at most `SERIES_BITS`. Numbers alone tell titles apart: "Day 1" to "Day 365" are 365 different days.

Belonging is passed on, so groups are the connected parts.

The limits were measured on 296 thumbnails of two channels and on 600 unrelated photographs:
- saving again as JPEG at quality 30 or at 120 × 68 pixels, other brightness or contrast, and cutting off 1 % a side
  changed at most 8 bits; cutting off 2 % changed at most 8 in 98 % of the thumbnails;
- of the 43,660 pairs of thumbnails 25 differ in at most 8 bits: all of them one template with another word and
  symbol on it, in 5 groups of 2 to 8. At 10 bits these chain into one group of 32; at 12 the first two
  pictures that have nothing to do with each other come together;
- of the 179,700 pairs of photographs none differs in fewer than 12 bits, one in 12, and 54 in at most 16;
- a word laid over a tenth of the picture, as the number of an episode is, changed 14 bits at the median.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from PIL import Image

LOOK_ALIKE_BITS = 8
SERIES_BITS = 12
HASH_SIDE = 64  # pixels a side that a picture needs at least for its hash
PLAIN = 4.0  # grey levels; a picture whose strongest pattern is weaker is plain, and its hash would be noise
BLOCK = 1024  # hashes compared with each other at once

_AFTER_LETTER = re.compile(r"(?<=[^\W_])[+#]+")  # C++ and C# are not C; "#1" and "a + b" are ordinary signs
_KEEP = {"+": "\ue000", "#": "\ue001"}  # stand-ins while signs are removed


@dataclasses.dataclass(frozen=True)
class Look:
    """What a picture looks like, in few bits."""

    bits: int  # perceptual hash: a bit for each of the lowest 63 patterns of an 8 × 8 cosine transform
    plain: tuple[int, int, int] | None  # the colour of a plain picture, in steps of 4; None when it shows something


def look_of(picture: Image.Image) -> Look:
    """Return what an RGB picture looks like; it may be shrunk, to `HASH_SIDE` pixels or more."""
    from scipy.fft import dctn

    grey = np.asarray(picture.convert("L").resize((32, 32)), dtype=np.float64)
    patterns = dctn(grey, norm="ortho")[:8, :8].ravel()[1:]  # (63,), without the brightness
    if np.abs(patterns).max() / 32 < PLAIN:  # / 32: as grey levels
        small = np.asarray(picture.convert("RGB").resize((1, 1), Image.Resampling.BOX))[0, 0] // 4
        return Look(0, (int(small[0]), int(small[1]), int(small[2])))
    return Look(int("".join("01"[bit] for bit in (patterns > np.median(patterns)).astype(int)), 2), None)


def normalise_title(title: str) -> str:
    """Return the letters and digits of a title in one form; what has neither is only trimmed."""
    plain = unicodedata.normalize("NFKC", title).casefold()
    marked = _AFTER_LETTER.sub(lambda signs: "".join(_KEEP[sign] for sign in signs[0]), plain)
    kept = "".join(sign for sign in marked if _is_kept(sign))
    for sign, stand_in in _KEEP.items():
        kept = kept.replace(stand_in, sign)
    return unicodedata.normalize("NFKC", kept) or "".join(plain.split())


def _is_kept(sign: str) -> bool:
    """Tell whether a character is a letter, a digit, or a mark that belongs to one (vowels of many scripts do)."""
    if sign in _KEEP.values():
        return True
    category = unicodedata.category(sign)
    return category[0] in "LN" or (category in ("Mn", "Mc") and not "\ufe00" <= sign <= "\ufe0f")


def group_near_duplicates(looks: Sequence[Look], titles: Sequence[str]) -> np.ndarray:
    """Return the group of every row: (rows,) int64, the number of the group's first row.

    Takes about 15 s for 100,000 rows; memory grows with the rows only.
    """
    links = _Links(len(looks))
    normal = [normalise_title(title) for title in titles]
    links.join_equal(normal)
    links.join_equal([look.plain for look in looks])
    rich = np.array([row for row, look in enumerate(looks) if look.plain is None], dtype=np.int64)
    bits = np.array([looks[row].bits for row in rich], dtype=np.uint64)
    links.join_equal([None if look.plain else look.bits for look in looks])
    _, first = np.unique(bits, return_index=True)
    for left, right in _close_pairs(bits[first], LOOK_ALIKE_BITS):
        links.join_many(rich[first[left]], rich[first[right]])
    without_numbers: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rich):
        text = normal[row]
        if (letters := re.sub(r"\d+", "0", text)) != "0" and any(sign.isdigit() for sign in text):
            without_numbers[letters].append(number)
    for members in without_numbers.values():
        series = np.array(members)
        for left, right in _close_pairs(bits[series], SERIES_BITS) if len(series) > 1 else ():
            links.join_many(rich[series[left]], rich[series[right]])
    return links.groups()


def group_titles(titles: Sequence[str]) -> np.ndarray:
    """Return the group of titles that are the same once normalised: (rows,) int64, as `group_near_duplicates`."""
    links = _Links(len(titles))
    links.join_equal([normalise_title(title) for title in titles])
    return links.groups()


def _close_pairs(bits: np.ndarray, limit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, block by block, the positions (left, right) of pairs of hashes that differ in at most `limit` bits."""
    for start in range(0, len(bits), BLOCK):
        rows = bits[start : start + BLOCK, None]
        for other in range(start, len(bits), BLOCK):
            near = np.bitwise_count(rows ^ bits[None, other : other + BLOCK]) <= limit  # (block, block)
            left, right = np.nonzero(near)
            proper = left + start < right + other
            yield left[proper] + start, right[proper] + other


class _Links:
    """Sets of rows that belong together: union-find in which the smallest row stands for its set."""

    def __init__(self, count: int) -> None:
        self.above = list(range(count))

    def top(self, row: int) -> int:
        while self.above[row] != row:
            self.above[row] = self.above[self.above[row]]
            row = self.above[row]
        return row

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.top(one), self.top(other)))
        self.above[high] = low

    def join_many(self, ones: np.ndarray, others: np.ndarray) -> None:
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            self.join(one, other)

    def join_equal(self, keys: Sequence[Hashable]) -> None:
        """Join the rows whose keys are equal; None is equal to nothing."""
        first: dict[Hashable, int] = {}
        for row, key in enumerate(keys):
            if key is not None:
                self.join(first.setdefault(key, row), row)

    def groups(self) -> np.ndarray:
        return np.array([self.top(row) for row in range(len(self.above))], dtype=np.int64)
