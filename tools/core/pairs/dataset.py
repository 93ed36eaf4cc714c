"""Datasets of pictures with their titles: written row by row, split without leakage, opened without loading them.

A dataset of pairs is an artifact of the library whose card says `kind: title_thumbnail`. Its folder `data` is a
`DatasetDict.save_to_disk` with the columns `image` (the file's bytes, as they were), `title`, then what else is known
of each, then `negative` or `negative_1`, `negative_2`, … where negatives were mined. Beside it `groups.json` says for
each split which rows are near-duplicates of each other: rows with the same number.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.core.encoders import Unreadable
from tools.core.errors import DataError, PairwrightError, first_line
from tools.core.files import write_text
from tools.core.library import Card, Kind, new_card, write_card
from tools.core.pairs.columns import typed_columns
from tools.core.pairs.near_duplicates import HASH_SIDE, LOOK_ALIKE_BITS, Look, group_near_duplicates, look_of
from tools.core.pairs.splits import MIN_GROUPS, SEED, SHARES, TOO_SMALL, split_groups
from tools.core.pictures import open_picture
from tools.core.workspace import Workspace

if TYPE_CHECKING:
    import datasets

PAIRS = "title_thumbnail"
GROUPS = "groups.json"
COLUMNS = ("image", "title")  # of every dataset of pairs
PICTURES = ("image", "thumbnail", "anchor", "picture", "file_name", "filename", "file", "path")
TITLES = ("title", "positive", "caption", "text")
TRUE_TITLES = TITLES[:2]  # a column of this name makes a table one of pairs without being told
NEGATIVE = re.compile(r"(title_)?neg(ative)?([_ ]?\d+)?|negative_title")
SPLIT_NAMES = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}
MAX_TITLE = 1000  # characters


@dataclasses.dataclass(frozen=True)
class PairColumns:
    """Names of the columns of a dataset of pairs."""

    picture: str
    title: str
    negatives: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture with its title, as a collector or loader hands it in."""

    picture: bytes  # the file as it is
    title: str
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)  # more columns; absent or None when unknown
    split: str | None = None  # where the source put it; None when it is to be shared out
    key: str = ""  # how a report names it; its video_id or number when empty


@dataclasses.dataclass(frozen=True)
class PairCounts:
    """What became of the pairs that were handed in."""

    pairs: int
    splits: dict[str, int]
    near_duplicate_groups: int  # groups of two or more
    near_duplicates: int  # pairs in those groups
    note: str  # what the person should know of the splits; empty when there is nothing
    across_splits: int = 0  # groups that the source's own splits divide; 0 when they were made here
    left_out: tuple[Unreadable, ...] = ()


def pair_columns(names: Sequence[str], about: str, pictures: Sequence[str] = PICTURES) -> PairColumns:
    """Choose the columns that hold the picture, its title and its negatives.

    Args:
        names: All columns.
        about: What has them, for the message.
        pictures: What the column of pictures may be called, the best name first.

    Raises:
        DataError: No column holds pictures, or none holds titles.
    """
    by_lower = {name.lower(): name for name in reversed(names)}
    picture = next((by_lower[one] for one in pictures if one in by_lower), None)
    title = next((by_lower[one] for one in TITLES if one in by_lower), None)
    if picture is None or title is None:
        what, expected = ("pictures", pictures) if picture is None else ("titles", TITLES)
        raise DataError(
            f"{about} has the columns {', '.join(names)}, none of which holds {what}; rename one to "
            f"{expected[0]!r} (or {', '.join(expected[1:])})"
        )
    return PairColumns(picture, title, tuple(name for name in names if NEGATIVE.fullmatch(name.lower())))


