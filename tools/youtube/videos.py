"""The long videos of a channel, newest first, and why the others are left out.

What is known of Shorts: the API does not name them. YouTube makes Shorts only of videos of at most three minutes that
are upright or square, so a longer video is none; of the others the shape decides, where the API tells it.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tools.core.errors import RemoteError
from tools.youtube.api import Api, QuotaError, RefusedError
from tools.youtube.channels import SAFE_ID, Channel
from tools.youtube.fields import dicts, number, part, text
from tools.youtube.ledger import Ledger, counted

PAGE = 50  # playlist items a page, and ids a call of `videos`: the API's own limits
SHORT_SECONDS = 180
PARTS = "snippet,contentDetails,status,liveStreamingDetails,player"
SHAPE_HEIGHT = 720  # the API tells a video's shape only to who names a size
SIZES = ("maxres", "standard", "high", "medium", "default")  # of thumbnails, the best first
DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)


class Reason(enum.StrEnum):
    """Why a video is left out."""

    PRIVATE = "private or unlisted"
    DELETED = "deleted or not available"
    UPCOMING = "upcoming streams or premieres"
    LIVE = "live now"
    SHORT = "Shorts"
    PERHAPS_SHORT = "of at most 3 minutes and unknown shape, Shorts among them"
    TOO_SHORT = "not long enough"
    UNKNOWN_LENGTH = "of unknown length"
    INCOMPLETE = "without title or thumbnail"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which videos of a channel are wanted."""

    min_minutes: float = 3.0  # only longer ones
    limit: int | None = None  # how many, the newest first; None for all


@dataclasses.dataclass(frozen=True)
class Video:
    """A video that is wanted."""

    id: str
    title: str
    channel: str
    duration_seconds: int
    published_at: str  # ISO 8601, UTC; empty when the API did not say
    thumbnails: tuple[str, ...]  # addresses, the best first
    fetched_at: datetime.datetime  # when the API last said so
    was_live: bool  # a stream that is over, or a premiere: the API does not tell one from the other


@dataclasses.dataclass
class Listing:
    """What going through a channel's uploads has found so far."""

    videos: list[Video] = dataclasses.field(default_factory=list)
    looked_at: int = 0
    excluded: Counter[Reason] = dataclasses.field(default_factory=Counter)
    interrupted: QuotaError | None = None  # what ended it before the end; None when it is complete

    def add(self, judged: Video | Reason) -> None:
        """Take in a video, or why it is left out."""
        self.looked_at += 1
        if isinstance(judged, Reason):
            self.excluded[judged] += 1
        else:
            self.videos.append(judged)


def estimate(channel: Channel, wanted: Wanted, spent: Ledger) -> Ledger:
    """Return what listing a channel should cost, with what finding it has cost.

    With a limit it is taken that every second video is wanted.
    """
    sizes = [size for size in (channel.videos, wanted.limit and 2 * wanted.limit) if size is not None]
    pages = math.ceil(min(sizes, default=0) / PAGE) or 1
    calls = Counter({line.endpoint: line.calls for line in spent.lines})
    return counted(calls + Counter({"playlistItems": pages, "videos": pages}))


def list_videos(
    api: Api, channel: Channel, wanted: Wanted, since: datetime.datetime | None, tell: Callable[[Listing], None]
) -> Listing:
    """Go through a channel's uploads, newest first, until the end or until enough videos are found.

    When the quota ends on the way, what was found until then is returned and says so.

    Args:
        api: Whom to ask.
        channel: Whose videos.
        wanted: Which of them.
        since: Answers kept since then are used without asking.
        tell: Told after each page.
    """
    listing = Listing()
    try:
        for page in _pages(api, channel, since):
            for judged in _judge_page(api, page, wanted.min_minutes, since):
                listing.add(judged)
                if len(listing.videos) == wanted.limit:
                    break
            tell(listing)
            if len(listing.videos) == wanted.limit:
                break
    except QuotaError as error:
        listing.interrupted = error
    return listing


def _pages(api: Api, channel: Channel, since: datetime.datetime | None) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the pages of a channel's uploads: video → entry; a video is in one of them only."""
    seen: set[str] = set()
    token, tokens = "", set()
    while channel.uploads:
        page = _page(api, channel, token, since)
        entries = {_id(entry): entry for entry in dicts(page.get("items"))}
        yield {video: entry for video, entry in entries.items() if video not in seen}
        seen.update(entries)
        token = text(page, "nextPageToken")
        if not token:
            return
        if token in tokens:
            raise RemoteError("The YouTube API gives the same page of the channel's videos again and again")
        tokens.add(token)


