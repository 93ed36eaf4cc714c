"""Plans of several steps: with an approval in them, and each fed by what the one before made."""

from agent.events import TextDelta, ToolFinished, ToolStarted
from agent.loop import Agent
from tests.agent.training import Ran, asked, make_dataset, of_type, planned_agent
from tools.core.workspace import Workspace
from tools.index_images import index_images


def test_a_plan_pauses_at_the_approval_in_its_middle_and_goes_on_after_it(planned: Agent, photos, workspace: Workspace):
    index_images(workspace, str(photos), "old")
    text = f"index '{photos}', then delete the collection old, and then find red"
    events = list(planned.run(text, "t"))
    assert [event.tool for event in of_type(events, ToolFinished)] == ["index_images"]
    events = list(Agent(workspace).run("yes", "t"))  # also after a restart
    assert [event.tool for event in of_type(events, ToolFinished)] == ["delete_item", "search_images"]
    assert of_type(events, ToolFinished)[1].result.hits[0].title == "a-red"


def test_a_plan_ends_at_a_no_and_says_what_is_left_undone(planned: Agent, photos, workspace: Workspace):
    index_images(workspace, str(photos), "old")
    list(planned.run("delete the collection old, and then find red", "t"))
    events = list(planned.run("no", "t"))
    assert not of_type(events, ToolStarted)
    assert "did not take the steps after it" in "".join(event.text for event in of_type(events, TextDelta))


def test_each_step_works_on_what_the_one_before_really_made(workspace: Workspace, ran: Ran):
    agent = planned_agent(workspace, ran)
    call = asked(list(agent.run("collect @mkbhd, mine negatives and fine-tune for 4 epochs", "t")))
    assert call.preview.args["dataset"] == "mkbhd-channel-negatives" and call.preview.args["epochs"] == 4
    list(agent.run("yes", "t"))
    assert [args["dataset"] for _, args in ran.launched] == ["mkbhd-channel-negatives"]
    call = asked(list(agent.run("fine-tune clip on it", "t")))
    assert call.preview.args["dataset"] == "mkbhd-channel-negatives", "also in a later message"


def test_a_name_that_is_taken_does_not_mislead_the_steps_after_it(workspace: Workspace, ran: Ran):
    for name in ("mkbhd-channel", "mkbhd-channel-negatives", "mkbhd", "mkbhd-negatives"):
        make_dataset(workspace, name)
    agent = planned_agent(workspace, ran)
    call = asked(list(agent.run("collect @mkbhd, mine negatives and fine-tune for 4 epochs", "t")))
    assert call.preview.args["dataset"] == "mkbhd-channel-2-negatives"


def test_what_exists_is_meant_where_it_is_named(workspace: Workspace, ran: Ran):
    agent = planned_agent(workspace, ran)
    list(agent.run("collect @mkbhd", "t"))
    make_dataset(workspace, "mkbhd")
    call = asked(list(agent.run("fine-tune clip on mkbhd", "t")))
    assert call.preview.args["dataset"] == "mkbhd"
