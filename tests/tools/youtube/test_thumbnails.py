from __future__ import annotations

import datetime
import io
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from PIL import Image

from tests.doubles import HttpSentinel
from tests.tools.youtube.server import HURRIED, SIZES, Answer, Upload, YouTube, jpeg
from tools.core.errors import RemoteError, StoppedError
from tools.core.settings import YOUTUBE_ENDPOINT
from tools.core.watch import Watch
from tools.youtube.cache import Cache
from tools.youtube.patience import Patience
from tools.youtube.thumbnails import HOSTS, Failure, Fetcher, Rules, Thumbnail, is_public
from tools.youtube.videos import Video

JPEG = {"Content-Type": "image/jpeg"}
PUBLIC = ("142.250.74.22", "2a00:1450:400f:80c::2016")
MakeFetcher = Callable[..., Fetcher]


def video(*addresses: str, number: int = 0) -> Video:
    return Video(Upload(number).id, "t", "c", 600, "", addresses, datetime.datetime.now(datetime.UTC), False)


@pytest.fixture
def make_fetcher(youtube: YouTube, cache: Cache) -> MakeFetcher:
    """Make fetchers for which the local server is where the API is, unless other rules are given."""

    def make(rules: Rules | None = None, patience: Patience = HURRIED, watch: Watch | None = None, **rest: object):
        return Fetcher(cache, watch or Watch(), patience, rules or Rules.for_endpoint(youtube.endpoint), **rest)

    return make


def fetch_one(fetcher: Fetcher, *addresses: str, since: datetime.datetime | None = None) -> Thumbnail | Failure:
    (result,) = fetcher.fetch([video(*addresses)], since, lambda done: None)
    return result


def refusal(fetcher: Fetcher, *addresses: str) -> str:
    """Return why a picture is refused for good."""
    result = fetch_one(fetcher, *addresses)
    assert isinstance(result, Failure) and not result.may_pass, result
    return result.reason


def test_the_first_thumbnail_that_is_there_is_taken(youtube: YouTube, make_fetcher: MakeFetcher):
    upload = Upload(3)
    paths = [youtube.picture(upload, size) for size in reversed(SIZES)]
    addresses = [youtube.origin + path for path in paths]
    for absent in range(len(paths)):
        youtube.pictures = {path: Answer(404, jpeg(0), JPEG) for path in paths[:absent]}
        fetcher = make_fetcher()
        found = fetch_one(fetcher, *addresses)
        assert isinstance(found, Thumbnail)
        assert found.address == addresses[absent]
        assert found.file.read_bytes() == jpeg(3, len(SIZES) - 1 - absent)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://i.ytimg.com/vi/x/maxresdefault.jpg", "its address is not https"),
        ("https://i.ytimg.com:8443/vi/x.jpg", "its address is not https"),
        ("https://evil.org/i.ytimg.com/x.jpg", "evil.org is not one of YouTube's image hosts"),
        ("https://i.ytimg.com.evil.org/x.jpg", "i.ytimg.com.evil.org is not one"),
        ("https://i.ytimg.com@evil.org/x.jpg", "its address holds a password"),
        ("https://user:pass@i.ytimg.com/x.jpg", "its address holds a password"),
        ("https://evil-i.ytimg.com/x.jpg", "is not one of YouTube's image hosts"),
        ("https://127.0.0.1/x.jpg", "is not one of YouTube's image hosts"),
        ("https://[::1]/x.jpg", "is not one of YouTube's image hosts"),
        ("https://169.254.169.254/latest/meta-data", "is not one of YouTube's image hosts"),
        ("https://localhost/x.jpg", "is not one of YouTube's image hosts"),
        ("file:///etc/passwd", "its address is not https"),
        ("ftp://i.ytimg.com/x.jpg", "its address is not https"),
        ("//i.ytimg.com/x.jpg", "its address is not https"),
        ("x.jpg", "its address is not https"),
        ("https://", "is not one of YouTube's image hosts"),
        ("https://[/x", "is not one of YouTube's image hosts"),
        ("https://i.ytimg.com/\x00x", "its address cannot be read"),
        ("data:image/png;base64,AAAA", "its address is not https"),
    ],
)
def test_a_picture_from_anywhere_else_is_not_even_asked_for(make_fetcher: MakeFetcher, address: str, reason: str):
    def carry(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"asked {request.url}")

    for rules in (Rules(), None):
        fetcher = make_fetcher(rules, resolve=lambda host: PUBLIC, transport=httpx.MockTransport(carry))
        assert reason in refusal(fetcher, address)


