"""Delete an artifact."""

from __future__ import annotations

import dataclasses

from tools.core.library import Kind
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
    """
    card = workspace.library.find(item)
    folder = workspace.library.folder(card.kind, card.name)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    children = tuple(other.reference for other in workspace.library.cards() if card.reference in other.parents)
    if card.kind is Kind.COLLECTION:
        with workspace.collection(card).writing():
            workspace.forget_collection(card.name)
            workspace.library.delete(card)
    else:
        workspace.library.delete(card)
    return Deleted(card.reference, round(size / 1e6, 2), children)
