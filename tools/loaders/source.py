"""Finds out what a person means by a source, before it is decided what kind of data it holds."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tools.core.errors import DataError, InputError, NotInLibraryError, first_line
from tools.core.library import Card, Kind
from tools.core.pictures import is_picture_name
from tools.core.sources import TABLE_SUFFIXES, table_beside, table_shape
from tools.core.workspace import SAMPLES, Workspace

if TYPE_CHECKING:
    import datasets

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where data comes from; of `path`, `card` and `hub` exactly one is given."""

    text: str  # as the person gave it
    about: str  # as a person would say it
    path: Path | None = None  # a file or folder
    card: Card | None = None  # a dataset of the library
    hub: datasets.DatasetDict | None = None  # a dataset of the hub, downloaded
    table: Path | None = None  # the file itself, or the one beside the folder's pictures; None when there is none
    rows: int = 0  # in the table
    columns: tuple[str, ...] = ()  # of the table, or of the dataset

    @property
    def parents(self) -> tuple[str, ...]:
        """The artifacts the data comes from."""
        return (self.card.reference,) if self.card else ()


def find_source(workspace: Workspace, text: str) -> Source:
    """Find out what `text` means: a file or folder, a dataset of the library, `samples`, or a dataset of the hub.

    Raises:
        InputError: It is empty.
        DataError: It is none of these, or cannot be read.
    """
    if not text.strip():
        raise InputError("source is empty; give a folder, a file, the name of a dataset, or a hub id")
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if os.path.isdir(path):  # unlike Path.is_dir, False for a text that cannot be a path
        return _folder(text, path)
    if os.path.isfile(path):
        return _file(text, path)
    try:
        return _in_library(workspace, text, workspace.library.find(text, Kind.DATASET))
    except NotInLibraryError as error:
        if text == "samples":
            return _folder(text, SAMPLES)
        if HUB_ID.fullmatch(text) and not text.startswith((".", "~")):
            return _on_hub(workspace, text)
        raise DataError(
            f"There is nothing to read at {text!r}: no such folder or file in {Path.cwd()}, and {error}"
        ) from error


def _folder(text: str, folder: Path) -> Source:
    about = f"the folder {folder}"
    table = table_beside(folder)
    if table is None:
        return Source(text, about, folder)
    rows, columns = table_shape(table)
    return Source(text, about, folder, table=table, rows=rows, columns=tuple(columns))


def _file(text: str, file: Path) -> Source:
    if is_picture_name(file.name):
        return Source(text, f"the picture {file}", file)
    about = f"the table {file}"
    if file.suffix.lower() not in TABLE_SUFFIXES:
        raise DataError(f"{file} is neither a picture nor a table; expected {', '.join(TABLE_SUFFIXES)} or a picture")
    rows, columns = table_shape(file)
    return Source(text, about, file, table=file, rows=rows, columns=tuple(columns))


def _in_library(workspace: Workspace, text: str, card: Card) -> Source:
    return Source(text, f"the dataset {card.name}", card=card)


def _on_hub(workspace: Workspace, text: str) -> Source:
    import datasets

    workspace.watch.tell(f"downloading {text}", 0)
    try:
        found = datasets.load_dataset(text, token=workspace.secrets.hub_token)
    except Exception as error:  # the library raises many kinds for "absent", "private", "offline" and "broken"
        raise DataError(
            f"{text!r} is neither a file here nor a dataset that can be had from the hub ({first_line(error)}); "
            "check the name, the network, and whether it needs a token"
        ) from error
    columns = tuple(next(iter(found.values())).column_names)
    return Source(text, f"the hub dataset {text}", hub=found, columns=columns)
