"""The pairs of a saved dataset as a recipe sees them: read with pyarrow alone, pictures when they are looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tools.core.arrow import read_columns
from tools.core.errors import DataError
from tools.core.pairs.dataset import PairColumns

if TYPE_CHECKING:
    import pyarrow


class Pictures(Sequence[bytes]):
    """The bytes of the pictures of a column, read from the mapped file when asked for."""

    def __init__(self, column: pyarrow.ChunkedArray, about: str) -> None:
        """Take a column of structs with `bytes`, as `datasets.Image` stores them."""
        self._column, self._about = column, about

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        content = (self._column[index].as_py() or {}).get("bytes")
        if not content:
            raise DataError(f"Row {index} of {self._about} has no picture; load the dataset again")
        return content

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))


@dataclasses.dataclass(frozen=True)
class PairData:
    """Pairs of one split, in their order."""

    pictures: Sequence[bytes]  # the anchors
    titles: Sequence[str]  # the positives
    negatives: tuple[Sequence[str], ...]  # one list a column of negatives

    def __len__(self) -> int:
        return len(self.titles)


def read_pairs(folder: Path, split: str, columns: PairColumns) -> PairData:
    """Read the pairs of a split of a saved dataset.

    Raises:
        DataError: The dataset cannot be read, or a title is missing.
    """
    table = read_columns(folder, split, [columns.picture, columns.title, *columns.negatives])
    texts = [table[name].to_pylist() for name in (columns.title, *columns.negatives)]
    for name, column in zip((columns.title, *columns.negatives), texts, strict=True):
        if None in column:
            raise DataError(f"Row {column.index(None)} of the split {split} in {folder} has no {name}")
    return PairData(Pictures(table[columns.picture], f"the split {split} in {folder}"), texts[0], tuple(texts[1:]))
