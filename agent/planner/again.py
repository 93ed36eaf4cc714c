"""Commands that change the last one: "same but for lions", "again with 5 results", "more"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.planner.align import Graph
from agent.planner.bind import TEXTS
from agent.planner.message import Language, Message
from agent.planner.plan import PlannedCall
from agent.planner.slots import FREE, Context
from agent.planner.template import Slot


def changed(
    said: Mapping[str, Any], last: PlannedCall, graph: Graph, language: Language, context: Context
) -> dict[str, Any] | None:
    """Return the arguments of the last call with the change that was said; None when the change fits none of them.

    Args:
        said: What the phrase gave: `rest` (any change), `times` (so many times as many), `more` (so many more); nothing
            to repeat the call as it was.
        last: The last call.
        graph: The templates, for the tails of the last tool.
        language: The planner's words and tools.
        context: What readers may look up.
    """
    if not said:
        return dict(last.args)
    if "rest" in said:
        return _with(str(said["rest"]), last, graph, language, context)
    signature = language.signatures[last.tool]
    number = next((one for one in signature.arguments.values() if one.reader == "integer"), None)
    before = last.args.get(number.name, number.default) if number else None
    if number is None or not isinstance(before, int):
        return None
    after = before * int(said["times"]) if "times" in said else before + int(said["more"])
    return {**last.args, number.name: after}


def _with(rest: str, last: PlannedCall, graph: Graph, language: Language, context: Context) -> dict[str, Any] | None:
    message = Message(rest, language, context)
    if not message.tokens:
        return None
    starts = message.starts("change-leads")
    tails = graph.align(message.tokens, message.spelled, message.read, starts, message.ends(), tails_of=last.tool)
    if tails and tails[0].cost < FREE:
        return {**last.args, **tails[0].args}
    arguments = language.signatures[last.tool].arguments
    # "4" is rather a number than the fourth result.
    order = [name for kind in ("integer", "number", "picture") for name, one in arguments.items() if one.reader == kind]
    order += [name for name in last.args if name in arguments and name not in order]
    order += [name for name, one in arguments.items() if one.reader in TEXTS and name not in order]
    for name in order:
        reader = language.reader(last.tool, name)
        for start in reversed(starts):
            for one in message.read(last.tool, Slot(name, sure=False), start):
                if one.end in message.ends() and (one.sure or reader in TEXTS or name in last.args):
                    return _replaced(last, name, one.value, language)
    return None


def _replaced(last: PlannedCall, name: str, value: Any, language: Language) -> dict[str, Any]:
    rivals = {rival for group in language.phrases(last.tool).needs if name in group for rival in group}
    return {**{key: old for key, old in last.args.items() if key not in rivals}, name: value}
