from __future__ import annotations

import dataclasses
import datetime
import io
import json
import logging
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.doubles import FORK
from tests.tools.youtube.server import (
    BAD_KEY,
    CHANNEL,
    HURRIED,
    KEY,
    QUOTA,
    Answer,
    Upload,
    YouTube,
    error,
    jpeg,
    running_youtube,
    workspace_for,
)
from tools.collect_youtube import Collected, Collector, collect_youtube
from tools.core.errors import DataError, InputError, RemoteError, SettingsError, StoppedError
from tools.core.library import Kind, new_card, write_card
from tools.core.pairs.dataset import open_pairs
from tools.core.settings import Settings
from tools.core.watch import Progress, Watch
from tools.core.workspace import Secrets, Workspace
from tools.youtube.videos import Wanted


@pytest.fixture
def youtube(monkeypatch: pytest.MonkeyPatch) -> Iterator[YouTube]:
    with running_youtube(monkeypatch) as running:
        yield running


@pytest.fixture
def workspace(youtube: YouTube, home: Path) -> Workspace:
    return workspace_for(youtube, home)


def hurriedly(workspace: Workspace, name: str | None = None) -> Collected:
    """Collect with little patience."""
    return Collector(workspace, HURRIED).collect("@achannel", Wanted(), name)


def rows(workspace: Workspace, dataset: str = "achannel") -> dict[str, dict[str, object]]:
    """Return all rows of a dataset by video."""
    _, splits, _ = open_pairs(workspace, dataset)
    return {row["video_id"]: row for split in splits.values() for row in split}


def test_a_channel_becomes_a_dataset_of_pairs(workspace: Workspace, youtube: YouTube):
    collected = collect_youtube(workspace, "@achannel")
    card, splits, columns = open_pairs(workspace, "achannel")
    assert (collected.dataset, collected.pairs, collected.channel_id) == ("achannel", 12, CHANNEL)
    assert (columns.picture, columns.title, columns.negatives) == ("image", "title", ())
    found = rows(workspace)
    assert set(found) == {upload.id for upload in youtube.uploads}
    for upload in youtube.uploads:
        row = found[upload.id]
        assert row["title"] == upload.name
        assert (row["channel"], row["duration_seconds"]) == ("A Channel", 600)
        assert row["thumbnail_url"].endswith(f"/vi/{upload.id}/maxres.jpg")
        assert row["image"].size == (64, 48)
        assert datetime.datetime.fromisoformat(row["fetched_at"]).tzinfo
        assert row["published_at"].startswith("2024-01-01T")
    assert card.parameters["kind"] == "title_thumbnail"
    assert "30 days" in card.parameters["policy"] and card.parameters["refresh_before"] == collected.refresh_before
    assert sum(collected.splits.values()) == 12 == sum(split.num_rows for split in splits.values())


def test_the_report_says_everything_in_a_few_lines(workspace: Workspace, youtube: YouTube):
    youtube.uploads += [Upload(20, seconds=45, shape=(405, 720)), Upload(21, live="upcoming"), Upload(22, deleted=True)]
    collected = collect_youtube(workspace, "@achannel")
    first, *others = str(collected).splitlines()
    assert first.startswith(
        "Collected 12 pairs of title and thumbnail from A Channel as the dataset 'achannel': train "
    )
    text = "\n".join(others)
    assert "Left out 3 of 15 videos: 1 deleted or not available, 1 upcoming streams or premieres, 1 Shorts." in text
    assert (
        "YouTube API: 3 calls, 3 units (channels 1, playlistItems 1, videos 1) of the usual 10,000 a day; 3 were"
        in text
    )
    assert f"Refresh or delete it by {collected.refresh_before}" in text and "30 days" in text


def test_its_result_survives_a_trip_through_plain_data(workspace: Workspace):
    import pydantic

    collected = collect_youtube(workspace, "@achannel")
    plain = json.loads(json.dumps(dataclasses.asdict(collected)))
    assert pydantic.TypeAdapter(Collected).validate_python(plain) == collected


def test_the_cost_is_told_before_the_work_and_kept_beside_the_real_one(youtube: YouTube, home: Path):
    youtube.uploads = [Upload(number, seconds=600 if number % 20 == 0 else 30) for number in range(120)]
    told: list[Progress] = []
    collected = collect_youtube(workspace_for(youtube, home, told.append), "@achannel")
    assert "about 7 of 10,000 units" in told[0].what
    assert collected.estimate.units == collected.spent.units == collected.spent.calls == 7 == len(youtube.calls())
    assert {one.what.split()[0] for one in told} == {"collecting", "looking", "fetching", "reading"}


