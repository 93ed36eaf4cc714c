"""How well pictures and titles find each other, and how sure one can be of it.

Retrieval: every picture ranks all titles, and every title all pictures. A candidate that scores as much as the right
one counts against it, so a model that gives everything the same score finds nothing. Titles with the same text are one
candidate, and so are pictures with the same bytes; whichever right one ranks first counts.

Intervals are percentile bootstraps over the items (Efron & Tibshirani, An Introduction to the Bootstrap, 1993): items
are drawn again with replacement, the candidates stay. Two models are compared on the same draws (paired).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

RECALL_AT = (1, 5, 10)
DRAWS = 2000
LEVEL = 0.95
SEED = 0
TOO_FEW = "too few items to tell"


@dataclasses.dataclass(frozen=True)
class Interval:
    """A score with the 95 % bootstrap interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Say it in a few characters."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclasses.dataclass(frozen=True)
class Direction:
    """How well one side finds the other."""

    candidates: int  # how many there were to choose from
    recall: dict[int, Interval]  # k → share of items whose right candidate is among the first k
    mrr: Interval  # mean reciprocal rank


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """The scores of a model on some pairs."""

    items: int
    to_title: Direction  # a picture looks for its title
    to_picture: Direction  # a title looks for its picture

    def flat(self) -> dict[str, float]:
        """Return the scores as plain numbers; those of titles looking for pictures start with `title_to_picture_`."""
        values: dict[str, float] = {}
        for prefix, direction in (("", self.to_title), ("title_to_picture_", self.to_picture)):
            named = {f"recall_at_{k}": score for k, score in direction.recall.items()} | {"mrr": direction.mrr}
            for name, score in named.items():
                values[prefix + name] = score.value
                values[f"{prefix}{name}_low"], values[f"{prefix}{name}_high"] = score.low, score.high
            values[f"{prefix}candidates"] = direction.candidates
        return values


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Where the right candidate came in, for every item; 1 is first."""

    to_title: np.ndarray  # (items,) integers
    to_picture: np.ndarray  # (items,) integers
    titles: int  # different titles
    pictures: int  # different pictures


@dataclasses.dataclass(frozen=True)
class Change:
    """A score before and after, on the same items."""

    before: float
    after: float
    difference: Interval

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or that the difference is within noise."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else TOO_FEW


def same(values: Sequence[str | bytes]) -> np.ndarray:
    """Number the different values in order of appearance: (len(values),) integers, equal where values are equal."""
    numbers: dict[bytes, int] = {}
    digests = (hashlib.sha256(v.encode("utf-8", "surrogatepass") if isinstance(v, str) else v).digest() for v in values)
    return np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], dtype=np.int64)


def rank_pairs(
    pictures: np.ndarray, titles: np.ndarray, picture_of: np.ndarray, title_of: np.ndarray, block: int = 1024
) -> Ranks:
    """Rank every item's title among all titles, and its picture among all pictures, by cosine.

    Args:
        pictures: (items, dimension) embeddings of length 1.
        titles: (items, dimension) embeddings of length 1; row i belongs to picture i.
        picture_of: (items,) which picture an item has, from `same`.
        title_of: (items,) which title an item has, from `same`.
        block: Rows scored at a time, which bounds the memory.
    """
    return Ranks(
        _ranks(pictures, titles, picture_of, title_of, block),
        _ranks(titles, pictures, title_of, picture_of, block),
        int(title_of.max()) + 1,
        int(picture_of.max()) + 1,
    )


def _ranks(
    queries: np.ndarray, others: np.ndarray, query_of: np.ndarray, other_of: np.ndarray, block: int
) -> np.ndarray:
    """Return 1 + how many wrong candidates score at least as much as the best right one, for every query row."""
    first = np.unique(other_of, return_index=True)[1]  # a row of every candidate
    candidates = others[first].T  # (dimension, candidates)
    right: dict[int, list[int]] = {}
    for query, other in zip(query_of.tolist(), other_of.tolist(), strict=True):
        right.setdefault(query, []).append(other)
    ranks = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), block):
        scores = queries[start : start + block] @ candidates  # (block, candidates)
        for row, query in enumerate(query_of[start : start + block].tolist()):
            mine = right[query]
            best = scores[row, mine].max()
            scores[row, mine] = -np.inf
            ranks[start + row] = 1 + np.count_nonzero(scores[row] >= best)
    return ranks


def score_ranks(ranks: Ranks) -> Retrieval:
    """Sum ranks up as recalls and mean reciprocal ranks with their intervals."""
    return Retrieval(
        len(ranks.to_title), _direction(ranks.to_title, ranks.titles), _direction(ranks.to_picture, ranks.pictures)
    )


def _direction(ranks: np.ndarray, candidates: int) -> Direction:
    recall = {k: bootstrap(ranks <= k) for k in RECALL_AT}
    return Direction(candidates, recall, bootstrap(1 / ranks))


def bootstrap(values: np.ndarray, draws: int = DRAWS, seed: int = SEED) -> Interval:
    """Return the mean of `values` (items,) with its percentile interval over items drawn again.

    Where all items are alike, as at a recall of 0 or 1, drawing them again shows no spread: the interval has no width,
    which means that these items differ in nothing, not that others would not.
    """
    values = np.asarray(values, dtype=np.float64)
    means = np.concatenate(list(_drawn_means(values, draws, seed)))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def _drawn_means(values: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    at_once = max(1, 4_000_000 // len(values))  # draws, to bound the memory
    for start in range(0, draws, at_once):
        chosen = generator.integers(0, len(values), (min(at_once, draws - start), len(values)))
        yield values[chosen].mean(axis=1)


def compare(before: np.ndarray, after: np.ndarray) -> Change:
    """Compare two models' values (items,) on the same items, by the paired bootstrap of their difference."""
    difference = bootstrap(np.subtract(after, before, dtype=np.float64))
    return Change(float(before.mean()), float(after.mean()), difference)


def compare_recall_at_1(before: Ranks, after: Ranks) -> Change:
    """Compare how often a picture finds its title first."""
    return compare(before.to_title <= 1, after.to_title <= 1)
