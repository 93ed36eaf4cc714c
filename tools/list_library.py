"""List what there is."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from tools.core.errors import InputError
from tools.core.library import Kind
from tools.core.workspace import Workspace

SIZES = ("rows", "pictures")  # of all counts on a card, those that say how much there is
Kinds = Literal["all", "datasets", "models", "collections", "concepts", "jobs"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """An artifact in a list."""

    kind: str
    name: str
    updated: str  # ISO 8601, UTC
    source: str
    parents: tuple[str, ...]
    counts: dict[str, int]
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def holds(self) -> str:
        """Say in a few words how much it holds, or how good it is."""
        if (recall := self.metrics.get("test_recall_at_1")) is not None:
            return f"Recall@1 {recall:.3f} on test"
        sizes = {what: number for what, number in self.counts.items() if what in SIZES}
        return ", ".join(f"{number} {what}" for what, number in (sizes or self.counts).items())


@dataclasses.dataclass(frozen=True)
class Listing:
    """The artifacts of the library, the most recently changed last."""

    kind: str
    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        """Say how many there are, then one line each."""
        if not self.entries:
            what = "is empty" if self.kind == "all" else f"has no {self.kind}"
            return f"The library {what}. Index a folder of pictures or load a dataset to begin."
        what = self.kind if self.kind != "all" else "items"
        number = f"is 1 {what[:-1]}" if len(self.entries) == 1 else f"are {len(self.entries)} {what}"
        lines = [f"There {number} in the library:"]
        for entry in self.entries:
            known = (entry.holds, f"from {entry.source}", f"changed {entry.updated[:16]} UTC")
            lines.append(f"- {entry.kind} {entry.name}: {', '.join(filter(None, known))}")
        return "\n".join(lines)


def list_library(workspace: Workspace, kind: Kinds = "all") -> Listing:
    """List the datasets, models, collections, concepts and jobs there are.

    Args:
        workspace: Where the state is.
        kind: Which kind to list, or all.

    Raises:
        InputError: There is no such kind.
    """
    if kind not in get_args(Kinds):
        raise InputError(f"kind is {kind!r}; expected one of {', '.join(get_args(Kinds))}")
    wanted = None if kind == "all" else next(one for one in Kind if one.plural == kind)
    cards = workspace.library.cards(wanted)
    entries = (Entry(c.kind.value, c.name, c.updated, c.source, c.parents, c.counts, c.metrics) for c in cards)
    return Listing(kind, tuple(entries))
