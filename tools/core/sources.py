"""Where pictures come from: folders, single files, tables, datasets of the library, the shipped samples."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.core.errors import DataError, InputError, NotInLibraryError
from tools.core.library import Card, Kind
from tools.core.pictures import SUFFIXES, is_picture_name, walk_pictures
from tools.core.workspace import SAMPLES, Workspace

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")
FOLDER_TABLES = (
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
    "labels.csv",
)  # beside pictures, saying what they are
PICTURE_COLUMNS = ("image", "thumbnail", "file_name", "filename", "file", "path", "picture")
TITLE_COLUMNS = ("title", "caption", "text", "name", "label_name", "label")
MAX_FILE_BYTES = 200_000_000


@dataclasses.dataclass(frozen=True)
class PictureItem:
    """A picture that may be read later."""

    key: str  # how a report names it
    read: Callable[[], bytes]
    file: Path | None  # None when it lies inside a dataset
    title: str
    stamp: str = ""  # changes when the file changes; empty when unknown


@dataclasses.dataclass(frozen=True)
class PictureSource:
    """A set of pictures that can be gone through."""

    about: str  # as a person would say it
    parents: tuple[str, ...]  # artifacts it belongs to
    count: int
    items: Callable[[], Iterator[PictureItem]]
    folder: Path | None = None  # the folder it was read from; None when it is something else


def open_source(workspace: Workspace, source: str) -> PictureSource:
    """Find out what `source` means.

    Args:
        workspace: Whose datasets may be named.
        source: A folder, a picture, a .csv, .jsonl or .parquet table, a dataset of the library, or `samples`.

    Raises:
        InputError: It is empty.
        DataError: It is a file or folder without pictures, or nothing at all.
    """
    if not source.strip():
        raise InputError("source is empty; give a folder, a file, or the name of a dataset")
    path = Path(os.path.abspath(os.path.expanduser(source)))
    if os.path.isdir(path):  # unlike Path.is_dir, False for a text that cannot be a path
        return _folder(path)
    if os.path.isfile(path):
        return _file(path)
    try:
        return _dataset(workspace, workspace.library.find(source, Kind.DATASET))
    except NotInLibraryError as error:
        if source == "samples":
            return _folder(SAMPLES)
        raise DataError(
            f"There is nothing to read at {source!r}: no such folder or file in {Path.cwd()}, and {error}"
        ) from error


def picture_and_title_columns(names: list[str], about: str) -> tuple[str, str | None]:
    """Choose the column that holds the pictures and the one that describes them.

    Raises:
        DataError: No column holds pictures.
    """
    by_lower = {name.lower(): name for name in names}
    picture = next((by_lower[c] for c in PICTURE_COLUMNS if c in by_lower), None)
    if picture is None:
        raise DataError(
            f"{about} has the columns {', '.join(names)}, none of which holds pictures; expected one of "
            f"{', '.join(PICTURE_COLUMNS)}"
        )
    title = next((by_lower[c] for c in TITLE_COLUMNS if c in by_lower and by_lower[c] != picture), None)
    return picture, title


def read_bounded(file: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        DataError: It is missing, or larger than 200 MB.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{file} is larger than {MAX_FILE_BYTES // 1_000_000} MB")
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a NUL
        raise DataError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _from_file(file: Path, title: str | None = None) -> PictureItem:
    name = str(file).encode(errors="replace").decode()
    if name != str(file):  # a database could not hold it
        return PictureItem(name, functools.partial(_refuse, "its name is not UTF-8: rename it"), None, title or name)
    try:
        status = file.stat()
        stamp = f"{status.st_size}:{status.st_mtime_ns}"
    except (OSError, ValueError):
        stamp = ""  # reading it will say what is wrong
    return PictureItem(str(file), functools.partial(read_bounded, file), file, title or file.stem, stamp)


def _folder(folder: Path) -> PictureSource:
    files = list(walk_pictures(folder))
    if not files:
        raise DataError(f"The folder {folder} holds no pictures (looked for {', '.join(SUFFIXES)})")
    titles = _titles_beside(folder)

    def items() -> Iterator[PictureItem]:
        for file in files:
            yield _from_file(file, titles.get(str(file.relative_to(folder))))

    return PictureSource(f"the folder {folder}", (), len(files), items, folder)


def _titles_beside(folder: Path) -> dict[str, str]:
    """Read what a table in the folder says of its pictures: file name → title."""
    table = table_beside(folder)
    if table is None:
        return {}
    picture, title = picture_and_title_columns(table_shape(table)[1], table.name)
    return {str(row.get(picture)): str(row[title]) for row in read_table(table) if title and row.get(title)}


def table_beside(folder: Path) -> Path | None:
    """Return the table in a folder that names its pictures: a `metadata` file, or else the only table there is.

    Raises:
        DataError: A `metadata` file cannot be read; any other table that cannot is none of pictures.
    """
    tables = sorted(file for file in folder.iterdir() if file.suffix.lower() in TABLE_SUFFIXES and file.is_file())
    usual = [folder / name for name in FOLDER_TABLES if folder / name in tables]
    for table in usual:
        if _names_pictures(table):
            return table
    with contextlib.suppress(DataError):
        if len(tables) == 1 and not usual and _names_pictures(tables[0]):
            return tables[0]
    return None


def _names_pictures(table: Path) -> bool:
    columns = {name.lower() for name in next(read_table(table), {})}
    return not columns.isdisjoint(PICTURE_COLUMNS)


def table_shape(file: Path) -> tuple[int, list[str]]:
    """Return the number of rows and the names of the columns, in the order they first appear.

    Raises:
        DataError: It cannot be read, or has no rows.
    """
    if file.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as parquet:
                count, columns = parquet.metadata.num_rows, dict.fromkeys(parquet.schema_arrow.names)
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read as parquet: {error}") from error
    else:
        count, columns = 0, {}
        for row in read_table(file):
            columns.update(dict.fromkeys(row))
            count += 1
    if not count:
        raise DataError(f"{file} has no rows")
    return count, [name for name in columns if name]


def read_table(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .csv, .jsonl or .parquet file.

    Raises:
        DataError: The file is not what its suffix says; the message gives the line.
    """
    try:
        if file.suffix.lower() == ".csv":
            with file.open(newline="", encoding="utf-8-sig") as stream:
                yield from csv.DictReader(stream, restkey="")  # "": cells beyond the header
        elif file.suffix.lower() == ".jsonl":
            with file.open(encoding="utf-8") as stream:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield _json_row(file, number, line)
        else:
            import pyarrow.parquet as pq

            for batch in pq.ParquetFile(file).iter_batches(500):
                yield from batch.to_pylist()
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as {file.suffix[1:]}: {error}") from error


