from __future__ import annotations

import datetime
import random

import pytest

from tests.tools.youtube.server import CHANNEL, SIZES, UPLOADS, Upload, YouTube
from tools.core.errors import RemoteError
from tools.youtube.api import Api
from tools.youtube.channels import Channel
from tools.youtube.ledger import Ledger, Line
from tools.youtube.videos import PAGE, Listing, Reason, Video, Wanted, estimate, judge, list_videos, read_duration

NOW = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
THE_CHANNEL = Channel(CHANNEL, "A Channel", "@achannel", UPLOADS, None)


def listed(api: Api, wanted: Wanted | None = None, channel: Channel = THE_CHANNEL) -> Listing:
    return list_videos(api, channel, wanted or Wanted(), None, lambda listing: None)


def resource(**changes: object) -> dict[str, object]:
    """Return a video as the API describes it, with some parts changed (None: missing)."""
    whole = {
        "id": "abcdefghijk",
        "snippet": {"title": "A title", "thumbnails": {"high": {"url": "x"}}, "liveBroadcastContent": "none"},
        "contentDetails": {"duration": "PT10M"},
        "status": {"privacyStatus": "public", "uploadStatus": "processed"},
        "player": {"embedWidth": "1280", "embedHeight": "720"},
    } | changes  # fmt: skip
    return {name: value for name, value in whole.items() if value is not None}


def test_a_duration_is_read_as_it_was_written():
    chance = random.Random(5)
    for _ in range(500):
        days, hours, minutes, seconds = (chance.choice([0, 0, chance.randrange(60)]) for _ in range(4))
        parts = [f"{days}D" if days else "", f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
        parts.append(f"{seconds}S" if seconds or not any(parts) else "")
        time = "".join(parts[1:])
        written = f"P{parts[0]}{'T' if time else ''}{time}"
        assert read_duration(written) == days * 86_400 + hours * 3600 + minutes * 60 + seconds, written


@pytest.mark.parametrize("text", ["", "P", "10M", "PT10", "PT1.5M", "PTM", "10:00", "PT-5M", "pt5m", "PT5M ", "PT٣M"])
def test_what_is_no_duration_is_not_guessed(text: str):
    assert read_duration(text) is None


@pytest.mark.parametrize(("seconds", "wanted"), [(180, False), (181, True), (179, False)])
def test_three_minutes_are_not_longer_than_three_minutes(seconds: int, wanted: bool):
    judged = judge(resource(contentDetails={"duration": f"PT{seconds}S"}), 3.0, NOW)
    assert isinstance(judged, Video) == wanted
    assert wanted or judged is Reason.TOO_SHORT


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, None),
        ({"player": None}, None),  # longer than a Short can be, whatever its shape
        ({"player": {"embedWidth": 405, "embedHeight": 720}}, None),
        ({"status": None}, None),
        ({"status": {"privacyStatus": "private"}}, Reason.PRIVATE),
        ({"status": {"privacyStatus": "unlisted"}}, Reason.PRIVATE),
        ({"status": {"privacyStatus": "public", "uploadStatus": "rejected"}}, Reason.DELETED),
        ({"snippet": {"title": "t", "liveBroadcastContent": "live"}}, Reason.LIVE),
        ({"snippet": {"title": "t", "liveBroadcastContent": "upcoming"}}, Reason.UPCOMING),
        ({"liveStreamingDetails": {"scheduledStartTime": "x"}}, Reason.UPCOMING),
        ({"liveStreamingDetails": {"actualStartTime": "x"}}, Reason.LIVE),
        ({"liveStreamingDetails": {"actualStartTime": "x", "actualEndTime": "y"}}, None),
        ({"liveStreamingDetails": []}, None),
        ({"contentDetails": None}, Reason.UNKNOWN_LENGTH),
        ({"contentDetails": {"duration": "P0D"}}, Reason.UNKNOWN_LENGTH),
        ({"contentDetails": {"duration": 600}}, Reason.UNKNOWN_LENGTH),
        ({"contentDetails": {"duration": "PT2M"}}, Reason.TOO_SHORT),
        ({"contentDetails": {"duration": "PT2M"}, "player": {"embedWidth": 1, "embedHeight": 2}}, Reason.SHORT),
        ({"contentDetails": {"duration": "PT2M"}, "player": {"embedWidth": 1, "embedHeight": 1}}, Reason.SHORT),
        ({"contentDetails": {"duration": "PT2M"}, "player": {}}, Reason.PERHAPS_SHORT),
        ({"contentDetails": {"duration": "PT2M"}, "player": {"embedWidth": "wide"}}, Reason.PERHAPS_SHORT),
        ({"snippet": None}, Reason.INCOMPLETE),
        ({"snippet": {"title": " \n ", "thumbnails": {"high": {"url": "x"}}}}, Reason.INCOMPLETE),
        ({"snippet": {"title": "t", "thumbnails": {}}}, Reason.INCOMPLETE),
        ({"snippet": {"title": "t", "thumbnails": {"high": {"url": None}, "huge": {"url": "x"}}}}, Reason.INCOMPLETE),
        ({"snippet": {"title": 7, "thumbnails": {"high": {"url": "x"}}}}, None),
    ],
)  # fmt: skip
def test_a_video_is_wanted_or_left_out_for_one_reason(changes: dict[str, object], verdict: Reason | None):
    judged = judge(resource(**changes), 3.0, NOW)
    assert judged is verdict if verdict else isinstance(judged, Video)


