"""Approvals: what is shown is what runs, once; with changed arguments, with a reason, after a restart."""

import queue
import threading

import pytest
from langchain_core.messages import AIMessage, ToolMessage

from agent.events import (
    ApprovalNeeded,
    Decided,
    Decision,
    Event,
    Failed,
    Said,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolStarted,
)
from agent.loop import Agent
from tests.agent.scripted import calling
from tests.agent.training import (
    ID,
    TUNE,
    Ran,
    answer,
    asked,
    make_dataset,
    of_type,
    planned_agent,
    scripted_agent,
    tune,
)
from tools.core.workspace import Workspace
from tools.index_images import index_images

# --- what is asked --------------------------------------------------------------------------------------------------


def test_the_question_shows_what_would_run_with_every_default(trainer: Agent, ran: Ran):
    call = asked(list(trainer.run(TUNE, "t")))
    assert call.args == {"recipe": "title_thumbnail", "dataset": "talebi"}
    assert call.preview.args["epochs"] == 2 and call.preview.args["learning_rate"] == 1e-4
    assert ("takes", "2 minutes") in call.preview.facts and ran.launched == []


def test_what_was_shown_runs_under_the_id_of_its_call(trainer: Agent, ran: Ran):
    call = asked(list(trainer.run(TUNE, "t")))
    events = answer(trainer, Decision(True))
    assert ran.launched == [(call.id, call.preview.args)]
    (started,) = of_type(events, ToolStarted)
    assert started.args == call.preview.args and of_type(events, ToolFinished)
    assert not of_type(trainer.history("t"), Failed)


def test_what_was_shown_runs_even_if_a_preview_would_now_say_otherwise(trainer: Agent, workspace: Workspace, ran: Ran):
    shown = asked(list(trainer.run(TUNE, "t"))).preview.args
    workspace.library.delete(workspace.library.find("talebi"))
    answer(trainer, Decision(True))
    assert ran.launched[0][1] == shown


def test_nobody_is_asked_about_what_cannot_be_done(trainer: Agent, ran: Ran):
    events = list(trainer.run("fine-tune clip on nothing-there", "t"))
    assert not of_type(events, ApprovalNeeded) and trainer.waiting("t") is None
    (failed,) = of_type(events, ToolFailed)
    assert "nothing-there" in failed.message and "talebi" in failed.message
    assert ran.launched == []


@pytest.mark.parametrize("args", [{"epochs": "many"}, {"epochs": 0}, {"colour": "red"}, {"trainable": "some"}])
def test_arguments_that_cannot_be_used_go_back_to_the_model_and_not_to_the_person(workspace, ran: Ran, args):
    make_dataset(workspace, "talebi")
    agent = scripted_agent(workspace, ran, tune(**args), AIMessage("I see"))
    events = list(agent.run("go", "t"))
    assert not of_type(events, ApprovalNeeded) and next(iter(args)) in of_type(events, ToolFailed)[0].message
    assert agent._chat_model.seen[-1][-1].status == "error" and ran.launched == []


def test_a_tool_that_needs_approval_never_runs_without_one(workspace: Workspace, ran: Ran):
    """The toolbox itself refuses, whatever may bring a call to it."""
    make_dataset(workspace, "talebi")
    agent = scripted_agent(workspace, ran)
    graph = agent._graph(agent._turn("t"))
    graph.update_state({"configurable": {"thread_id": "t"}}, {"messages": [tune()]}, as_node="AskFirst.after_model")
    events = list(agent._stream(None, agent._turn("t")))
    assert "needs your approval" in of_type(events, ToolFailed)[0].message and ran.launched == []


def test_several_calls_at_once_are_decided_one_by_one(workspace: Workspace, photos, ran: Ran):
    make_dataset(workspace, "talebi")
    index_images(workspace, str(photos))
    both = tune()
    both.tool_calls += calling("delete_item", "call-number-two", item="images").tool_calls
    both.tool_calls += calling("list_library", "call-number-three").tool_calls
    agent = scripted_agent(workspace, ran, both, AIMessage("done"))
    events = list(agent.run("go", "t"))
    first, second = events[-1].calls
    assert second.preview.title == "Delete collection/images"
    events = list(agent.decide({first.id: Decision(True), second.id: Decision(False, reason="mine")}, "t"))
    assert len(ran.launched) == 1 and workspace.library.find("images")
    assert {event.tool for event in of_type(events, ToolFinished)} == {"launch_finetune", "list_library"}
    assert of_type(events, ToolFailed)[0].message == "You said no (mine); nothing was done."


