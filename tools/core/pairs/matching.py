"""Reading a table of scores: which column fits a row best and by how much, and the best one-to-one assignment."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pick:
    """The column that fits a row best."""

    best: int
    second: int | None  # the best of those that say something else; None when there is none
    margin: float | None  # score of the best minus that of the second, never negative


def pick(scores: np.ndarray, kind: np.ndarray) -> list[Pick]:
    """Return the best column of every row; of equal scores the first.

    Args:
        scores: (rows, columns), higher fits better.
        kind: (columns,) integers, equal where columns are the same thing, such as one title given twice. The second
            best is always of another kind.
    """
    return [_pick_one(row, kind) for row in scores]


def _pick_one(row: np.ndarray, kind: np.ndarray) -> Pick:
    best = int(row.argmax())
    others = np.flatnonzero(kind != kind[best])
    if not len(others):
        return Pick(best, None, None)
    second = int(others[row[others].argmax()])
    return Pick(best, second, float(row[best] - row[second]))


def assign(scores: np.ndarray) -> list[int | None]:
    """Give every row a column of its own so that the sum of the scores is the greatest possible.

    Args:
        scores: (rows, columns), any shape.

    Returns:
        The column of every row; None for the rows that go without when there are more rows than columns.
    """
    from scipy.optimize import linear_sum_assignment

    columns: list[int | None] = [None] * scores.shape[0]
    for row, column in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
        columns[int(row)] = int(column)
    return columns
