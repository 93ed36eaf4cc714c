"""What happens during a turn, as data. The screen and the terminal draw these; nothing else leaves the loop."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class TextDelta:
    """Some more text of the reply."""

    text: str


@dataclasses.dataclass(frozen=True)
class ToolStarted:
    """A tool begins."""

    id: str
    tool: str
    args: dict[str, Any]
    why: str  # why the planner chose it; empty when a language model did


@dataclasses.dataclass(frozen=True)
class ToolProgress:
    """A running tool reports how far it is."""

    id: str  # of the call that began last
    what: str
    done: int
    total: int | None  # None when it is not known


@dataclasses.dataclass(frozen=True)
class ToolFinished:
    """A tool gave its result."""

    id: str
    tool: str
    result: Any  # the tool's frozen dataclass
    seconds: float


@dataclasses.dataclass(frozen=True)
class ToolFailed:
    """A tool could not do it, was rejected, or does not exist; the message says what to do."""

    id: str
    tool: str
    message: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Call:
    """A tool call that waits for the person."""

    id: str
    tool: str
    args: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ApprovalNeeded:
    """The turn pauses until the person decides about these calls."""

    calls: tuple[Call, ...]


@dataclasses.dataclass(frozen=True)
class Failed:
    """The turn ended early; the message says why and what to do."""

    message: str


@dataclasses.dataclass(frozen=True)
class Said:
    """What the person said (only when an earlier conversation is replayed)."""

    text: str
    files: tuple[str, ...] = ()


Event = TextDelta | ToolStarted | ToolProgress | ToolFinished | ToolFailed | ApprovalNeeded | Failed | Said