def test_ids_that_a_server_counts_up_become_ids_that_name_one_call(workspace: Workspace, ran: Ran):
    make_dataset(workspace, "talebi")
    short = {"recipe": "title_thumbnail", "dataset": "talebi"}
    script = [calling("launch_finetune", "0", **short), AIMessage("one"), calling("launch_finetune", "0", **short)]
    agent = scripted_agent(workspace, ran, *script, AIMessage("two"))
    for _ in range(2):
        list(agent.run("go", "t"))
        answer(agent, Decision(True))
    assert len({id for id, _ in ran.launched}) == 2


# --- changed arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({"epochs": "3"}, {"epochs": 3}),
        ({"epochs": 3, "batch_size": "8"}, {"epochs": 3, "batch_size": 8}),
        ({"learning_rate": "1e-4, 3e-5"}, {"learning_rate": [1e-4, 3e-5]}),
        ({"trainable": "lora"}, {"trainable": "lora"}),
        ({}, {}),
    ],
)
def test_changed_arguments_run_and_the_model_is_told(workspace: Workspace, ran: Ran, changes, runs):
    make_dataset(workspace, "talebi")
    agent = scripted_agent(workspace, ran, tune(), AIMessage("done"))
    shown = asked(list(agent.run("go", "t"))).preview.args
    events = answer(agent, Decision(True, changes))
    assert ran.launched == [(ID, {**shown, **runs})]
    assert of_type(events, ToolStarted)[0].args == {**shown, **runs}
    (decided,) = of_type(events, Decided)
    assert decided.answers[ID].args == (runs or None)
    *_, call, result = agent._chat_model.seen[-1]
    assert call.tool_calls[0]["args"] == {**shown, **runs}
    assert ("the person changed" in result.content) == bool(runs)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": "many"}, "epochs is 'many'; expected a whole number"),
        ({"epochs": "0"}, "epochs is 0; expected 1 to 100"),
        ({"trainable": "some"}, "expected projection, last_layers, lora, all"),
        ({"dataset": "other"}, "dataset cannot be changed here: you can change epochs"),
        ({"colour": "red"}, "colour cannot be changed here"),
    ],
)
def test_a_value_that_cannot_be_used_is_said_and_the_question_stays_open(trainer: Agent, ran: Ran, changes, says):
    shown = asked(list(trainer.run(TUNE, "t")))
    failed, again = answer(trainer, Decision(True, changes))
    assert says in failed.message and again.calls == (shown,)
    assert trainer.waiting("t").calls == (shown,) and ran.launched == []
    answer(trainer, Decision(True))
    assert ran.launched == [(shown.id, shown.preview.args)]


# --- once -----------------------------------------------------------------------------------------------------------


def test_two_tabs_that_approve_at_once_launch_once(trainer: Agent, ran: Ran):
    call, ran.hold = asked(list(trainer.run(TUNE, "t"))), threading.Event()
    ends: queue.Queue[list[Event]] = queue.Queue()
    tabs = [
        threading.Thread(target=lambda: ends.put(list(trainer.decide({call.id: Decision(True)}, "t"))))
        for _ in range(2)
    ]
    for tab in tabs:
        tab.start()
    assert [event.message for event in ends.get(timeout=60)] == ["Nothing is waiting for a decision any more"]
    ran.hold.set()
    assert of_type(ends.get(timeout=60), ToolFinished) and len(ran.launched) == 1


def test_a_second_click_after_the_first_was_carried_out_does_nothing(trainer: Agent, ran: Ran):
    call = asked(list(trainer.run(TUNE, "t")))
    for _ in range(2):
        events = list(trainer.decide({call.id: Decision(True)}, "t"))
    assert isinstance(events[0], Failed) and len(ran.launched) == 1


