"""A small YouTube on this machine: the Data API v3 in its documented shapes, and the hosts of its pictures.

It is strict where the real one is: it wants the key in the header, gives only the parts asked for, takes at most fifty
ids, leaves `items` out where there are none, charges a unit for every request, and knows ETags.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import io
import json
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import noise
from tools.core.settings import Settings
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace
from tools.youtube.patience import Patience

KEY = "AIzaSyDUMMY-key_of_the_tests_0123456789"
CHANNEL = "UC" + "a" * 22
UPLOADS = "UU" + "a" * 22
SIZES = ("default", "medium", "high", "standard", "maxres")
HURRIED = Patience(timeout=0.5, total=1.5, attempts=3, first_wait=0.01, longest_wait=0.3)


@dataclasses.dataclass
class Upload:
    """A video as its maker uploaded it."""

    number: int
    title: str = ""
    seconds: int = 600
    live: str = "none"
    live_details: dict[str, str] | None = None
    privacy: str = "public"
    shape: tuple[int, int] | None = (1280, 720)
    sizes: tuple[str, ...] = SIZES
    deleted: bool = False  # gone, though still listed
    without: tuple[str, ...] = ()  # parts that the API forgets

    @property
    def id(self) -> str:
        return f"video{self.number:06d}"

    @property
    def name(self) -> str:
        return self.title or f"How to do thing number {self.number}"


@dataclasses.dataclass
class Answer:
    """What the server says to a request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    delay: float = 0.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What the server was asked."""

    path: str  # after the host, without the query
    query: dict[str, str]
    headers: dict[str, str]
    line: str


def error(status: int, reason: str, message: str = "", /, **more: Any) -> Answer:
    """Return an error as the API words it."""
    one = {"message": message or reason, "domain": "youtube", "reason": reason}
    body = {"error": {"code": status, "message": message or reason, "errors": [one], **more}}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=UTF-8"})


QUOTA = error(
    403,
    "quotaExceeded",
    'The request cannot be completed because you have exceeded your <a href="/youtube/v3/x#quota">quota</a>.',
)
BAD_KEY = error(
    400,
    "badRequest",
    "API key not valid. Please pass a valid API key.",
    status="INVALID_ARGUMENT",
    details=[{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
)


class YouTube:
    """The server; a test changes `uploads` and the rest as it likes."""

    def __init__(self) -> None:
        self.uploads = [Upload(number) for number in range(12)]  # newest first
        self.title, self.handle, self.user = "A Channel", "@achannel", "achanneluser"
        self.units = 10_000
        self.key = KEY
        self.scripted: deque[Answer] = deque()  # given to the next requests of the API instead
        self.pictures: dict[str, Answer] = {}  # path → what is there instead
        self.requests: list[Request] = []
        self.picture_requests: list[Request] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self.change: Callable[[str, dict[str, Any]], None] = lambda endpoint, body: None  # a last touch to an answer
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.endpoint = f"{self.origin}/youtube/v3"

    def calls(self) -> list[str]:
        """Return the endpoints asked, in order, and forget them."""
        asked = [request.path.rsplit("/", 1)[1] for request in self.requests]
        self.requests.clear()
        return asked

    def picture(self, upload: Upload, size: str = "maxres") -> str:
        """Return the path of a thumbnail."""
        return f"/vi/{upload.id}/{size}.jpg"

    # The API

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            if self.scripted:
                return self.scripted.popleft()
            if request.headers.get("x-goog-api-key") != self.key:
                return BAD_KEY if "x-goog-api-key" in request.headers else error(403, "forbidden", "missing API key")
            if self.units <= 0:
                return QUOTA
            self.units -= 1
        endpoint = request.path.removeprefix("/youtube/v3/")
        found = {"channels": self._channels, "playlistItems": self._items, "videos": self._videos}[endpoint](request)
        if isinstance(found, Answer):
            return found
        self.change(endpoint, found)
        content = json.dumps(found).encode()
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        if request.headers.get("if-none-match") == etag:
            return Answer(304, b"", {"ETag": etag})
        return Answer(200, content, {"Content-Type": "application/json; charset=UTF-8", "ETag": etag})

    def _channels(self, request: Request) -> dict[str, Any]:
        query = request.query
        known = {"forHandle": self.handle, "id": CHANNEL, "forUsername": self.user}
        asked = [name for name in known if name in query]
        assert len(asked) == 1, "exactly one filter"
        if query[asked[0]].lower() != known[asked[0]].lower():
            return {"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 0, "resultsPerPage": 5}}
        channel = {
            "kind": "youtube#channel",
            "id": CHANNEL,
            "snippet": {"title": self.title, "customUrl": self.handle, "publishedAt": "2020-01-01T00:00:00Z"},
            "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": UPLOADS}},
            "statistics": {"videoCount": str(len(self.uploads)), "viewCount": "1"},
        }
        return {"kind": "youtube#channelListResponse", "items": [_parts(channel, query)]}

    def _items(self, request: Request) -> dict[str, Any] | Answer:
        query = request.query
        if query["playlistId"] != UPLOADS:
            return error(404, "playlistNotFound", "The playlist cannot be found.")
        size = int(query.get("maxResults", 5))
        assert size <= 50
        token = query.get("pageToken", "")
        start = int(base64.b64decode(token)) if token else 0
        body = {
            "kind": "youtube#playlistItemListResponse",
            "items": [_parts(self._item(one), query) for one in self.uploads[start : start + size]],
            "pageInfo": {"totalResults": len(self.uploads), "resultsPerPage": size},
        }
        if start + size < len(self.uploads):
            body["nextPageToken"] = base64.b64encode(str(start + size).encode()).decode()
        return body

    @staticmethod
    def _item(upload: Upload) -> dict[str, Any]:
        title = "Private video" if upload.privacy == "private" else "Deleted video" if upload.deleted else upload.name
        thumbnails = {} if upload.deleted or upload.privacy == "private" else {"default": {"url": "x"}}
        return {
            "kind": "youtube#playlistItem",
            "id": f"item-{upload.id}",
            "snippet": {"title": title, "thumbnails": thumbnails, "resourceId": {"videoId": upload.id}},
            "contentDetails": {"videoId": upload.id},
            "status": {"privacyStatus": "privacyStatusUnspecified" if upload.deleted else upload.privacy},
        }

    def _videos(self, request: Request) -> dict[str, Any] | Answer:
        wanted = request.query["id"].split(",")
        if len(wanted) > 50 or "maxResults" in request.query:
            return error(400, "invalidFilters", "too many ids, or maxResults beside them")
        by_id = {upload.id: upload for upload in self.uploads if not upload.deleted and upload.privacy != "private"}
        found = [self._video(by_id[one], request.query) for one in wanted if one in by_id]
        return {"kind": "youtube#videoListResponse", "items": found}

    def _video(self, upload: Upload, query: dict[str, str]) -> dict[str, Any]:
        seconds = upload.seconds
        thumbnails = {
            size: {"url": f"{self.origin}{self.picture(upload, size)}", "width": 120, "height": 90}
            for size in upload.sizes
        }
        video = {
            "kind": "youtube#video",
            "id": upload.id,
            "snippet": {
                "title": upload.name,
                "channelId": CHANNEL,
                "channelTitle": self.title,
                "publishedAt": f"2024-01-01T00:00:{59 - upload.number % 60:02d}Z",
                "liveBroadcastContent": upload.live,
                "thumbnails": thumbnails,
            },
            "contentDetails": {"duration": f"PT{seconds // 3600}H{seconds // 60 % 60}M{seconds % 60}S"},
            "status": {"privacyStatus": upload.privacy, "uploadStatus": "processed"},
            "player": {"embedHtml": "<iframe></iframe>"},
        }
        if upload.shape and "maxHeight" in query:
            video["player"] |= {"embedWidth": str(upload.shape[0]), "embedHeight": str(upload.shape[1])}
        if upload.live_details is not None:
            video["liveStreamingDetails"] = upload.live_details
        for name in upload.without:
            del video[name]
        return _parts(video, query)

    # The pictures

    def show(self, request: Request) -> Answer:
        with self.lock:
            self.picture_requests.append(request)
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        try:
            planned = self.pictures.get(request.path)
            if planned is not None:
                time.sleep(planned.delay)
                return dataclasses.replace(planned, delay=0)
            number = int(request.path.split("/")[2].removeprefix("video"))
            size = request.path.rsplit("/", 1)[1].removesuffix(".jpg")
            content = jpeg(number, SIZES.index(size))
            etag = f'"{number}-{size}"'
            if request.headers.get("if-none-match") == etag:
                return Answer(304, b"", {"ETag": etag})
            return Answer(200, content, {"Content-Type": "image/jpeg", "ETag": etag})
        finally:
            with self.lock:
                self.busy -= 1

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        youtube = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(url.path, query, headers, self.path)
                answer = youtube.answer(request) if url.path.startswith("/youtube/") else youtube.show(request)
                time.sleep(answer.delay)
                with contextlib.suppress(ConnectionError):  # who asked has given up
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    if answer.status != 304:
                        self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None: ...

        return Handler


def jpeg(number: int, detail: int = 4) -> bytes:
    """Return a small picture that is like no other number's; another `detail` is another size of it."""
    stream = io.BytesIO()
    noise(number, (32 + 8 * detail, 24 + 6 * detail)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _parts(resource: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return only the parts that were asked for."""
    return {
        name: value
        for name, value in resource.items()
        if name in ("kind", "id") or name in query.get("part", "").split(",")
    }


@contextlib.contextmanager
def running_youtube(monkeypatch: pytest.MonkeyPatch) -> Iterator[YouTube]:
    """Run a `YouTube` for the length of a block, reached without any proxy."""
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_PROXY".upper()):
            monkeypatch.delenv(name, raising=False)
    youtube = YouTube()
    thread = threading.Thread(target=youtube.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield youtube
    finally:
        youtube.server.shutdown()
        youtube.server.server_close()
        thread.join()


def workspace_for(youtube: YouTube, home: Path, report: Callable[[Progress], None] | None = None) -> Workspace:
    """Return a workspace whose YouTube is this one."""
    settings = Settings(home=home, youtube_api_key=KEY, youtube_endpoint=youtube.endpoint, hub_offline=True)
    return Workspace(settings, Watch(report))
