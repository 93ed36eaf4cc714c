"""What happens during a turn, as data. The screen and the terminal draw these; nothing else leaves the loop."""

from __future__ import annotations

import dataclasses
from typing import Any

from tools.core.preview import Preview


@dataclasses.dataclass(frozen=True)
class TextDelta:
    """Some more text of the reply."""

    text: str


@dataclasses.dataclass(frozen=True)
class ToolStarted:
    """A tool begins; one that waits for approval only once it is approved."""

    id: str
    tool: str
    args: dict[str, Any]
    why: str  # why the planner chose it; empty when a language model did


@dataclasses.dataclass(frozen=True)
class ToolProgress:
    """A running tool reports how far it is."""

    id: str
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
    args: dict[str, Any]  # as they were asked for; as they run once it is approved
    preview: Preview  # what it would do; `preview.args` is what runs


@dataclasses.dataclass(frozen=True)
class ApprovalNeeded:
    """The turn pauses until the person decides about these calls; it takes the place of an earlier question."""

    calls: tuple[Call, ...]


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the person says to one call."""

    approved: bool
    args: dict[str, Any] | None = None  # arguments changed before approving, among the preview's editable ones
    reason: str = ""  # of a no


@dataclasses.dataclass(frozen=True)
class Decided:
    """The open question was answered."""

    answers: dict[str, Decision]  # by the id of the call


@dataclasses.dataclass(frozen=True)
class Failed:
    """The turn ended early; the message says why and what to do."""

    message: str


@dataclasses.dataclass(frozen=True)
class Said:
    """What the person said (only when an earlier conversation is replayed)."""

    text: str
    files: tuple[str, ...] = ()


Event = TextDelta | ToolStarted | ToolProgress | ToolFinished | ToolFailed | ApprovalNeeded | Decided | Failed | Said
