"""Keys that a visitor gives: they reach the tool, and are found nowhere afterwards."""

import logging
from pathlib import Path

import pytest

from agent.events import Decision, Event, Said, TextDelta, ToolFailed, ToolFinished
from agent.keys import REMOVED, hide, joined, take_keys, visitor_keys, without_mention
from agent.loop import Agent
from tests.agent.training import Ran
from tools.core.settings import Settings
from tools.core.workspace import Secrets

YOUTUBE, HUB = "AIza" + "SyD3-x_" * 5, "hf_" + "aBcD1" * 7


def traces(home: Path, events: list[Event], caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return where one of the keys can be read."""
    found = [str(file) for file in home.rglob("*") if file.is_file() and holds_key(file.read_bytes())]
    found += [repr(event) for event in events if holds_key(repr(event).encode())]
    return found + [text for text in caplog.text.splitlines() if holds_key(text.encode())]


def holds_key(content: bytes) -> bool:
    return YOUTUBE.encode() in content or HUB.encode() in content


@pytest.mark.parametrize("channel", ["@mkbhd", "@revoked", "@broken"])
def test_a_key_typed_for_the_visit_is_used_and_leaves_no_trace(trainer, home: Path, ran: Ran, caplog, channel: str):
    """Also where the tool puts it into its result, its error, or an exception that is a defect."""
    caplog.set_level(logging.DEBUG)
    secrets = Secrets(YOUTUBE, HUB)
    events = list(trainer.run(f"collect {channel}", "t", secrets=secrets))
    assert ran.collected_with == [YOUTUBE]
    assert any(isinstance(event, ToolFinished | ToolFailed) for event in events) and REMOVED in repr(events)
    assert traces(home, events + trainer.history("t"), caplog) == [] and YOUTUBE not in repr(secrets)
    list(trainer.run("collect @other", "t"))
    assert ran.collected_with == [YOUTUBE, None], "it is not remembered"


def test_a_key_pasted_into_a_message_is_taken_out_and_used(trainer: Agent, home: Path, ran: Ran, caplog):
    caplog.set_level(logging.DEBUG)
    events = list(trainer.run(f"collect @mkbhd with my key {YOUTUBE}", "t"))
    assert isinstance(events[0], TextDelta) and "took the key out of your message" in events[0].text
    assert ran.collected_with == [YOUTUBE]
    assert trainer.history("t")[0] == Said(f"collect @mkbhd with my key {REMOVED}")
    assert traces(home, events + trainer.history("t"), caplog) == []


def test_a_message_that_is_only_a_key_asks_what_to_do(trainer: Agent, ran: Ran):
    events = list(trainer.run(f"my key is {YOUTUBE}", "t"))
    assert "Now say what to do" in events[-1].text and ran.collected_with == []
    assert trainer.history("t") == []


def test_the_keys_of_who_approves_are_those_that_count(trainer: Agent, ran: Ran):
    list(trainer.run("collect @mkbhd then fine-tune clip", "t", secrets=Secrets(None, "of who asked")))
    (call,) = trainer.waiting("t").calls
    list(trainer.decide({call.id: Decision(True)}, "t", secrets=Secrets(None, HUB)))
    assert ran.launched_with == [HUB]


def test_a_key_in_the_reason_of_a_no_is_taken_out(trainer: Agent, home: Path, caplog):
    list(trainer.run("fine-tune clip on talebi", "t"))
    (call,) = trainer.waiting("t").calls
    events = list(trainer.decide({call.id: Decision(False, reason=f"use {HUB}")}, "t"))
    assert traces(home, events + trainer.history("t"), caplog) == [] and f"use {REMOVED}" in repr(events)


@pytest.mark.parametrize(
    ("text", "clean", "command"),
    [
        (f"collect @x with my key {YOUTUBE}", f"collect @x with my key {REMOVED}", "collect @x"),
        (
            f"collect @x using the YouTube API key: {YOUTUBE}.",
            f"collect @x using the YouTube API key: {REMOVED}.",
            "collect @x",
        ),
        (f"publish talebi to me/t ({HUB})", f"publish talebi to me/t ({REMOVED})", "publish talebi to me/t"),
        (f"key {YOUTUBE} and token {HUB}", f"key {REMOVED} and token {REMOVED}", ""),
        ("find half_timbered houses", "find half_timbered houses", "find half_timbered houses"),
        ("what is AIza?", "what is AIza?", "what is AIza?"),
    ],
)
def test_keys_are_known_by_their_look(text: str, clean: str, command: str):
    taken, found = take_keys(text)
    assert taken == clean and without_mention(clean) == command
    assert found == Secrets(YOUTUBE if YOUTUBE in text else None, HUB if HUB in text else None)


def test_a_space_does_not_lend_its_owners_hub_token(home: Path):
    own = Settings(home=home, youtube_api_key="own-youtube", hub_token="own-hub")
    assert visitor_keys(own, "", None) == Secrets("own-youtube", "own-hub")
    space = Settings(home=home, youtube_api_key="own-youtube", hub_token="own-hub", on_space=True)
    assert visitor_keys(space) == Secrets("own-youtube", None)
    assert visitor_keys(space, " typed ", "mine") == Secrets("typed", "mine")
    assert joined(Secrets("a", None), Secrets("b", "c")) == Secrets("a", "c")


def test_hiding_looks_into_plain_data_and_leaves_short_texts_alone():
    data = {"why": [f"?key={YOUTUBE}", ("x", 1, None)], "short": "abc"}
    assert hide(data, Secrets(YOUTUBE, "abc")) == {"why": [f"?key={REMOVED}", ("x", 1, None)], "short": "abc"}