def test_every_exclusion_is_counted_by_its_reason(workspace: Workspace, youtube: YouTube):
    soon, running = {"scheduledStartTime": "a"}, {"actualStartTime": "a"}
    over = {"actualStartTime": "a", "actualEndTime": "b"}
    left_out = {
        "private or unlisted": [Upload(20, privacy="private"), Upload(21, privacy="unlisted")],
        "deleted or not available": [Upload(22, deleted=True)],
        "upcoming streams or premieres": [Upload(23, live="upcoming"), Upload(24, live_details=soon)],
        "live now": [Upload(25, live="live"), Upload(26, live_details=running)],
        "Shorts": [Upload(27, seconds=180, shape=(405, 720)), Upload(28, seconds=59, shape=(720, 720))],
        "of at most 3 minutes and unknown shape, Shorts among them": [Upload(29, seconds=90, shape=None)],
        "not longer than 5 minutes": [Upload(30, seconds=300), Upload(31, seconds=100)],
        "of unknown length": [Upload(32, without=("contentDetails",)), Upload(33, seconds=0)],
        "without title or thumbnail": [Upload(34, sizes=()), Upload(35, without=("snippet",))],
    }  # fmt: skip
    for uploads in left_out.values():
        youtube.uploads += uploads
    youtube.uploads += [Upload(40, live_details=over, seconds=301)]  # a stream that is over is a long video
    collected = collect_youtube(workspace, "@achannel", min_minutes=5)
    assert collected.excluded == {reason: len(uploads) for reason, uploads in left_out.items()}
    assert collected.videos == len(youtube.uploads) == collected.pairs + sum(collected.excluded.values())
    assert collected.was_live == 1
    card = workspace.library.find("achannel")
    assert card.counts["left_out"] == sum(collected.excluded.values())


def test_the_newest_are_taken_and_no_page_is_asked_for_in_vain(workspace: Workspace, youtube: YouTube):
    youtube.uploads = [Upload(number, seconds=600 if number % 2 else 30) for number in range(200)]
    collected = collect_youtube(workspace, "@achannel", limit=30)
    assert set(rows(workspace)) == {f"video{number:06d}" for number in range(1, 60, 2)}
    assert (collected.pairs, collected.videos) == (30, 60)
    assert youtube.calls() == ["channels", "playlistItems", "videos", "playlistItems", "videos"]
    assert collected.estimate.units == 5


