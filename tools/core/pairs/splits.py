"""Shares rows out to train, validation and test so that rows of one group stay together."""

from __future__ import annotations

import numpy as np

SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}
SEED = 42
MIN_GROUPS = 10  # with fewer, validation or test would hold next to nothing
TOO_SMALL = (
    "too small to split: {rows} pairs in {groups} groups of near-duplicates, and at least {least} groups are needed; "
    "so there is only train. A model can be judged by leave-one-out evaluation (each pair in turn is held out), or "
    "collect more pairs"
)


def split_groups(groups: np.ndarray, seed: int = SEED) -> dict[str, np.ndarray]:
    """Share rows out 70/15/15, groups whole; with fewer than ten groups all rows are train.

    The larger groups go first, each to the split that lacks most; the order of groups of one size is drawn by `seed`.
    As most groups are single rows, the sizes come out exact unless groups are very large.

    Args:
        groups: (rows,) int, the group of each row.
        seed: Draws the order; the same seed gives the same splits on every machine.

    Returns:
        The rows of each split in ascending order; train, validation and test, or only train.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < MIN_GROUPS:
        return {"train": np.arange(len(groups))}
    drawn = np.random.PCG64(seed).random_raw(len(names))  # the raw stream never changes between versions of numpy
    lacking = np.array(list(split_sizes(len(groups)).values()))
    chosen = np.empty(len(names), dtype=np.int64)
    for group in np.lexsort((drawn, -sizes)):
        chosen[group] = np.argmax(lacking)
        lacking[chosen[group]] -= sizes[group]
    of_row = chosen[np.searchsorted(names, groups)]
    return {name: np.flatnonzero(of_row == number) for number, name in enumerate(SHARES)}


def split_sizes(rows: int) -> dict[str, int]:
    """Return how many rows each split should hold: the shares, rounded so that they add up."""
    exact = {name: share * rows for name, share in SHARES.items()}
    sizes = {name: int(value + 1e-9) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: sizes[name] - exact[name])  # the largest remainder first
    for name in by_rest[: rows - sum(sizes.values())]:
        sizes[name] += 1
    return sizes
