"""Reads the rows of a saved dataset with pyarrow alone, so that a recipe needs no `datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tools.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SPLITS = ("train", "validation", "test")


def splits_of(folder: Path) -> tuple[str, ...]:
    """Return the splits of a `DatasetDict.save_to_disk` folder, train first.

    Raises:
        DataError: It is no such folder.
    """
    try:
        names = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is not a saved dataset ({error}): was it deleted or moved?") from error
    return tuple(sorted(names, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)))


def read_columns(folder: Path, split: str, columns: list[str]) -> pyarrow.Table:
    """Return columns of a split; the files are mapped, not copied, into memory.

    Args:
        folder: The `save_to_disk` folder.
        split: One of `splits_of(folder)`.
        columns: Names of the columns to keep, in this order.

    Raises:
        DataError: A file is missing or damaged, or a column is not there.
    """
    import pyarrow as pa

    try:
        state = json.loads((folder / split / "state.json").read_text(encoding="utf-8"))
        tables = []
        for entry in state["_data_files"]:
            with pa.memory_map(str(folder / split / entry["filename"])) as source:
                tables.append(pa.ipc.open_stream(source).read_all().select(columns))
        return pa.concat_tables(tables)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"The split {split} in {folder} cannot be read ({error})") from error
