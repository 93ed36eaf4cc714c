"""What earlier commands leave behind: the last call, what was named, a question that waits for its answer."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from agent.planner.message import Language
from agent.planner.plan import PlannedCall
from agent.planner.reading import KINDS, Reference

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
_PATTERN = re.compile(r"(?P<before>[^{}]*)\{(?P<argument>\w+)\}(?P<behind>[^{}]*)")
LATEST = ""  # stands for a name that nobody said: the tools take the latest
_LOOKED_BACK = 6  # calls that "again with 3 epochs" may mean


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

    calls: tuple[PlannedCall, ...] = ()  # the latest, oldest first
    said: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # argument → what was last given for it
    named: Mapping[str, str] = dataclasses.field(default_factory=dict)  # kind → the name made or mentioned last
    newest: str | None = None  # the kind made or mentioned last of all
    made_now: bool = False  # the step before, of the same message, made `newest`
    made: Mapping[str, str] = dataclasses.field(default_factory=dict)  # kind → name, by steps of the same message
    pending: Pending | None = None

    @property
    def last(self) -> PlannedCall | None:
        """The last call."""
        return self.calls[-1] if self.calls else None

    def with_call(self, call: PlannedCall) -> Memory:
        """Return the memory with one more call to repeat or change."""
        return dataclasses.replace(self, calls=(*self.calls, call)[-_LOOKED_BACK:])

    def resolve(self, reference: Reference, reader: str) -> Any:
        """Return what "it" or "that dataset" stands for where an argument of this reader is wanted; None if nothing."""
        if reader in ("picture", "pictures"):
            args = self.last.args if self.last else {}
            shown = [args["image"]] if "image" in args else args.get("thumbnails")
            return shown if reader == "pictures" or not shown else shown[0]
        if reference.kind:
            return self.named.get(reference.kind)
        if reader in KINDS:
            return self.named.get(reader)
        if reader == "source":
            wanted = self.newest if self.newest in ("dataset", "collection") else "dataset"
            return self.named.get(wanted or "")
        return self.named.get(self.newest) if self.newest else None

    def after(self, call: PlannedCall, language: Language) -> Memory:
        """Return the memory once a call has been carried out."""
        mentioned: dict[str, str] = {}
        arguments = language.signatures[call.tool].arguments
        for argument in [name for name in arguments if name in call.args]:
            reader = language.reader(call.tool, argument)
            kind = "concept" if reader == "idea" else reader
            if kind in KINDS and isinstance(call.args[argument], str):
                mentioned[kind] = call.args[argument]
        phrases = language.phrases(call.tool)
        if phrases.concerns:
            mentioned.setdefault(phrases.concerns, str(call.args.get(phrases.concerns, LATEST)))
        newest = next(iter(mentioned), self.newest)  # what a tool is about is its first argument
        made = dict(self.made)
        if call.makes:
            kind, name = call.makes
            mentioned[kind] = made[kind] = name
            newest = kind
        return Memory(
            calls=self.with_call(call).calls,
            said={name: value for name, value in self.said.items() if name not in arguments} | call.args,
            named={**self.named, **mentioned},
            newest=newest,
            made_now=bool(phrases.makes),
            made=made,
        )

    def makes(
        self, call: PlannedCall, language: Language, names: Mapping[str, Sequence[str]], done: bool
    ) -> tuple[str, str] | None:
        """Return the kind and name of what a call makes; None when it makes nothing, or nobody can tell.

        Args:
            call: The call.
            language: The planner's words and tools.
            names: Kind of artifact → the names there are, the most recently changed last.
            done: Whether it was carried out before, so that what it made is among the names.
        """
        kind, *patterns = language.phrases(call.tool).makes or ("",)
        for pattern in patterns:
            before, argument, behind = _parts(pattern)
            value = call.args.get(argument)
            known = language.signatures.get(call.tool)
            if value is None and known and argument in known.arguments:
                value = known.arguments[argument].default
            reader = language.reader(call.tool, argument)
            if value is None and behind and reader in KINDS:
                value = self.named.get(reader) or next(reversed(names.get(reader, ())), None)
            if not value:
                continue
            if reader in (*KINDS, "name") and not before + behind:
                return kind, str(value)
            stem = _NOT_IN_NAMES.sub("-", PurePath(str(value)).stem.lower()).strip("-.")
            if before:
                stem = _origin(stem, reader, language)
            return kind, _numbered(f"{before}{stem}{behind}", names.get(kind, ()), done)
        return None


def _parts(pattern: str) -> tuple[str, str, str]:
    """Return the argument with what the tool puts around it: "{dataset}-negatives" is ("", "dataset", "-negatives")."""
    found = _PATTERN.fullmatch(pattern)
    return (found["before"], found["argument"], found["behind"]) if found else ("", pattern, "")


def _origin(name: str, kind: str, language: Language) -> str:
    """Return a name without what tools put behind the name of what they make another from."""
    for phrases in language.book.tools.values():
        for pattern in phrases.makes[1:] if phrases.makes[:1] == (kind,) else ():
            if behind := _parts(pattern)[2]:
                name = re.sub(rf"(?<=.){re.escape(behind)}(-\d+)?", "", name)
    return name


def _numbered(stem: str, names: Sequence[str], done: bool) -> str:
    """Return the name that the library gives: it adds -2, -3 … to one that is taken."""
    same = re.compile(rf"{re.escape(stem)}(-\d+)?")
    existing = [name for name in names if same.fullmatch(name)]
    if done:
        return existing[-1] if existing else stem
    numbers = itertools.count(2)
    name = stem
    while name in existing:
        name = f"{stem}-{next(numbers)}"
    return name