def test_with_youtubes_own_endpoint_nothing_local_is_reached(make_fetcher: MakeFetcher, sentinel: HttpSentinel):
    rules = Rules.for_endpoint(YOUTUBE_ENDPOINT)
    assert rules == Rules() and rules.origin is None
    assert "not https" in refusal(make_fetcher(rules), f"{sentinel.url}/x.jpg")
    assert sentinel.requests == []


def test_another_endpoint_opens_only_its_own_origin(
    make_fetcher: MakeFetcher, youtube: YouTube, sentinel: HttpSentinel
):
    fetcher = make_fetcher(Rules.for_endpoint(youtube.endpoint))
    assert isinstance(fetch_one(fetcher, youtube.origin + youtube.picture(Upload(1))), Thumbnail)
    assert "not https" in refusal(fetcher, f"{sentinel.url}/x.jpg")
    assert "not https" in refusal(fetcher, youtube.origin.replace("127.0.0.1", "localhost") + "/x.jpg")
    assert sentinel.requests == []


def test_a_redirect_is_not_followed(make_fetcher: MakeFetcher, youtube: YouTube, sentinel: HttpSentinel):
    for status in (301, 302, 303, 307, 308):
        path = youtube.picture(Upload(status))
        youtube.pictures[path] = Answer(status, b"", {"Location": f"{sentinel.url}/secret"})
        assert refusal(make_fetcher(), youtube.origin + path) == "it is a redirect"
    assert sentinel.requests == []


def test_the_address_that_was_checked_is_the_one_connected_to_under_the_hosts_certificate(make_fetcher: MakeFetcher):
    seen: list[httpx.Request] = []

    def carry(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=jpeg(1), headers=JPEG)

    looked_up: list[str] = []

    def resolve(host: str) -> tuple[str, ...]:
        looked_up.append(host)
        return PUBLIC

    fetcher = make_fetcher(Rules(), resolve=resolve, transport=httpx.MockTransport(carry))
    for number in range(3):
        assert isinstance(fetch_one(fetcher, f"https://i.ytimg.com/vi/{number}/maxresdefault.jpg"), Thumbnail)
    assert looked_up == ["i.ytimg.com"], "once a run: what was checked cannot change before it is used"
    for request in seen:
        assert request.url.host == PUBLIC[0] and request.url.scheme == "https"
        assert request.headers["Host"] == "i.ytimg.com" == request.extensions["sni_hostname"]


def test_the_next_address_is_tried_when_one_does_not_answer(make_fetcher: MakeFetcher):
    def carry(request: httpx.Request) -> httpx.Response:
        if request.url.host == PUBLIC[0]:
            raise httpx.ConnectError("unreachable")
        assert request.url.host == PUBLIC[1]
        return httpx.Response(200, content=jpeg(1), headers=JPEG)

    fetcher = make_fetcher(Rules(), resolve=lambda host: PUBLIC, transport=httpx.MockTransport(carry))
    assert isinstance(fetch_one(fetcher, "https://i.ytimg.com/x.jpg"), Thumbnail)


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.9.9", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1",
               "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "224.0.0.1", "ff02::1", "198.18.0.1", "255.255.255.255"]
)  # fmt: skip
def test_a_host_with_an_inside_address_is_refused_whatever_else_it_has(make_fetcher: MakeFetcher, inside: str):
    def carry(request: httpx.Request) -> httpx.Response:
        raise AssertionError("connected")

    assert not is_public(inside)
    for addresses in ([inside], [PUBLIC[0], inside], [inside, PUBLIC[1]]):
        fetcher = make_fetcher(Rules(), resolve=lambda host, a=addresses: a, transport=httpx.MockTransport(carry))
        assert (
            refusal(fetcher, "https://i.ytimg.com/x.jpg")
            == f"i.ytimg.com has the address {inside}, which is not public"
        )


def test_public_addresses_are_public():
    assert all(is_public(address) for address in (*PUBLIC, "8.8.8.8", "1.1.1.1"))


def test_a_host_that_cannot_be_looked_up_may_be_so_later(make_fetcher: MakeFetcher):
    def resolve(host: str) -> list[str]:
        raise OSError("Name or service not known")

    result = fetch_one(make_fetcher(Rules(), resolve=resolve), "https://i.ytimg.com/x.jpg")
    assert isinstance(result, Failure) and result.may_pass and "cannot be looked up" in result.reason


