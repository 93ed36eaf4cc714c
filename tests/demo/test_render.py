import dataclasses
import os
from pathlib import Path

import gradio as gr
import pytest

from agent.events import (
    ApprovalNeeded,
    Call,
    Decided,
    Decision,
    Failed,
    Said,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from demo.render import Transcript, draw
from demo.thumbnails import cache_folder, prune, shown
from tests.conftest import MakePicture
from tools.core.encoders import Unreadable
from tools.core.preview import Preview
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


PREVIEW = Preview(
    "Fine-tune <b>x</b> on talebi",
    (("takes", "2 minutes | or [more](x)"),),
    {"dataset": "talebi", "epochs": 2, "learning_rate": [1e-4, 3e-5], "model": None},
    ("dataset", "epochs"),
    "It warms the room.",
    "Launch",
)
ASKED = ApprovalNeeded((Call("1", "launch_finetune", {}, PREVIEW),))


def test_an_approval_shows_what_would_happen_and_with_which_arguments(home: Path):
    (message,) = drawn(home, ASKED)
    assert [option["value"] for option in message.options] == ["approve 1", "edit 1", "reject 1"]
    assert [option["label"] for option in message.options] == ["Launch", "Edit …", "No, leave it"]
    assert "| takes | 2 minutes \\| or \\[more](x) |" in message.content and "<b>" not in message.content
    assert "It warms the room." in message.content and "`epochs=3`" in message.content
    assert "learning_rate = `0.0001, 3e-05`" in message.content and "model = `none`" in message.content


def test_where_nothing_can_be_changed_a_no_may_still_say_why(home: Path):
    fixed = dataclasses.replace(PREVIEW, editable=())
    (message,) = drawn(home, ApprovalNeeded((Call("1", "delete_item", {}, fixed),)))
    assert [option["label"] for option in message.options][1] == "No, because …"
    assert "what to change" not in message.content


def test_the_buttons_answer_all_calls_that_wait_together(home: Path):
    two = ApprovalNeeded((*ASKED.calls, Call("2", "launch_finetune", {}, PREVIEW)))
    (message,) = drawn(home, two)
    assert message.options[0] == {"value": "approve 1 2", "label": "Yes, do all of it"}
    assert message.content.count("It warms the room.") == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Decision(True), "**Approved.**"),
        (Decision(True, {"epochs": 3}), "**Approved** with epochs = `3`."),
        (Decision(False), "**Rejected.**"),
        (Decision(False, reason="too <b>costly</b>"), "**Rejected:** too &lt;b>costly&lt;/b>"),
    ],
)
def test_a_decided_approval_loses_its_buttons_and_says_what_was_decided(home: Path, answer: Decision, says: str):
    (message,) = drawn(home, ASKED, Decided({"1": answer}))
    assert message.options == [] and message.content.endswith(says) and "Shall I" not in message.content
    assert "2 minutes" in message.content


def test_a_rejected_call_is_told_by_its_card_alone(home: Path):
    said_no = (Decided({"1": Decision(False)}), ToolFailed("1", "launch_finetune", "You said no", 0.0))
    assert len(drawn(home, ASKED, *said_no)) == 1


def test_a_question_that_is_asked_again_has_only_one_set_of_buttons(home: Path):
    earlier, said, later = drawn(home, ASKED, Said("with 3 epochs"), ASKED)
    assert earlier.options == [] and later.options and said.role == "user"
    assert "Asked again below" in earlier.content


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
