"""Delete an artifact."""

from __future__ import annotations

import dataclasses

from tools.core.jobs.job import Job
from tools.core.library import Card, Kind
from tools.core.preview import Preview
from tools.core.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Deleted:
    """What was deleted."""

    item: str  # kind/name
    megabytes: float  # freed on the disk
    children: tuple[str, ...]  # artifacts made from it, which remain

    def __str__(self) -> str:
        """Say it in a line."""
        rest = f" What was made from it remains: {', '.join(self.children)}." if self.children else ""
        return f"Deleted {self.item} ({self.megabytes:.1f} MB).{rest}"


def delete_item(workspace: Workspace, item: str) -> Deleted:
    """Delete a dataset, model, collection, concept or job for good. The person is asked before it happens.

    Pictures indexed from a folder stay in that folder.

    Args:
        workspace: Where the state is.
        item: Name of the artifact, or kind/name (such as collection/photos) where two share a name.

    Raises:
        NotInLibraryError: There is no such artifact.
        InputError: Several kinds have one of this name.
        StoreError: Another process is writing to the collection.
        JobError: The job is running.
    """
    card = _deletable(workspace, item)
    megabytes, children = _megabytes(workspace, card), _children(workspace, card)
    if card.kind is Kind.COLLECTION:
        with workspace.collection(card).writing():
            workspace.forget_collection(card.name)
            workspace.library.delete(card)
    else:
        workspace.library.delete(card)
    return Deleted(card.reference, megabytes, children)


def preview_delete(workspace: Workspace, item: str) -> Preview:
    """Return what deleting this would do.

    Args:
        workspace: Where the state is.
        item: Name of the artifact, or kind/name.

    Raises:
        NotInLibraryError: There is no such artifact.
        InputError: Several kinds have one of this name.
        JobError: The job is running.
    """
    card = _deletable(workspace, item)
    holds = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in card.counts.items())
    children = ", ".join(_children(workspace, card))
    facts = {
        "holds": holds,
        "made from": card.source,
        "last changed": f"{card.updated[:16].replace('T', ' ')} UTC",
        "frees": f"{_megabytes(workspace, card):.1f} MB",
        "remains": f"{children}, made from it" if children else "",
    }
    return Preview(
        title=f"Delete {card.reference}",
        facts=tuple((name, text) for name, text in facts.items() if text),
        args={"item": card.reference},
        warning="This cannot be undone.",
        confirm="Yes, delete it",
    )


def _deletable(workspace: Workspace, item: str) -> Card:
    card = workspace.library.find(item)
    if card.kind is Kind.JOB:
        Job(workspace.library, card).refuse_if_running()
    return card


def _megabytes(workspace: Workspace, card: Card) -> float:
    folder = workspace.library.folder(card.kind, card.name)
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 2)


def _children(workspace: Workspace, card: Card) -> tuple[str, ...]:
    return tuple(other.reference for other in workspace.library.cards() if card.reference in other.parents)
