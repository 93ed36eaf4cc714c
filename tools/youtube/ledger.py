"""What calls of the API cost. YouTube gives a project 10,000 units a day unless it has asked for more."""

from __future__ import annotations

import dataclasses
from collections import Counter

UNITS = {"channels": 1, "playlistItems": 1, "videos": 1}  # of one `list` call; `search` would cost 100
DAILY_UNITS = 10_000


@dataclasses.dataclass(frozen=True)
class Line:
    """The calls of one endpoint."""

    endpoint: str
    calls: int  # every request that was sent: retries too, as YouTube charges also for those that fail
    units: int
    unchanged: int = 0  # of the calls: answered "304, as you have it" by ETag; they cost the same unit


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Calls and units by endpoint."""

    lines: tuple[Line, ...] = ()

    @property
    def calls(self) -> int:
        """All calls."""
        return sum(line.calls for line in self.lines)

    @property
    def units(self) -> int:
        """All units."""
        return sum(line.units for line in self.lines)

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.lines:
            return "no calls"
        each = ", ".join(f"{line.endpoint} {line.calls}" for line in self.lines)
        unchanged = sum(line.unchanged for line in self.lines)
        same = f"; {unchanged} answered that nothing changed, at the same price" if unchanged else ""
        calls = f"{self.calls:,} call{'' if self.calls == 1 else 's'}"
        return f"{calls}, {self.units:,} unit{'' if self.units == 1 else 's'} ({each}{same})"


class Tally:
    """A ledger while it is being written."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.unchanged: Counter[str] = Counter()

    def ledger(self) -> Ledger:
        """Return what was counted so far."""
        return counted(self.calls, self.unchanged)


def counted(calls: Counter[str], unchanged: Counter[str] | None = None) -> Ledger:
    """Return the ledger of so many calls by endpoint."""
    same: Counter[str] = unchanged or Counter()
    used = [endpoint for endpoint in UNITS if calls[endpoint]]
    return Ledger(tuple(Line(one, calls[one], calls[one] * UNITS[one], same[one]) for one in used))
