"""Answers to an open question in words: a yes, a no and why, a change, or something else."""

import pytest
from langchain_core.messages import AIMessage

from agent.events import Decided, Decision, Said, TextDelta, ToolFinished
from agent.loop import Agent
from tests.agent.training import ID, TUNE, Ran, asked, make_dataset, of_type, planned_agent, scripted_agent, tune
from tools.core.workspace import Workspace

YES = "yes|Yes!|ok|OK, go ahead|yes please|go ahead|do it|sure|y|yep, do it|Approved.|sounds good, thanks|no problem"
NO = "no|No.|nope|no thanks|don't|cancel|never mind|not now|leave it as it is|stop|do not do it|please don’t"


@pytest.mark.parametrize("text", YES.split("|"))
def test_a_yes_in_words_approves(trainer: Agent, ran: Ran, text: str):
    list(trainer.run(TUNE, "t"))
    assert of_type(list(trainer.run(text, "t")), ToolFinished)
    assert len(ran.launched) == 1


@pytest.mark.parametrize("text", NO.split("|"))
def test_a_no_in_words_rejects(trainer: Agent, ran: Ran, text: str):
    list(trainer.run(TUNE, "t"))
    events = list(trainer.run(text, "t"))
    assert "All right, I left it as it is." in "".join(event.text for event in of_type(events, TextDelta))
    assert ran.launched == [] and trainer.waiting("t") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no, too costly", "too costly"),
        ("No: it's far too slow!", "it's far too slow"),
        ("nope - not on this machine", "not on this machine"),
        ("don't delete it", "don't delete it"),
        ("no, never", "never"),
    ],
)
def test_a_no_with_words_behind_it_is_a_no_with_a_reason(workspace: Workspace, ran: Ran, text: str, reason: str):
    make_dataset(workspace, "talebi")
    agent = scripted_agent(workspace, ran, tune(), AIMessage("Then not."))
    list(agent.run("go", "t"))
    events = list(agent.run(text, "t"))
    assert of_type(events, Decided)[0].answers[ID] == Decision(False, None, reason) and ran.launched == []
    assert Said(text) in agent.history("t")


@pytest.mark.parametrize("text", ["yes, and then find red", "yes no", "yes if it is free", "go ahead with the other"])
def test_a_yes_with_something_unclear_behind_it_is_asked_back(trainer: Agent, ran: Ran, text: str):
    shown = asked(list(trainer.run(TUNE, "t")))
    events = list(trainer.run(text, "t"))
    assert "not sure" in events[0].text and asked(events) == shown and ran.launched == []


@pytest.mark.parametrize(
    "text", ["what would it cost?", "yesterday's pictures", "okay find red", "nothing", "find yes", "it is noted"]
)
def test_what_is_no_answer_runs_nothing_that_waits(trainer: Agent, ran: Ran, text: str):
    list(trainer.run(TUNE, "t"))
    list(trainer.run(text, "t"))
    assert ran.launched == [] and trainer.waiting("t") is None


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("with 3 epochs", {"epochs": 3}),
        ("use 3 epochs instead", {"epochs": 3}),
        ("batch size 8", {"batch_size": 8}),
        ("no, use 3 epochs and a batch size of 8", {"epochs": 3, "batch_size": 8}),
        ("yes, but with 3 epochs", {"epochs": 3}),
        ("epochs=3 batch_size=8", {"epochs": 3, "batch_size": 8}),
        ("with learning_rate=1e-4, 3e-5 and epochs=1,2", {"learning_rate": [1e-4, 3e-5], "epochs": [1, 2]}),
        ("training everything", {"trainable": "all"}),
    ],
)
@pytest.mark.parametrize("on_planner", [True, False])
def test_a_change_in_words_is_shown_again_before_it_runs(workspace, ran: Ran, text: str, changed, on_planner: bool):
    make_dataset(workspace, "talebi")
    agent = planned_agent(workspace, ran) if on_planner else scripted_agent(workspace, ran, tune(), AIMessage("done"))
    shown = asked(list(agent.run(TUNE, "t"))).preview.args
    now = asked(list(agent.run(text, "t"))).preview
    assert now.args == {**shown, **changed} and ran.launched == []
    list(agent.run("yes", "t"))
    assert ran.launched[0][1] == now.args


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochs=many", "epochs is 'many'; expected a whole number"),
        ("with 0 epochs", "expected 1 to 100"),
        ("dataset=other", "dataset cannot be changed here"),
    ],
)
def test_a_change_that_cannot_be_is_said_and_the_question_stays(trainer: Agent, ran: Ran, text: str, says: str):
    shown = asked(list(trainer.run(TUNE, "t")))
    events = list(trainer.run(text, "t"))
    assert says in events[0].text and asked(events) == shown and ran.launched == []
    assert [says in event.text for event in of_type(trainer.history("t"), TextDelta)] == [True]


def test_a_no_that_asks_for_something_else_has_it_done(trainer: Agent, ran: Ran):
    list(trainer.run(TUNE, "t"))
    events = list(trainer.run("no, list my library", "t"))
    assert [event.tool for event in of_type(events, ToolFinished)] == ["list_library"] and ran.launched == []