def _json_row(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{file}, line {number}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{file}, line {number}: expected an object, got {type(row).__name__}")
    return row


def _file(file: Path) -> PictureSource:
    if is_picture_name(file.name):
        return PictureSource(f"the picture {file}", (), 1, lambda: iter([_from_file(file)]))
    if file.suffix.lower() not in TABLE_SUFFIXES:
        raise DataError(f"{file} is neither a picture nor a table; expected {', '.join(TABLE_SUFFIXES)} or a picture")
    return _table(file)


def _table(file: Path) -> PictureSource:
    count, columns = table_shape(file)
    picture, title = picture_and_title_columns(columns, str(file))

    def items() -> Iterator[PictureItem]:
        for number, row in enumerate(read_table(file)):
            text = str(row.get(title) or "") if title else ""
            yield item_of_row(row.get(picture), text.encode(errors="replace").decode(), file, number)

    return PictureSource(f"the table {file}", (), count, items)


def item_of_row(cell: Any, title: str, table: Path, number: int) -> PictureItem:
    """Make an item of a cell: a path beside the table, or a struct of bytes and path as `datasets` writes it."""
    key = f"{table.name} row {number}"
    content = cell.get("bytes") if isinstance(cell, dict) else None
    if content and isinstance(content, bytes):
        return PictureItem(key, lambda: content, None, title or Path(cell.get("path") or key).stem)
    name = cell.get("path") if isinstance(cell, dict) else cell
    if not isinstance(name, str) or not name:
        return PictureItem(key, functools.partial(_refuse, f"{key} has no picture"), None, title or key)
    return _from_file(table.parent / name, title)


def _dataset(workspace: Workspace, card: Card) -> PictureSource:
    import datasets

    folder = workspace.library.folder(card.kind, card.name) / "data"
    splits = datasets.load_from_disk(str(folder))

    def items() -> Iterator[PictureItem]:
        for split, rows in splits.items():
            picture, title = picture_and_title_columns(rows.column_names, card.reference)
            for number, row in enumerate(rows.cast_column(picture, datasets.Image(decode=False))):
                key = f"{card.name} {split} {number}"
                text = str(row.get(title) or "") if title else ""
                content = (row[picture] or {}).get("bytes")
                yield PictureItem(key, functools.partial(_given, content, key), None, text or key)

    return PictureSource(f"the dataset {card.name}", (card.reference,), sum(splits.num_rows.values()), items)


def _refuse(reason: str) -> bytes:
    raise DataError(reason)


def _given(content: bytes | None, key: str) -> bytes:
    if not content:
        raise DataError(f"{key} has no picture")
    return content
