"""What a message says to an open question: yes, no and why, a change, or something else. A doubt is no yes."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

from agent.arguments import read_assignments
from agent.events import ApprovalNeeded
from agent.planner import Planner

_YES = (
    "yes",
    "yep",
    "yeah",
    "yup",
    "approve",
    "approved",
    "i approve",
    "go ahead",
    "go for it",
    "do it",
    "please do",
    "proceed",
    "confirm",
    "confirmed",
    "i confirm",
)
_MILD_YES = (  # a yes when nothing else is said; before anything else they are only filler
    "y",
    "ok",
    "okay",
    "sure",
    "fine",
    "sounds good",
    "looks good",
    "of course",
    "absolutely",
    "certainly",
    "definitely",
    "agreed",
    "no problem",
    "no objection",
    "no objections",
)
_POLITE = ("please", "thanks", "thank you", "then", "now", "that", "and", "so")
_NO = (
    "no",
    "nope",
    "nah",
    "no thanks",
    "no thank you",
    "reject",
    "reject it",
    "rejected",
    "decline",
    "declined",
    "not now",
    "not yet",
    "better not",
    "rather not",
    "i would rather not",
    "id rather not",
)
_DO_NOT = ("dont", "do not", "please dont", "please do not")  # what follows is part of the reason
_NO_ALONE = (  # a no when nothing else is said; else they may begin a command
    "n",
    "dont do it",
    "do not do it",
    "do not do that",
    "stop",
    "cancel",
    "cancel it",
    "cancel that",
    "abort",
    "never mind",
    "nevermind",
    "leave it",
    "leave it as it is",
    "forget it",
    "skip it",
    "keep it",
)
_MARKS = " \t\n,;:.!-–—"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclasses.dataclass(frozen=True)
class Reply:
    """A message as an answer."""

    kind: Literal["yes", "no", "other"]
    rest: str  # what was said besides: the reason of a no, what a "yes, but" wants changed


def read_reply(text: str) -> Reply:
    """Read a message as an answer to "Shall I go ahead?"."""
    words = [(found[0].lower().replace("'", "").replace("’", ""), found.end()) for found in _WORD.finditer(text)]
    said = [word for word, _ in words]
    if _made_of(said, (*_YES, *_MILD_YES), _POLITE):
        return Reply("yes", "")
    if _made_of(said, (*_NO, *_NO_ALONE, *_DO_NOT), _POLITE):
        return Reply("no", "")
    if _lead(said, _DO_NOT):
        return Reply("no", text.strip())
    if length := _lead(said, _NO):
        return Reply("no", text[words[length - 1][1] :].strip(_MARKS))
    if length := _lead(said, _YES):
        return Reply("yes", text[words[length - 1][1] :].strip(_MARKS))
    return Reply("other", text)


def read_changes(text: str, asked: ApprovalNeeded, planner: Planner) -> dict[str, dict[str, Any]]:
    """Return the arguments that a message changes of the one call that waits, by its id; nothing when it is no change.

    "epochs=3" names the argument, "with 3 epochs" is read as the planner reads the end of a command.
    """
    if not text or len(asked.calls) != 1:
        return {}
    (call,) = asked.calls
    if typed := read_assignments(text, call.preview.args):
        return {call.id: typed}
    said = planner.change(text, call.tool)
    return {call.id: said} if said and said.keys() <= set(call.preview.editable) else {}


def _lead(said: list[str], leads: tuple[str, ...]) -> int:
    """Return how many words at the beginning are one of these; 0 when they are none."""
    return max((size for size in range(1, 6) if " ".join(said[:size]) in leads), default=0)


def _made_of(said: list[str], answers: tuple[str, ...], polite: tuple[str, ...]) -> bool:
    """Tell whether a message is nothing but such answers, one at least, and politeness."""
    place, found = 0, False
    while place < len(said):
        for size in range(5, 0, -1):
            words = " ".join(said[place : place + size])
            if place + size <= len(said) and (words in answers or words in polite):
                found = found or words in answers
                place += size
                break
        else:
            return False
    return found
