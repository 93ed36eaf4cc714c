"""The planner as a LangChain chat model, so that the same agent runs with and without a language model.

The plan for a person's message is made once and carried out call by call: each reply carries in its `additional_kwargs`
the steps that follow, and the next one is taken when the call has succeeded. What a step really made takes the place of
the name that the plan expected.
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

from agent.approvals import is_rejected, reason_of
from agent.keys import without_mention
from agent.planner import Plan, Planner
from agent.results import from_plain
from tools import TOOLS, Tool
from tools.core.library import Kind, Library
from tools.search_images import SearchResult

RESULT_NUMBER = re.compile(r"result (\d+)")
REMEMBERED = 20  # earlier commands that "it" and "again" may refer to


@functools.cache
def _shared_planner(tools: tuple[Tool, ...] = TOOLS) -> Planner:
    """Return the process's planner; its phrases are read, and embedded when needed, once."""
    return Planner(tools)


def planner_of(chat_model: BaseChatModel | None, tools: tuple[Tool, ...]) -> Planner:
    """Return the planner that reads changes to a call, also where a language model does the rest."""
    return chat_model.planner if isinstance(chat_model, PlannerModel) else _shared_planner(tools)


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
            return self._first_reply(messages)
        before = next(m for m in reversed(since) if isinstance(m, AIMessage)).additional_kwargs
        done = next(m for m in reversed(since) if isinstance(m, ToolMessage))
        if is_rejected(done):
            return self._after_rejection(reason_of(done), before, messages)
        if done.status == "error":
            return AIMessage(f"That did not work: {done.content}")
        if before.get("then"):
            return self._call(before["then"], before["say"], messages)
        # What could not be planned of the message, or a question about it, comes after what was done.
        return AIMessage("\n\n".join(filter(None, [_summary(done), before.get("say")])))

    def _first_reply(self, messages: list[BaseMessage]) -> AIMessage:
        *history, said = _commands(messages)
        files = files_of(next(m for m in reversed(messages) if isinstance(m, HumanMessage)))
        plan = plan_for(self.planner, self.library, said, history[-REMEMBERED:], files)
        return self._call(_as_steps(plan), plan.say, messages) if plan.calls else AIMessage(plan.say)

    def _after_rejection(self, reason: str, before: dict[str, Any], messages: list[BaseMessage]) -> AIMessage:
        """Do what a no asks for instead ("no, show me talebi first"), read by its words alone; else leave it."""
        if reason:
            before_it, names = _commands(messages)[-REMEMBERED:], _names(self.library)
            plan = self.planner.plan(reason, before_it, (), names, by_meaning=False)
            if plan.calls:
                return self._call(_as_steps(plan), plan.say, messages)
        rest = " I did not take the steps after it either." if before.get("then") else ""
        return AIMessage(f"All right, I left it as it is.{rest}")

    def _call(self, steps: Sequence[dict[str, Any]], say: str, messages: list[BaseMessage]) -> AIMessage:
        """Return the reply that takes the first of these steps and carries the others."""
        first, *then = steps
        args = self._with_real_names(_resolved(first["args"], messages), messages)
        call = {"name": first["tool"], "args": args, "id": f"call_{uuid.uuid4().hex}", "type": "tool_call"}
        kept = {"why": first["why"], "makes": first["makes"], "then": then, "say": say}
        return AIMessage("", tool_calls=[call], additional_kwargs=kept)

    def _with_real_names(self, args: dict[str, Any], messages: list[BaseMessage]) -> dict[str, Any]:
        """Replace the names that the plan expected its steps to make by those that they made.

        What a step of an earlier message was expected to make is a name for it only while nothing else bears it.
        """
        last = max(i for i, m in enumerate(messages) if isinstance(m, HumanMessage))
        real: dict[tuple[str, str], str] = {}
        for place, kind, expected, made in _made(messages):
            if place > last or not self.library.folder(Kind(kind), expected).exists():
                real[kind, expected] = made
        for name, value in args.items():
            for (kind, expected), made in real.items():
                if value == expected and (name in ("source", "item") or name.endswith(kind)):
                    args = {**args, name: made}
        return args


def plan_for(
    planner: Planner, library: Library, text: str, history: Sequence[str] = (), files: Sequence[str] = ()
) -> Plan:
    """Plan a command with the names that exist in the library."""
    return planner.plan(text, history, files, _names(library))


def _names(library: Library) -> dict[str, list[str]]:
    return {kind.value: [card.name for card in library.cards(kind)] for kind in Kind}


def _as_steps(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"tool": one.tool, "args": one.args, "why": one.why, "makes": one.makes and list(one.makes)}
        for one in plan.calls
    ]


def _commands(messages: Sequence[BaseMessage]) -> list[str]:
    """Return what the person asked for, oldest first; keys that were taken out are not mentioned."""
    return [without_mention(said_in(message)) for message in messages if isinstance(message, HumanMessage)]


def _made(messages: Sequence[BaseMessage]) -> Iterator[tuple[int, str, str, str]]:
    """Yield what finished steps made: place of the reply, kind, name that the plan expected, real name."""
    results = {m.tool_call_id: from_plain(m.artifact) for m in messages if isinstance(m, ToolMessage)}
    for place, message in enumerate(messages):
        if isinstance(message, AIMessage) and message.tool_calls and message.additional_kwargs.get("makes"):
            kind, expected = message.additional_kwargs["makes"]
            made = getattr(results.get(str(message.tool_calls[0]["id"])), kind, None)
            if isinstance(made, str) and made != expected:
                yield place, kind, expected, made


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
