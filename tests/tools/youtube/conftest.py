from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.youtube.server import HURRIED, KEY, YouTube, running_youtube
from tools.core.watch import Watch
from tools.youtube.api import Api
from tools.youtube.cache import Cache


@pytest.fixture
def youtube(monkeypatch: pytest.MonkeyPatch) -> Iterator[YouTube]:
    with running_youtube(monkeypatch) as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def make_api(youtube: YouTube, cache: Cache) -> Iterator[Callable[..., Api]]:
    made: list[Api] = []

    def make(key: str = KEY, watch: Watch | None = None) -> Api:
        made.append(Api(youtube.endpoint, key, cache, watch or Watch(), HURRIED))
        return made[-1]

    yield make
    for api in made:
        api.__exit__()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()
