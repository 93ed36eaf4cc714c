"""Chooses wrong titles for training: the least similar, hard ones, or random ones. Numbers only, no files.

Rows are numbered within one split; `embeddings[i]` is the title of row i as a float32 row of length 1, and
`groups[i] == groups[j]` says that i and j count as one title, so that neither is ever a negative of the other. The
result has -1 where a row has no further negative.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np

from tools.core.errors import DataError, InputError
from tools.core.pairs import one_to_one
from tools.core.pairs.one_to_one import (
    TOLERANCE,
    Forbidden,
    Tell,
    assign_greedily,
    assign_optimally,
    exact_similarities,
)

MAX_OPTIMAL_ROWS = 5000  # the assignment holds rows × rows float64: 200 MB

Strategy = Literal["least_similar", "hard", "random"]


@dataclasses.dataclass(frozen=True)
class MiningKnobs:
    """What can be turned; the names are those of sentence-transformers' `mine_hard_negatives`.

    Ranks and scores are for `hard`. The score of a candidate is its similarity to the anchor, and a margin is kept to
    the score of the anchor's own title (1 where the anchor is the title itself). The margin of 5 % is what NV-Retriever
    recommends; among 296 real titles it took away the two pairs that differ by their year alone, and no others.

    Candidates are compared with the title and not with the picture, as the miner of sentence-transformers would: that
    needs a model that already knows thumbnails. With starter-clip 175 of 207 real pairs found no negative that way.
    """

    one_to_one: Literal["greedy", "optimal"] = "greedy"  # least_similar: the published rule, or the least sum of all
    anchor: Literal["title", "picture"] = "title"  # hard: what candidates should be similar to
    range_min: int = 0  # hard: candidates to skip, the most similar first
    range_max: int | None = None  # hard: most similar titles to look at; None: enough for per_anchor
    max_score: float | None = None  # hard: a candidate may not be more similar than this
    min_score: float | None = None  # hard: nor less
    absolute_margin: float | None = None  # hard: at least so far below the score of the own title
    relative_margin: float | None = 0.05  # hard: likewise, as a share of that score
    sampling_strategy: Literal["top", "random"] = "top"  # hard: the most similar of what is left, or any
    seed: int = 42  # for random, and hard with sampling_strategy random

    def window(self, per_anchor: int) -> int:
        """Return how many of the most similar titles are looked at, the own one included."""
        margins = (self.max_score, self.absolute_margin, self.relative_margin)
        some_fall_away = any(value is not None for value in margins)
        automatic = self.range_min + per_anchor * (10 if some_fall_away else 1) + 1
        window = automatic if self.range_max is None else self.range_max
        if self.range_min < 0 or window - self.range_min < per_anchor:
            raise InputError(
                f"range_min is {self.range_min} and range_max {window}; expected 0 or more, and at least per_anchor "
                f"({per_anchor}) candidates between them"
            )
        return window + 1


@dataclasses.dataclass(frozen=True)
class MinedRows:
    """The negatives of the rows of one split."""

    negatives: np.ndarray  # (rows, per_anchor) int64: a row, or -1
    removed: dict[str, int]  # candidates taken out, by the rule that did; a rule that took none is absent


def least_similar(
    embeddings: np.ndarray, groups: np.ndarray, per_anchor: int, knobs: MiningKnobs, tell: Tell | None = None
) -> MinedRows:
    """Give every row the least similar title; in each column of the result no title is used twice.

    Further columns repeat the rule without the pairs made before. A row that got none in one column gets none later.

    Raises:
        DataError: The optimal assignment is asked for, and there are too many rows for it.
    """
    rows = len(embeddings)
    if knobs.one_to_one == "optimal" and rows > MAX_OPTIMAL_ROWS:
        raise DataError(
            f"The optimal assignment of {rows} titles needs a table of {rows} × {rows}; it is made for at most "
            f"{MAX_OPTIMAL_ROWS}: use one_to_one='greedy'"
        )
    forbidden = Forbidden(groups)
    for column in range(per_anchor):
        assign = assign_optimally if knobs.one_to_one == "optimal" else assign_greedily
        forbidden.add(assign(embeddings, forbidden, _part(tell, column, per_anchor)))
    return MinedRows(np.column_stack(forbidden.earlier), {})


def hard(
    anchors: np.ndarray,
    embeddings: np.ndarray,
    groups: np.ndarray,
    per_anchor: int,
    knobs: MiningKnobs,
    tell: Tell | None = None,
) -> MinedRows:
    """Give every row titles that are similar to its anchor but not too similar.

    From the most similar titles those that a margin or score forbids fall away, then `range_min` are skipped, then
    `per_anchor` are taken: the order of sentence-transformers' miner. Titles of the row's group are no candidates.

    Args:
        anchors: (rows, dimension): what a candidate should be similar to.
        embeddings: (rows, dimension): the titles.
        groups: (rows,): which titles count as one.
        per_anchor: How many.
        knobs: What can be turned.
        tell: Is told the rows done, and of how many.
    """
    window = knobs.window(per_anchor)
    forbidden = Forbidden(groups)
    random = np.random.default_rng(knobs.seed)
    negatives = np.full((len(anchors), per_anchor), -1, dtype=np.int64)
    removed: dict[str, int] = {}
    for row, columns, scores in _most_similar(anchors, embeddings, forbidden, window, tell):
        own = np.flatnonzero(columns == row)
        own_score = scores[own[0]] if len(own) else exact_similarities(anchors[row], embeddings, np.array([row]))[0]
        left = columns != row
        for rule, allowed in _rules(scores, own_score, knobs):
            fallen = left & ~allowed
            if fallen.any():
                removed[rule] = removed.get(rule, 0) + int(fallen.sum())
            left &= allowed
        kept = columns[left][: window - 1][knobs.range_min :]
        if knobs.range_min and left.any():
            removed["range_min"] = removed.get("range_min", 0) + min(knobs.range_min, int(left.sum()))
        if knobs.sampling_strategy == "random" and len(kept) > per_anchor:
            kept = kept[np.sort(random.choice(len(kept), per_anchor, replace=False))]
        negatives[row, : len(kept[:per_anchor])] = kept[:per_anchor]
    near = sum(len(rows) * (len(rows) - 1) for rows in forbidden.members())
    return MinedRows(negatives, {**({"near_duplicate": near} if near else {}), **removed})


def random_negatives(groups: np.ndarray, per_anchor: int, knobs: MiningKnobs, tell: Tell | None = None) -> MinedRows:
    """Give every row titles drawn evenly from those of other groups, none twice for one row."""
    random = np.random.default_rng(knobs.seed)
    rows = len(groups)
    negatives = np.full((rows, per_anchor), -1, dtype=np.int64)
    near = done = 0
    for members in Forbidden(groups).members():
        near += len(members) * (len(members) - 1)
        others = None if len(members) == 1 else np.setdiff1d(np.arange(rows), members, assume_unique=True)
        count = rows - len(members)
        for row in members if count else ():
            drawn = random.choice(count, min(per_anchor, count), replace=False)
            negatives[row, : len(drawn)] = drawn + (drawn >= row) if others is None else others[drawn]
            done += 1
            if tell and done % 1000 == 0:
                tell(done, rows)
    return MinedRows(negatives, {"near_duplicate": near} if near else {})


def _rules(scores: np.ndarray, own_score: float, knobs: MiningKnobs) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each rule that is set and which candidates it lets through, in the order of sentence-transformers."""
    if knobs.absolute_margin is not None:
        yield "absolute_margin", scores + knobs.absolute_margin <= own_score
    if knobs.relative_margin is not None:
        yield "relative_margin", scores <= own_score - abs(own_score) * knobs.relative_margin
    if knobs.max_score is not None:
        yield "max_score", scores <= knobs.max_score
    if knobs.min_score is not None:
        yield "min_score", scores >= knobs.min_score


