"""How long work reports progress and learns that it should stop."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

from tools.core.errors import StoppedError


@dataclasses.dataclass(frozen=True)
class Progress:
    """A moment of long work."""

    what: str  # what is being done, as a person would say it
    done: int
    total: int | None  # None when it is not known


class Watch:
    """One call's progress line and stop flag; safe to use from several threads."""

    def __init__(self, report: Callable[[Progress], None] | None = None, stop: threading.Event | None = None) -> None:
        """Report to `report` (nobody when None); stop when `stop` is set."""
        self._report = report
        self.stop = stop or threading.Event()

    def tell(self, what: str, done: int, total: int | None = None) -> None:
        """Report a moment of progress, or end the work.

        Raises:
            StoppedError: The person asked to stop.
        """
        self.check()
        if self._report:
            self._report(Progress(what, done, total))

    def check(self) -> None:
        """Raise StoppedError if the person asked to stop."""
        if self.stop.is_set():
            raise StoppedError("Stopped as you asked; what was finished before is kept")
