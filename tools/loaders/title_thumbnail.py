"""Pairs of a picture and its title: tables beside pictures, tables with pictures inside, datasets of pairs.

A table or dataset that has no pictures but a column `thumbnail_url`, as the published `yt-title-thumbnail-pairs` has,
gets them from there, under the rules of `tools.youtube.thumbnails`: YouTube's image hosts and nowhere else.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.core.encoders import Unreadable
from tools.core.errors import DataError
from tools.core.library import Kind
from tools.core.pairs.dataset import (
    PAIRS,
    PICTURES,
    TRUE_TITLES,
    Pair,
    PairColumns,
    PairCounts,
    pair_columns,
    save_pairs,
)
from tools.core.pictures import walk_pictures
from tools.core.sources import item_of_row, read_bounded, read_table
from tools.core.workspace import Workspace
from tools.loaders.loaded import Loaded
from tools.loaders.source import Source
from tools.youtube.cache import Cache
from tools.youtube.patience import Patience
from tools.youtube.thumbnails import Failure, Fetcher, Rules, Thumbnail
from tools.youtube.videos import Video

KIND = PAIRS
SPLIT = "split"  # a column of this name says where a row belongs
ADDRESS = "thumbnail_url"


def recognises(source: Source) -> bool:
    """Tell whether `source` is of this kind: pictures with a column really named title, or positive.

    Captions and labels describe a picture but are not its title; kind=title_thumbnail takes captions too.
    """
    if source.card:
        return bool(source.card.parameters.get("kind") == KIND)
    columns = {name.lower() for name in source.columns}
    return not columns.isdisjoint(TRUE_TITLES) and not columns.isdisjoint((*PICTURES, ADDRESS))


def load(workspace: Workspace, source: Source, name: str) -> Loaded:
    """Copy the pairs of `source` into the library as the dataset `name`."""
    opened = _open(workspace, source)
    pairs = opened.pairs() if source.table is None else _with_unnamed(opened, source)
    card, counts = save_pairs(workspace, name, pairs, source=source.about, parents=source.parents, total=opened.count)
    data = workspace.library.folder(card.kind, card.name) / "data"
    return Loaded(name, KIND, source.about, counts.splits, _columns(data), counts.left_out, tuple(_notes(counts)))


def _notes(counts: PairCounts) -> Iterator[str]:
    if counts.near_duplicates:
        kept = "" if counts.across_splits else ", each group in one split"
        yield (
            f"{counts.near_duplicates} of {counts.pairs} pairs are near-duplicates of another by picture or title, in "
            f"{counts.near_duplicate_groups} groups{kept}."
        )
    if counts.note:
        yield f"Note: {counts.note}."


def _columns(data: Path) -> tuple[str, ...]:
    import datasets

    return tuple(next(iter(datasets.load_from_disk(str(data)).values())).column_names)


@dataclasses.dataclass(frozen=True)
class _Row:
    """A row whose picture may be read later."""

    key: str  # how a report names it
    split: str | None
    values: Mapping[str, Any]
    read: Callable[[], bytes]


@dataclasses.dataclass(frozen=True)
class _Opened:
    """A source whose columns are known."""

    columns: PairColumns
    count: int
    rows: Callable[[], Iterator[_Row]]

    def pairs(self) -> Iterator[Pair | Unreadable]:
        """Read the pairs one by one."""
        for row in self.rows():
            try:
                picture = row.read()
            except DataError as error:
                yield Unreadable(row.key, str(error))
                continue
            told = {self.columns.title, self.columns.picture} - {ADDRESS}
            known = {
                name: value
                for name, value in row.values.items()
                if name and name not in told and name.lower() != SPLIT and not _is_binary(value)
            }
            yield Pair(picture, _text(row.values.get(self.columns.title)), known, row.split, row.key)


def _open(workspace: Workspace, source: Source) -> _Opened:
    if source.table:
        table = source.table
        opened = _open_rows(source.columns, source.rows, functools.partial(_of_table, table), str(table))
    elif source.path:
        raise DataError(
            f"{source.about} has pictures but no table that gives their titles; put one beside them, such as "
            "metadata.csv with the columns file_name and title, or load it with kind=images"
        )
    else:
        found = source.hub
        if source.card:
            import datasets

            found = datasets.load_from_disk(str(workspace.library.folder(Kind.DATASET, source.card.name) / "data"))
        assert found is not None
        names = next(iter(found.values())).column_names
        count = sum(found.num_rows.values())
        opened = _open_rows(names, count, functools.partial(_of_splits, found, source.about), source.about)
    return _fetched(workspace, opened) if opened.columns.picture == ADDRESS else opened


def _open_rows(names: Any, count: int, rows: Callable[[PairColumns], Iterator[_Row]], about: str) -> _Opened:
    columns = pair_columns(names, about, pictures=(*PICTURES, ADDRESS))
    return _Opened(columns, count, lambda: rows(columns))


def _of_table(table: Path, columns: PairColumns) -> Iterator[_Row]:
    """Read rows of a table: pictures lie inside it, or where it says, beside it."""
    for number, values in enumerate(read_table(table), 1):
        item = item_of_row(values.get(columns.picture), "", table, number)
        split = next((_text(values[name]).strip() for name in values if name and name.lower() == SPLIT), "")
        yield _Row(f"{table.name} row {number}", split or None, values, item.read)


def _of_splits(found: Any, about: str, columns: PairColumns) -> Iterator[_Row]:
    """Read rows of a dataset, split by split."""
    import datasets

    for split, rows in found.items():
        if columns.picture != ADDRESS:
            if not isinstance(rows.features[columns.picture], datasets.Image):
                raise DataError(
                    f"The column {columns.picture!r} of {about} holds no pictures but "
                    f"{rows.features[columns.picture]}; expected pictures inside the dataset, or a column {ADDRESS}"
                )
            rows = rows.cast_column(columns.picture, datasets.Image(decode=False))
        for number, values in enumerate(rows, 1):
            read = functools.partial(_content, values[columns.picture])
            yield _Row(f"{split} row {number}", str(split), values, read)


def _content(cell: Any) -> bytes:
    """Return the bytes of a picture that a dataset holds, or names."""
    if not cell:
        raise DataError("it has no picture")
    return cell.get("bytes") or read_bounded(Path(cell.get("path") or ""))


def _fetched(workspace: Workspace, opened: _Opened) -> _Opened:
    """Return the same rows with pictures fetched from their addresses."""
    addresses = dict.fromkeys(_text(row.values.get(ADDRESS)) for row in opened.rows())
    wanted = [_as_video(address) for address in addresses if address]
    watch, settings = workspace.watch, workspace.settings
    fetcher = Fetcher(
        Cache(settings.home / "cache" / "youtube"), watch, Patience(), Rules.for_endpoint(settings.youtube_endpoint)
    )
    results = fetcher.fetch(wanted, None, lambda done: watch.tell("fetching thumbnails", done, len(wanted)))
    by_address = {video.id: result for video, result in zip(wanted, results, strict=True)}

    def rows() -> Iterator[_Row]:
        for row in opened.rows():
            result = by_address.get(_text(row.values.get(ADDRESS)), Failure("it has no address", may_pass=False))
            when = {"fetched_at": result.fetched_at.isoformat()} if isinstance(result, Thumbnail) else {}
            read = functools.partial(_read_fetched, result)
            yield dataclasses.replace(row, values={**row.values, **when}, read=read)

    return dataclasses.replace(opened, rows=rows)


def _as_video(address: str) -> Video:
    """Return what the fetcher takes: nothing but the address is known here."""
    return Video(address, "", "", 0, "", (address,), datetime.datetime.now(datetime.UTC), was_live=False)


def _read_fetched(result: Thumbnail | Failure) -> bytes:
    if isinstance(result, Failure):
        raise DataError(f"its picture cannot be had: {result.reason}")
    return read_bounded(result.file)


def _with_unnamed(opened: _Opened, source: Source) -> Iterator[Pair | Unreadable]:
    """Give the pairs of a table, then the pictures of the folder it lies in that it does not name."""
    yield from opened.pairs()
    if source.path is None or source.path == source.table:
        return  # the table was asked for, not the folder
    named = {(source.path / _text(row.values.get(opened.columns.picture))).resolve() for row in opened.rows()}
    for file in walk_pictures(source.path):
        if file.resolve() not in named:
            yield Unreadable(str(file), f"no row of {source.table and source.table.name} names it")


def _is_binary(value: Any) -> bool:
    return isinstance(value, bytes) or (isinstance(value, dict) and isinstance(value.get("bytes"), bytes))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
