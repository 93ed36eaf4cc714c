"""Turn what was said into a call: references resolved, values of the right type, what is missing named."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.planner.memory import LATEST, Memory
from agent.planner.message import Language
from agent.planner.plan import PlannedCall
from agent.planner.reading import KINDS, Context, Named, Reference
from agent.planner.template import Earlier
from agent.planner.text import tokenize

TEXTS = ("text", "question", "idea", "passage")
CONTENTS = ("text", "question", "passage", "picture", "pictures", "texts", "source")


@dataclasses.dataclass(frozen=True)
class Bound:
    """A call, complete when `missing` is None."""

    call: PlannedCall
    missing: str | None


def bind(tool: str, said: Mapping[str, Any], why: str, memory: Memory, language: Language, context: Context) -> Bound:
    """Return the call for what was said."""
    args: dict[str, Any] = {}
    lost: list[str] = []  # said, but standing for nothing that is known
    for argument, value in said.items():
        reader = language.reader(tool, argument)
        found = _value(value, reader, memory, context)
        if found is None and isinstance(value, Earlier) and value.argument not in KINDS:
            return Bound(PlannedCall(tool, args, why), argument)  # "the base model": no other will do
        if found == LATEST:
            continue
        if found is None or (reader in TEXTS and isinstance(found, str) and _says_nothing(found, language, context)):
            lost.append(argument)
        else:
            args[argument] = _typed(found, tool, argument, language)
    missing = _complete(tool, args, lost, memory, language, context)
    return Bound(PlannedCall(tool, args, why), missing)


def question(tool: str, argument: str, language: Language, names: Mapping[str, Sequence[str]]) -> str:
    """Return what to ask for a missing argument, with the names there are to choose from."""
    asked = language.phrases(tool).asks.get(argument)
    if not asked:
        about = language.signatures[tool].arguments[argument].about
        asked = f"Which {argument.replace('_', ' ')}? {about}"
    reader = language.reader(tool, argument)
    kinds = KINDS if reader == "item" else ("dataset",) if reader == "source" else (reader,)
    there = [name for kind in kinds for name in names.get(kind, ())]
    return f"{asked} There is: {', '.join(dict.fromkeys(there[-8:]))}." if there else asked


def _value(value: Any, reader: str, memory: Memory, context: Context) -> Any:
    if isinstance(value, Reference):
        return memory.resolve(value, reader)
    if isinstance(value, Earlier):
        return _known(value.argument, memory, context) if value.argument in KINDS else memory.said.get(value.argument)
    if reader == "idea":
        known = (*context.names.get("concept", ()), memory.named.get("concept"))
        return value.removesuffix("s") if value.removesuffix("s") in known else value  # "which are dog shows?"
    if isinstance(value, Named):
        sharing = [kind for kind, names in context.names.items() if value.name in names]
        if reader == "item" and value.kind and len(sharing) > 1:
            return f"{value.kind}/{value.name}"
        return value.name
    return value


def _typed(value: Any, tool: str, argument: str, language: Language) -> Any:
    """Values set by the phrases file are text; give them the type of the argument."""
    signature = language.signatures.get(tool)
    known = signature.arguments.get(argument) if signature else None
    if not isinstance(value, str) or known is None:
        return value
    if isinstance(known.default, bool):
        return value == "true"
    return int(value) if known.reader == "integer" else value


def _says_nothing(text: str, language: Language, context: Context) -> bool:
    """Tell whether free text names nothing that one could look for."""
    showable = {words[0] for words in language.book.lists["showable"]}
    return all(token.word in context.never_names - showable for token in tokenize(text))


def _complete(
    tool: str, args: dict[str, Any], lost: list[str], memory: Memory, language: Language, context: Context
) -> str | None:
    """Fill in what can be known without doubt; return the first argument that is still missing."""
    if tool not in language.signatures:
        return None
    needs = language.phrases(tool).needs
    for name in lost:
        group = next((one for one in needs if name in one), (name,))
        if any(one in args for one in group):
            continue
        if name in language.signatures[tool].required or len(group) > 1:
            filled = _known(language.reader(tool, name), memory, context) if len(group) == 1 else None
            if filled is None and not _take_file(tool, group, args, language, context):
                return name
            if filled is not None:
                args[name] = filled
    for name in language.signatures[tool].required:
        if name not in args:
            reader = language.reader(tool, name)
            filled = _before(tool, name, reader, memory) or _known(reader, memory, context)
            if filled is None and not _take_file(tool, (name,), args, language, context):
                return name
            if filled is not None:
                args[name] = filled
    for group in needs:
        if not any(name in args for name in group) and not _take_file(tool, group, args, language, context):
            return group[0]
    _feed(tool, args, memory, language)
    return None


def _feed(tool: str, args: dict[str, Any], memory: Memory, language: Language) -> None:
    """Let a step work on what an earlier step of the same message made, where it was not said on what."""
    if any(language.reader(tool, name) in CONTENTS for name in args):
        return  # it was: on a text, a picture, a folder
    for name in language.signatures[tool].arguments:
        if name in memory.made and language.reader(tool, name) == name:  # not the base of a model
            args.setdefault(name, memory.made[name])


def _before(tool: str, name: str, reader: str, memory: Memory) -> Any:
    """Return the artifact that the call just before was given: done once more, it is not done to what it made."""
    again = memory.last is not None and memory.last.tool == tool and reader in KINDS
    return memory.last.args.get(name) if memory.last and again else None


def _known(reader: str, memory: Memory, context: Context) -> Any:
    if reader in KINDS:
        there = context.names.get(reader, ())
        return memory.named.get(reader, there[0] if len(there) == 1 else None)
    if reader == "source" and memory.made_now:
        return memory.resolve(Reference(None), reader)
    return None


def _take_file(tool: str, group: Sequence[str], args: dict[str, Any], language: Language, context: Context) -> bool:
    for name in group:
        reader = language.reader(tool, name)
        if context.files and reader in ("picture", "pictures"):
            args[name] = context.files[0] if reader == "picture" else list(context.files)
            return True
    return False
