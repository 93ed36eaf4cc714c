"""Which channel is meant: a handle, an id, or an address of a channel or of one of its videos."""

from __future__ import annotations

import dataclasses
import datetime
import re
import urllib.parse
from typing import Any, Literal

from tools.core.errors import InputError, RemoteError
from tools.youtube.api import Api, RefusedError
from tools.youtube.fields import dicts, number, part, text

CHANNEL_ID = re.compile(r"UC[\w-]{22}", re.ASCII)
SAFE_ID = re.compile(r"[\w-]{1,64}", re.ASCII)  # what the API calls an id may name a file
VIDEO_ID = re.compile(r"[\w-]{11}", re.ASCII)
HANDLE = re.compile(r"[\w.·-]{1,60}")  # in many scripts; YouTube's own limit is 30 letters
SITES = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com")
VIDEO_PATHS = ("shorts", "live", "embed", "v", "e")
NOT_CHANNELS = ("watch", "playlist", "results", "feed", "hashtag", "premium", "about", "channel", "user", "c", "t")
EXPECTED = (
    "give a handle such as @ShawhinTalebi, a channel id such as UCa9gErQ9AE5jT2DZLjXBIdA, or the address of the "
    "channel or of one of its videos"
)


@dataclasses.dataclass(frozen=True)
class Reference:
    """What was said of a channel, before the API was asked."""

    kind: Literal["handle", "id", "user", "custom", "video"]
    value: str


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel."""

    id: str
    title: str
    handle: str  # with its @; empty when it has none
    uploads: str  # id of the playlist of all its public videos; empty when it has none
    videos: int | None  # how many public videos YouTube says it has; None when it does not say

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"https://www.youtube.com/{self.handle or f'channel/{self.id}'}"


def read_reference(given: str) -> Reference:
    """Find out what kind of name or address `given` is.

    Raises:
        InputError: It is none of a channel.
    """
    said = given.strip()
    if not said:
        raise InputError(f"channel is empty; {EXPECTED}")
    found = _address(said) if "/" in said else _name(said)
    if found is None:
        shown = said if len(said) <= 100 else f"{said[:100]}…"
        raise InputError(f"{shown!r} is no channel of YouTube; {EXPECTED}")
    return found


def find_channel(api: Api, reference: Reference, since: datetime.datetime | None) -> Channel:
    """Ask the API for a channel; an answer kept since `since` is used without asking.

    Raises:
        InputError: There is no such channel or video.
        RemoteError: The API refuses, cannot be reached, or answers without what is needed.
    """
    if reference.kind == "video":
        videos = dicts(api.get("videos", since, part="snippet", id=reference.value).body.get("items"))
        channel_id = text(part(videos[0], "snippet"), "channelId") if videos else ""
        if not channel_id:
            raise InputError(f"There is no public video {reference.value} on YouTube; check it, or {EXPECTED}")
        reference = Reference("id", channel_id)
    found = _ask(api, reference, since)
    if not found:
        raise InputError(_unknown(reference))
    return _channel(found[0])


def _name(said: str) -> Reference | None:
    if CHANNEL_ID.fullmatch(said):
        return Reference("id", said)
    handle = said.removeprefix("@")
    return Reference("handle", handle) if HANDLE.fullmatch(handle) else None


def _address(said: str) -> Reference | None:
    try:
        url = urllib.parse.urlsplit(said if "://" in said else f"https://{said}")
        site = (url.hostname or "").lower()
    except ValueError:  # such as an unclosed [
        return None
    path = [urllib.parse.unquote(part) for part in url.path.split("/") if part]
    if url.scheme not in ("http", "https") or not path and not url.query:
        return None
    if site == "youtu.be":
        return _video(path[0]) if path else None
    if site not in SITES or not path:
        return None
    first, second = path[0], path[1] if len(path) > 1 else ""
    if first == "watch":
        return _video(urllib.parse.parse_qs(url.query).get("v", [""])[0])
    if first in VIDEO_PATHS:
        return _video(second)
    if first == "channel":
        return Reference("id", second) if CHANNEL_ID.fullmatch(second) else None
    if first in ("user", "c"):
        return Reference("user" if first == "user" else "custom", second) if HANDLE.fullmatch(second) else None
    if first.startswith("@"):
        return _name(first)
    return Reference("custom", first) if HANDLE.fullmatch(first) and first not in NOT_CHANNELS else None


def _video(said: str) -> Reference | None:
    return Reference("video", said) if VIDEO_ID.fullmatch(said) else None


def _ask(api: Api, reference: Reference, since: datetime.datetime | None) -> list[dict[str, Any]]:
    # A custom address (/c/name) cannot be asked for by name; its owner's handle is nearly always the same word.
    by = {"id": {"id": reference.value}, "user": {"forUsername": reference.value}}
    chosen = by.get(reference.kind) or {"forHandle": f"@{reference.value}"}
    try:
        return dicts(api.get("channels", since, part="snippet,contentDetails,statistics", **chosen).body.get("items"))
    except RefusedError as error:
        if error.reasons & {"channelNotFound", "notFound", "invalidChannelId"}:
            return []
        raise


def _unknown(reference: Reference) -> str:
    if reference.kind in ("custom", "user"):
        return (
            f"YouTube knows no channel by the old custom name {reference.value!r}: open the channel in a browser and "
            "give the handle that stands under its title, with its @"
        )
    what = "handle @" if reference.kind == "handle" else "id "
    return f"There is no YouTube channel with the {what}{reference.value}; check it, or {EXPECTED}"


def _channel(item: dict[str, Any]) -> Channel:
    snippet, channel_id = part(item, "snippet"), text(item, "id")
    playlists = part(part(item, "contentDetails"), "relatedPlaylists")
    if not SAFE_ID.fullmatch(channel_id) or "uploads" not in playlists:
        raise RemoteError(
            "The YouTube API describes the channel without its id or its list of uploads, so its videos cannot be "
            "found; try again in a while"
        )
    handle = text(snippet, "customUrl")
    return Channel(
        id=channel_id,
        title=text(snippet, "title") or channel_id,
        handle=handle if handle.startswith("@") else "",
        uploads=text(playlists, "uploads"),
        videos=number(part(item, "statistics"), "videoCount"),
    )
