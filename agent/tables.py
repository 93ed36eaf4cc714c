"""Results as tables for the terminal."""

from __future__ import annotations

import functools
from typing import Any

from rich.table import Table
from rich.text import Text

from tools.list_library import Listing
from tools.match_thumbnails import Matches, gap, score_text
from tools.search_images import SearchResult
from tools.show_dataset import DatasetView


def printable(text: str) -> str:
    """Replace control characters, which could steer the terminal, in text that comes from data."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text)


@functools.singledispatch
def table_of(result: Any) -> Table | None:
    """Return a table that shows a result, or None when its text says it all. Cells are text, never markup."""
    return None


@table_of.register
def _(result: SearchResult) -> Table:
    title = f"{result.query} in {result.collection} ({result.searched} pictures, {result.seconds * 1000:.0f} ms)"
    table = Table("", "title", "score", "file", title=Text(printable(title)))
    for hit in result.hits:
        table.add_row(
            str(hit.rank), Text(printable(hit.title)), f"{hit.score:.3f}", Text(printable(hit.file), overflow="fold")
        )
    return table


@table_of.register
def _(result: DatasetView) -> Table:
    table = Table(
        "", "title", "file", title=Text(f"{result.dataset}, {result.split} ({result.splits[result.split]} rows)")
    )
    for number, row in enumerate(result.rows, 1):
        table.add_row(str(number), Text(printable(row.title)), Text(printable(row.fields.get("file", ""))))
    return table


@table_of.register
def _(result: Listing) -> Table | None:
    if not result.entries:
        return None
    table = Table("kind", "name", "holds", "from", "changed (UTC)", title="Library")
    for entry in result.entries:
        table.add_row(entry.kind, entry.name, entry.holds, Text(printable(entry.source)), entry.updated[:16])
    return table


@table_of.register
def _(result: Matches) -> Table | None:
    if len(result.thumbnails) == 1:
        return None
    headers = ("", "thumbnail", "best title", "score", "ahead by", "one to one")
    table = Table(
        *headers, *(("own title", "its place") if result.found else ()), title=Text(printable(result.answer()))
    )
    for number, one in enumerate(result.thumbnails, 1):
        cells = [
            one.thumbnail,
            one.title,
            score_text(one.score),
            "" if one.margin is None else gap(one.margin),
            one.assigned or "none left",
            *((one.true_title or "", str(one.rank)) if result.found else ()),
        ]
        table.add_row(str(number), *(Text(printable(cell), overflow="fold") for cell in cells))
    left_out = [f"left out {item.key}: {item.reason}" for item in result.unreadable]
    by = f"by {result.encoder} ({result.reason})"
    table.caption = Text(printable("\n".join([by, *result.notes, *left_out])))
    return table
