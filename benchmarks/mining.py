"""How long does mining negatives take, and how much memory, up to 100,000 titles?

    python -m benchmarks.mining [--rows 1000 2000 10000 100000]

Embeddings are random, 384 numbers of length 1. Each strategy runs in a process of its own, whose peak memory is what
the system counted, embeddings and Python included. For the smaller sizes the published loop, which searches a list for
every candidate, runs in the same way, and whether it gave the same negatives is told. Its worst case is `--alike`:
all rows want the same titles.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from tools.core.pairs.mining import MAX_OPTIMAL_ROWS, MiningKnobs, hard, least_similar, random_negatives

DIMENSION = 384
PUBLISHED_ROWS = 5000  # the most for which the published loop is waited for
LIMIT = 2_000  # MB that 100,000 titles may take


def embeddings(rows: int, alike: bool) -> np.ndarray:
    """Return random unit rows, drawn in float32; `alike` adds a common direction, of which rows have more or less."""
    dice = np.random.default_rng(0)
    found = dice.standard_normal((rows, DIMENSION), dtype=np.float32)
    if alike:
        found[:, 0] += np.linspace(0, 200, rows, dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def published(found: np.ndarray) -> np.ndarray:
    """Mine as published: the whole matrix of similarities, sorted, and a list that is searched for every candidate."""
    order = np.argsort(found @ found.T, axis=1)
    taken: list[int] = []
    for row in range(len(found)):
        place = 0
        index = int(order[row][place])
        while index in taken:
            place += 1
            index = int(order[row][place])
        taken.append(index)
    return np.array(taken)[:, None]


KNOBS = MiningKnobs()
WAYS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "published loop": lambda found, alone: published(found),
    "least_similar": lambda found, alone: least_similar(found, alone, 1, KNOBS).negatives,
    "least_similar, optimal": lambda found, alone: (
        least_similar(found, alone, 1, dataclasses.replace(KNOBS, one_to_one="optimal")).negatives
    ),
    "hard": lambda found, alone: hard(found, found, alone, 1, KNOBS).negatives,
    "hard, 5 a pair": lambda found, alone: hard(found, found, alone, 5, KNOBS).negatives,
    "random": lambda found, alone: random_negatives(alone, 1, KNOBS).negatives,
}
MOST_ROWS = {"published loop": PUBLISHED_ROWS, "least_similar, optimal": MAX_OPTIMAL_ROWS}


def measure(way: str, rows: int, alike: bool) -> tuple[float, float, np.ndarray]:
    """Return seconds, peak MB of the process, and the negatives."""
    found = embeddings(rows, alike)
    began = time.perf_counter()
    negatives = WAYS[way](found, np.arange(rows))
    seconds = time.perf_counter() - began
    return seconds, peak_memory(), negatives


def peak_memory() -> float:
    """Return the peak memory of this process in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` would count the process that started this one
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Measure every way for every size, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 2000, 5000, 20_000, 100_000])
    parser.add_argument("--alike", action="store_true", help="all rows want the same titles")
    given = parser.parse_args()
    print(describe_machine())
    print("\n| titles | way | seconds | peak MB | as published |\n| --- | --- | --- | --- | --- |")
    fresh = multiprocessing.get_context("spawn")
    for rows in given.rows:
        expected = None
        for way in WAYS:
            if rows > MOST_ROWS.get(way, rows):
                continue
            with fresh.Pool(1) as pool:
                seconds, peak, negatives = pool.apply(measure, (way, rows, given.alike))
            if way == "published loop":
                expected = negatives
            same = ""
            if expected is not None and way == "least_similar":
                other = int((expected != negatives).sum())
                same = "the same" if not other else f"{other} differ (published: last row {int(expected[-1, 0])})"
            print(f"| {rows:,} | {way} | {seconds:.2f} | {peak:,.0f} | {same} |", flush=True)
            if peak > LIMIT:
                raise SystemExit(f"{way} took {peak:,.0f} MB, more than {LIMIT:,}")


if __name__ == "__main__":
    main()
