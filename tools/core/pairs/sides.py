"""The two sides of a match, thumbnails and titles: from lists, or from a dataset of pairs."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.core.errors import DataError, InputError
from tools.core.metrics import same
from tools.core.pairs.dataset import PairColumns, open_pairs
from tools.core.pictures import walk_pictures
from tools.core.workspace import Workspace

if TYPE_CHECKING:
    import datasets

MAX_THUMBNAILS = 200
MAX_TITLES = 1000
MAX_SCORES = 40_000  # a result is kept in the conversation, so it stays small
MAX_PAIRS = 100  # of a dataset
MAX_LENGTH = 1000  # characters of a title; no model reads more of one


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A picture to be matched."""

    name: str  # unlike all others' of the match
    file: Path | None  # None when it lies inside a dataset
    content: bytes | None  # its bytes when it does, and there are any

    def read(self) -> Path | bytes:
        """Return what can be opened.

        Raises:
            DataError: It is no file on this machine, or the dataset has none here.
        """
        if self.file is None and not self.content:
            raise DataError("the dataset has no picture here")
        if self.file and "://" in self.name:
            raise DataError("an address, not a file: download it first")
        return self.file or self.content or b""

    def shown(self, workspace: Workspace) -> Path:
        """Return a file that shows it."""
        return self.file or workspace.picture_file(self.content or b"")


@dataclasses.dataclass(frozen=True)
class Sides:
    """What is matched with what."""

    thumbnails: tuple[Thumbnail, ...]
    titles: tuple[str, ...]
    notes: tuple[str, ...]
    thumbnails_of: str = ""  # the dataset, with its split, that they are from; empty when they were given
    titles_of: str = ""  # likewise
    paired: bool = False  # title i belongs to thumbnail i

    @property
    def about(self) -> str:
        """Say what is matched."""
        thumbnails, titles = _count(self.thumbnails, "thumbnail"), _count(self.titles, "title")
        pictures = f"the {thumbnails} of {self.thumbnails_of}" if self.thumbnails_of else thumbnails
        texts = f"the {titles} of {self.titles_of}" if self.titles_of else titles
        return pictures if self.paired else f"{pictures} and {texts}"

    def picture_numbers(self) -> np.ndarray:
        """Number the different pictures: (thumbnails,) integers, equal for pairs of a dataset with the same bytes."""
        return same([one.content or str(one.file) for one in self.thumbnails])

    def without(self, names: set[str]) -> Sides:
        """Leave out the thumbnails of these names, with their own titles where these are known."""
        kept = [index for index, one in enumerate(self.thumbnails) if one.name not in names]
        titles = tuple(self.titles[index] for index in kept) if self.paired else self.titles
        return dataclasses.replace(self, thumbnails=tuple(self.thumbnails[index] for index in kept), titles=titles)


def gather(
    workspace: Workspace, thumbnails: Sequence[str] | None, titles: Sequence[str] | None, dataset: str | None
) -> Sides:
    """Find out what is to be matched with what; no picture is opened yet.

    Raises:
        InputError: Too little or too much is given, or a title is empty.
        NotInLibraryError: There is no such dataset.
        DataError: It holds no pairs.
    """
    given = [name for name, value in (("thumbnails", thumbnails), ("titles", titles)) if value]
    if dataset and len(given) == 2:
        raise InputError(
            "thumbnails, titles and a dataset are given; leave one of them out: a dataset takes the place of a list"
        )
    if not dataset and len(given) < 2:
        missing = " and ".join(name for name in ("thumbnails", "titles") if name not in given)
        raise InputError(
            f"there are no {missing}: give picture files and the titles to choose from, or a dataset of "
            "title-thumbnail pairs"
        )
    notes: list[str] = []
    pictures = _files(thumbnails, notes) if thumbnails else ()
    texts = _titles(titles, notes) if titles else ()
    if dataset:
        return _with_dataset(workspace, dataset, pictures, texts, notes)
    return _checked(Sides(pictures, texts, tuple(notes)))


