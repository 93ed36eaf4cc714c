"""What the planner hands back."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class PlannedCall:
    """A tool call that the person asked for."""

    tool: str
    args: dict[str, Any]  # only arguments that were said or referred to
    why: str  # one short sentence for the screen
    makes: tuple[str, str] | None = None  # kind and name of what it will make, as far as can be told


@dataclasses.dataclass(frozen=True)
class Plan:
    """The calls to make, or what to tell the person."""

    calls: tuple[PlannedCall, ...] = ()
    ask: str | None = None  # the required argument that is missing; then `calls` holds what can be done before
    say: str = ""  # the question for `ask`, an answer, an honest no; empty when the calls are everything
