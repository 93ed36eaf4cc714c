from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from tests.tools.youtube.server import jpeg
from tools.youtube.cache import Cache

DAY = datetime.timedelta(days=1)


@pytest.fixture
def clock() -> list[datetime.datetime]:
    return [datetime.datetime.now(datetime.UTC)]


@pytest.fixture
def cache(tmp_path: Path, clock: list[datetime.datetime]) -> Cache:
    return Cache(tmp_path / "cache", lambda: clock[0])


def test_an_answer_comes_back_as_it_was_given(cache: Cache):
    body = {"items": [{"title": "日本語 \ud83d"}]}
    kept = cache.keep_answer("request", body, '"etag"')
    assert cache.answer("request") == kept and kept.body == body
    assert cache.answer("another") is None


def test_a_picture_comes_back_and_two_addresses_may_share_it(cache: Cache):
    first, second = (cache.keep_picture(address, jpeg(1), "e") for address in ("one", "two"))
    assert cache.picture("one") == first and first.file and first.file == second.file
    assert first.file.read_bytes() == jpeg(1) and first.file.suffix == ".jpg"
    first.file.unlink()
    assert cache.picture("one") is None


def test_that_there_is_no_picture_is_remembered(cache: Cache):
    cache.keep_picture("one", None, "")
    kept = cache.picture("one")
    assert kept is not None and kept.file is None


def test_what_is_older_than_thirty_days_is_swept_away(cache: Cache, clock: list[datetime.datetime]):
    cache.keep_answer("old", {}, "")
    cache.keep_picture("old", jpeg(1), "")
    kept = cache.keep_picture("renewed", jpeg(2), "")
    for file in cache.folder.rglob("*.*"):
        then = clock[0].timestamp() - 29.9 * 86_400
        os.utime(file, (then, then))
    assert cache.sweep() == 0
    clock[0] += DAY
    cache.renew_picture("renewed", kept)
    assert cache.sweep() == 3
    assert cache.answer("old") is None and cache.picture("old") is None
    assert cache.picture("renewed") is not None


def test_an_empty_or_absent_folder_needs_no_sweeping(cache: Cache):
    assert cache.sweep() == 0
    assert cache.unfinished_since() is None


def test_a_run_that_was_not_finished_is_gone_on_with_for_a_week(cache: Cache, clock: list[datetime.datetime]):
    began = clock[0]
    assert cache.begin("UCa", began) == began
    clock[0] += 6 * DAY
    assert cache.begin("UCa", clock[0]) == began == cache.unfinished_since()
    assert cache.begin("UCb", clock[0]) == clock[0]
    cache.finish("UCa")
    assert cache.unfinished_since() == clock[0]
    assert cache.begin("UCa", clock[0]) == clock[0]
    clock[0] += 8 * DAY
    assert cache.unfinished_since() is None
    assert cache.begin("UCa", clock[0]) == clock[0]
    cache.finish("UCb")
    cache.finish("UCb")