def test_behind_a_proxy_the_host_is_asked_for_by_name(make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch):
    def carry(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "i.ytimg.com"
        return httpx.Response(200, content=jpeg(1), headers=JPEG)

    def resolve(host: str) -> list[str]:
        raise AssertionError("looked up")

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    fetcher = make_fetcher(Rules(), resolve=resolve, transport=httpx.MockTransport(carry))
    assert isinstance(fetch_one(fetcher, "https://i.ytimg.com/x.jpg"), Thumbnail)


def truncated() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((400, 300), 90).save(stream, "JPEG")
    return stream.getvalue()[:2000]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, jpeg(1), {}), "it is of the type unknown"),
        (Answer(200, jpeg(1), {"Content-Type": "text/html"}), "it is of the type text/html"),
        (Answer(200, jpeg(1), {"Content-Type": "image/svg+xml"}), "it is of the type image/svg"),
        (Answer(200, b"<html></html>", JPEG), "it does not begin as a picture does"),
        (Answer(200, b"", JPEG), "it does not begin as a picture does"),
        (Answer(200, b"\xff\xd8\xff" + bytes(500), JPEG), "is not a picture that can be read"),
        (Answer(200, truncated(), JPEG), "is damaged or cannot be read"),
        (Answer(200, bytes(20_000), JPEG), "it is larger than 0.01 MB"),
        (Answer(403, b"", JPEG), "its host answers 403"),
        (Answer(206, jpeg(1), JPEG), "its host answers 206"),
        (Answer(410, b"", JPEG), "it is not there"),
        (Answer(304, b"", {}), "it is a redirect"),
    ],
)
def test_what_is_no_usable_picture_is_refused_and_the_next_one_taken(
    make_fetcher: MakeFetcher, youtube: YouTube, answer: Answer, reason: str
):
    bad, good = youtube.picture(Upload(1)), youtube.picture(Upload(1), "high")
    youtube.pictures[bad] = answer
    small = Rules(origin=youtube.origin, max_bytes=10_000 if "larger" in reason else 10_000_000)
    assert reason in refusal(make_fetcher(small), youtube.origin + bad)
    found = fetch_one(make_fetcher(small), youtube.origin + bad, youtube.origin + good)
    assert isinstance(found, Thumbnail) and found.address.endswith("high.jpg")


def test_reading_stops_at_the_limit_however_much_is_sent(make_fetcher: MakeFetcher):
    sent = itertools.count()

    def endless() -> Iterator[bytes]:
        while True:
            assert next(sent) < 1000, "far more was read than wanted"
            yield bytes(10_000)

    carry = httpx.MockTransport(lambda request: httpx.Response(200, content=endless(), headers=JPEG))
    fetcher = make_fetcher(Rules(max_bytes=1_000_000), resolve=lambda host: PUBLIC, transport=carry)
    assert refusal(fetcher, "https://i.ytimg.com/x.jpg") == "it is larger than 1 MB"
    assert next(sent) < 110


def test_an_answer_that_trickles_in_is_given_up(make_fetcher: MakeFetcher):
    def trickle() -> Iterator[bytes]:
        while True:
            time.sleep(0.02)
            yield b"x"

    carry = httpx.MockTransport(lambda request: httpx.Response(200, content=trickle(), headers=JPEG))
    patience = Patience(total=0.2, attempts=1)
    fetcher = make_fetcher(Rules(), patience, resolve=lambda host: PUBLIC[:1], transport=carry)
    result = fetch_one(fetcher, "https://i.ytimg.com/x.jpg")
    assert isinstance(result, Failure) and result.may_pass and "no whole answer in" in result.reason


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_and_in_the_end_reported_as_such(
    make_fetcher: MakeFetcher, youtube: YouTube, status: int
):
    path = youtube.picture(Upload(1))
    youtube.pictures[path] = Answer(status, b"", {"Retry-After": "0"})
    result = fetch_one(make_fetcher(), youtube.origin + path, youtube.origin + youtube.picture(Upload(1), "high"))
    assert result == Failure(f"its host answers {status}", may_pass=True), (
        "a lesser one is not taken for want of patience"
    )
    assert [request.path for request in youtube.picture_requests] == [path] * HURRIED.attempts


def test_a_busy_host_that_recovers_gives_its_picture(make_fetcher: MakeFetcher, youtube: YouTube):
    path = youtube.picture(Upload(1))
    youtube.pictures[path] = Answer(503, b"", {"Retry-After": "1"})
    threading.Timer(0.3, youtube.pictures.clear).start()
    patience = Patience(timeout=1, first_wait=0.01, longest_wait=2)
    assert isinstance(fetch_one(make_fetcher(None, patience), youtube.origin + path), Thumbnail)
    assert len(youtube.picture_requests) == 2, "the second try comes when the host said"