def _most_similar(
    anchors: np.ndarray, embeddings: np.ndarray, forbidden: Forbidden, window: int, tell: Tell | None
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield each row with its `window` most similar titles and their scores, the most similar first.

    Titles of the row's group are left out but for its own.
    """
    count = len(embeddings)
    window = min(window, count)
    width = max(1, count // (4 * window))  # columns whose highest score is found together
    whole = count // width * width
    for start in range(0, len(anchors), one_to_one.BLOCK):
        if tell:
            tell(start, len(anchors))
        scores = anchors[start : start + one_to_one.BLOCK] @ embeddings.T  # (block, titles)
        for number, row in enumerate(range(start, start + len(scores))):
            others = forbidden.of(row)
            scores[number, others[others != row]] = -np.inf
            highest = scores[number, :whole].reshape(-1, width).max(axis=1)
            least = np.partition(highest, len(highest) - window)[len(highest) - window] if window < count else -np.inf
            near = np.flatnonzero(scores[number] >= max(least - TOLERANCE, -2.0))
            exact = exact_similarities(anchors[row], embeddings, near)
            order = np.lexsort((near, -exact))[:window]
            yield row, near[order], exact[order]


def _part(tell: Tell | None, column: int, columns: int) -> Tell | None:
    """Return a `tell` for one of several columns."""
    if tell is None:
        return None
    return lambda done, total: tell(column * total + done, columns * total)
