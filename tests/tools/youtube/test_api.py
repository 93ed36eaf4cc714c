from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable

import pytest

from tests.tools.youtube.server import BAD_KEY, CHANNEL, HURRIED, KEY, QUOTA, Answer, YouTube, error
from tools.core.errors import RemoteError, SettingsError, StoppedError
from tools.core.watch import Watch
from tools.youtube.api import Api, QuotaError, RefusedError, check_key
from tools.youtube.cache import Cache
from tools.youtube.patience import Patience


def ask(api: Api, since: datetime.datetime | None = None) -> str:
    """Ask for the channel and return its title."""
    return api.get("channels", since, part="snippet", id=CHANNEL).body["items"][0]["snippet"]["title"]


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_there_are_two_ways_on(key: str | None):
    with pytest.raises(SettingsError, match="no YouTube API key: make one.*Or bring pairs without a key: load_dataset"):
        check_key(key)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "AIza\r\nX-Evil: 1", "schlüssel", "“quoted”", "x" * 300])
def test_a_text_that_is_no_key_is_refused_without_being_shown(key: str):
    with pytest.raises(SettingsError, match="characters that no key has") as caught:
        check_key(key)
    assert key not in str(caught.value)


def test_a_key_may_have_blanks_around_it():
    assert check_key(f" {KEY}\n") == KEY


def test_the_key_travels_in_a_header_and_never_in_the_address(api: Api, youtube: YouTube):
    assert ask(api) == "A Channel"
    assert youtube.requests[0].headers["x-goog-api-key"] == KEY
    assert "key" not in youtube.requests[0].query and KEY not in youtube.requests[0].line


def test_a_redirect_is_not_followed_as_it_would_carry_the_key_away(api: Api, youtube: YouTube):
    youtube.scripted.append(Answer(302, b"", {"Location": f"{youtube.origin}/elsewhere"}))
    with pytest.raises(RefusedError, match="302"):
        ask(api)
    assert len(youtube.requests) == 1 and youtube.picture_requests == []


@pytest.mark.parametrize(
    "refusal",
    [
        QUOTA,
        error(403, "dailyLimitExceeded"),
        error(403, "rateLimitExceeded"),
        error(403, "userRateLimitExceeded"),
        error(429, "RATE_LIMIT_EXCEEDED"),
        Answer(429),
        error(403, "", status="RESOURCE_EXHAUSTED"),
    ],
)
def test_a_quota_that_is_used_up_is_told_from_other_refusals(api: Api, youtube: YouTube, refusal: Answer):
    youtube.scripted.extend([refusal] * HURRIED.attempts)
    with pytest.raises(QuotaError, match="What was fetched is kept: collect the channel again later"):
        ask(api)


def test_a_used_up_quota_is_not_asked_again_and_markup_is_left_out(api: Api, youtube: YouTube):
    youtube.units = 0
    with pytest.raises(
        QuotaError, match=r"403 quotaExceeded: .* have exceeded your quota\.\); it is renewed at midnight"
    ):
        ask(api)
    assert len(youtube.requests) == 1


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (BAD_KEY, "does not accept this API key: it is mistyped, expired or revoked"),
        (error(400, "keyInvalid", "Bad Request"), "does not accept this API key"),
        (error(400, "keyExpired"), "does not accept this API key"),
        (error(400, "badRequest", "API key expired. Please renew the API key."), "does not accept this API key"),
        (error(403, "forbidden", "The request is missing a valid API key."), "does not accept this API key"),
        (error(403, "dailyLimitExceededUnreg"), "does not accept this API key"),
        (error(401, "required", "Login Required"), "does not accept this API key"),
        (error(403, "forbidden", "no", details=[{"reason": "CONSUMER_SUSPENDED"}]), "does not accept this API key"),
        (
            error(403, "accessNotConfigured"),
            "not enabled the YouTube Data API v3 .*apis/library/youtube.googleapis.com",
        ),
        (
            error(403, "forbidden", "no", details=[{"reason": "SERVICE_DISABLED"}]),
            "not enabled the YouTube Data API v3",
        ),
        (error(403, "ipRefererBlocked"), "is restricted to other addresses"),
        (
            error(403, "x", "no", details=[{"reason": "API_KEY_HTTP_REFERRER_BLOCKED"}]),
            "is restricted to other addresses",
        ),
        (error(403, "x", "no", details=[{"reason": "API_KEY_SERVICE_BLOCKED"}]), "is restricted to other addresses"),
    ],
)
def test_a_refused_key_says_what_is_wrong_and_what_to_do(api: Api, youtube: YouTube, refusal: Answer, message: str):
    youtube.scripted.append(refusal)
    with pytest.raises(SettingsError, match=message) as caught:
        ask(api)
    assert "load_dataset" in str(caught.value)
    assert len(youtube.requests) == 1


def test_a_key_that_google_repeats_is_not_repeated_by_us(api: Api, youtube: YouTube):
    youtube.scripted.append(error(403, "forbidden", f"Permission denied: Consumer 'api_key:{KEY}' has been suspended."))
    with pytest.raises(SettingsError, match=r"revoked .*Consumer 'api_key:\[key\]' has been suspended") as caught:
        ask(api)
    assert KEY not in str(caught.value)


def test_other_refusals_give_their_reason(api: Api, youtube: YouTube):
    youtube.scripted.append(error(404, "playlistNotFound", "Not there."))
    with pytest.raises(RefusedError, match="404 playlistNotFound: Not there") as caught:
        ask(api)
    assert caught.value.reasons == {"playlistNotFound"}


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b"null", b'{"error": "text"}', b'{"error": {"errors": {}, "details": 7}}', b"\xff"],
)
def test_a_refusal_of_any_form_is_told(api: Api, youtube: YouTube, body: bytes):
    youtube.scripted.append(Answer(418, body))
    with pytest.raises(RefusedError, match="418"):
        ask(api)


