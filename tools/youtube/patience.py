"""How long to wait for a server on the network, and how often to ask again."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import tenacity

from tools.core.errors import first_line
from tools.core.watch import Watch

T = TypeVar("T")
BUSY = (429, 500, 502, 503, 504)  # statuses that may be otherwise in a moment


class TryAgain(Exception):
    """A request failed in a way that may pass; never leaves this package."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        """Say why; `after` is how many seconds the server asked to wait, None when it did not say."""
        super().__init__(reason)
        self.after = after


class TooLargeError(Exception):
    """An answer has more bytes than were asked for; never leaves this package."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a server answered, read to its end."""

    status: int
    headers: httpx.Headers
    content: bytes

    def asked_to_wait(self) -> float | None:
        """Return the seconds that a Retry-After header asks for; None when there is no usable one."""
        text = self.headers.get("Retry-After", "")
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = email.utils.parsedate_to_datetime(text)
            return max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())
        except (ValueError, TypeError):  # TypeError: a date without a zone
            return None


@dataclasses.dataclass(frozen=True)
class Patience:
    """Limits of one request; all times in seconds."""

    timeout: float = 15.0  # without a sign of life
    total: float = 90.0  # for one answer, however steadily it trickles in
    attempts: int = 5
    first_wait: float = 1.0  # doubled after each attempt, with chance added
    longest_wait: float = 60.0  # a server that asks for more has failed

    def get(
        self,
        client: httpx.Client,
        address: str | httpx.URL,
        headers: Mapping[str, str],
        most: int,
        watch: Watch,
        extensions: dict[str, Any] | None = None,
    ) -> Reply:
        """Ask once, reading at most `most` bytes.

        Raises:
            TryAgain: The server cannot be reached, breaks off, or takes too long.
            TooLargeError: It sends more.
            StoppedError: The person asked to stop.
        """
        deadline = time.monotonic() + self.total
        content = bytearray()
        try:
            with client.stream("GET", address, headers=headers, extensions=extensions, timeout=self.timeout) as reply:
                for block in reply.iter_bytes():
                    watch.check()
                    content += block
                    if len(content) > most:
                        raise TooLargeError
                    if time.monotonic() > deadline:
                        raise TryAgain(f"no whole answer in {self.total:.0f} seconds")
                return Reply(reply.status_code, reply.headers, bytes(content))
        except httpx.HTTPError as error:
            raise TryAgain(f"{type(error).__name__}: {first_line(error)}") from error

    def keep_trying(self, act: Callable[[], T], watch: Watch) -> T:
        """Return what `act` returns, called again after a pause while it raises TryAgain; Stop ends a pause.

        Raises:
            TryAgain: It failed the last time too, or the server asks for too long a pause.
            StoppedError: The person asked to stop.
        """

        def checked() -> T:
            watch.check()
            return act()

        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._may_pass),
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=self._wait,
            sleep=tenacity.sleep_using_event(watch.stop),
            reraise=True,
        )
        return trying(checked)

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, TryAgain) and (error.after or 0.0) <= self.longest_wait

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryAgain) and error.after is not None:
            return error.after
        doubled: float = self.first_wait * 2 ** (state.attempt_number - 1)
        return min(doubled + random.uniform(0, self.first_wait), self.longest_wait)
