from __future__ import annotations

import pytest

from tests.tools.youtube.server import CHANNEL, UPLOADS, Upload, YouTube, error
from tools.core.errors import InputError, RemoteError
from tools.youtube.api import Api
from tools.youtube.channels import Channel, Reference, find_channel, read_reference

ID = "UCa9gErQ9AE5jT2DZLjXBIdA"


@pytest.mark.parametrize(
    ("said", "kind", "value"),
    [
        ("@ShawhinTalebi", "handle", "ShawhinTalebi"),
        ("  ShawhinTalebi ", "handle", "ShawhinTalebi"),
        ("@日本語チャンネル", "handle", "日本語チャンネル"),
        ("@a.b-c_d·e", "handle", "a.b-c_d·e"),
        (ID, "id", ID),
        (f"https://www.youtube.com/channel/{ID}", "id", ID),
        (f"https://www.youtube.com/channel/{ID}/videos?view=0", "id", ID),
        ("https://www.youtube.com/@ShawhinTalebi", "handle", "ShawhinTalebi"),
        ("https://youtube.com/@ShawhinTalebi/videos", "handle", "ShawhinTalebi"),
        ("HTTPS://M.YouTube.com/@x.y", "handle", "x.y"),
        ("youtube.com/@x.y", "handle", "x.y"),
        ("https://www.youtube.com/@%E6%97%A5%E6%9C%AC", "handle", "日本"),
        ("https://www.youtube.com/user/oldname", "user", "oldname"),
        ("https://www.youtube.com/c/OldName/about", "custom", "OldName"),
        ("https://www.youtube.com/OldName", "custom", "OldName"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42s", "video", "dQw4w9WgXcQ"),
        ("https://www.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ", "video", "dQw4w9WgXcQ"),
        ("https://youtu.be/dQw4w9WgXcQ?si=x", "video", "dQw4w9WgXcQ"),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ", "video", "dQw4w9WgXcQ"),
        ("https://www.youtube.com/live/dQw4w9WgXcQ", "video", "dQw4w9WgXcQ"),
        ("https://www.youtube.com/embed/dQw4w9WgXcQ", "video", "dQw4w9WgXcQ"),
    ],
)
def test_every_way_to_name_a_channel_is_understood(said: str, kind: str, value: str):
    assert read_reference(said) == Reference(kind, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        "", "   ", "@", "@two words", "two words", "x" * 5000, "@a/b", "nul\0", "https://", "https://[", "/", "//",
        "a/b", "https://vimeo.com/channels/x", "https://youtube.com.evil.org/@x", "https://evil.org/youtube.com/@x",
        "ftp://youtube.com/@x", "javascript://youtube.com/@x", "https://www.youtube.com/", "https://www.youtube.com",
        "https://www.youtube.com/playlist?list=PL123", "https://www.youtube.com/feed/subscriptions",
        "https://www.youtube.com/results?search_query=x", "https://www.youtube.com/channel/UCshort",
        "https://www.youtube.com/channel/", "https://www.youtube.com/watch", "https://www.youtube.com/watch?v=short",
        "https://youtu.be/", "https://www.youtube.com/user/", "../../etc/passwd",
    ],
)  # fmt: skip
def test_what_names_no_channel_is_refused_with_what_to_give(said: str):
    with pytest.raises(InputError, match="give a handle such as @ShawhinTalebi, a channel id") as caught:
        read_reference(said)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("reference", "calls"),
    [
        (Reference("handle", "AChannel"), ["channels"]),
        (Reference("id", CHANNEL), ["channels"]),
        (Reference("user", "achanneluser"), ["channels"]),
        (Reference("custom", "achannel"), ["channels"]),
        (Reference("video", Upload(3).id), ["videos", "channels"]),
    ],
)
def test_a_channel_is_found_by_every_kind_of_name(api: Api, youtube: YouTube, reference: Reference, calls: list[str]):
    found = find_channel(api, reference, None)
    assert found == Channel(CHANNEL, "A Channel", "@achannel", UPLOADS, 12)
    assert found.address == "https://www.youtube.com/@achannel"
    assert youtube.calls() == calls


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference("handle", "nobody"), "no YouTube channel with the handle @nobody; check it, or give a handle"),
        (Reference("id", ID), f"no YouTube channel with the id {ID}; check it"),
        (Reference("user", "nobody"), "no channel by the old custom name 'nobody': open the channel in a browser"),
        (Reference("custom", "nobody"), "no channel by the old custom name 'nobody': open the channel in a browser"),
        (Reference("video", "dQw4w9WgXcQ"), "no public video dQw4w9WgXcQ on YouTube; check it"),
    ],
)
def test_an_unknown_channel_is_answered_with_what_to_give(api: Api, reference: Reference, message: str):
    with pytest.raises(InputError, match=message):
        find_channel(api, reference, None)


def test_a_404_for_the_channel_means_the_same(api: Api, youtube: YouTube):
    youtube.scripted.append(error(404, "channelNotFound", "The channel cannot be found."))
    with pytest.raises(InputError, match="no YouTube channel with the handle"):
        find_channel(api, Reference("handle", "achannel"), None)


@pytest.mark.parametrize("missing", ["snippet", "statistics"])
def test_a_channel_is_usable_without_what_is_not_needed(api: Api, youtube: YouTube, missing: str):
    youtube.change = lambda endpoint, body: body["items"][0].pop(missing)
    found = find_channel(api, Reference("handle", "achannel"), None)
    assert (found.id, found.uploads) == (CHANNEL, UPLOADS)
    assert found.title == (CHANNEL if missing == "snippet" else "A Channel")
    assert found.videos == (None if missing == "statistics" else 12)
    assert found.address == f"https://www.youtube.com/{f'channel/{CHANNEL}' if missing == 'snippet' else '@achannel'}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"id": "../../up"},
        {"id": 7.5},
        {"contentDetails": None},
        {"contentDetails": {"relatedPlaylists": []}},
    ],
)
def test_a_channel_described_without_what_is_needed_is_refused(api: Api, youtube: YouTube, wrong: dict[str, object]):
    youtube.change = lambda endpoint, body: body["items"][0].update(wrong)
    with pytest.raises(RemoteError, match="without its id or its list of uploads"):
        find_channel(api, Reference("handle", "achannel"), None)
