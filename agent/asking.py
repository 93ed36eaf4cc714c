"""Asks the person before a tool runs that waits for approval.

LangChain's own middleware makes its question anew when the answer comes, so that what was shown need not be what runs,
and it cannot keep a question open. Here the preview is made once, when the model replies, and kept with the reply.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.types import interrupt

from agent.approvals import attach, close, last_reply, record_of
from agent.toolbox import Toolbox
from tools.core.errors import PairwrightError
from tools.core.preview import Preview
from tools.core.workspace import Workspace

SHORTEST_ID = 9  # characters; some servers count 0, 1, 2 … and begin again in every reply


class AskFirst(AgentMiddleware[Any, Any, Any]):
    """Previews the calls that need approval, asks, and lets only what was approved run, as it was shown."""

    def __init__(self, toolbox: Toolbox, workspace: Workspace) -> None:
        """Preview with `workspace`, which holds the stop and the keys of this turn."""
        super().__init__()
        self._toolbox = toolbox
        self._workspace = workspace

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Preview what the model asks for. What cannot be done is not asked about: it is answered with the reason."""
        response = handler(request)
        for reply in response.result:
            if isinstance(reply, AIMessage):
                self._preview(reply)
        return response

    def _preview(self, reply: AIMessage) -> None:
        previews: dict[str, Preview] = {}
        refused: dict[str, str] = {}
        for call in reply.tool_calls:
            id = call["id"] or ""
            if len(id) < SHORTEST_ID:
                id = call["id"] = f"call_{uuid.uuid4().hex}"
            if call["name"] not in self._toolbox.previews:
                continue
            try:
                previews[id] = self._toolbox.preview(
                    call["name"], call["args"], self._workspace.watched(self._workspace.watch, None, id)
                )
            except PairwrightError as error:
                refused[id] = str(error)
        if previews or refused:
            attach(reply, previews, refused)

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Ask, until it is decided. Everything here comes from the state and the answers, so it may run again."""
        reply = last_reply(state["messages"])
        record = record_of(reply) if reply else {}
        if reply is None or not record or "answers" in record:
            return None
        said_no: list[Any] = [
            ToolMessage(why, tool_call_id=call["id"], name=call["name"], status="error")
            for call in reply.tool_calls
            if (why := record["refused"].get(str(call["id"])))
        ]
        if not record["rounds"]:
            return {"messages": said_no}
        rounds = list(record["rounds"])
        while "answers" not in (answer := interrupt({"rounds": rounds})):
            rounds.append(answer)
        return {"messages": [*close(reply, rounds, answer), *said_no]}