def test_a_picture_kept_since_a_moment_is_not_asked_for_and_an_older_one_by_its_etag(
    make_fetcher: MakeFetcher, youtube: YouTube, cache: Cache
):
    began, address = cache.now(), youtube.origin + youtube.picture(Upload(1))
    first = fetch_one(make_fetcher(), address)
    assert fetch_one(make_fetcher(), address, since=began) == first and len(youtube.picture_requests) == 1
    again = fetch_one(make_fetcher(), address, since=cache.now())
    assert youtube.picture_requests[1].headers["if-none-match"] == '"1-maxres"'
    assert isinstance(first, Thumbnail) and isinstance(again, Thumbnail)
    assert again.file == first.file and again.fetched_at > first.fetched_at
    youtube.pictures[youtube.picture(Upload(1))] = Answer(200, jpeg(77), JPEG)
    changed = fetch_one(make_fetcher(), address)
    assert isinstance(changed, Thumbnail) and changed.file.read_bytes() == jpeg(77)


def test_an_absent_picture_is_not_asked_for_twice_in_a_run(make_fetcher: MakeFetcher, youtube: YouTube, cache: Cache):
    began, path = cache.now(), youtube.picture(Upload(1))
    youtube.pictures[path] = Answer(404)
    for _ in range(2):
        assert fetch_one(make_fetcher(), youtube.origin + path, since=began) == Failure("it is not there", False)
    assert len(youtube.picture_requests) == 1
    youtube.pictures.clear()
    assert isinstance(fetch_one(make_fetcher(), youtube.origin + path), Thumbnail)


def test_many_are_fetched_at_once_and_come_back_in_order(make_fetcher: MakeFetcher, youtube: YouTube):
    chance = random.Random(1)
    videos, done = [], []
    for number in range(40):
        path = youtube.picture(Upload(number))
        youtube.pictures[path] = Answer(200, jpeg(number), JPEG, delay=chance.uniform(0.01, 0.05))
        videos.append(video(youtube.origin + path, number=number))
    results = make_fetcher().fetch(videos, None, done.append)
    assert [one.file.read_bytes() for one in results if isinstance(one, Thumbnail)] == [jpeg(n) for n in range(40)]
    assert done == list(range(1, 41))
    assert 2 < youtube.most_busy <= Rules().workers


def test_no_videos_need_no_thumbnails(make_fetcher: MakeFetcher):
    assert make_fetcher().fetch([], None, lambda done: None) == []


def test_hosts_that_cannot_be_reached_at_all_end_the_run_early(make_fetcher: MakeFetcher):
    asked = itertools.count()

    def carry(request: httpx.Request) -> httpx.Response:
        next(asked)
        raise httpx.ConnectError("Network is unreachable")

    patience = Patience(attempts=2, first_wait=0.001)
    fetcher = make_fetcher(Rules(), patience, resolve=lambda host: PUBLIC[:1], transport=httpx.MockTransport(carry))
    with pytest.raises(
        RemoteError, match="thumbnails cannot be fetched: ConnectError: Network is unreachable.*is kept"
    ):
        fetcher.fetch([video("https://i.ytimg.com/x.jpg")] * 500, None, lambda done: None)
    assert next(asked) < 100


def test_a_few_that_fail_do_not_end_a_run_in_which_others_succeed(make_fetcher: MakeFetcher, youtube: YouTube):
    paths = [youtube.picture(Upload(number)) for number in range(40)]
    youtube.pictures = {path: Answer(503) for path in paths[1:]}
    youtube.pictures[paths[0]] = Answer(200, jpeg(0), JPEG)
    patience = Patience(attempts=1)
    rules = Rules(origin=youtube.origin, workers=1)
    results = make_fetcher(rules, patience).fetch(
        [video(youtube.origin + path) for path in paths], None, lambda done: None
    )
    assert [isinstance(result, Thumbnail) for result in results] == [True] + [False] * 39


def test_a_stop_ends_the_fetching_at_once_and_keeps_what_is_there(make_fetcher: MakeFetcher, youtube: YouTube):
    watch = Watch()

    def tell(done: int) -> None:
        if done == 3:
            watch.stop.set()
        watch.check()

    videos = []
    for number in range(100):
        path = youtube.picture(Upload(number))
        youtube.pictures[path] = Answer(200, jpeg(number), JPEG, delay=0.1)
        videos.append(video(youtube.origin + path, number=number))
    began = time.monotonic()
    with pytest.raises(StoppedError):
        make_fetcher(watch=watch).fetch(videos, None, tell)
    assert time.monotonic() - began < 1
    asked = len(youtube.picture_requests)
    assert asked <= 3 + 2 * Rules().workers
    time.sleep(0.3)
    assert len(youtube.picture_requests) <= asked + Rules().workers, "nothing goes on in the background"


def test_the_image_hosts_are_youtubes():
    assert all(host.endswith((".ytimg.com", ".youtube.com")) for host in HOSTS)