def test_the_key_is_in_no_log_no_file_no_result_and_no_error(
    workspace: Workspace, youtube: YouTube, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    said = [str(collect_youtube(workspace, "@achannel")), repr(collect_youtube(workspace, "@achannel"))]
    suspended = error(403, "forbidden", f"Permission denied: Consumer 'api_key:{KEY}' has been suspended.")
    refusals = [BAD_KEY, suspended, QUOTA, error(500, "backendError", f"oops {KEY}"), Answer(200, f"<{KEY}".encode())]
    for refusal in refusals:
        youtube.scripted.extend([refusal] * 3)
        with pytest.raises((SettingsError, RemoteError)) as caught:
            hurriedly(workspace, name="other")
        said.append("".join(traceback.format_exception(caught.value)))
        youtube.scripted.clear()
    assert "HTTP Request: GET http://127.0.0.1" in caplog.text, "httpx does log what is asked"
    asked = youtube.requests + youtube.picture_requests
    for text in [*said, caplog.text, repr(workspace.secrets), *(request.line for request in asked)]:
        assert KEY not in text
    files = [file for file in workspace.settings.home.rglob("*") if file.is_file()]
    assert len(files) > 30
    for file in files:
        assert KEY.encode() not in file.read_bytes() and KEY not in str(file)
    assert not any("x-goog-api-key" in request.headers for request in youtube.picture_requests)


def test_without_a_key_both_ways_on_are_named(youtube: YouTube, home: Path):
    bare = Workspace(Settings(home=home, youtube_endpoint=youtube.endpoint))
    with pytest.raises(SettingsError) as caught:
        collect_youtube(bare, "@achannel")
    hints = ("console.cloud.google.com", "YouTube Data API v3", "YOUTUBE_API_KEY", "key field", "load_dataset")
    for hint in (*hints, "shawhin/yt-title-thumbnail-pairs"):
        assert hint in str(caught.value)
    assert youtube.requests == []


def test_the_visitors_key_is_used_not_the_settings_one(workspace: Workspace, youtube: YouTube):
    youtube.key = "the-visitors-key"
    theirs = workspace.watched(workspace.watch, Secrets(youtube_api_key="the-visitors-key"))
    assert collect_youtube(theirs, "@achannel").pairs == 12
    with pytest.raises(SettingsError, match="does not accept this API key"):
        collect_youtube(workspace, "@achannel")


def test_wherever_the_quota_ends_the_next_run_goes_on_without_asking_anything_twice(youtube: YouTube, tmp_path: Path):
    youtube.uploads = [Upload(number, seconds=600 if number % 12 == 0 else 30) for number in range(140)]
    collected = collect_youtube(workspace_for(youtube, tmp_path / "whole"), "@achannel")
    needed, whole = collected.spent.units, set(rows(workspace_for(youtube, tmp_path / "whole")))
    assert (needed, len(whole)) == (7, 12)
    for units in range(needed):
        workspace = workspace_for(youtube, tmp_path / str(units))
        youtube.units, before = units, set()
        if units < 3:  # the channel, a page, its videos: less makes no dataset
            with pytest.raises(RemoteError, match="quota of this YouTube API key is used up.*goes on where it was"):
                collect_youtube(workspace, "@achannel")
            assert workspace.library.cards() == []
        else:
            part = collect_youtube(workspace, "@achannel")
            before = set(rows(workspace))
            assert len(before) == part.pairs == {3: 5, 4: 5, 5: 9, 6: 9}[units]
            assert "quota" in part.partial and "Not all of them: " in str(part)
            assert workspace.library.find("achannel").parameters["partial"]
        pictures = len(youtube.picture_requests)
        youtube.units = 1000
        rest = collect_youtube(workspace, "@achannel")
        assert set(rows(workspace)) == whole > before
        assert (rest.partial, rest.spent.units, 1000 - youtube.units) == ("", needed - units, needed - units)
        assert len(youtube.picture_requests) - pictures == len(whole - before)
        assert not workspace.library.find("achannel").parameters["partial"]
        assert [card.name for card in workspace.library.cards()] == ["achannel"]


def test_too_many_requests_a_minute_are_waited_for_then_treated_as_quota(workspace: Workspace, youtube: YouTube):
    hurriedly(workspace)
    youtube.calls()
    youtube.scripted.extend([error(403, "rateLimitExceeded")] * 2)
    assert hurriedly(workspace).spent.calls == 5
    youtube.scripted.extend([error(429, "RATE_LIMIT_EXCEEDED", "", status="RESOURCE_EXHAUSTED")] * 3)
    with pytest.raises(RemoteError, match="asks too often"):
        hurriedly(workspace)


def test_a_partial_refresh_never_takes_pairs_away(workspace: Workspace, youtube: YouTube):
    youtube.uploads = [Upload(number, seconds=600 if number % 5 == 0 else 30) for number in range(100)]
    collect_youtube(workspace, "@achannel")
    card, before = workspace.library.find("achannel"), set(rows(workspace))
    youtube.units = 3
    with pytest.raises(RemoteError, match="stays as it was, with 20 pairs, as only 10 could be fetched.*quota"):
        collect_youtube(workspace, "@achannel")
    assert (workspace.library.find("achannel"), set(rows(workspace))) == (card, before)
    youtube.units = 100
    assert collect_youtube(workspace, "@achannel").spent.units == 2


def test_collecting_again_refreshes_the_dataset_in_its_place(workspace: Workspace, youtube: YouTube):
    collect_youtube(workspace, "@achannel")
    card = workspace.library.find("achannel")
    with workspace.library.making(Kind.DATASET, "mined") as folder:
        write_card(folder, new_card(Kind.DATASET, "mined", "negatives", parents=("dataset/achannel",)))
    youtube.uploads[3].title = "A better title"
    youtube.uploads[4].deleted = True
    youtube.uploads[5].privacy = "private"
    del youtube.uploads[6]
    youtube.uploads[:0] = [Upload(50)]
    youtube.pictures[youtube.picture(Upload(7))] = Answer(200, jpeg(777), {"Content-Type": "image/jpeg"})
    again = collect_youtube(workspace, f"https://www.youtube.com/channel/{CHANNEL}")
    found, new = rows(workspace), workspace.library.find("achannel")
    assert (again.dataset, again.pairs, again.added, again.dropped) == ("achannel", 10, 1, 3)
    assert again.outdated == ("dataset/mined",) and "left as they are: dataset/mined" in str(again)
    assert set(found) == {upload.id for upload in youtube.uploads} - {Upload(4).id, Upload(5).id}
    assert found[Upload(3).id]["title"] == "A better title"
    assert found[Upload(7).id]["image"].getpixel((0, 0)) == Image.open(io.BytesIO(jpeg(777))).getpixel((0, 0))
    assert (new.created, new.counts["rows"]) == (card.created, 10) and new.updated > card.updated
    assert "new in it: 1, no longer in it: 3." in str(again)


def test_what_has_not_changed_is_not_sent_again(workspace: Workspace, youtube: YouTube):
    collect_youtube(workspace, "@achannel")
    youtube.picture_requests.clear()
    again = collect_youtube(workspace, "@achannel")
    assert [line.unchanged for line in again.spent.lines] == [1, 1, 1] and again.spent.units == 3
    assert "3 answered that nothing changed, at the same price" in str(again)
    assert len(youtube.picture_requests) == 12
    assert all("if-none-match" in request.headers for request in youtube.picture_requests)
    assert (again.added, again.dropped, again.pairs) == (0, 0, 12)


def test_the_date_to_refresh_by_is_thirty_days_after_the_oldest_row(youtube: YouTube, home: Path):
    clock = [datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC)]
    workspace = workspace_for(youtube, home)
    collector = Collector(workspace, HURRIED, now=lambda: clock[0])
    assert collector.collect("@achannel", Wanted(), None).refresh_before == "2025-03-31"
    clock[0] += datetime.timedelta(days=29)
    again = collector.collect("@achannel", Wanted(), None)  # unchanged all, and yet: YouTube has said so today
    assert again.refresh_before == "2025-04-29"
    assert {row["fetched_at"] for row in rows(workspace).values()} == {clock[0].isoformat()}