def test_an_approved_call_that_a_dying_process_cut_off_goes_on_under_the_same_id(trainer, workspace, ran: Ran):
    call = asked(list(trainer.run(TUNE, "t")))
    turn = trainer.decide({call.id: Decision(True)}, "t")
    while not isinstance(next(turn), ToolStarted):
        pass
    turn.close()  # as when the process dies while the tool runs
    restarted = planned_agent(workspace, ran)
    assert "interrupted after you approved it" in of_type(restarted.history("t"), ToolFailed)[-1].message
    assert isinstance(list(restarted.decide({call.id: Decision(False)}, "t"))[0], Failed)
    events = list(restarted.decide({call.id: Decision(True)}, "t"))
    assert of_type(events, ToolFinished)
    assert [id for id, _ in ran.launched] == [call.id], "the tool got the same id and did it once"


# --- a restart ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "runs"),
    [(Decision(True), 2), (Decision(True, {"epochs": "7"}), 7), (Decision(False, reason="too costly"), None)],
)
def test_a_question_survives_a_restart(trainer: Agent, workspace: Workspace, ran: Ran, decision, runs):
    shown = list(trainer.run(TUNE, "t"))[-1]
    restarted = planned_agent(workspace, ran)
    assert restarted.waiting("t") == shown and restarted.history("t")[-1] == shown
    events = answer(restarted, decision)
    assert [args["epochs"] for _, args in ran.launched] == ([runs] if runs else [])
    assert not of_type(events, Failed) and restarted.waiting("t") is None


def test_a_changed_question_survives_a_restart_as_it_was_changed(trainer: Agent, workspace: Workspace, ran: Ran):
    list(trainer.run(TUNE, "t"))
    list(trainer.run("with 5 epochs", "t"))
    list(trainer.run("batch size 4", "t"))
    restarted = planned_agent(workspace, ran)
    args = restarted.waiting("t").calls[0].preview.args
    assert (args["epochs"], args["batch_size"]) == (5, 4)
    list(restarted.run("yes", "t"))
    assert ran.launched[0][1] == args


def test_a_decided_question_is_drawn_again_as_it_went(trainer: Agent, workspace: Workspace, ran: Ran):
    live: list[Event] = []
    for text in (TUNE, "use 5 epochs", "yes, please"):
        live += [Said(text), *trainer.run(text, "t")]
    assert list(map(outline, once(live))) == list(map(outline, planned_agent(workspace, ran).history("t")))


def outline(event: Event) -> object:
    """Return what is drawn of an event, apart from times and arguments of calls."""
    if isinstance(event, ApprovalNeeded):
        return [call.preview for call in event.calls]
    return event if isinstance(event, Said | Decided) else type(event)


def once(events: list[Event]) -> list[Event]:
    """Return the events with each run of text as one."""
    after = [*events[1:], None]
    return [
        one
        for one, next in zip(events, after, strict=True)
        if not isinstance(one, TextDelta) or type(one) is not type(next)
    ]


# --- a no -----------------------------------------------------------------------------------------------------------


def test_the_reason_of_a_no_reaches_the_model_and_the_transcript(workspace: Workspace, ran: Ran):
    make_dataset(workspace, "talebi")
    agent = scripted_agent(workspace, ran, tune(), AIMessage("Then not."))
    list(agent.run("go", "t"))
    events = answer(agent, Decision(False, reason="too costly"))
    told = agent._chat_model.seen[-1][-1]
    assert isinstance(told, ToolMessage) and "too costly" in told.content and ran.launched == []
    assert of_type(events, Decided)[0].answers[ID].reason == "too costly"
    assert of_type(agent.history("t"), Decided)[0].answers[ID] == Decision(False, None, "too costly")
    assert of_type(agent.history("t"), ToolFailed)[0].message == "You said no (too costly); nothing was done."


def test_another_message_rejects_the_question_and_is_carried_out(trainer: Agent, ran: Ran):
    list(trainer.run(TUNE, "t"))
    events = list(trainer.run("list my library", "t"))
    assert not of_type(events, Decided)[0].answers[next(iter(of_type(events, Decided)[0].answers))].approved
    assert [event.tool for event in of_type(events, ToolFinished)] == ["list_library"]
    assert trainer.waiting("t") is None and ran.launched == []
    assert len(of_type(trainer.history("t"), Decided)) == 1