@pytest.mark.parametrize(
    "passing",
    [
        Answer(500),
        error(503, "backendError"),
        Answer(502, b"<html>Bad gateway"),
        Answer(200, b'{"items": [{"id": "UC'),
        Answer(200, b"\xff\xfe"),
        Answer(200, b"[]"),
        Answer(200, b'{"items": {}}'),
        Answer(200, b"{}", delay=0.8),
        error(403, "rateLimitExceeded"),
        error(429, "x"),
    ],
)
def test_what_may_pass_is_tried_again_and_every_try_is_counted(api: Api, youtube: YouTube, passing: Answer):
    youtube.scripted.append(passing)
    assert ask(api) == "A Channel"
    assert api.tally.ledger().calls == api.tally.ledger().units == 2


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (Answer(500), "500 no reason"),
        (Answer(200, b"{"), "not JSON"),
        (Answer(200, b"{}", delay=0.6), "ReadTimeout: timed out"),
    ],
)
def test_what_does_not_pass_is_an_error_after_some_tries(api: Api, youtube: YouTube, failing: Answer, message: str):
    youtube.scripted.extend([failing] * HURRIED.attempts)
    with pytest.raises(RemoteError, match=f"gives no usable answer .*{message}.*What was fetched is kept"):
        ask(api)
    assert len(youtube.requests) == HURRIED.attempts


def test_a_server_that_is_not_there_is_an_error(cache: Cache, unused_port: int):
    with Api(f"http://127.0.0.1:{unused_port}", KEY, cache, Watch(), HURRIED) as api:
        with pytest.raises(RemoteError, match="gives no usable answer .ConnectError: .*refused"):
            ask(api)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_pause_that_the_server_asks_for_is_kept(api: Api, youtube: YouTube):
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.2)
    for header in ("0", soon.strftime("%a, %d %b %Y %H:%M:%S GMT"), "soon"):
        youtube.scripted.append(Answer(503, b"", {"Retry-After": header}))
        assert ask(api) == "A Channel"
    youtube.scripted.append(Answer(503, b"", {"Retry-After": "3600"}))
    began = time.monotonic()
    with pytest.raises(RemoteError):
        ask(api)
    assert time.monotonic() - began < 1, "who is asked to wait for an hour comes back another time"
    assert not youtube.scripted


def test_the_pause_asked_for_is_waited(youtube: YouTube, cache: Cache):
    patience = Patience(timeout=1, first_wait=0, longest_wait=5)
    youtube.scripted.append(Answer(429, b"", {"Retry-After": "1"}))
    with Api(youtube.endpoint, KEY, cache, Watch(), patience) as api:
        began = time.monotonic()
        ask(api)
    assert time.monotonic() - began >= 1


def test_a_stop_ends_a_pause(make_api: Callable[..., Api], youtube: YouTube, cache: Cache):
    watch = Watch()
    patience = Patience(first_wait=30, longest_wait=60)
    youtube.scripted.append(Answer(500))
    threading.Timer(0.1, watch.stop.set).start()
    began = time.monotonic()
    with Api(youtube.endpoint, KEY, cache, watch, patience) as api, pytest.raises(StoppedError):
        ask(api)
    assert time.monotonic() - began < 5


def test_an_unchanged_answer_is_not_sent_again_and_costs_the_same(api: Api, youtube: YouTube):
    assert ask(api) == ask(api) == "A Channel"
    assert "if-none-match" not in youtube.requests[0].headers and "if-none-match" in youtube.requests[1].headers
    (line,) = api.tally.ledger().lines
    assert (line.endpoint, line.calls, line.units, line.unchanged) == ("channels", 2, 2, 1)
    youtube.title = "Another Name"
    assert ask(api) == "Another Name"


def test_a_304_renews_the_date(api: Api, cache: Cache):
    first = api.get("channels", part="snippet", id=CHANNEL)
    again = api.get("channels", part="snippet", id=CHANNEL)
    assert again.body == first.body and again.fetched_at > first.fetched_at
    assert api.get("channels", again.fetched_at, part="snippet", id=CHANNEL) == again


def test_what_is_kept_since_a_moment_is_not_asked_for(api: Api, youtube: YouTube, cache: Cache):
    since = cache.now()
    ask(api)
    assert ask(api, since) == "A Channel" and len(youtube.requests) == 1
    ask(api, cache.now())
    assert len(youtube.requests) == 2


def test_an_empty_answer_is_always_asked_for(api: Api, youtube: YouTube, cache: Cache):
    since = cache.now()
    for _ in range(2):
        assert "items" not in api.get("channels", since, part="snippet", forHandle="@nobody").body
    assert len(youtube.requests) == 2


def test_another_key_sees_what_is_kept_and_neither_is_in_the_cache(
    make_api: Callable[..., Api], youtube: YouTube, cache: Cache
):
    ask(make_api())
    youtube.key = "another"
    assert ask(make_api("another")) == "A Channel"
    files = [file for file in cache.folder.rglob("*") if file.is_file()]
    assert len(files) == 1
    assert json.loads(files[0].read_text())["request"].endswith(f"/channels?id={CHANNEL}&part=snippet")
    assert KEY not in files[0].read_text() and "another" not in files[0].read_text()


def test_a_damaged_cache_is_as_good_as_none(api: Api, youtube: YouTube, cache: Cache):
    ask(api)
    (file,) = (cache.folder / "answers").iterdir()
    for damage in ("", "{", "[]", "null", '{"fetched_at": "yesterday"}', '{"fetched_at": 7}'):
        file.write_text(damage)
        assert ask(api, datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)) == "A Channel"
        assert "if-none-match" not in youtube.requests[-1].headers
