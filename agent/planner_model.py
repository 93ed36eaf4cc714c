"""The planner as a LangChain chat model, so that the same agent runs with and without a language model.

The plan for a person's message is made once, travels in the first reply's `additional_kwargs`, and is carried out call
by call: the next call is made when the one before has succeeded.
"""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field

from agent.planner import Plan, Planner
from agent.results import from_plain, is_rejected
from tools import TOOLS
from tools.core.library import Kind, Library
from tools.search_images import SearchResult

RESULT_NUMBER = re.compile(r"result (\d+)")
REMEMBERED = 20  # earlier commands that "it" and "again" may refer to


@functools.cache
def _shared_planner() -> Planner:
    """Return the process's planner; its phrases are read, and embedded when needed, once."""
    return Planner(TOOLS)


class PlannerModel(BaseChatModel):
    """Understands commands with `agent.planner`; calls nothing outside this process."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    library: Library
    planner: Planner = Field(default_factory=_shared_planner)

    @property
    def _llm_type(self) -> str:
        return "pairwright-planner"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Ignore the schemas: the planner reads the tool functions themselves."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._reply(messages)
        for word in re.findall(r"\S+\s*|\s+", str(reply.content)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                tool_calls=reply.tool_calls,
                additional_kwargs=reply.additional_kwargs,
                chunk_position="last",
            )
        )

    def _reply(self, messages: list[BaseMessage]) -> AIMessage:
        last = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=None)
        if last is None:
            return AIMessage("Tell me what to do, for example: find dogs in the snow")
        since = messages[last + 1 :]
        if not since:
            return self._first_reply(messages[: last + 1])
        done = [m for m in since if isinstance(m, ToolMessage)]
        if is_rejected(done[-1]):
            return AIMessage("All right, I left it as it is.")
        if done[-1].status == "error":
            return AIMessage(f"That did not work: {done[-1].content}")
        planned = next(m for m in since if isinstance(m, AIMessage)).additional_kwargs
        if len(done) < len(planned.get("plan", [])):
            return _call(planned["plan"][len(done)], messages)
        # What could not be planned of the message, or a question about it, comes after what was done.
        return AIMessage("\n\n".join(filter(None, [_summary(done[-1]), planned.get("say")])))

    def _first_reply(self, messages: list[BaseMessage]) -> AIMessage:
        people = [m for m in messages if isinstance(m, HumanMessage)]
        history = [said_in(message) for message in people[:-1]][-REMEMBERED:]
        plan = plan_for(self.planner, self.library, said_in(people[-1]), history, files_of(people[-1]))
        if not plan.calls:
            return AIMessage(plan.say)
        calls = [{"tool": call.tool, "args": call.args, "why": call.why} for call in plan.calls]
        first = _call(calls[0], messages)
        first.additional_kwargs |= {"plan": calls, "say": plan.say}
        return first


def plan_for(
    planner: Planner, library: Library, text: str, history: Sequence[str] = (), files: Sequence[str] = ()
) -> Plan:
    """Plan a command with the names that exist in the library."""
    names = {kind.value: [card.name for card in library.cards(kind)] for kind in Kind}
    return planner.plan(text, history, files, names)


def person_says(text: str, files: Sequence[str]) -> HumanMessage:
    """Return the person's message; a language model reads of the uploaded files in its text."""
    uploaded = f"\n\n(Uploaded pictures: {', '.join(files)})" if files else ""
    return HumanMessage(text + uploaded, additional_kwargs={"said": text, "files": list(files)})


def said_in(message: BaseMessage) -> str:
    """Return what the person typed."""
    return str(message.additional_kwargs.get("said", message.text))


def files_of(message: BaseMessage) -> tuple[str, ...]:
    """Return the files uploaded with a message."""
    return tuple(message.additional_kwargs.get("files", ()))


def _call(planned: dict[str, Any], messages: list[BaseMessage]) -> AIMessage:
    args = _resolved(planned["args"], messages)
    call = {"name": planned["tool"], "args": args, "id": f"call_{uuid.uuid4().hex}", "type": "tool_call"}
    return AIMessage("", tool_calls=[call], additional_kwargs={"why": planned["why"]})


def _resolved(args: dict[str, Any], messages: list[BaseMessage]) -> dict[str, Any]:
    """Turn an image "result 2" into the id of the second picture shown last, in the collection it was found in."""
    match = RESULT_NUMBER.fullmatch(str(args.get("image", "")))
    if not match:
        return args
    for message in reversed(messages):
        result = from_plain(message.artifact) if isinstance(message, ToolMessage) else None
        if isinstance(result, SearchResult):
            number = int(match[1])
            if not 0 < number <= len(result.hits):
                return args | {"image": f"result {number} (only {len(result.hits)} pictures were shown)"}
            return {"collection": result.collection, **args, "image": result.hits[number - 1].id}
    return args


def _summary(done: ToolMessage) -> str:
    """Say in a line what came out; the details are drawn from the result."""
    return str(done.content).split("\n", 1)[0].rstrip(":.") + "."
