"""A client of the YouTube Data API v3 that counts what it spends and asks for nothing twice.

The key travels in a header, never in an address: addresses are logged and end up in the texts of exceptions.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import urllib.parse

import httpx

from tools.core.errors import RemoteError, SettingsError
from tools.core.watch import Watch
from tools.youtube.cache import Cache, KeptAnswer
from tools.youtube.fields import dicts
from tools.youtube.ledger import Tally
from tools.youtube.patience import BUSY, Patience, Reply, TooLargeError, TryAgain

WHERE_TO_GET_A_KEY = (
    "make one for free at https://console.cloud.google.com (APIs & Services: enable “YouTube Data API v3”, then "
    "Credentials, Create credentials, API key), and set YOUTUBE_API_KEY or put it into the app's key field"
)
OTHER_WAY = (
    "Or bring pairs without a key: load_dataset reads a folder, .csv or .jsonl of thumbnails with titles, or a "
    "dataset of the hub such as shawhin/yt-title-thumbnail-pairs"
)
GO_ON = "What was fetched is kept: collect the channel again later, and it goes on where it was"
MOST_BYTES = 20_000_000  # of an answer; fifty videos take about 0.3 MB
# Reasons that the API and Google's gateway before it give, as of errors[].reason, details[].reason and status.
QUOTA = {"quotaExceeded", "dailyLimitExceeded", "limitExceeded"}
TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
BAD_KEY = {"keyInvalid", "keyExpired", "API_KEY_INVALID", "API_KEY_EXPIRED", "CONSUMER_INVALID", "CONSUMER_SUSPENDED"}
NO_KEY = {"dailyLimitExceededUnreg", "UNAUTHENTICATED"}
NOT_ENABLED = {"accessNotConfigured", "SERVICE_DISABLED"}
BLOCKED = re.compile(r"ipRefererBlocked|API_KEY_\w+_BLOCKED")


class QuotaError(RemoteError):
    """The key's quota is used up."""


class RefusedError(RemoteError):
    """The API refused a request, for the reasons it names."""

    def __init__(self, message: str, reasons: set[str]) -> None:
        super().__init__(message)
        self.reasons = reasons


def check_key(key: str | None) -> str:
    """Return the key, without blanks around it.

    Raises:
        SettingsError: There is none, or it cannot be one; the message says how to go on, and never shows it.
    """
    key = (key or "").strip()
    if not key:
        raise SettingsError(f"There is no YouTube API key: {WHERE_TO_GET_A_KEY}. {OTHER_WAY}")
    if not re.fullmatch(r"[\w.~+/=-]{1,200}", key, re.ASCII):
        raise SettingsError(
            "The YouTube API key has characters that no key has (expected letters, digits, - and _): copy it again, or "
            f"{WHERE_TO_GET_A_KEY}. {OTHER_WAY}"
        )
    return key


