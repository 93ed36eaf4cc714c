"""Commands that change the last one: "same but for lions", "again with 5 results", "more"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.planner.align import Graph
from agent.planner.bind import TEXTS
from agent.planner.message import Language, Message
from agent.planner.plan import PlannedCall
from agent.planner.reading import FREE, KINDS, Context, Reading
from agent.planner.template import Slot

_INSTEAD = re.compile(r"\s+(?:instead|rather|this time|again|too|as well|please)$", re.IGNORECASE)


def changed(
    said: Mapping[str, Any], last: PlannedCall, graph: Graph, language: Language, context: Context, lead: str = ""
) -> dict[str, Any] | None:
    """Return the arguments of the last call with the change that was said; None when the change fits none of them.

    Args:
        said: What the phrase gave: `rest` (any change), `times` (so many times as many), `more` (so many more), another
            value for an argument; nothing to repeat the call as it was.
        last: The last call.
        graph: The templates, for the tails of the last tool.
        language: The planner's words and tools.
        context: What readers may look up.
        lead: The word before `rest`, which may belong to the change: "again, but on the cpu".
    """
    if not said:
        return dict(last.args)
    if "rest" in said:
        rest = _INSTEAD.sub("", str(said["rest"]))
        led = Message(f"{lead} {rest}", language, context)
        if lead and (found := tail(led, last.tool, graph, may=last.args)):
            return {**last.args, **found}
        return _with(rest, last, graph, language, context)
    signature = language.signatures[last.tool]
    if "times" not in said and "more" not in said:
        return {**last.args, **said} if set(said) <= set(signature.arguments) else None
    number = next((one for one in signature.arguments.values() if one.reader in ("integer", "integers")), None)
    before = last.args.get(number.name, number.default) if number else None
    if number is None or not isinstance(before, int):
        return None
    after = before * int(said["times"]) if "times" in said else before + int(said["more"])
    return {**last.args, number.name: after}


def _with(rest: str, last: PlannedCall, graph: Graph, language: Language, context: Context) -> dict[str, Any] | None:
    message = Message(rest, language, context)
    if not message.tokens:
        return None
    if found := tail(message, last.tool, graph, may=last.args):
        return {**last.args, **found}
    starts = message.starts("change-leads")
    arguments = language.signatures[last.tool].arguments
    # "4" is rather a number than the fourth result.
    kinds = ("integer", "integers", "number", "numbers", "picture")
    order = [name for kind in kinds for name, one in arguments.items() if one.reader == kind]
    order += [name for name in last.args if name in arguments and name not in order]
    order += [name for name, one in arguments.items() if one.reader in (*TEXTS, *KINDS) and name not in order]
    fitting = [
        (name, one)
        for name in order
        for start in reversed(starts)
        for one in message.read(last.tool, Slot(name, sure=False), start)
        if one.end in message.ends() and (one.sure or name in last.args or language.reader(last.tool, name) in TEXTS)
    ]
    if not fitting:
        return None
    name, chosen = next((one for one in fitting if one[1].sure), fitting[0])
    if language.reader(last.tool, name) in KINDS:  # a name alone may be of another kind
        name, chosen = min((one for one in fitting if language.reader(last.tool, one[0]) in KINDS), key=_cost)
    return _replaced(last, name, chosen.value, language)


def _cost(found: tuple[str, Reading]) -> float:
    return found[1].cost


def tail(
    message: Message, tool: str, graph: Graph, starts: Sequence[int] | None = None, may: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the arguments that a message says as the end of a command would; nothing when it is no such end.

    Args:
        message: The message.
        tool: Whose command it would be the end of.
        graph: The templates.
        starts: Where it may begin: at the start of the message, or after filler, when omitted.
        may: Arguments whose value may be less than sure.
    """
    starts, ends = message.starts("change-leads") if starts is None else starts, message.ends()
    tails = graph.align(message.tokens, message.spelled, message.read, starts, ends, tails_of=tool)
    return tails[0].args if tails and tails[0].cost < FREE and tails[0].unsure <= {*may} else {}


def _replaced(last: PlannedCall, name: str, value: Any, language: Language) -> dict[str, Any]:
    needs = language.phrases(last.tool).needs
    rivals = {rival for group in needs if name in group for rival in group}
    args = {**{key: old for key, old in last.args.items() if key not in rivals}, name: value}
    return args if all(any(one in args for one in group) for group in needs) else {**last.args, name: value}
