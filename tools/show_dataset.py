"""Show some rows of a dataset."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from tools.core.errors import InputError
from tools.core.library import Kind
from tools.core.sources import picture_and_title_columns
from tools.core.workspace import Workspace

MAX_ROWS = 100
Split = Literal["train", "validation", "test"]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a dataset."""

    picture: str | None  # file that shows the picture; None when the row has none
    title: str
    fields: dict[str, str]


@dataclasses.dataclass(frozen=True)
class DatasetView:
    """Rows from the start of a split."""

    dataset: str
    split: str
    rows: tuple[Row, ...]
    splits: dict[str, int]  # number of rows of every split

    def __str__(self) -> str:
        """Say it in a few lines; cell values are quoted, being data."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        lines = [f"{len(self.rows)} rows of {self.dataset}, split {self.split} (rows in all: {sizes}):"]
        lines += [f"{number}. {row.title!r}" for number, row in enumerate(self.rows, 1)]
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
    picture, title = picture_and_title_columns(table.column_names, card.reference)
    shown = table.select(range(min(rows, len(table)))).cast_column(picture, datasets.Image(decode=False))
    return DatasetView(
        card.name,
        chosen,
        tuple(_row(workspace, row, picture, title) for row in shown),
        {name: len(part) for name, part in splits.items()},
    )


def _row(workspace: Workspace, row: dict[str, Any], picture: str, title: str | None) -> Row:
    content = row[picture]["bytes"] if row[picture] else None
    fields = {name: str(value)[:500] for name, value in row.items() if name != picture}
    file = str(workspace.picture_file(content)) if content else None
    return Row(file, fields.get(title or "", ""), fields)