def test_with_a_lower_limit_short_videos_count_where_they_are_known_to_be_no_shorts():
    short = {"contentDetails": {"duration": "PT2M"}}
    assert isinstance(judge(resource(**short), 1.0, NOW), Video)
    assert judge(resource(**short, player={"embedWidth": 9, "embedHeight": 16}), 1.0, NOW) is Reason.SHORT
    assert judge(resource(**short, player=None), 0.0, NOW) is Reason.PERHAPS_SHORT


def test_the_best_thumbnail_comes_first():
    for sizes in (SIZES, SIZES[:3], SIZES[2:], ("default", "maxres")):
        thumbnails = {size: {"url": f"https://i.ytimg.com/{size}"} for size in sizes}
        judged = judge(resource(snippet={"title": "t", "thumbnails": thumbnails}), 3.0, NOW)
        assert isinstance(judged, Video)
        assert judged.thumbnails == tuple(f"https://i.ytimg.com/{size}" for size in reversed(sizes))


def any_upload(number: int, chance: random.Random) -> Upload:
    """Return a video of any kind."""
    return Upload(
        number,
        seconds=chance.choice([20, 100, 180, 181, 300, 301, 600, 5000]),
        live=chance.choice(["none"] * 8 + ["live", "upcoming"]),
        privacy=chance.choice(["public"] * 8 + ["private", "unlisted"]),
        shape=chance.choice([(1280, 720), (1280, 720), (405, 720), None]),
        deleted=chance.random() < 0.1,
    )


def should_be(upload: Upload, min_minutes: float) -> bool:
    """Say plainly whether a video is wanted."""
    wide = upload.shape is not None and upload.shape[0] > upload.shape[1]
    no_short = upload.seconds > 180 or wide
    there = upload.privacy == "public" and not upload.deleted and upload.live == "none"
    return there and no_short and upload.seconds > min_minutes * 60


