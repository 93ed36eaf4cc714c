import threading

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent.toolbox import build_toolbox
from tools import TOOLS
from tools.core.workspace import Workspace


@pytest.mark.parametrize("number", range(len(TOOLS)))
def test_the_model_sees_the_docstring_and_every_argument_but_the_workspace(workspace: Workspace, number: int):
    wrapped = build_toolbox(workspace, threading.Event())[number]
    schema = convert_to_openai_tool(wrapped)["function"]
    assert schema["name"] == TOOLS[number].__name__
    assert schema["description"].startswith(TOOLS[number].__doc__.split("\n")[0])
    properties = schema["parameters"]["properties"]
    assert set(properties) == set(TOOLS[number].__annotations__) - {"workspace", "return"}
    assert all(one["description"] for one in properties.values())