def save_pairs(
    workspace: Workspace,
    name: str,
    pairs: Iterator[Pair | Unreadable],
    *,
    source: str,
    parents: tuple[str, ...] = (),
    parameters: Mapping[str, Any] | None = None,
    left_out: int = 0,
    total: int | None = None,
    also: Callable[[Path], None] | None = None,
) -> tuple[Card, PairCounts]:
    """Make a dataset of pairs; only a few pictures are in memory at a time.

    Every picture is decoded once to prove that it can be. What has no title or no readable picture is left out, and so
    is a pair that was handed in before. Where no pair names a split, they are shared out 70/15/15, near-duplicates
    together; splits that the source names are kept, and the near-duplicates they divide are counted.

    Args:
        workspace: Where the state is.
        name: Name of the dataset.
        pairs: The pairs, and what the caller could not read, which is reported with the rest.
        source: Where they come from, as a person would say it.
        parents: Artifacts they come from.
        parameters: More for the card.
        left_out: How many more the caller left out.
        total: How many will come, for the progress line; None when it is not known.
        also: Writes more files into the dataset's folder.

    Raises:
        DataError: Not one pair is left.
        InputError: The name is not allowed or taken.
    """
    with workspace.library.making(Kind.DATASET, name) as folder:
        intake = _Intake(workspace, pairs, source, total)
        table = intake.write(folder / "cache")
        groups = group_near_duplicates(intake.looks, intake.titles)
        given = _given_splits(intake.splits)
        splits = given or split_groups(groups)
        write_pairs(folder, {split: table.select(rows.tolist()) for split, rows in splits.items()})
        write_groups(folder, {split: groups[rows] for split, rows in splits.items()})
        shutil.rmtree(folder / "cache")
        counts = _count(splits, groups, bool(given), tuple(intake.left_out))
        if also:
            also(folder)
        card = new_card(
            Kind.DATASET,
            name,
            source,
            parents=parents,
            parameters={
                "kind": PAIRS,
                **(parameters or {}),
                "splits": "as in the source" if given else "70/15/15, near-duplicates together",
                "look_alike_bits": LOOK_ALIKE_BITS,
            },
            seed=None if given else SEED,
            counts={
                "rows": counts.pairs,
                **counts.splits,
                "near_duplicates": counts.near_duplicates,
                "left_out": left_out + len(intake.left_out),
            },
            content_hash=content_hash(folder / "data"),
        )
        write_card(folder, card)
    return card, counts


def open_pairs(workspace: Workspace, dataset: str) -> tuple[Card, datasets.DatasetDict, PairColumns]:
    """Open a dataset of pairs; pictures are read when they are asked for.

    Raises:
        NotInLibraryError: There is no such dataset.
        DataError: It holds no pairs of pictures and titles.
    """
    import datasets

    card = workspace.library.find(dataset, Kind.DATASET)
    if card.parameters.get("kind") != PAIRS:
        raise DataError(
            f"The dataset {card.name!r} holds {card.parameters.get('kind', 'something else')}, not pairs of pictures "
            f"and titles; if it has titles, load it again: load_dataset({card.name!r}, kind={PAIRS!r})"
        )
    try:
        found = datasets.load_from_disk(str(workspace.library.folder(card.kind, card.name) / "data"))
    except (OSError, ValueError) as error:
        raise DataError(f"The dataset {card.name!r} is damaged ({first_line(error)}); load it again") from error
    return card, found, pair_columns(next(iter(found.values())).column_names, card.reference)


def write_pairs(folder: Path, splits: dict[str, datasets.Dataset]) -> None:
    """Write the rows of a dataset of pairs into its folder."""
    import datasets

    datasets.DatasetDict(splits).save_to_disk(str(folder / "data"))


def write_groups(folder: Path, groups: Mapping[str, np.ndarray]) -> None:
    """Write into a dataset's folder which rows of each split are near-duplicates: rows with the same number."""
    write_text(folder / GROUPS, json.dumps({split: numbers.tolist() for split, numbers in groups.items()}))


