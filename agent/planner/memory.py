"""What earlier commands leave behind: the last call, what was named, a question that waits for its answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from agent.planner.message import Language
from agent.planner.plan import PlannedCall
from agent.planner.slots import KINDS, Reference

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")


@dataclasses.dataclass(frozen=True)
class Pending:
    """A command that waits for an argument."""

    tool: str
    args: dict[str, Any]
    ask: str
    rest: tuple[str, ...] = ()  # steps that were to follow


@dataclasses.dataclass(frozen=True)
class Memory:
    """The state of a conversation, as far as commands depend on it."""

    last: PlannedCall | None = None
    named: Mapping[str, str] = dataclasses.field(default_factory=dict)  # kind → the name made or mentioned last
    newest: str | None = None  # the kind made or mentioned last of all
    made_now: bool = False  # an earlier step of the same message made `newest`
    pending: Pending | None = None

    def resolve(self, reference: Reference, reader: str) -> str | None:
        """Return what "it" or "that dataset" stands for where an argument of this reader is wanted."""
        if reader == "picture":
            return str(self.last.args["image"]) if self.last and "image" in self.last.args else None
        if reference.kind:
            return self.named.get(reference.kind)
        if reader in KINDS:
            return self.named.get(reader)
        if reader == "source":
            wanted = self.newest if self.newest in ("dataset", "collection") else "dataset"
            return self.named.get(wanted or "")
        return self.named.get(self.newest) if self.newest else None

    def after(self, call: PlannedCall, language: Language, names: Mapping[str, Sequence[str]]) -> Memory:
        """Return the memory once a call has been carried out."""
        named, newest = dict(self.named), self.newest
        for argument, value in call.args.items():
            reader = language.reader(call.tool, argument)
            kind = "concept" if reader == "idea" else reader
            if kind in KINDS and isinstance(value, str):
                named[kind], newest = value, kind
        makes = language.phrases(call.tool).makes
        if makes:
            kind, *arguments = makes
            name = _made(kind, arguments, call, language, names)
            if name:
                named[kind], newest = name, kind
        return Memory(call, named, newest, bool(makes))


def _made(
    kind: str, arguments: list[str], call: PlannedCall, language: Language, names: Mapping[str, Sequence[str]]
) -> str | None:
    """Return the name of what a call makes: the one said, its default, or the one the tools derive from the source."""
    for argument in arguments:
        value = call.args.get(argument)
        if value is None:
            known = language.signatures.get(call.tool)
            value = known.arguments[argument].default if known and argument in known.arguments else None
        if not value:
            continue
        if language.reader(call.tool, argument) in (*KINDS, "name"):
            return str(value)
        stem = _NOT_IN_NAMES.sub("-", PurePath(str(value)).stem.lower()).strip("-.")
        same = re.compile(rf"{re.escape(stem)}(-\d+)?")
        existing = [name for name in names.get(kind, ()) if same.fullmatch(name)]
        return existing[-1] if existing else stem  # the library adds -2, -3 … to a name that is taken
    return None
