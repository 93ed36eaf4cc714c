"""Agents that follow a script, that plan, and that can train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.loop import Agent
from tests.agent.scripted import ScriptedModel
from tests.agent.training import Ran, make_dataset, planned_agent
from tools.core.workspace import Workspace

MakeAgent = Callable[..., Agent]


@pytest.fixture
def scripted(workspace: Workspace) -> MakeAgent:
    """Make an agent whose model follows a script."""

    def make(*script: Any) -> Agent:
        return Agent(workspace, ScriptedModel(script=list(script), seen=[]))

    return make


@pytest.fixture
def planned(workspace: Workspace) -> Agent:
    """Return an agent that runs on the planner."""
    return Agent(workspace)


@pytest.fixture
def ran() -> Ran:
    """Return what the stand-ins of the training tools did."""
    return Ran()


@pytest.fixture
def trainer(workspace: Workspace, ran: Ran) -> Agent:
    """Return an agent on the planner that can collect, mine and fine-tune; there is the dataset talebi."""
    make_dataset(workspace, "talebi")
    return planned_agent(workspace, ran)