@pytest.mark.parametrize("seed", range(8))
def test_any_channel_gives_its_wanted_videos_newest_first(api: Api, youtube: YouTube, seed: int):
    chance = random.Random(seed)
    youtube.uploads = [any_upload(number, chance) for number in range(chance.choice([0, 1, 49, 50, 51, 130]))]
    for limit in (None, 1, 7, 1000):
        wanted = Wanted(chance.choice([0.0, 1.0, 3.0, 5.0]), limit)
        youtube.calls()
        found = listed(api, wanted)
        expected = [upload.id for upload in youtube.uploads if should_be(upload, wanted.min_minutes)]
        assert [video.id for video in found.videos] == expected[:limit]
        assert found.looked_at == len(found.videos) + sum(found.excluded.values())
        if limit is None or len(expected) < limit:
            assert found.looked_at == len(youtube.uploads)
        calls = youtube.calls()
        pages = calls.count("playlistItems")
        assert pages == -(-found.looked_at // PAGE) or (pages, found.looked_at) == (1, 0)
        assert calls.count("videos") <= pages and len(calls) <= 2 * pages


def test_a_page_without_anything_to_ask_for_costs_no_second_call(api: Api, youtube: YouTube):
    youtube.uploads = [Upload(number, privacy="private") for number in range(3)]
    assert listed(api).excluded == {Reason.PRIVATE: 3}
    assert youtube.calls() == ["playlistItems"]


def test_a_channel_without_uploads_has_no_videos(api: Api, youtube: YouTube):
    no_playlist, unknown = (Channel(CHANNEL, "x", "", uploads, 0) for uploads in ("", "UUunknown"))
    assert listed(api, channel=no_playlist).looked_at == 0 and youtube.calls() == []
    assert listed(api, channel=unknown).looked_at == 0 and youtube.calls() == ["playlistItems"]


def test_a_video_listed_twice_is_taken_once(api: Api, youtube: YouTube):
    youtube.uploads = [Upload(number % 70) for number in range(140)]
    assert [video.id for video in listed(api).videos] == [Upload(number).id for number in range(70)]


def test_entries_that_miss_everything_are_counted_as_not_available(api: Api, youtube: YouTube):
    def strip(endpoint: str, body: dict[str, object]) -> None:
        if endpoint == "playlistItems":
            items = body["items"]
            items[0].pop("contentDetails")  # its id stands in the snippet too
            items[1] = {"id": "item-1"}
            items[2] = {"id": "item-2", "contentDetails": {"videoId": "../up"}}
            items[3] = "nothing"

    youtube.change = strip
    found = listed(api)
    assert found.excluded == {Reason.DELETED: 2}
    assert (len(found.videos), found.looked_at) == (9, 11)


def test_pages_that_go_round_in_circles_end_in_an_error(api: Api, youtube: YouTube):
    youtube.change = lambda endpoint, body: body.update(nextPageToken="MA==") if endpoint == "playlistItems" else None
    with pytest.raises(RemoteError, match="the same page of the channel's videos again and again"):
        listed(api)
    assert len(youtube.calls()) < 8


def test_what_is_told_grows_page_by_page(api: Api, youtube: YouTube):
    youtube.uploads = [Upload(number) for number in range(120)]
    told: list[int] = []
    list_videos(api, THE_CHANNEL, Wanted(), None, lambda listing: told.append(listing.looked_at))
    assert told == [50, 100, 120]


@pytest.mark.parametrize(
    ("videos", "limit", "units"),
    [
        (0, None, 3),
        (1, None, 3),
        (50, None, 3),
        (51, None, 5),
        (5000, None, 201),
        (5000, 30, 5),
        (20, 30, 3),
        (None, None, 3),
        (None, 100, 9),
    ],
)
def test_the_estimate_counts_pages(videos: int | None, limit: int | None, units: int):
    channel = Channel(CHANNEL, "x", "", UPLOADS, videos)
    assert estimate(channel, Wanted(limit=limit), Ledger((Line("channels", 1, 1),))).units == units


def test_without_a_limit_the_estimate_is_what_it_costs(api: Api, youtube: YouTube):
    for count in (1, 50, 51, 149):
        youtube.uploads = [Upload(number) for number in range(count)]
        expected = estimate(Channel(CHANNEL, "x", "", UPLOADS, count), Wanted(), Ledger())
        listed(api)
        calls = youtube.calls()
        assert {line.endpoint: line.calls for line in expected.lines} == {one: calls.count(one) for one in calls}


def test_a_ledger_says_itself_in_one_line():
    ledger = Ledger((Line("channels", 1, 1), Line("videos", 2000, 2000, 3)))
    unchanged = "3 answered that nothing changed, at the same price"
    assert str(ledger) == f"2,001 calls, 2,001 units (channels 1, videos 2000; {unchanged})"
    assert str(Ledger()) == "no calls"