class Api:
    """The API as one key sees it; used from one thread, closed at the end."""

    def __init__(self, endpoint: str, key: str, cache: Cache, watch: Watch, patience: Patience) -> None:
        """Connect to `endpoint` when first asked; a `key` that `check_key` accepted."""
        self._key, self._cache, self._watch, self._patience = key, cache, watch, patience
        self._endpoint = endpoint
        self._client = httpx.Client(
            headers={"X-Goog-Api-Key": key, "Accept": "application/json", "User-Agent": "pairwright (gzip)"},
            timeout=patience.timeout,
            follow_redirects=False,  # the key is for this host only
        )
        self.tally = Tally()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, endpoint: str, since: datetime.datetime | None = None, **parameters: str | int) -> KeptAnswer:
        """Ask for a list of resources; what the API said before is used where it says that nothing changed.

        Args:
            endpoint: `channels`, `playlistItems` or `videos`.
            since: An answer kept since then is used without asking, unless it is empty; None always asks.
            parameters: Of the request.

        Raises:
            SettingsError: The key is refused.
            QuotaError: The quota is used up.
            RefusedError: The API refused for another reason, such as that there is no such thing.
            RemoteError: It cannot be reached, or gives no usable answer.
        """
        query = urllib.parse.urlencode(sorted(parameters.items()))
        request = f"{self._endpoint}/{endpoint}?{query}"
        kept = self._cache.answer(request)
        if kept and since and kept.fetched_at >= since and kept.body.get("items"):
            return kept
        try:
            return self._patience.keep_trying(lambda: self._ask(endpoint, request, kept), self._watch)
        except _TooFast as error:
            raise QuotaError(
                f"The YouTube API says that this key asks too often ({error}), also after pauses. {GO_ON}"
            ) from error
        except TryAgain as error:
            raise RemoteError(
                f"The YouTube API at {self._endpoint} gives no usable answer ({error}). {GO_ON}"
            ) from error

    def _ask(self, endpoint: str, request: str, kept: KeptAnswer | None) -> KeptAnswer:
        headers = {"If-None-Match": kept.etag} if kept and kept.etag else {}
        self.tally.calls[endpoint] += 1
        try:
            reply = self._patience.get(self._client, request, headers, MOST_BYTES, self._watch)
        except TooLargeError as error:
            raise TryAgain("its answer is far too large") from error
        if reply.status == 304 and kept:
            self.tally.unchanged[endpoint] += 1
            return self._cache.keep_answer(request, kept.body, kept.etag)
        if reply.status != 200:
            raise self._refusal(reply)
        try:
            body = json.loads(reply.content)
        except ValueError as error:  # UnicodeDecodeError is one
            raise TryAgain("what it answers is not JSON") from error
        if not isinstance(body, dict) or not isinstance(body.get("items", []), list):
            raise TryAgain("what it answers is JSON of another form than documented")
        etag = reply.headers.get("ETag") or body.get("etag")
        return self._cache.keep_answer(request, body, etag if isinstance(etag, str) else "")

    def _refusal(self, reply: Reply) -> Exception:
        """Return the error that says what the API's error means."""
        problem = _Problem.read(reply)
        said = self._without_key(f"{reply.status} {problem.name}: {problem.message}")
        reasons = problem.reasons
        if reasons & QUOTA:
            when = "it is renewed at midnight Pacific time"
            return QuotaError(f"The quota of this YouTube API key is used up ({said}); {when}. {GO_ON}")
        if reasons & TOO_FAST or reply.status == 429:
            return _TooFast(said, reply.asked_to_wait())
        if reply.status in BUSY:
            return TryAgain(said, reply.asked_to_wait())
        if reasons & NOT_ENABLED:
            return SettingsError(
                f"The key's project has not enabled the YouTube Data API v3 ({said}): do so at "
                f"https://console.cloud.google.com/apis/library/youtube.googleapis.com. {OTHER_WAY}"
            )
        if any(BLOCKED.fullmatch(reason) for reason in reasons):
            return SettingsError(
                f"The YouTube API key is restricted to other addresses, apps or services ({said}): lift the "
                f"restriction at https://console.cloud.google.com/apis/credentials, or use another key. {OTHER_WAY}"
            )
        if reasons & (BAD_KEY | NO_KEY) or reply.status == 401 or re.search("api[ _]key", problem.message, re.I):
            return SettingsError(
                f"YouTube does not accept this API key: it is mistyped, expired or revoked ({said}). Copy it again, or "
                f"{WHERE_TO_GET_A_KEY}. {OTHER_WAY}"
            )
        return RefusedError(f"The YouTube API refused a request ({said})", reasons)

    def _without_key(self, text: str) -> str:
        """Return text of others without the key: Google repeats it in some messages, such as of a suspended key."""
        return text.replace(self._key, "[key]")


class _TooFast(TryAgain):
    """The API wants fewer requests a minute."""


@dataclasses.dataclass(frozen=True)
class _Problem:
    """The API's error object, as far as it is there."""

    name: str
    message: str
    reasons: set[str]

    @classmethod
    def read(cls, reply: Reply) -> _Problem:
        """Read an answer of any form."""
        try:
            error = json.loads(reply.content).get("error")
        except (ValueError, AttributeError):
            error = None
        if not isinstance(error, dict):
            return cls("no reason", "the answer names none", set())
        several = [*dicts(error.get("errors")), *dicts(error.get("details"))]
        reasons = [str(one["reason"]) for one in several if one.get("reason")]
        message = re.sub(r"<[^>]*>", "", str(error.get("message") or "no message"))
        everything = {*reasons, str(error.get("status") or "")} - {""}
        return cls((reasons or ["error"])[0], " ".join(message.split())[:300], everything)
