"""Bring data into the library as a named dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Protocol, get_args

from tools.core.errors import InputError
from tools.core.library import Kind, check_name
from tools.core.workspace import Workspace
from tools.loaders import images, title_thumbnail
from tools.loaders.loaded import Loaded
from tools.loaders.source import Source, find_source

__all__ = ["Loaded", "load_dataset"]

DatasetKind = Literal["auto", "title_thumbnail", "images"]


class Loader(Protocol):
    """A module that loads one kind of data."""

    KIND: str

    def recognises(self, source: Source) -> bool:
        """Tell whether a source is of this kind, judging by its columns."""

    def load(self, workspace: Workspace, source: Source, name: str) -> Loaded:
        """Copy a source into the library as the dataset `name`."""


LOADERS: tuple[Loader, ...] = (title_thumbnail, images)  # with kind auto, the first that recognises the source loads it


def load_dataset(workspace: Workspace, source: str, kind: DatasetKind = "auto", name: str | None = None) -> Loaded:
    """Copy data into the library as a named dataset: pictures with their titles, or just pictures.

    Args:
        workspace: Where the state is.
        source: Folder, picture, .csv/.jsonl/.parquet table, dataset of the library, or the id of a dataset on the
            Hugging Face hub.
        kind: What the data is: title_thumbnail for pairs of pictures and titles (split 70/15/15, near-duplicates
            together), images for pictures; found out when auto.
        name: Name of the dataset; made from the source when omitted.

    Raises:
        DataError: There is nothing to read, or not data of that kind.
        InputError: The name is not allowed or taken, or the kind is unknown.
    """
    if kind not in get_args(DatasetKind):
        raise InputError(f"kind is {kind!r}; expected {_any_of(get_args(DatasetKind))}")
    chosen = check_name(name) if name else None
    found = find_source(workspace, source)
    loader = next(one for one in LOADERS if kind == one.KIND or (kind == "auto" and one.recognises(found)))
    stem = Path(os.path.expanduser(source)).stem or source
    return loader.load(workspace, found, chosen or workspace.library.free_name(Kind.DATASET, stem))


def _any_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
