"""Fetching thumbnails: from YouTube's image hosts and nowhere else, several at once, each proved to be a picture.

What is covered: only https to the hosts named here; the host's addresses are looked up here and must all be public, and
the connection goes to the very address that was looked up, under the host's certificate; no redirects; a limit of bytes
while reading; the type by header and by first bytes; one whole decoding. What is not: behind a proxy the proxy looks up
the address, so that only the certificate proves the host.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import functools
import ipaddress
import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from tools.core.errors import DataError, RemoteError
from tools.core.pictures import open_picture
from tools.core.settings import YOUTUBE_ENDPOINT
from tools.core.watch import Watch
from tools.youtube.cache import Cache, KeptPicture
from tools.youtube.patience import BUSY, Patience, Reply, TooLargeError, TryAgain
from tools.youtube.videos import Video

HOSTS = frozenset({"i.ytimg.com", *(f"i{number}.ytimg.com" for number in range(1, 10)), "img.youtube.com"})
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8")  # of the pictures that YouTube serves
ABSENT = (404, 410)
HOPELESS = 12  # so many in a row that could not be reached, and none that could: the network is at fault

Resolve = Callable[[str], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Rules:
    """Where a picture may come from, and how large it may be."""

    hosts: frozenset[str] = HOSTS  # by https, at public addresses
    origin: str | None = None  # also from this one, as scheme://host:port, wherever it is; None: from nowhere else
    max_bytes: int = 10_000_000
    workers: int = 8

    @classmethod
    def for_endpoint(cls, endpoint: str) -> Rules:
        """Return the rules: whoever sets another endpoint than YouTube's trusts that very server with pictures too."""
        if endpoint == YOUTUBE_ENDPOINT:
            return cls()
        return cls(origin=_origin(httpx.URL(endpoint)))


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A picture that was fetched and decodes."""

    address: str
    file: Path
    fetched_at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a video has no picture."""

    reason: str
    may_pass: bool  # another run may get it


class RefusedPictureError(Exception):
    """An address gives no picture that may be used; never leaves this package."""


