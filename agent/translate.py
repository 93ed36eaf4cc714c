"""Turns LangChain's messages and state updates into events."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent import approvals
from agent.approvals import Decisions, Round
from agent.events import Decided, Decision, Event, Failed, Said, TextDelta, ToolFailed, ToolFinished, ToolStarted
from agent.planner_model import files_of, said_in
from agent.results import from_plain

INTERRUPTED = "It was interrupted; ask again to go on"
APPROVED = (
    "It was interrupted after you approved it: see in the library and among the jobs what was done, then ask again"
)
TOO_MANY_CALLS = "I stopped after {} tool calls; say it in smaller steps"


def history(messages: Sequence[BaseMessage], rounds: Sequence[Round], running: bool) -> Iterator[Event]:
    """Yield what was said and done in a conversation, for drawing it again.

    Args:
        messages: All of the conversation.
        rounds: Of the question that is open; empty when none is.
        running: Whether a turn runs now, so that calls without an answer may still get one.
    """
    last, done = approvals.last_reply(messages), answered(messages)
    for message in messages:
        if isinstance(message, HumanMessage):
            yield Said(said_in(message), files_of(message))
        elif isinstance(message, AIMessage):
            if message.text:
                yield TextDelta(str(message.text))
            yield from approvals.events_of(message, rounds if message is last else ())
            yield from announced(message)
        elif isinstance(message, ToolMessage):
            yield finished(message, 0.0)
    if last and not rounds and not running:
        for call in last.tool_calls:
            if call["id"] not in done:
                yield ToolFailed(str(call["id"]), call["name"], _interrupted(last, call["id"]), 0.0)


def of_update(chunk: dict[str, Any], started: dict[str, float], most_calls: int) -> Iterator[Event]:
    """Translate a state update: calls that begin and calls that ended.

    Args:
        chunk: As LangGraph streams it: node → what it changed.
        started: Call id → when it began; grows.
        most_calls: How many calls a turn may make.
    """
    for node, update in chunk.items():
        if node == "__interrupt__":
            continue  # told when the stream has ended and the state is written
        for message in _messages(update):
            if isinstance(message, AIMessage):
                for event in announced(message, started.keys()):
                    started[event.id] = time.monotonic()
                    yield event
                if node.startswith("ToolCallLimit") and message.text:
                    yield Failed(TOO_MANY_CALLS.format(most_calls))
            elif isinstance(message, ToolMessage):
                began = started.get(message.tool_call_id, time.monotonic())
                yield finished(message, round(time.monotonic() - began, 2))


def announced(reply: AIMessage, before: Collection[str] = ()) -> list[ToolStarted]:
    """Return the calls of a reply that begin now: those that need approval only once they are approved."""
    return [
        ToolStarted(str(call["id"]), call["name"], call["args"], str(reply.additional_kwargs.get("why", "")))
        for call in reply.tool_calls
        if call["id"] not in before
        if not approvals.is_asked(reply, str(call["id"])) or approvals.is_approved(reply, call["id"])
    ]


def finished(message: ToolMessage, seconds: float) -> ToolFinished | ToolFailed:
    """Return how a call ended."""
    tool = message.name or "tool"
    if approvals.is_rejected(message):
        return ToolFailed(message.tool_call_id, tool, approvals.rejected_text(approvals.reason_of(message)), seconds)
    result = from_plain(message.artifact) if message.status != "error" else None
    if result is None:
        return ToolFailed(message.tool_call_id, tool, str(message.content), seconds)
    return ToolFinished(message.tool_call_id, tool, result, seconds)


def settled(messages: Sequence[BaseMessage], rounds: Sequence[Round]) -> tuple[list[BaseMessage], Decided | None]:
    """Return the answers to the calls that have none, a no to the open question among them, and that no as an event."""
    done, replies, decided = answered(messages), list[BaseMessage](), None
    reply = approvals.last_reply(messages)
    if reply and rounds:
        asked = approvals.question(reply, rounds)
        no = dict.fromkeys((call.id for call in asked.calls), Decision(False))
        answers = approvals.answers_to(asked, no, asked)
        replies += approvals.close(reply, rounds, Decisions(answers=answers, said=""))
        done |= answers.keys()
        decided = approvals.decided(answers)
    replies += [
        ToolMessage(_interrupted(message, call["id"]), tool_call_id=call["id"], name=call["name"], status="error")
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
        if call["id"] not in done
    ]
    return replies, decided


def answered(messages: Sequence[BaseMessage]) -> set[str]:
    """Return the ids of the calls that have their answer."""
    return {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}


def _interrupted(reply: AIMessage, id: str | None) -> str:
    return APPROVED if approvals.is_approved(reply, id) else INTERRUPTED


def _messages(update: Any) -> list[BaseMessage]:
    if not isinstance(update, dict):
        return []
    found = update.get("messages", [])
    return list(getattr(found, "value", found) or [])