@pytest.mark.parametrize(
    ("channel", "dataset"),
    [
        ("@AChannel", "achannel"),
        ("achannel", "achannel"),
        (CHANNEL, "achannel"),
        ("https://youtu.be/video000003", "achannel"),
        ("https://www.youtube.com/user/achanneluser", "achannel"),
        ("youtube.com/c/achannel/videos", "achannel"),
    ],
)
def test_a_channel_may_be_named_in_any_way(workspace: Workspace, channel: str, dataset: str):
    collected = collect_youtube(workspace, channel, limit=3)
    assert (collected.dataset, collected.channel, collected.address) == (
        dataset,
        "A Channel",
        "https://www.youtube.com/@achannel",
    )


def test_a_name_that_is_taken_by_something_else_is_not_touched(workspace: Workspace, youtube: YouTube):
    for name in ("achannel", "photos"):
        with workspace.library.making(Kind.DATASET, name) as folder:
            write_card(folder, new_card(Kind.DATASET, name, "elsewhere", parameters={"kind": "images"}))
    with pytest.raises(InputError, match="already a dataset named 'photos', of elsewhere; choose another name"):
        collect_youtube(workspace, "@achannel", name="photos")
    assert youtube.requests == []
    assert collect_youtube(workspace, "@achannel").dataset == "achannel-2"
    assert collect_youtube(workspace, "@achannel").added == 0
    assert collect_youtube(workspace, "@achannel", name="mine").dataset == "mine"
    youtube.change = lambda endpoint, body: (
        body["items"][0].update(id="UC" + "b" * 22) if endpoint == "channels" else None
    )
    with pytest.raises(InputError, match="already a dataset named 'mine', of the YouTube channel A Channel"):
        collect_youtube(workspace, "@achannel", name="mine")


def test_a_stop_keeps_what_was_fetched_and_the_next_run_goes_on(youtube: YouTube, home: Path):
    def stop(progress: Progress) -> None:
        if progress.what == "fetching thumbnails" and progress.done == 5:
            workspace.watch.stop.set()

    workspace = workspace_for(youtube, home, stop)
    with pytest.raises(StoppedError):
        collect_youtube(workspace, "@achannel")
    assert workspace.library.cards() == [] and youtube.calls()
    fetched = len(youtube.picture_requests)
    again = collect_youtube(workspace_for(youtube, home), "@achannel")
    assert (again.pairs, again.spent.calls, youtube.calls()) == (12, 0, [])
    assert 5 <= fetched and len(youtube.picture_requests) <= 12 + 8  # those on their way when Stop came