class Fetcher:
    """Fetches the thumbnails of one run."""

    def __init__(
        self,
        cache: Cache,
        watch: Watch,
        patience: Patience,
        rules: Rules,
        resolve: Resolve | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Fetch under `rules`; `resolve` looks up addresses, `transport` carries requests (None: the usual ones)."""
        self._cache, self._watch, self._patience, self._rules = cache, watch, patience, rules
        self._resolve = resolve or look_up
        self._transport = transport
        self._checked: dict[str, Sequence[str]] = {}  # host → public addresses
        self._looking = threading.Lock()

    def fetch(
        self, videos: Sequence[Video], since: datetime.datetime | None, tell: Callable[[int], None]
    ) -> list[Thumbnail | Failure]:
        """Return the best thumbnail of each video, or why there is none.

        Args:
            videos: Whose thumbnails.
            since: Pictures kept since then are used without asking; None asks whether they have changed.
            tell: Told how many are done.

        Raises:
            RemoteError: The image hosts cannot be reached at all.
            StoppedError: The person asked to stop; what was fetched is kept.
        """
        limits = httpx.Limits(max_connections=self._rules.workers)
        client = httpx.Client(transport=self._transport, limits=limits, follow_redirects=False)
        pool = concurrent.futures.ThreadPoolExecutor(self._rules.workers, "thumbnails")
        try:
            running = [pool.submit(self._best, client, video, since) for video in videos]
            hopeless = 0
            for done, future in enumerate(concurrent.futures.as_completed(running), 1):
                tell(done)
                result = future.result()
                reached = isinstance(result, Thumbnail) or not result.may_pass
                hopeless = -len(videos) if reached else hopeless + 1
                if hopeless == HOPELESS and isinstance(result, Failure):
                    raise RemoteError(
                        f"YouTube's thumbnails cannot be fetched: {result.reason}. What the API said is kept; try "
                        "again when the network lets pictures through"
                    )
            return [future.result() for future in running]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            client.close()

    def _best(self, client: httpx.Client, video: Video, since: datetime.datetime | None) -> Thumbnail | Failure:
        """Fetch the first of a video's thumbnails that is there and is a picture."""
        reasons = []
        for address in video.thumbnails:
            kept = self._cache.picture(address)
            try:
                if not (kept and since and kept.fetched_at >= since):
                    ask = functools.partial(self._ask, client, address, kept)
                    kept = self._patience.keep_trying(ask, self._watch)
            except RefusedPictureError as error:
                reasons.append(str(error))
                continue
            except TryAgain as error:
                if not (kept and kept.file):
                    return Failure(str(error), may_pass=True)
                # The one kept from before may still be used, and stays dated as it was.
            if kept.file:
                return Thumbnail(address, kept.file, kept.fetched_at)
            reasons.append("it is not there")
        return Failure(reasons[0], may_pass=False)

    def _ask(self, client: httpx.Client, address: str, kept: KeptPicture | None) -> KeptPicture:
        url = self._allowed(address)
        headers = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "pairwright"}
        if kept and kept.file and kept.etag:
            headers["If-None-Match"] = kept.etag
        try:
            reply = self._send(client, url, headers)
        except TooLargeError as error:
            raise RefusedPictureError(f"it is larger than {self._rules.max_bytes / 1e6:g} MB") from error
        if reply.status == 304 and kept:
            return self._cache.renew_picture(address, kept)
        if reply.status in BUSY:
            raise TryAgain(f"its host answers {reply.status}", reply.asked_to_wait())
        if reply.status in ABSENT:
            return self._cache.keep_picture(address, None, "")
        self._check(reply)
        return self._cache.keep_picture(address, reply.content, reply.headers.get("ETag", ""))

    def _allowed(self, address: str) -> httpx.URL:
        """Return the address if the rules let it be asked."""
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise RefusedPictureError("its address cannot be read") from error
        if url.userinfo:
            raise RefusedPictureError("its address holds a password")
        if self._rules.origin and _origin(url) == self._rules.origin:
            return url
        if url.scheme != "https" or url.port not in (None, 443):
            raise RefusedPictureError("its address is not https")
        if url.host not in self._rules.hosts:
            raise RefusedPictureError(f"{url.host} is not one of YouTube's image hosts")
        return url

    def _send(self, client: httpx.Client, url: httpx.URL, headers: dict[str, str]) -> Reply:
        most = self._rules.max_bytes
        if _origin(url) == self._rules.origin or _behind_proxy():
            return self._patience.get(client, url, headers, most, self._watch)
        headers["Host"], name = url.host, {"sni_hostname": url.host}
        unreachable: TryAgain | None = None
        for number in self._public_addresses(url.host):
            try:
                return self._patience.get(client, url.copy_with(host=number), headers, most, self._watch, name)
            except TryAgain as error:
                unreachable = error  # the next address may do
        raise unreachable or TryAgain(f"{url.host} has no address")

    def _public_addresses(self, host: str) -> Sequence[str]:
        """Return a host's addresses, looked up once a run; one that is not public condemns them all."""
        with self._looking:
            if host not in self._checked:
                try:
                    found = self._resolve(host)
                except OSError as error:
                    raise TryAgain(f"{host} cannot be looked up ({error})") from error
                if inside := [one for one in found if not is_public(one)]:
                    raise RefusedPictureError(f"{host} has the address {inside[0]}, which is not public")
                self._checked[host] = found[:3]
            return self._checked[host]

    @staticmethod
    def _check(reply: Reply) -> None:
        """Refuse what is no picture."""
        if 300 <= reply.status < 400:
            raise RefusedPictureError("it is a redirect")
        if reply.status != 200:
            raise RefusedPictureError(f"its host answers {reply.status}")
        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not re.fullmatch(r"image/(jpe?g|png|webp|gif)", kind):
            raise RefusedPictureError(f"it is of the type {kind[:40] or 'unknown'}")
        if not reply.content.startswith(STARTS):
            raise RefusedPictureError("it does not begin as a picture does")
        try:
            open_picture(reply.content)
        except DataError as error:
            raise RefusedPictureError(str(error)) from error


def look_up(host: str) -> list[str]:
    """Return the addresses of a host, in the order in which the system would try them."""
    found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public internet: not of this machine, its network, or a special use."""
    number = ipaddress.ip_address(address.partition("%")[0])
    return number.is_global and not number.is_multicast


def _behind_proxy() -> bool:
    return not urllib.request.getproxies().keys().isdisjoint(("https", "all"))


def _origin(url: httpx.URL) -> str:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return f"{url.scheme}://{url.host}:{port}"
