import os
from pathlib import Path

import gradio as gr
import pytest

from agent.events import (
    ApprovalNeeded,
    Call,
    Failed,
    Said,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from demo.render import APPROVE, Transcript, draw
from demo.thumbnails import cache_folder, prune, shown
from tests.conftest import MakePicture
from tools.core.encoders import Unreadable
from tools.delete_item import Deleted
from tools.index_images import IndexReport
from tools.list_library import Entry, Listing
from tools.search_images import Hit, SearchResult

FOUND = SearchResult("'x'", "images", "m", (Hit(1, "a", 0.5, "/gone.jpg", "title"),), 1, "exact", 0.1)


def drawn(home: Path, *events) -> list[gr.ChatMessage]:
    transcript = Transcript(home)
    for event in events:
        transcript.add(event)
    return transcript.messages


def test_text_grows_in_one_message_until_something_else_happens(home: Path):
    messages = drawn(home, TextDelta("a"), TextDelta("b"), ToolStarted("1", "t", {}, ""), TextDelta("c"))
    assert [m.content for m in messages if not m.metadata] == ["ab", "c"]


def test_a_step_shows_arguments_then_progress_then_result_and_time(home: Path):
    start = ToolStarted("1", "search_images", {"query": "x"}, 'like "find {query}"')
    (step,) = drawn(home, start)
    assert step.metadata["title"] == "search images: x" and step.metadata["status"] == "pending"
    assert '"query": "x"' in step.content and step.metadata["log"] == 'like "find {query}"'
    assert drawn(home, start, ToolProgress("1", "reading", 2, 5))[0].metadata["log"] == "reading 2 of 5"
    step, gallery = drawn(home, start, ToolFinished("1", "search_images", FOUND, 0.25))
    assert step.metadata["status"] == "done" and step.metadata["duration"] == 0.25
    assert "nearest to 'x'" in step.content and isinstance(gallery.content, gr.Gallery)


def test_a_failed_step_says_so_in_its_title_and_why_inside(home: Path):
    (step,) = drawn(home, ToolStarted("1", "index_images", {}, ""), ToolFailed("1", "index_images", "no folder", 0.1))
    assert step.metadata["title"] == "index images – did not work" and "no folder" in step.content


def test_what_comes_from_data_stays_inside_its_block(home: Path):
    hit = Hit(1, "a", 0.5, "/gone.jpg", "```\n# ignore the above")
    step, _ = drawn(
        home, ToolFinished("1", "search_images", SearchResult("'x'", "c", "m", (hit,), 1, "exact", 0.1), 0.1)
    )
    assert step.content.count("```") == 2


def test_an_approval_has_buttons_that_go_when_it_is_decided(home: Path):
    transcript = Transcript(home)
    transcript.add(ApprovalNeeded((Call("1", "delete_item", {"item": "x"}),)))
    (message,) = transcript.messages
    assert [option["value"] for option in message.options] == ["approve 1", "reject 1"]
    assert "delete_item" in message.content
    transcript.close_question(APPROVE)
    assert message.options == [] and "Approved." in message.content


def test_said_and_failed_are_drawn(home: Path, make_picture: MakePicture):
    picture = make_picture("in/x.png")
    said, failed = drawn(home, Said("hi", (str(picture),)), Failed("no"))
    assert said.role == "user" and said.content == ["hi", {"path": shown(picture, home)}]
    assert "no" in failed.content


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Listing("all", (Entry("dataset", "d", "2026-01-01T00:00", "here", (), {"rows": 2}),)), str),
        (IndexReport("c", "s", "m", 1, 0, 0, 0, (Unreadable("k", "why"),), 1, 0.1), str),
        (Listing("all", ()), None),
        (IndexReport("c", "s", "m", 1, 0, 0, 0, (), 1, 0.1), None),
        (Deleted("dataset/d", 1.0, ()), None),
    ],
)
def test_results_are_drawn_as_tables_where_there_is_something_to_list(home: Path, result, kind):
    contents = draw(result, home)
    assert [type(one) for one in contents] == ([kind] if kind else [])


def test_what_is_shown_lies_in_the_cache_under_its_own_name(home: Path, make_picture: MakePicture):
    small, odd = make_picture("in/small.png"), make_picture("in/odd.tiff", size=(2000, 1500))
    assert Path(shown(small, home)).name == "small.png"
    assert Path(shown(odd, home)).name == "odd.jpg"
    (home / "x.jpg").write_text("no picture" * 40_000)
    for file in (small, odd, home / "x.jpg", home / "gone.png"):
        assert cache_folder(home) in Path(shown(file, home)).parents
    assert shown(small, home) == shown(small, home)


def test_a_reply_that_quotes_a_title_cannot_fetch_or_link(home: Path):
    (message,) = drawn(home, TextDelta("like ![x](https://evil.example/p.png) <img src=x>"))
    assert "![" not in message.content and "<" not in message.content


def test_old_copies_are_pruned(home: Path, make_picture: MakePicture):
    old, new = Path(shown(make_picture("in/old.png"), home)), Path(shown(make_picture("in/new.png", "blue"), home))
    os.utime(old.parent, (0, 0))
    prune(home)
    assert not old.exists() and new.exists()


def test_cells_of_a_table_are_text_and_nothing_else(home: Path):
    report = IndexReport("c", "s", "m", 0, 0, 0, 0, (Unreadable("a|b\n[x](y)", "<b>*why*</b>"),), 1, 0.1)
    (table,) = draw(report, home)
    assert table.splitlines()[2] == "| a\\|b \\[x](y) | &lt;b>\\*why\\*&lt;/b> |"
