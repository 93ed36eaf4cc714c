"""Which dataset a channel's videos go into: a new one, or a new state of the one collected from it before."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tools.core.errors import InputError, NotInLibraryError
from tools.core.library import Card, Kind, Library, suggest_name
from tools.core.pairs.dataset import open_pairs
from tools.core.workspace import Workspace
from tools.youtube.channels import Channel


@dataclasses.dataclass(frozen=True)
class Target:
    """A dataset to make, or to make anew."""

    name: str
    old: Card | None = None  # None: there is none of that name
    videos: frozenset[str] = frozenset()  # ids of those in the old one
    made_from: tuple[str, ...] = ()  # artifacts that were made from the old one

    def workspace(self, workspace: Workspace) -> Workspace:
        """Return a workspace in which making this dataset replaces the old one in one step."""
        if self.old is None:
            return workspace
        other = workspace.watched(workspace.watch, workspace.secrets, workspace.call_id)
        other.library = _Remaking(workspace.library.root, self.old)
        return other


class _Remaking(Library):
    """The library, except that what is made takes the place of one of its artifacts."""

    def __init__(self, root: Path, old: Card) -> None:
        super().__init__(root)
        self._old = old

    @contextlib.contextmanager
    def making(self, kind: Kind, name: str) -> Iterator[Path]:
        """Give a folder for the new state."""
        with self.remaking(self._old) as folder:
            yield folder


def check_free(library: Library, name: str, channel_id: str | None = None) -> Card | None:
    """Return the dataset of that name if it was collected from this channel (None: from any); None if there is none.

    Raises:
        InputError: The name belongs to something else.
    """
    card = _there(library, name)
    if card and (not _channel_of(card) or channel_id not in (None, _channel_of(card))):
        raise InputError(
            f"There is already a dataset named {name!r}, of {card.source}; choose another name, or delete it first"
        )
    return card


def choose_target(workspace: Workspace, channel: Channel, said: str | None, name: str | None) -> Target:
    """Choose the dataset for a channel.

    Args:
        workspace: Whose library.
        channel: What is collected.
        said: The handle that the person used, which names the dataset; None when they used something else.
        name: The name they want; None to choose one.

    Raises:
        InputError: The name belongs to something else.
        DataError: The dataset of before is damaged.
    """
    library = workspace.library
    if name is not None:
        return _target(workspace, name, check_free(library, name, channel.id))
    names = map(suggest_name, (said or channel.handle, channel.title, channel.id))
    base = next(one for one in names if one != "unnamed")
    number, chosen = 1, base
    while (card := _there(library, chosen)) and _channel_of(card) != channel.id:
        number += 1
        chosen = f"{base[:60]}-{number}"
    return _target(workspace, chosen, card)


def _target(workspace: Workspace, name: str, old: Card | None) -> Target:
    if old is None:
        return Target(name)
    _, splits, _ = open_pairs(workspace, old.reference)
    videos = frozenset(video for split in splits.values() for video in split["video_id"])
    made_from = tuple(card.reference for card in workspace.library.cards() if old.reference in card.parents)
    return Target(name, old, videos, made_from)


def _channel_of(card: Card) -> str | None:
    """Return the channel a dataset was collected from; what was made from such a dataset has parents."""
    return None if card.parents else card.parameters.get("channel_id")


def _there(library: Library, name: str) -> Card | None:
    try:
        return library.find(f"dataset/{name}")
    except NotInLibraryError:
        return None