def _with_dataset(
    workspace: Workspace, dataset: str, pictures: tuple[Thumbnail, ...], texts: tuple[str, ...], notes: list[str]
) -> Sides:
    card, splits, columns = open_pairs(workspace, dataset)
    if pictures:  # against all its titles: a new picture belongs to no split
        titles = dict.fromkeys(tidy(str(title)) for rows in splits.values() for title in rows[columns.title] if title)
        limit = min(MAX_TITLES, MAX_SCORES // len(pictures))
        if len(titles) > limit:
            notes.append(f"of the {len(titles)} different titles of {card.name} the first {limit} are used")
        chosen = tuple(titles)[:limit]
        return _checked(Sides(pictures, chosen, tuple(notes), titles_of=card.name))
    split = "test" if "test" in splits else None
    parts = {split: splits[split]} if split else dict(splits.items())
    limit = min(MAX_THUMBNAILS, MAX_SCORES // len(texts)) if texts else MAX_PAIRS
    rows = list(_rows(parts, columns, limit))
    there = sum(len(part) for part in parts.values())
    where = f"{card.name} ({split})" if split else card.name
    if there > len(rows):
        notes.append(f"of the {there} pairs of {where} the first {len(rows)} are used")
    own = tuple(one for one, _ in rows)
    if texts:
        return _checked(Sides(own, texts, tuple(notes), thumbnails_of=where))
    return _checked(Sides(own, tuple(title for _, title in rows), tuple(notes), where, where, paired=True))


def _rows(parts: dict[str, datasets.Dataset], columns: PairColumns, limit: int) -> Iterator[tuple[Thumbnail, str]]:
    """Yield the first pairs that have a title, as thumbnails with their titles."""
    import datasets

    left = limit
    for split, rows in parts.items():
        for number, row in enumerate(rows.cast_column(columns.picture, datasets.Image(decode=False)), 1):
            if left == 0:
                return
            title = tidy(str(row[columns.title] or ""))
            if title:
                left -= 1
                cell: dict[str, Any] = row[columns.picture] or {}
                yield Thumbnail(f"{split} {number}", None, cell.get("bytes")), title


def _files(given: Sequence[str], notes: list[str]) -> tuple[Thumbnail, ...]:
    """Return the picture files named, folders opened; the same file twice is one."""
    files: dict[Path, str] = {}
    for number, text in enumerate(given, 1):
        if not text.strip():
            raise InputError(f"thumbnail {number} is empty; give a picture file")
        path = Path(os.path.expanduser(text.strip()))
        if os.path.isdir(path):  # unlike Path.is_dir, False for a text that cannot be a path
            files.update((file, str(file)) for file in walk_pictures(path))
        else:
            files.setdefault(path, text.strip())
    if not files:
        raise InputError(f"there are no pictures in {', '.join(given)}; give picture files or a folder of them")
    if len(files) > MAX_THUMBNAILS:
        raise InputError(f"{len(files)} thumbnails are given; at most {MAX_THUMBNAILS} can be matched at once")
    return tuple(
        Thumbnail(name, file, None) for name, file in zip(_short_names(list(files.values())), files, strict=True)
    )


def _short_names(paths: list[str]) -> list[str]:
    """Return the files' names, with as much of their folders as tells them apart."""
    names = [path if "://" in path else (os.path.basename(path.rstrip("/")) or path) for path in paths]
    twice = {name for name, count in Counter(names).items() if count > 1}
    return [path if name in twice else name for name, path in zip(names, paths, strict=True)]


def _titles(given: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    if len(given) > MAX_TITLES:
        raise InputError(f"{len(given)} titles are given; at most {MAX_TITLES} can be matched at once")
    titles = tuple(map(tidy, given))
    for number, title in enumerate(titles, 1):
        if not title:
            raise InputError(f"title {number} of {len(titles)} is empty; leave it out, or write it")
    long = sum(len(title) > MAX_LENGTH for title in given)
    if long:
        notes.append(f"{long} titles have more than {MAX_LENGTH} characters; only so many are read")
    return titles


def tidy(title: str) -> str:
    """Return a title as one line in composed Unicode, at most 1000 characters: titles that read alike are alike."""
    encodable = title.encode("utf-8", "replace").decode()
    return " ".join(unicodedata.normalize("NFC", encodable).split())[:MAX_LENGTH]


def _checked(sides: Sides) -> Sides:
    if not sides.thumbnails or not sides.titles:
        raise DataError(f"{sides.about}: there is nothing to match")
    total = len(sides.thumbnails) * len(sides.titles)
    if total > MAX_SCORES:
        raise InputError(
            f"{len(sides.thumbnails)} thumbnails and {len(sides.titles)} titles make {total} scores; at most "
            f"{MAX_SCORES} can be made at once: give fewer of either"
        )
    return sides


def _count(things: Sequence[Any], name: str) -> str:
    return f"{len(things)} {name}" if len(things) == 1 else f"{len(things)} {name}s"
