"""Gives every row one title of another row, no title twice: by the published greedy rule, or with the least sum.

Row by row, in order, a title gets the least similar title that no earlier row got. The published loop (S. Talebi,
"Fine-tuning multimodal embedding models") looks every candidate up in a list, in the worst case rows³ steps. Here
similarities are computed a block of rows at a time and used titles are struck out: rows² products, done by matrix
multiplication, rows steps in Python, and the memory of one block. The published loop may give the last row its own
title when no other is left; here that row changes with the one where it costs least.

Similarities are computed in float32; where two candidates are nearer to each other than `TOLERANCE` they are computed
again in float64, term by term, and equal ones go by row. So the result depends neither on the block nor on the machine.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

import numpy as np

BLOCK = 256  # rows whose similarities are computed at once: 100 MB for 100,000 titles
TOLERANCE = 1e-4  # more than the rounding of a float32 product of two embeddings
ENOUGH = 8  # unused titles that are tried when two rows change their negatives

Tell = Callable[[int, int], None]  # done, total


class Forbidden:
    """Which titles a row may not get: those of its group, and what it got in earlier columns."""

    def __init__(self, groups: np.ndarray) -> None:
        _, self.group = np.unique(groups, return_inverse=True)
        order = np.argsort(self.group, kind="stable")
        self.lists = np.split(order, np.cumsum(np.bincount(self.group))[:-1])
        self.earlier: list[np.ndarray] = []

    def members(self) -> list[np.ndarray]:
        """Return the rows of every group."""
        return self.lists

    def add(self, negatives: np.ndarray) -> None:
        """Forbid what was given now."""
        self.earlier.append(negatives)

    def of(self, row: int) -> np.ndarray:
        """Return the titles that `row` may not get."""
        group = self.lists[self.group[row]]
        got = [column[row] for column in self.earlier if column[row] >= 0]
        return np.unique(np.concatenate([group, got]).astype(np.int64)) if got else group

    def allows(self, rows: np.ndarray, title: int) -> np.ndarray:
        """Tell for each of `rows` whether it may get `title`: (rows,) bool."""
        allowed: np.ndarray = self.group[rows] != self.group[title]
        for column in self.earlier:
            allowed &= column[rows] != title
        return allowed

    def waiting(self) -> np.ndarray:
        """Return the rows that got something in every column so far."""
        everywhere = np.ones(len(self.group), dtype=bool)
        for column in self.earlier:
            everywhere &= column >= 0
        return np.flatnonzero(everywhere)

    def hopeless(self) -> int:
        """Return how many waiting rows at least get nothing, as their group outnumbers the titles of all others."""
        sizes = np.bincount(self.group)
        waiting = np.bincount(self.group[self.waiting()], minlength=len(sizes))
        return max(0, int((waiting - (len(self.group) - sizes)).max()))


def assign_greedily(embeddings: np.ndarray, forbidden: Forbidden, tell: Tell | None) -> np.ndarray:
    """Go row by row; each gets the least similar title that is left and allowed."""
    rows = len(embeddings)
    negatives = np.full(rows, -1, dtype=np.int64)
    twins = _twins(embeddings)
    used = np.zeros(rows, dtype=bool)
    free, titles = np.arange(rows), embeddings  # the titles left, in order
    stuck = []
    waiting = forbidden.waiting()
    for start in range(0, len(waiting), BLOCK):
        if tell:
            tell(start, len(waiting))
        if used[free].sum() > len(free) // 8:
            free = free[~used[free]]
            titles = embeddings[free]
        block = waiting[start : start + BLOCK]
        scores = embeddings[block] @ titles.T  # (block, titles left)
        scores[:, used[free]] = np.inf
        for number, row in enumerate(block):
            places = np.searchsorted(free, out := forbidden.of(row))
            there = places < len(free)
            there[there] = free[places[there]] == out[there]
            scores[number, places[there]] = np.inf
            place = _lowest(scores[number], embeddings[row], titles, twins[free])
            if place is None:
                stuck.append(int(row))
                continue
            negatives[row] = free[place]
            used[free[place]] = True
            scores[number + 1 :, place] = np.inf
    _mend(stuck, negatives, used, embeddings, forbidden)
    return negatives


def _lowest(scores: np.ndarray, anchor: np.ndarray, titles: np.ndarray, twins: np.ndarray) -> int | None:
    """Return the place of the lowest score, of equal ones the first; None when all are struck out."""
    first = int(scores.argmin())
    if np.isinf(scores[first]):
        return None
    near = np.flatnonzero(scores <= scores[first] + TOLERANCE)
    if len(near) == 1:
        return first
    kinds, one_of = np.unique(twins[near], return_index=True)  # equal titles have equal scores: compute one of each
    places = np.sort(near[one_of]) if len(kinds) > 1 else near[:1]
    return int(places[exact_similarities(anchor, titles, places).argmin()])


def exact_similarities(anchor: np.ndarray, titles: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return similarities in float64, each summed in the same order: (places,)."""
    wide = anchor.astype(np.float64)
    parts = [(titles[places[at : at + 4096]] * wide).sum(axis=1) for at in range(0, len(places), 4096)]
    return np.concatenate(parts)


