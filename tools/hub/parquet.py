"""Writes a dataset as parquet files for the hub, as `datasets.load_dataset` reads them; local paths stay here."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.core.watch import Watch
from tools.hub.scrub import cell_without_path, last_part

if TYPE_CHECKING:
    import datasets
    import pyarrow

GROUP = 100  # rows at a time; pictures are large
MAX_FILE_BYTES = 500_000_000


@dataclasses.dataclass(frozen=True)
class Written:
    """What was written."""

    rows: dict[str, int]  # split → rows
    data_bytes: dict[str, int]  # split → bytes before compression
    shortened: dict[str, int]  # column → cells in which a path of this machine became a file's name


def write_parquet(splits: datasets.DatasetDict, folder: Path, watch: Watch) -> Written:
    """Write `data/<split>-00000-of-00001.parquet` below a folder; a split of more than 500 MB becomes several files."""
    writer = _Writer(watch, sum(splits.num_rows.values()))
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        writer.write(str(split), rows, folder / "data")
    return Written(writer.rows, writer.data_bytes, dict(writer.shortened))


class _Writer:
    def __init__(self, watch: Watch, total: int) -> None:
        self.watch, self.total = watch, total
        self.rows: dict[str, int] = {}
        self.data_bytes: dict[str, int] = {}
        self.shortened: collections.Counter[str] = collections.Counter()

    def write(self, split: str, rows: datasets.Dataset, folder: Path) -> None:
        import pyarrow.parquet as pq

        schema = rows.features.arrow_schema  # with what `datasets` needs to know of the columns
        arrow = rows.with_format("arrow")
        files: list[Path] = []
        start, size = 0, 0
        while start < len(rows) or not files:
            files.append(folder / f"{split}.{len(files)}.part")
            with pq.ParquetWriter(files[-1], schema, compression="snappy") as file:
                while start < len(rows):
                    table = self._clean(arrow[start : start + GROUP], rows.features, schema)
                    file.write_table(table, row_group_size=GROUP)
                    start, size = start + GROUP, size + table.nbytes
                    done = sum(self.rows.values()) + min(start, len(rows))
                    self.watch.tell("writing the files to publish", done, self.total)
                    if files[-1].stat().st_size > MAX_FILE_BYTES:
                        break
        for number, part in enumerate(files):
            part.rename(folder / f"{split}-{number:05}-of-{len(files):05}.parquet")
        self.rows[split], self.data_bytes[split] = len(rows), size

    def _clean(self, table: pyarrow.Table, features: datasets.Features, schema: pyarrow.Schema) -> pyarrow.Table:
        import datasets
        import pyarrow as pa

        columns = []
        for field in schema:
            column = table[field.name]
            if isinstance(features[field.name], datasets.Image):
                column = pa.array([_embedded(cell) for cell in column.to_pylist()], field.type)
            elif "string" in str(field.type):  # also inside lists and structs
                cells = column.to_pylist()
                clean = [_without_paths(cell) for cell in cells]
                changed = sum(one != other for one, other in zip(cells, clean, strict=True))
                if changed:
                    self.shortened[field.name] += changed
                    column = pa.array(clean, field.type)
            columns.append(column)
        return pa.table(columns, schema=schema)


def _without_paths(cell: Any) -> Any:
    if isinstance(cell, str):
        return cell_without_path(cell)
    if isinstance(cell, list):
        return [_without_paths(one) for one in cell]
    return {name: _without_paths(one) for name, one in cell.items()} if isinstance(cell, dict) else cell


def _embedded(cell: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a picture's bytes with its file's name alone."""
    if cell is None:
        return None
    content, path = cell.get("bytes"), cell.get("path")
    if content is None and path:
        content = Path(path).read_bytes()
    return {"bytes": content, "path": last_part(path) if path else None}
