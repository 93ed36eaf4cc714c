import threading

import pytest
from langchain_core.messages import AIMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent.events import ToolFailed, ToolFinished, ToolProgress
from agent.loop import Agent
from agent.toolbox import Toolbox
from tests.agent.scripted import ScriptedModel, calling
from tools import TOOLS
from tools.core.errors import InputError
from tools.core.workspace import Workspace
from tools.list_library import Listing, list_library


@pytest.mark.parametrize("number", range(len(TOOLS)))
def test_the_model_sees_the_docstring_and_every_argument_but_the_workspace(workspace: Workspace, number: int):
    wrapped = Toolbox().wrapped(workspace, threading.Event())[number]
    schema = convert_to_openai_tool(wrapped)["function"]
    assert schema["name"] == TOOLS[number].__name__
    assert schema["description"].startswith(TOOLS[number].__doc__.split("\n")[0])
    properties = schema["parameters"]["properties"]
    assert set(properties) == set(TOOLS[number].__annotations__) - {"workspace", "return"}
    assert all(one["description"] for one in properties.values())


def test_the_id_of_the_call_reaches_the_tool_and_is_not_the_models_to_choose(workspace: Workspace):
    seen: list[str | None] = []

    def look(workspace: Workspace, kind: str = "all") -> Listing:
        """Look.

        Args:
            workspace: Where the state is.
            kind: Of what.
        """
        seen.append(workspace.call_id)
        workspace.watch.tell("looking", 1, 2)
        return list_library(workspace)

    script = [
        calling("look", "call-one-of-many", runtime={"tool_call_id": "forged"}, call_id="forged"),
        AIMessage("done"),
    ]
    agent = Agent(workspace, ScriptedModel(script=script, seen=[]), Toolbox((look,), {}))
    events = list(agent.run("go", "t"))
    assert seen == ["call-one-of-many"] and workspace.call_id is None
    assert ToolProgress("call-one-of-many", "looking", 1, 2) in events
    assert any(isinstance(event, ToolFinished) for event in events)


def test_a_preview_that_fails_as_no_preview_should_is_an_answer_and_is_logged(workspace: Workspace, caplog):
    def broken(workspace: Workspace, kind: str = "all") -> None:
        raise ZeroDivisionError("oh")

    script = [calling("list_library", "call-one-of-many"), AIMessage("sorry")]
    toolbox = Toolbox((list_library,), {"list_library": broken})
    events = list(Agent(workspace, ScriptedModel(script=script, seen=[]), toolbox).run("go", "t"))
    (failed,) = (event for event in events if isinstance(event, ToolFailed))
    assert "failed in a way it should not (ZeroDivisionError: oh)" in failed.message
    assert "The tool broken failed" in caplog.text and "Traceback" in caplog.text


def test_a_preview_gets_arguments_of_the_right_type_or_none_at_all(workspace: Workspace):
    toolbox = Toolbox()
    with pytest.raises(InputError, match="delete_item has no argument 'items'"):
        toolbox.preview("delete_item", {"items": "x"}, workspace)
    with pytest.raises(InputError, match="delete_item needs item"):
        toolbox.preview("delete_item", {}, workspace)