def read_groups(workspace: Workspace, card: Card) -> dict[str, np.ndarray]:
    """Return for every split the group of near-duplicates of each row: (rows,) int64.

    Raises:
        DataError: The file is missing or damaged.
    """
    file = workspace.library.folder(card.kind, card.name) / GROUPS
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {split: np.array(numbers, dtype=np.int64) for split, numbers in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{file} cannot be read ({first_line(error)}); load the dataset again") from error


def content_hash(folder: Path) -> str:
    """Return a SHA-256 (first 16 hex digits) over the rows as saved, split by split."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.arrow")):
        digest.update(file.parent.name.encode())
        with file.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


class _Intake:
    """Takes pairs in one by one: proves them, writes them down, remembers what is small."""

    def __init__(
        self, workspace: Workspace, pairs: Iterator[Pair | Unreadable], source: str, total: int | None
    ) -> None:
        self.workspace, self.pairs, self.source, self.total = workspace, pairs, source, total
        self.looks: list[Look] = []
        self.titles: list[str] = []
        self.extras: list[dict[str, Any]] = []
        self.splits: list[str | None] = []
        self.left_out: list[Unreadable] = []
        self._known: set[bytes] = set()

    def write(self, cache: Path) -> datasets.Dataset:
        """Write all pairs to a table on disk and return it, with the columns of the extras."""
        import datasets

        features = datasets.Features({"image": datasets.Image(), "title": datasets.Value("string")})
        try:
            table = datasets.Dataset.from_generator(
                self._rows, features=features, cache_dir=str(cache), fingerprint=uuid.uuid4().hex
            )
        except datasets.exceptions.DatasetGenerationError as error:
            if isinstance(error.__cause__, PairwrightError):  # a Stop, or a table that breaks off
                raise error.__cause__ from None
            raise
        columns = _columns(self.extras)
        if not columns:
            return table
        return datasets.concatenate_datasets([table, datasets.Dataset.from_dict(columns)], axis=1)

    def _rows(self) -> Iterator[dict[str, Any]]:
        number = 0
        for number, pair in enumerate(self.pairs, 1):
            self.workspace.watch.tell("reading pairs", number, self.total)
            if isinstance(pair, Unreadable):
                self.left_out.append(pair)
            elif reason := self._take(pair):
                key = pair.key or str(pair.extra.get("video_id") or f"pair {number}")
                self.left_out.append(Unreadable(key, reason))
            else:
                yield {"image": {"bytes": pair.picture, "path": None}, "title": self.titles[-1]}
        if not self.looks:  # said here, since `datasets` cannot make an empty table of a generator
            example = f", for example {self.left_out[0].key}: {self.left_out[0].reason}" if self.left_out else ""
            raise DataError(f"None of the {number} pairs of {self.source} can be used{example}")

    def _take(self, pair: Pair) -> str:
        """Remember a pair; return why not, or nothing."""
        title = " ".join(pair.title.encode(errors="replace").decode().split())[:MAX_TITLE]
        if not title:
            return "it has no title"
        known = hashlib.sha256(title.encode() + b"\0" + pair.picture).digest()
        if known in self._known:
            return "the same picture with the same title came before"
        try:
            look = look_of(open_picture(pair.picture, side=HASH_SIDE))
        except DataError as error:
            return str(error)
        self._known.add(known)
        self.looks.append(look)
        self.titles.append(title)
        self.extras.append(pair.extra)
        self.splits.append(SPLIT_NAMES.get(pair.split.lower(), pair.split.lower()) if pair.split else None)
        return ""


def _given_splits(given: list[str | None]) -> dict[str, np.ndarray] | None:
    """Return the rows of the splits that the source names; None when it names fewer than two, so is not split yet."""
    named = list(dict.fromkeys(split for split in given if split))
    if len(named) < 2:
        return None
    unknown = [split for split in named if split not in SHARES]
    without = given.count(None)
    if unknown or without:
        what = f"the names {', '.join(map(repr, unknown))}" if unknown else f"{without} rows without a name"
        raise DataError(f"The source's splits have {what}; expected {', '.join(SHARES)} for every row, or no splits")
    return {
        name: np.array([row for row, split in enumerate(given) if split == name]) for name in SHARES if name in named
    }


def _note(splits: dict[str, np.ndarray], groups: np.ndarray, kept: bool, across: int) -> str:
    """Say what the person should know of the splits."""
    if kept and across:
        return (
            f"{across} groups of near-duplicates lie in more than one of the source's splits, so scores on validation "
            "and test may flatter; load it without its splits to have near-duplicates kept together"
        )
    if kept or len(splits) > 1:
        return ""
    return TOO_SMALL.format(rows=len(groups), groups=len(np.unique(groups)), least=MIN_GROUPS)


def _count(
    splits: dict[str, np.ndarray], groups: np.ndarray, kept: bool, left_out: tuple[Unreadable, ...]
) -> PairCounts:
    _, sizes = np.unique(groups, return_counts=True)
    several = sizes[sizes > 1]
    parts = collections.Counter(group for rows in splits.values() for group in set(groups[rows].tolist()))
    across = sum(number > 1 for number in parts.values())
    note = _note(splits, groups, kept, across)
    sizes_of = {name: len(rows) for name, rows in splits.items()}
    return PairCounts(len(groups), sizes_of, len(several), int(several.sum()), note, across, left_out)


def _columns(extras: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn what is known of each row into columns, negatives last."""
    known = [{f"source_{name}" if name in COLUMNS else name: one[name] for name in one} for one in extras]
    columns = typed_columns(known)
    return {name: columns[name] for name in sorted(columns, key=lambda name: bool(NEGATIVE.fullmatch(name.lower())))}