def test_a_killed_run_is_gone_on_with(youtube: YouTube, home: Path):
    youtube.uploads = [Upload(number, seconds=600 if number % 12 == 0 else 30) for number in range(140)]
    for upload in youtube.uploads:
        youtube.pictures[youtube.picture(upload)] = Answer(
            200, jpeg(upload.number), {"Content-Type": "image/jpeg"}, 0.1
        )
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_collect, args=(youtube.endpoint, home, theirs))
    child.start()
    theirs.close()
    while ours.recv() != ("fetching thumbnails", 3):
        pass
    child.kill()
    child.join()
    units, pictures = youtube.units, len(youtube.picture_requests)
    again = collect_youtube(workspace_for(youtube, home), "@achannel")
    assert (again.pairs, youtube.units) == (12, units)
    assert len(youtube.picture_requests) - pictures <= 12 - 3


def _collect(endpoint: str, home: Path, reports) -> None:
    settings = Settings(home=home, youtube_api_key=KEY, youtube_endpoint=endpoint)
    watch = Watch(lambda progress: reports.send((progress.what, progress.done)))
    collect_youtube(Workspace(settings, watch), "@achannel")


def test_what_is_kept_for_thirty_days_is_then_gone(workspace: Workspace, youtube: YouTube):
    collect_youtube(workspace, "@achannel")
    kept = [file for file in (workspace.settings.home / "cache" / "youtube").rglob("*") if file.is_file()]
    month_ago = time.time() - 31 * 86_400
    for file in kept:
        os.utime(file, (month_ago, month_ago))
    youtube.uploads = youtube.uploads[:3]
    youtube.picture_requests.clear()
    again = collect_youtube(workspace, "@achannel")
    assert not any("if-none-match" in request.headers for request in youtube.requests + youtube.picture_requests)
    names = {file.name for file in (workspace.settings.home / "cache" / "youtube" / "thumbnails").iterdir()}
    assert (again.dropped, len(names)) == (9, 6)


def test_three_videos_are_too_few_to_split_and_it_says_so(workspace: Workspace, youtube: YouTube):
    youtube.uploads = youtube.uploads[:3]
    collected = collect_youtube(workspace, "@achannel")
    assert collected.splits == {"train": 3}
    assert "leave-one-out" in str(collected)


def test_titles_in_any_script_and_all_titles_equal_are_collected(workspace: Workspace, youtube: YouTube):
    titles = ["日本語のタイトル", "Ünïcödé", "🎬🍿", "עברית", "हिन्दी", "a\u200bb", "half \ud83d smiley", "x" * 100]
    youtube.uploads = [Upload(number, title) for number, title in enumerate(titles)]
    found = collect_youtube(workspace, "@achannel") and rows(workspace)
    assert [found[upload.id]["title"] for upload in youtube.uploads][:6] == titles[:6]
    assert found[Upload(6).id]["title"] == "half ? smiley"
    youtube.uploads = [Upload(number, "The same") for number in range(14)]
    again = collect_youtube(workspace, "@achannel", name="same")
    assert (again.pairs, again.near_duplicates, again.splits) == (14, 14, {"train": 14})


def test_the_same_picture_on_many_videos_stays_in_one_split(workspace: Workspace, youtube: YouTube):
    youtube.uploads = [Upload(number) for number in range(30)]
    for number in range(8):
        youtube.pictures[youtube.picture(Upload(number))] = Answer(200, jpeg(999), {"Content-Type": "image/jpeg"})
    collected = collect_youtube(workspace, "@achannel")
    _, splits, _ = open_pairs(workspace, "achannel")
    assert collected.near_duplicates >= 8 and collected.near_duplicate_groups >= 1
    alike = {Upload(number).id for number in range(8)}
    assert sum(bool(alike & set(split["video_id"])) for split in splits.values()) == 1
    assert f"{collected.near_duplicates} near-duplicates in {collected.near_duplicate_groups} groups" in str(collected)


def test_a_channel_without_videos_or_without_any_that_is_wanted_says_so(workspace: Workspace, youtube: YouTube):
    youtube.uploads = [Upload(1, seconds=100), Upload(2, seconds=30, shape=(9, 16))]
    reasons = "1 Shorts, 1 not longer than 3 minutes; lower min_minutes, now 3"
    with pytest.raises(DataError, match=f"None of the 2 videos of A Channel is wanted: {reasons}"):
        collect_youtube(workspace, "@achannel")
    youtube.uploads = [Upload(1, live="live")]
    with pytest.raises(DataError, match="wanted: 1 live now$"):
        collect_youtube(workspace, "@achannel")
    youtube.uploads = []
    with pytest.raises(DataError, match="A Channel .* has no public videos"):
        collect_youtube(workspace, "@achannel")
    assert workspace.library.cards() == []


