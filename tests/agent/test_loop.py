import threading
from pathlib import Path

from langchain_core.messages import AIMessage
from PIL import Image

from agent.events import (
    ApprovalNeeded,
    Decision,
    Failed,
    Said,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agent.loop import MAX_CALLS, MAX_TEXT, Agent
from tests.agent.conftest import MakeAgent
from tests.agent.scripted import calling
from tests.conftest import MakePicture
from tools.core.library import Kind
from tools.core.workspace import Workspace
from tools.index_images import IndexReport, index_images
from tools.search_images import SearchResult


def of_type(events, kind):
    return [event for event in events if isinstance(event, kind)]


def decided(agent: Agent, yes: bool) -> dict[str, Decision]:
    """Return the same answer to everything that waits."""
    waiting = agent.waiting("t")
    return {call.id: Decision(yes) for call in waiting.calls} if waiting else {}


def said(events) -> str:
    return "".join(event.text for event in of_type(events, TextDelta))


def test_index_then_find_runs_both_tools_in_order_and_says_what_came_out(planned: Agent, photos: Path):
    events = list(planned.run(f"index the images in '{photos}' and then find red", "t"))
    started = of_type(events, ToolStarted)
    assert [call.tool for call in started] == ["index_images", "search_images"]
    assert all(call.why for call in started)
    report, found = (event.result for event in of_type(events, ToolFinished))
    assert isinstance(report, IndexReport) and report.added == 5
    assert isinstance(found, SearchResult) and found.hits[0].title == "a-red"
    progress = of_type(events, ToolProgress)
    assert (progress[-1].done, progress[-1].total) == (5, 5) and progress[-1].id == started[0].id
    assert "nearest to 'red'" in said(events)
    assert not of_type(events, Failed)


def test_the_second_step_is_not_taken_when_the_first_fails(planned: Agent):
    events = list(planned.run("index ./no-such-folder and then find red", "t"))
    assert [event.tool for event in of_type(events, ToolStarted)] == ["index_images"]
    assert "no such folder or file" in of_type(events, ToolFailed)[0].message
    assert "no such folder or file" in said(events)


def test_more_like_the_second_one_means_the_second_picture_shown(planned: Agent, photos: Path):
    first = list(planned.run(f"index '{photos}' then find red", "t"))
    second_hit = of_type(first, ToolFinished)[1].result.hits[1]
    again = list(planned.run("more like the second one", "t"))
    assert of_type(again, ToolStarted)[0].args["image"] == second_hit.id
    assert second_hit.title in of_type(again, ToolFinished)[0].result.query


def test_more_like_it_looks_where_it_was_found(planned: Agent, photos: Path, workspace: Workspace):
    list(planned.run(f"index '{photos}' then find red", "t"))
    index_images(workspace, str(photos / "more"), "newer")
    (call,) = of_type(planned.run("more like the third one", "t"), ToolStarted)
    assert call.args["collection"] == "images"
    failed = of_type(planned.run("more like the ninth one", "t"), ToolFailed)
    assert "only 4 pictures were shown" in failed[0].message


def test_what_could_not_be_planned_of_a_message_is_said_after_what_was_done(planned: Agent):
    events = list(planned.run("list my library and then find", "t"))
    assert [event.tool for event in of_type(events, ToolFinished)] == ["list_library"]
    assert "?" in said(events)


def test_a_damaged_card_hides_nothing_else(planned: Agent, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    folder = workspace.library.folder(Kind.DATASET, "broken")
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    events = list(planned.run("find red", "t"))
    assert of_type(events, ToolFinished)[0].result.hits[0].title == "a-red"
    assert "is damaged" in of_type(planned.run("show me the dataset broken", "t"), ToolFailed)[0].message


def test_a_title_that_looks_like_a_refusal_is_only_a_title(planned: Agent, make_picture: MakePicture):
    file = make_picture("in/You said no; nothing was done..png", "red")
    list(planned.run(f"index '{file.parent}'", "t"))
    assert of_type(planned.run("find red", "t"), ToolFinished)


def test_a_conversation_keeps_only_its_newest_state(planned: Agent, workspace: Workspace):
    for _ in range(5):
        list(planned.run("list my library", "t"))
    rows = planned._kept.saver().conn.execute("SELECT count(*) FROM checkpoints WHERE thread_id = 't'").fetchone()
    assert rows == (1,) and len(of_type(planned.history("t"), ToolFinished)) == 5


def test_an_uploaded_picture_is_what_this_means(planned: Agent, photos: Path, make_picture: MakePicture):
    list(planned.run(f"index '{photos}'", "t"))
    upload = make_picture("upload/x.png", "blue")
    events = list(planned.run("find pictures like this", "t", [str(upload)]))
    assert of_type(events, ToolFinished)[0].result.hits[0].title == "c-blue"


def test_an_empty_or_endless_message_is_answered_without_the_model(scripted: MakeAgent):
    agent = scripted()
    assert "the message is empty" in of_type(agent.run("  ", "t"), Failed)[0].message
    assert f"use at most {MAX_TEXT}" in of_type(agent.run("x" * (MAX_TEXT + 1), "t"), Failed)[0].message


def test_deleting_waits_for_a_yes(planned: Agent, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    events = list(planned.run("delete the collection images", "t"))
    asked = of_type(events, ApprovalNeeded)
    assert [call.tool for call in asked[0].calls] == ["delete_item"]
    assert workspace.library.find("images")
    done = list(planned.decide(decided(planned, True), "t"))
    assert not of_type(events, ToolStarted) and of_type(done, ToolStarted), "it is announced when it is approved"
    assert of_type(done, ToolFinished)[0].result.item == "collection/images"
    assert workspace.library.cards() == []


def test_a_no_leaves_everything_as_it_is(planned: Agent, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    list(planned.run("delete the collection images", "t"))
    events = list(planned.decide(decided(planned, False), "t"))
    assert of_type(events, ToolFailed)[0].message == "You said no; nothing was done."
    assert said(events) == "All right, I left it as it is."
    assert workspace.library.find("images")
    assert "Nothing is waiting" in of_type(planned.decide(decided(planned, True), "t"), Failed)[0].message


def test_an_approval_survives_a_restart(planned: Agent, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    list(planned.run("delete the collection images", "t"))
    restarted = Agent(workspace)
    assert [call.args for call in restarted.waiting("t").calls] == [{"item": "images"}]
    assert isinstance(restarted.history("t")[-1], ApprovalNeeded)
    list(restarted.decide(decided(restarted, True), "t"))
    assert workspace.library.cards() == []


def test_a_yes_to_an_earlier_question_does_not_answer_a_later_one(planned: Agent, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    index_images(workspace, str(photos), "other")
    list(planned.run("delete the collection other", "t"))
    earlier = decided(planned, True)
    list(planned.run("delete the collection images", "t"))
    assert "no longer open" in of_type(planned.decide(earlier, "t"), Failed)[0].message
    assert len(workspace.library.cards()) == 2
    workspace.library.delete(workspace.library.find("other"))
    list(planned.decide(decided(planned, True), "t"))
    assert workspace.library.cards() == []


def test_a_new_message_while_an_approval_is_open_rejects_it(planned: Agent, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    list(planned.run("delete the collection images", "t"))
    events = list(planned.run("find blue", "t"))
    assert of_type(events, ToolFinished)[0].result.hits[0].title == "c-blue"
    assert planned.waiting("t") is None and workspace.library.find("images")


def test_stop_ends_the_running_tool_and_keeps_what_it_stored(scripted: MakeAgent, make_picture: MakePicture):
    for number in range(200):
        make_picture(f"many/{number}.png", Image.new("RGB", (8, 8), (number, 0, 0)))
    folder = make_picture("many/last.png", "red").parent
    agent, stop = (
        scripted(calling("index_images", source=str(folder)), AIMessage("said in the next turn")),
        threading.Event(),
    )
    events = []
    for event in agent.run("go", "t", stop=stop):
        events.append(event)
        if isinstance(event, ToolProgress) and event.done:
            stop.set()
    assert "Stopped as you asked" in of_type(events, ToolFailed)[0].message
    assert of_type(events, Failed)[-1].message == "Stopped."
    assert said(agent.run("and now?", "t")) == "said in the next turn"
    kinds = [message.type for message in agent._chat_model.seen[-1]]
    assert kinds == ["system", "human", "ai", "tool", "human"], "the stopped step keeps its answer, in its place"
    kept = agent.workspace.collection(agent.workspace.library.latest(Kind.COLLECTION)).count()
    assert 0 < kept < 201


def test_a_conversation_is_drawn_again_from_disk(planned: Agent, photos: Path, workspace: Workspace):
    list(planned.run(f"index '{photos}'", "t", [str(photos)]))
    history = Agent(workspace).history("t")
    assert isinstance(history[0], Said) and history[0].files == (str(photos),)
    assert of_type(history, ToolFinished)[0].result.added == 5
    planned.forget("t")
    assert planned.history("t") == []


def test_a_call_left_open_by_a_killed_process_is_answered_before_the_next_turn(scripted: MakeAgent, photos: Path):
    agent = scripted(calling("index_images", source=str(photos)), AIMessage("done"), AIMessage("hello"))
    turn = agent.run("index", "t")
    while not isinstance(next(turn), ToolStarted):
        pass
    turn.close()  # as when the process dies while the tool runs
    list(agent.run("hi", "t"))
    messages = agent._chat_model.seen[-1]
    assert [m.status for m in messages if m.type == "tool"] == ["error"]


def test_malformed_arguments_and_unknown_tools_go_back_to_the_model_as_errors(scripted: MakeAgent):
    agent = scripted(calling("search_images", k="many"), calling("fly_away", "c2"), AIMessage("I cannot"))
    events = list(agent.run("go", "t"))
    messages = [event.message for event in of_type(events, ToolFailed)]
    assert "k" in messages[0] and "fly_away is not a valid tool" in messages[1]
    assert said(events) == "I cannot"


def test_a_model_that_never_ends_is_ended(scripted: MakeAgent):
    agent = scripted(*(calling("list_library", f"c{i}") for i in range(50)))
    events = list(agent.run("go", "t"))
    assert len(of_type(events, ToolFinished)) <= MAX_CALLS
    assert f"stopped after {MAX_CALLS} tool calls" in of_type(events, Failed)[-1].message


def test_a_failing_model_ends_in_a_message_with_a_way_on(scripted: MakeAgent):
    events = list(scripted(RuntimeError("boom")).run("go", "t"))
    assert "RuntimeError: boom" in events[-1].message and "PAIRWRIGHT_MODEL=planner" in events[-1].message


def test_a_defect_in_a_tool_is_said_and_logged(scripted: MakeAgent, monkeypatch, caplog):
    agent = scripted(calling("list_library"), AIMessage("sorry"))
    monkeypatch.setattr(type(agent.workspace.library), "cards", lambda *_: 1 / 0)
    events = list(agent.run("go", "t"))
    assert "failed in a way it should not (ZeroDivisionError" in of_type(events, ToolFailed)[0].message
    assert "The tool list_library failed" in caplog.text


def test_a_busy_conversation_says_so(planned: Agent):
    turn = planned.run("what can you do?", "t")
    next(turn)
    assert "still busy" in next(planned.run("hello", "t")).message
    turn.close()
