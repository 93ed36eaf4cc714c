"""How often a job was started, how far each worker brought it, and when to give up.

A worker that dies is started again. Three that die without bringing the job any further show that the next one would
die too; where nothing explains their death somebody killed them, and more patience is due.
"""

from __future__ import annotations

import dataclasses
import re
import socket
from typing import Any

from tools.core.files import write_json
from tools.core.jobs.endings import advice, now
from tools.core.jobs.folder import JobPaths, last_lines, read_events, read_json
from tools.core.jobs.processes import boot, memory_kills

GIVE_UP = 3  # deaths in a row without getting any further
GIVE_UP_UNEXPLAINED = 20  # likewise, when the worker was killed from outside
HEADLINE = "=== attempt"  # begins what a worker prints in the log
NO_MEMORY = "the system had run out of memory"
RESTARTED = "the machine was started again"


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A worker's start, as it is remembered in attempts.json."""

    count: int = 1
    fruitless: int = 0  # workers in a row, before this one, that died without bringing the job any further
    reached: tuple[int, int] = (0, 0)  # the furthest so far: number of the checkpoint, events told
    boot: str = ""  # the machine's run in which it was started
    memory_kills: int = 0  # of the system, until then

    @classmethod
    def last(cls, paths: JobPaths) -> Attempt | None:
        """Return the last start of a job's worker; None before the first."""
        known = read_json(paths.attempts)
        return cls(**{**known, "reached": tuple(known["reached"])}) if known else None

    def begin(self, paths: JobPaths) -> None:
        """Remember this start, and head what the worker will print."""
        write_json(paths.attempts, dataclasses.asdict(self))
        with paths.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{HEADLINE} {self.count} on {socket.gethostname()}, {now()}\n")


def next_attempt(paths: JobPaths) -> Attempt:
    """Return the start that follows the last one, whose worker is dead."""
    last, reached = Attempt.last(paths), _reached(paths)
    if last is None:
        return Attempt(1, 0, reached, boot(), memory_kills())
    fruitless = 0 if reached > last.reached else last.fruitless + 1
    return Attempt(last.count + 1, fruitless, max(reached, last.reached), boot(), memory_kills())


def reason_to_give_up(paths: JobPaths, following: Attempt, config: dict[str, Any]) -> str:
    """Say why a job gets no further, or nothing when it deserves another attempt."""
    last = Attempt.last(paths)
    if last is None:
        return ""
    why = cause_of_death(paths, last)
    if following.fruitless < (GIVE_UP if why else GIVE_UP_UNEXPLAINED):
        return ""
    said = f"Its worker died {following.fruitless} times without getting any further: {why or 'killed from outside'}"
    if why in ("", NO_MEMORY, RESTARTED):
        said += f". Memory is the usual reason: {advice(config)}"
    return said


def cause_of_death(paths: JobPaths, attempt: Attempt) -> str:
    """Return why a worker died, or nothing when nothing tells."""
    if attempt.boot != boot():
        return RESTARTED
    if attempt.memory_kills != memory_kills():
        return NO_MEMORY
    for line in reversed(last_lines(paths.log, 200)):
        if line.startswith(HEADLINE):
            break
        if re.match(r"Fatal Python error: |[\w.]*(Error|Exception)\b", line):
            return line.strip()[:200]
    return ""


def _reached(paths: JobPaths) -> tuple[int, int]:
    """Return how far a job came, as numbers that compare: its checkpoint, and what it told since the beginning."""
    newest = paths.checkpoints()[-1:]
    return int(newest[0].name) if newest else 0, len(read_events(paths.metrics))
