"""Doubles for the planner's tests."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from agent.planner import Planner
from tools import TOOLS


def no_meaning(texts: list[str]) -> np.ndarray:
    """An encoder that finds every text equally far from every other, so that only words count."""
    vectors = np.zeros((len(texts), 2), dtype=np.float32)
    vectors[:, int(len(texts) == 1)] = 1  # the examples come together, a command alone
    return vectors


def collect_youtube(
    workspace: object, channel: str, min_minutes: float = 3, limit: int | None = None, name: str | None = None
) -> None:
    """Collect the videos of a channel. Their titles and thumbnails are kept."""


def mine_negatives(
    workspace: object,
    dataset: str | None = None,
    strategy: Literal["least_similar", "hard", "random"] = "least_similar",
    per_anchor: int = 1,
) -> None:
    """Give every row of a dataset a title that does not fit."""


@pytest.fixture(scope="session")
def planner() -> Planner:
    """A planner of the tools there are, without an encoder."""
    return Planner(SIX, no_meaning)


@pytest.fixture(scope="session")
def larger_planner() -> Planner:
    """A planner that has two tools more."""
    return Planner((*SIX, collect_youtube, mine_negatives), no_meaning)


_NAMES = ("load_dataset", "list_library", "show_dataset", "index_images", "search_images", "delete_item")
SIX = tuple(tool for tool in TOOLS if tool.__name__ in _NAMES)