def test_thumbnails_that_fail_are_counted_and_named(workspace: Workspace, youtube: YouTube):
    missing, slow = youtube.uploads[:2]
    for size in missing.sizes:
        youtube.pictures[youtube.picture(missing, size)] = Answer(404, jpeg(0), {"Content-Type": "image/jpeg"})
    youtube.pictures[youtube.picture(slow)] = Answer(503)
    collected = hurriedly(workspace)
    assert collected.pairs == 10
    assert collected.excluded == {
        "without a usable thumbnail": 1,
        "whose thumbnail could not be fetched just now": 1,
    }
    assert collected.partial.startswith("there are videos (1) whose thumbnail could not be fetched just now; collect")
    assert f"no thumbnail for {missing.name!r} ({missing.id}): it is not there" in str(collected)
    youtube.pictures.clear()
    assert hurriedly(workspace).pairs == 12


def test_a_refresh_uses_the_thumbnail_of_before_where_its_host_fails_and_keeps_its_date(youtube: YouTube, home: Path):
    clock = [datetime.datetime.now(datetime.UTC)]
    workspace = workspace_for(youtube, home)
    collector = Collector(workspace, HURRIED, now=lambda: clock[0])
    collector.collect("@achannel", Wanted(), None)
    old, gone = youtube.uploads[0], youtube.uploads.pop()
    youtube.uploads.append(Upload(50))
    for upload in (old, Upload(50)):
        youtube.pictures[youtube.picture(upload)] = Answer(503)
    first, clock[0] = clock[0], clock[0] + datetime.timedelta(days=10)
    again = collector.collect("@achannel", Wanted(), None)
    found = rows(workspace)
    assert (again.pairs, again.dropped, again.added) == (11, 1, 0) and gone.id not in found
    assert found[old.id]["fetched_at"] == first.isoformat(timespec="seconds")
    assert again.refresh_before == (first + datetime.timedelta(days=30)).date().isoformat()
    assert "1 whose thumbnail could not be fetched just now" in str(again)
    clock[0] += datetime.timedelta(days=25)  # what was kept is too old now
    for file in (home / "cache" / "youtube" / "thumbnails").iterdir():
        os.utime(file, (first.timestamp(), first.timestamp()))
    with pytest.raises(RemoteError, match="stays as it was, with 11 pairs, as only 10 could be fetched"):
        collector.collect("@achannel", Wanted(), None)


def test_a_dataset_made_from_a_collected_one_is_never_replaced(workspace: Workspace):
    mined = {"kind": "title_thumbnail", "channel_id": CHANNEL}
    with workspace.library.making(Kind.DATASET, "achannel") as folder:
        write_card(folder, new_card(Kind.DATASET, "achannel", "x", parents=("dataset/y",), parameters=mined))
    assert collect_youtube(workspace, "@achannel").dataset == "achannel-2"
    with pytest.raises(InputError, match="already a dataset named 'achannel'"):
        collect_youtube(workspace, "@achannel", name="achannel")


def test_when_no_thumbnail_can_be_had_nothing_is_made(workspace: Workspace, youtube: YouTube):
    for upload in youtube.uploads:
        for size in upload.sizes:
            youtube.pictures[youtube.picture(upload, size)] = Answer(200, b"<html>", {"Content-Type": "text/html"})
    with pytest.raises(DataError, match="No video of A Channel has a usable thumbnail: .*it is of the type text/html"):
        collect_youtube(workspace, "@achannel")
    assert workspace.library.cards() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel": "@nobody"}, "There is no YouTube channel with the handle @nobody"),
        ({"channel": ""}, "channel is empty; give a handle such as"),
        ({"channel": "https://vimeo.com/1"}, "'https://vimeo.com/1' is no channel of YouTube; give a handle"),
        ({"min_minutes": -1}, "min_minutes is -1; expected"),
        ({"min_minutes": float("nan")}, "min_minutes is nan; expected"),
        ({"min_minutes": True}, "min_minutes is True; expected"),
        ({"limit": 0}, "limit is 0; expected"),
        ({"limit": 2.5}, "limit is 2.5; expected"),
        ({"name": "Bad Name"}, "'Bad Name' cannot be a name"),
    ],
)
def test_a_bad_argument_is_refused(workspace: Workspace, arguments: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        collect_youtube(workspace, **{"channel": "@achannel", **arguments})
    assert workspace.library.cards() == []