def _twins(embeddings: np.ndarray) -> np.ndarray:
    """Return for every row the first row with the same embedding: (rows,) int64."""
    first: dict[bytes, int] = {}
    short = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in embeddings)
    return np.array([first.setdefault(key, number) for number, key in enumerate(short)], dtype=np.int64)


def _mend(
    stuck: list[int], negatives: np.ndarray, used: np.ndarray, embeddings: np.ndarray, forbidden: Forbidden
) -> None:
    """Give rows for which nothing was left a title of another row, which takes one that is left."""
    hopeless = forbidden.hopeless()
    for row in stuck[: max(0, len(stuck) - hopeless)]:
        path = _cheapest_change(row, negatives, used, embeddings, forbidden)
        path = path or _any_change(row, negatives, used, forbidden)
        for changed, title in path:
            negatives[changed] = title
            used[title] = True


def _cheapest_change(
    row: int, negatives: np.ndarray, used: np.ndarray, embeddings: np.ndarray, forbidden: Forbidden
) -> list[tuple[int, int]]:
    """Return the change between `row` and one other row that costs least, as (row, its title now); empty if none."""
    others = np.flatnonzero(negatives >= 0)
    barred = np.isin(negatives[others], forbidden.of(row))
    others = others[~barred]
    theirs = negatives[others]
    gain = embeddings[theirs] @ embeddings[row] - np.einsum("ij,ij->i", embeddings[others], embeddings[theirs])
    best: tuple[float, int, int] | None = None
    for title in np.flatnonzero(~used)[:ENOUGH]:
        may = forbidden.allows(others, int(title))
        if may.any():
            cost = np.where(may, gain + embeddings[others] @ embeddings[title], np.inf).round(6)
            at = int(cost.argmin())
            best = min(best or (np.inf, 0, 0), (float(cost[at]), int(others[at]), int(title)))
    return [] if best is None else [(row, int(negatives[best[1]])), (best[1], best[2])]


def _any_change(row: int, negatives: np.ndarray, used: np.ndarray, forbidden: Forbidden) -> list[tuple[int, int]]:
    """Return a chain of changes that gives every row of it a title, found breadth first; empty when there is none."""
    owner = np.full(len(negatives), -1, dtype=np.int64)
    given = np.flatnonzero(negatives >= 0)
    owner[negatives[given]] = given
    came_from: dict[int, int] = {}  # title → the row that would take it
    unseen = np.arange(len(negatives))
    queue = deque([row])
    while queue:
        taker = queue.popleft()
        open_to = unseen[~np.isin(unseen, forbidden.of(taker))]
        came_from.update(dict.fromkeys(open_to.tolist(), taker))
        left = open_to[~used[open_to]]
        if len(left):
            path, title = [], int(left[0])
            while True:
                taker = came_from[title]
                path.append((taker, title))
                if taker == row:
                    return path
                title = int(negatives[taker])
        unseen = np.setdiff1d(unseen, open_to, assume_unique=True)
        queue.extend(owner[open_to].tolist())
    return []


def assign_optimally(embeddings: np.ndarray, forbidden: Forbidden, tell: Tell | None) -> np.ndarray:
    """Return the assignment with the least sum of similarities, over as many rows as can have a title."""
    from scipy.optimize import linear_sum_assignment

    waiting = forbidden.waiting()
    if tell:
        tell(0, len(waiting))
    costs = embeddings[waiting].astype(np.float64) @ embeddings.T.astype(np.float64)  # (waiting, rows)
    worst = 2.0 * len(embeddings) + 1  # more than all others together
    for place, row in enumerate(waiting):
        costs[place, forbidden.of(row)] = worst
    places, titles = linear_sum_assignment(costs)
    negatives = np.full(len(embeddings), -1, dtype=np.int64)
    possible = costs[places, titles] < worst
    negatives[waiting[places[possible]]] = titles[possible]
    return negatives
