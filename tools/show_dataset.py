"""Show some rows of a dataset."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from tools.core.errors import InputError
from tools.core.library import Card, Kind
from tools.core.pairs.dataset import PAIRS, PairColumns, pair_columns
from tools.core.sources import picture_and_title_columns
from tools.core.workspace import Workspace

MAX_ROWS = 100
MOST = 500  # characters of a cell
DETAILS = ("channel", "published_at", "duration_seconds")  # what is known of a video and short
Split = Literal["train", "validation", "test"]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a dataset."""

    picture: str | None  # file that shows the picture; None when the row has none
    title: str
    fields: dict[str, str]  # every other column, and the title, as text
    negatives: tuple[str, ...] = ()  # wrong titles that were mined


@dataclasses.dataclass(frozen=True)
class DatasetView:
    """Rows from the start of a split."""

    dataset: str
    split: str
    rows: tuple[Row, ...]
    splits: dict[str, int]  # number of rows of every split
    details: tuple[str, ...] = ()  # columns worth a word in the text

    def __str__(self) -> str:
        """Say it in a few lines; cell values are quoted, being data."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        lines = [f"{len(self.rows)} rows of {self.dataset}, split {self.split} (rows in all: {sizes}):"]
        lines += [f"{number}. {row.title!r}{_told(row, self.details)}" for number, row in enumerate(self.rows, 1)]
        return "\n".join(lines)


def show_dataset(workspace: Workspace, dataset: str, split: Split | None = None, rows: int = 8) -> DatasetView:
    """Show the first rows of a dataset with their pictures.

    Args:
        workspace: Where the state is.
        dataset: Name of the dataset.
        split: Which split; the first there is when omitted.
        rows: How many rows, 1 to 100.

    Raises:
        NotInLibraryError: There is no such dataset.
        InputError: It has no such split, or `rows` is out of range.
    """
    import datasets

    if not 1 <= rows <= MAX_ROWS:
        raise InputError(f"rows is {rows}; how many rows to show must be from 1 to {MAX_ROWS}")
    card = workspace.library.find(dataset, Kind.DATASET)
    splits = datasets.load_from_disk(str(workspace.library.folder(card.kind, card.name) / "data"))
    if split and split not in splits:
        raise InputError(f"The dataset {card.name!r} has no split {split!r}; it has {', '.join(splits)}")
    chosen: str = split or next(iter(splits))
    table = splits[chosen]
    columns = _columns(card, table.column_names)
    shown = table.select(range(min(rows, len(table)))).cast_column(columns.picture, datasets.Image(decode=False))
    return DatasetView(
        card.name,
        chosen,
        tuple(_row(workspace, row, columns) for row in shown),
        {name: len(part) for name, part in splits.items()},
        tuple(name for name in DETAILS if name in table.column_names),
    )


def _columns(card: Card, names: list[str]) -> PairColumns:
    if card.parameters.get("kind") == PAIRS:
        return pair_columns(names, card.reference)
    picture, title = picture_and_title_columns(names, card.reference)
    return PairColumns(picture, title or "", ())


def _row(workspace: Workspace, row: dict[str, Any], columns: PairColumns) -> Row:
    content = row[columns.picture]["bytes"] if row[columns.picture] else None
    known = {name: value for name, value in row.items() if name != columns.picture and name not in columns.negatives}
    fields = {name: "" if value is None else str(value)[:MOST] for name, value in known.items()}
    negatives = tuple(str(row[name])[:MOST] for name in columns.negatives if row[name] is not None)
    file = str(workspace.picture_file(content)) if content else None
    return Row(file, fields.get(columns.title, ""), fields, negatives)


def _told(row: Row, details: tuple[str, ...]) -> str:
    """Return what is told of a row behind its title."""
    told = [f"{name} {row.fields[name]}" for name in details if row.fields.get(name)]
    known = f" ({', '.join(told)})" if told else ""
    return known + (f", not {', '.join(map(repr, row.negatives))}" if row.negatives else "")