def _page(api: Api, channel: Channel, token: str, since: datetime.datetime | None) -> dict[str, Any]:
    parameters = {"part": "snippet,contentDetails,status", "playlistId": channel.uploads, "maxResults": str(PAGE)}
    try:
        return api.get("playlistItems", since, **parameters, **({"pageToken": token} if token else {})).body
    except RefusedError as error:
        if "playlistNotFound" in error.reasons:  # so it is for a channel that never had a public video
            return {}
        raise


def _id(entry: dict[str, Any]) -> str:
    found = text(part(entry, "contentDetails"), "videoId") or text(
        part(part(entry, "snippet"), "resourceId"), "videoId"
    )
    return found if SAFE_ID.fullmatch(found) else f"entry {text(entry, 'id')}"  # with a blank: no id


def _judge_page(
    api: Api, entries: dict[str, dict[str, Any]], min_minutes: float, since: datetime.datetime | None
) -> list[Video | Reason]:
    """Return for each entry of a page the video, or why it is left out."""
    there = [video for video, entry in entries.items() if " " not in video and not _is_private(entry)]
    known: dict[str, Video | Reason] = {}
    if there:
        answer = api.get("videos", since, part=PARTS, id=",".join(there), maxHeight=SHAPE_HEIGHT)
        for item in dicts(answer.body.get("items")):
            known[text(item, "id")] = judge(item, min_minutes, answer.fetched_at)
    return [
        known.get(video, Reason.PRIVATE if _is_private(entry) else Reason.DELETED) for video, entry in entries.items()
    ]


def _is_private(entry: dict[str, Any]) -> bool:
    return (
        text(part(entry, "status"), "privacyStatus") == "private"
        or text(part(entry, "snippet"), "title") == "Private video"  # all that the API shows of one
        and not part(part(entry, "snippet"), "thumbnails")
    )


def judge(item: dict[str, Any], min_minutes: float, fetched_at: datetime.datetime) -> Video | Reason:
    """Return the video of a resource as `videos.list` gives it, or why it is left out."""
    snippet, details = part(item, "snippet"), part(item, "contentDetails")
    if reason := _not_to_be_seen(item):
        return reason
    seconds = read_duration(text(details, "duration"))
    if not seconds:
        return Reason.UNKNOWN_LENGTH
    if seconds <= SHORT_SECONDS and (reason := _short_by_shape(part(item, "player"))):
        return reason
    if seconds <= min_minutes * 60:
        return Reason.TOO_SHORT
    title, thumbnails = " ".join(text(snippet, "title").split()), _thumbnails(snippet)
    if not title or not thumbnails:
        return Reason.INCOMPLETE
    return Video(
        id=text(item, "id"),
        title=title,
        channel=text(snippet, "channelTitle"),
        duration_seconds=seconds,
        published_at=text(snippet, "publishedAt"),
        thumbnails=thumbnails,
        fetched_at=fetched_at,
        was_live=bool(part(item, "liveStreamingDetails")),
    )


def _not_to_be_seen(item: dict[str, Any]) -> Reason | None:
    """Return why there is nothing to see of a video: not public, not processed, live or upcoming."""
    status, live = part(item, "status"), part(item, "liveStreamingDetails")
    if text(status, "privacyStatus") in ("private", "unlisted"):
        return Reason.PRIVATE
    if text(status, "uploadStatus") in ("deleted", "failed", "rejected"):
        return Reason.DELETED
    state = text(part(item, "snippet"), "liveBroadcastContent")
    if state == "live" or live.get("actualStartTime") and not live.get("actualEndTime"):
        return Reason.LIVE
    if state == "upcoming" or live and not live.get("actualStartTime"):
        return Reason.UPCOMING
    return None


def _short_by_shape(player: dict[str, Any]) -> Reason | None:
    width, height = number(player, "embedWidth"), number(player, "embedHeight")
    if not width or not height:
        return Reason.PERHAPS_SHORT
    return Reason.SHORT if width <= height else None


def _thumbnails(snippet: dict[str, Any]) -> tuple[str, ...]:
    sizes = part(snippet, "thumbnails")
    return tuple(address for size in SIZES if (address := text(part(sizes, size), "url")))


def read_duration(given: str) -> int | None:
    """Return the seconds of an ISO 8601 duration such as PT1H2M3S; None when it is none."""
    found = DURATION.fullmatch(given)
    if not found or given in ("P", ""):
        return None
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    return (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds
