"""What is kept of an approval: it travels with the model's reply, in its `additional_kwargs`.

A question has rounds. The first shows the calls as they were asked for; each further one shows them again after the
person changed something in words. The interrupt holds the rounds while the question is open, so that what was shown is
what is approved, also after a restart; once it is decided they are kept for drawing the conversation again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import TypeAdapter

from agent.events import ApprovalNeeded, Call, Decided, Decision, Event, Said, TextDelta
from agent.keys import take_keys
from tools.core.preview import Preview

REJECTED = "You said no; nothing was done."
_KEY = "approval"
_PREVIEW = TypeAdapter(Preview)


class Round(TypedDict):
    """The question as it was shown once."""

    said: str  # what the person said to have it shown so; empty for the first
    note: str  # what was answered to that, such as why a value cannot be used
    calls: dict[str, dict[str, Any]]  # call id → its preview, as plain data


class Answer(TypedDict):
    """What was decided about one call."""

    approved: bool
    args: dict[str, Any]  # what runs
    changed: dict[str, Any]  # what was changed in the moment of approving
    reason: str  # of a no


class Decisions(TypedDict):
    """The end of a question."""

    answers: dict[str, Answer]
    said: str  # empty when a button was pressed


class Record(TypedDict, total=False):
    """What a reply carries."""

    refused: dict[str, str]  # call id → why the person is not even asked
    rounds: list[Round]
    answers: dict[str, Answer]
    said: str


def attach(reply: AIMessage, previews: Mapping[str, Preview], refused: Mapping[str, str]) -> None:
    """Put the first round into a reply: the previews of its calls, and why others cannot be done."""
    first = Round(said="", note="", calls={id: dataclasses.asdict(one) for id, one in previews.items()})
    reply.additional_kwargs[_KEY] = Record(refused=dict(refused), rounds=[first] if previews else [])


def record_of(reply: AIMessage) -> Record:
    """Return what a reply carries; empty when nothing in it needs approval."""
    found: Record = reply.additional_kwargs.get(_KEY, {})
    return found


def last_reply(messages: Sequence[BaseMessage]) -> AIMessage | None:
    """Return the model's last reply."""
    return next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)


def question(reply: AIMessage, rounds: Sequence[Round]) -> ApprovalNeeded:
    """Return the question that the last round asks."""
    shown = rounds[-1]["calls"]
    calls = (call for call in reply.tool_calls if call["id"] in shown)
    return ApprovalNeeded(
        tuple(
            Call(str(call["id"]), call["name"], call["args"], _PREVIEW.validate_python(shown[str(call["id"])]))
            for call in calls
        )
    )


def again(asked: ApprovalNeeded, said: str, note: str = "") -> Round:
    """Return the round that shows a question again, perhaps changed."""
    return Round(said=said, note=note, calls={call.id: dataclasses.asdict(call.preview) for call in asked.calls})


def answers_to(asked: ApprovalNeeded, decisions: Mapping[str, Decision], shown: ApprovalNeeded) -> dict[str, Answer]:
    """Return what is decided about each call: approved with its preview's arguments, or rejected.

    Args:
        asked: The question with the changes that were made in the moment of approving.
        decisions: The person's decision about each call.
        shown: The question as it was shown.
    """
    answers = {}
    for call, before in zip(asked.calls, shown.calls, strict=True):
        decision, args = decisions[call.id], call.preview.args
        changed = {name: value for name, value in args.items() if value != before.preview.args.get(name)}
        reason, _ = take_keys(decision.reason)
        answers[call.id] = Answer(approved=decision.approved, args=args, changed=changed, reason=reason)
    return answers


def close(reply: AIMessage, rounds: Sequence[Round], decisions: Decisions) -> list[AIMessage | ToolMessage]:
    """Return the reply with the decided arguments in its calls, and the answers to the calls that were rejected."""
    answers = decisions["answers"]
    calls = [
        {**call, "args": answers[str(call["id"])]["args"]} if _approved(answers, call["id"]) else call
        for call in reply.tool_calls
    ]
    kept = {**reply.additional_kwargs, _KEY: {**record_of(reply), "rounds": list(rounds), **decisions}}
    decided = reply.model_copy(update={"tool_calls": calls, "additional_kwargs": kept})
    said_no = [
        rejection(call["name"], str(call["id"]), answers[str(call["id"])]["reason"])
        for call in reply.tool_calls
        if call["id"] in answers and not _approved(answers, call["id"])
    ]
    return [decided, *said_no]


def rejection(tool: str, id: str, reason: str) -> ToolMessage:
    """Return the answer to a call that the person rejected."""
    why = f" The reason: {reason}" if reason else ""
    text = f"The person said no, so {tool} was not carried out.{why}\nDo not call it again unless they ask for it."
    return ToolMessage(text, tool_call_id=id, name=tool, status="error", additional_kwargs={"rejected": reason})


def is_rejected(message: ToolMessage) -> bool:
    """Tell whether this is the answer to a call that the person rejected."""
    return "rejected" in message.additional_kwargs


def reason_of(message: ToolMessage) -> str:
    """Return why the person rejected a call; empty when they did not say."""
    return str(message.additional_kwargs.get("rejected", ""))


def rejected_text(reason: str) -> str:
    """Say to the person that a call was rejected."""
    return f"You said no ({reason}); nothing was done." if reason else REJECTED


def is_asked(reply: AIMessage, id: str) -> bool:
    """Tell whether the person is asked about a call before it runs."""
    rounds = record_of(reply).get("rounds", [])
    return any(id in one["calls"] for one in rounds)


def is_approved(reply: AIMessage | None, id: str | None) -> bool:
    """Tell whether the person approved a call of this reply."""
    return reply is not None and _approved(record_of(reply).get("answers", {}), id)


def changes_of(reply: AIMessage | None, id: str | None) -> dict[str, Any]:
    """Return the arguments of a call that the person changed before approving it, with their new values."""
    record = record_of(reply) if reply is not None else {}
    answer, rounds = record.get("answers", {}).get(str(id)), record.get("rounds")
    if not answer or not rounds:
        return {}
    first = rounds[0]["calls"][str(id)]["args"]
    return {name: value for name, value in answer["args"].items() if value != first.get(name)}


def events_of(reply: AIMessage, rounds: Sequence[Round] = ()) -> Iterator[Event]:
    """Yield an approval as it went, for drawing it again; `rounds` are those of the question while it is open."""
    record = record_of(reply)
    for one in rounds or record.get("rounds", []):
        if one["said"]:
            yield Said(one["said"])
        if one["note"]:
            yield TextDelta(one["note"])
        yield question(reply, [one])
    if "answers" in record:
        if record.get("said"):
            yield Said(record["said"])
        yield decided(record["answers"])


def decided(answers: Mapping[str, Answer]) -> Decided:
    """Return the answers as an event."""
    return Decided(
        {
            id: Decision(answer["approved"], answer["changed"] or None, answer["reason"])
            for id, answer in answers.items()
        }
    )


def _approved(answers: Mapping[str, Answer], id: Any) -> bool:
    return id in answers and answers[id]["approved"]
