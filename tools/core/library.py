"""The library: every dataset, model, collection, concept and job is a named folder with a card.

    HOME/<kind>s/<name>/card.json     what it is, when and from what it was made
    HOME/<kind>s/<name>/...           its content

A folder appears in one rename, when its content is complete; a card changes in one rename. Two processes may use one
library: making and deleting take a lock file, reading needs none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import difflib
import enum
import json
import logging
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tools.core.errors import DataError, InputError, NotInLibraryError
from tools.core.exchange import exchange
from tools.core.files import flush, write_json

log = logging.getLogger(__name__)

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LOCK_SECONDS = 10.0


class Kind(enum.StrEnum):
    """The kinds of artifact."""

    DATASET = "dataset"
    MODEL = "model"
    COLLECTION = "collection"
    CONCEPT = "concept"
    JOB = "job"

    @property
    def plural(self) -> str:
        """The name of the kind's folder."""
        return f"{self.value}s"


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known of an artifact."""

    kind: Kind
    name: str
    created: str  # ISO 8601, UTC
    updated: str  # likewise; when its content last changed
    source: str  # where its content came from, as given by the person
    parents: tuple[str, ...] = ()  # artifacts it was made from, as kind/name
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    seed: int | None = None  # None when nothing random was involved
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    content_hash: str | None = None  # None while the content may still grow
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The artifact's unambiguous name: kind/name."""
        return f"{self.kind.value}/{self.name}"


def new_card(kind: Kind, name: str, source: str, **rest: Any) -> Card:
    """Return a card dated now."""
    now = _now()
    return Card(kind=kind, name=check_name(name), created=now, updated=now, source=source, **rest)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def write_card(folder: Path, card: Card) -> None:
    """Write the card of an artifact, in one step."""
    write_json(folder / "card.json", dataclasses.asdict(card))


def suggest_name(text: str) -> str:
    """Turn any text into an allowed name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64].rstrip("-._")
    return name or "unnamed"


def check_name(name: str) -> str:
    """Return `name` if it is allowed.

    Raises:
        InputError: It is not; the message suggests one that is.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be a name: use a-z, 0-9, '.', '_' and '-', starting with a letter or digit, at most 64 "
            f"characters, such as {suggest_name(name)!r}"
        )
    return name


class Library:
    """The artifacts under one folder."""

    def __init__(self, root: Path) -> None:
        """Open the library at `root`; the folder is made when first written to."""
        self.root = root

    def folder(self, kind: Kind, name: str) -> Path:
        """Return where an artifact's content lies, whether or not it exists."""
        return self.root / kind.plural / check_name(name)

    def cards(self, kind: Kind | None = None) -> list[Card]:
        """Return the cards of a kind (all when None), the least recently changed first."""
        found = []
        for one in Kind if kind is None else (kind,):
            self._mend(self.root / one.plural)
            for file in (self.root / one.plural).glob("[a-z0-9]*/card.json"):
                try:
                    found.append(_read_card(file))
                except FileNotFoundError:
                    continue  # deleted by another process meanwhile
                except DataError as error:
                    log.warning("%s", error)  # one damaged card must not hide the others; `find` says it of its name
        return sorted(found, key=lambda card: (card.updated, card.name))

    def find(self, item: str, kind: Kind | None = None) -> Card:
        """Return the card of an artifact named `item`, or `kind/name` where several kinds share a name.

        Raises:
            NotInLibraryError: There is none, or it is of another kind; the message lists what there is.
            DataError: Its card is damaged.
            InputError: Several kinds have an artifact of this name.
        """
        wanted = item.strip()
        prefix, _, rest = wanted.partition("/")
        kinds = {k.value: k for k in Kind} | {k.plural: k for k in Kind}
        if rest and prefix.lower() in kinds:
            if kind not in (None, kinds[prefix.lower()]):
                raise NotInLibraryError(f"{item!r} is a {kinds[prefix.lower()].value}; name a {kind.value} instead")
            kind, wanted = kinds[prefix.lower()], rest
        for one in Kind if kind is None else (kind,):
            if NAME_PATTERN.fullmatch(wanted) and (file := self.folder(one, wanted) / "card.json").exists():
                _read_card(file)  # raises when it is damaged
        there = self.cards(kind)
        matches = [card for card in there if card.name == wanted] or [
            card for card in there if card.name == wanted.lower()
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            names = " or ".join(card.reference for card in matches)
            raise InputError(f"{item!r} names several things; say {names}")
        raise NotInLibraryError(self._nothing_named(wanted, kind, there))

    def latest(self, kind: Kind) -> Card:
        """Return the most recently changed artifact of a kind.

        Raises:
            NotInLibraryError: There is none.
        """
        cards = self.cards(kind)
        if not cards:
            raise NotInLibraryError(f"There is no {kind.value} in the library yet")
        return cards[-1]

    @contextlib.contextmanager
    def making(self, kind: Kind, name: str) -> Iterator[Path]:
        """Give an empty folder to fill; it becomes the artifact when the block succeeds.

        The block writes the content, then the card with `write_card`.

        Raises:
            InputError: An artifact of this kind and name exists.
        """
        target = self.folder(kind, name)
        if (target / "card.json").exists():
            raise InputError(f"There is already a {kind.value} named {name!r}; choose another name, or delete it first")
        with self._beside(target) as aside:
            yield aside
            flush(aside)
            with self._lock():
                if (target / "card.json").exists():
                    raise InputError(f"Meanwhile another process made a {kind.value} named {name!r}")
                shutil.rmtree(target, ignore_errors=True)  # without a card it is no artifact
                aside.rename(target)

    @contextlib.contextmanager
    def remaking(self, card: Card) -> Iterator[Path]:
        """Give an empty folder to fill with a new state of an artifact; it takes the old one's place on success.

        The block writes the content, then the card with `write_card`; the date of making stays the old one. Whoever
        reads, and whoever comes after a kill, finds the old state or the new one whole. Where the file system cannot
        exchange two folders in one step, the name is missing for an instant, and a kill in that instant is mended by
        whoever next looks at the library.

        Raises:
            NotInLibraryError: The artifact was deleted meanwhile, or made anew by somebody else.
        """
        target = self.folder(card.kind, card.name)
        with self._beside(target) as aside:
            yield aside
            new = dataclasses.replace(_read_card(aside / "card.json"), created=card.created)
            write_card(aside, new)
            flush(aside)
            with self._lock():
                if not (target / "card.json").exists() or _read_card(target / "card.json").created != card.created:
                    raise NotInLibraryError(f"{card.reference} was deleted meanwhile")
                if not exchange(aside, target):
                    old = aside.with_suffix(".old")
                    target.rename(old)
                    aside.rename(target)
                    old.rename(aside)  # what is left to do is the same in both cases: remove it

    @contextlib.contextmanager
    def _beside(self, target: Path) -> Iterator[Path]:
        """Give an empty folder with a lock of its own beside a place in the library; what is left of it is removed."""
        self._mend(target.parent)
        self._sweep(target.parent)
        aside = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.new"
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(aside.with_suffix(".lock"))
        lock.acquire()
        try:
            aside.mkdir()
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # gone already when it became the artifact
            lock.release()
            aside.with_suffix(".lock").unlink(missing_ok=True)

    def update(self, card: Card, **changes: Any) -> Card:
        """Write changed fields of an existing artifact's card, dated now; return the new card."""
        folder = self.folder(card.kind, card.name)
        if not folder.exists():
            raise NotInLibraryError(f"{card.reference} was deleted meanwhile")
        changed = dataclasses.replace(card, updated=_now(), **changes)
        write_card(folder, changed)
        return changed

    def free_name(self, kind: Kind, text: str) -> str:
        """Return an allowed name made from any text that no artifact of the kind has yet."""
        base, number = suggest_name(text), 1
        name = base
        while self.folder(kind, name).exists():
            number += 1
            name = f"{base[:60]}-{number}"
        return name

    def delete(self, card: Card) -> None:
        """Remove an artifact: out of sight in one rename, then from the disk."""
        with self._lock():
            folder = self.folder(card.kind, card.name)
            self._sweep(folder.parent)
            aside = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.deleted"
            try:
                folder.rename(aside)
            except FileNotFoundError as error:
                raise NotInLibraryError(f"{card.reference} was deleted meanwhile") from error
        shutil.rmtree(aside, ignore_errors=True)  # the next one to make or delete removes what may remain

    @staticmethod
    def _sweep(folder: Path) -> None:
        """Remove what killed processes left half-deleted or half-made; what is being made holds its lock."""
        for deleted in folder.glob(".*.deleted"):
            shutil.rmtree(deleted, ignore_errors=True)  # another process may be removing it too
        for file in folder.glob(".*.lock"):
            with contextlib.suppress(Timeout, PermissionError), FileLock(file, timeout=0):
                shutil.rmtree(file.with_suffix(".new"), ignore_errors=True)
                file.unlink(missing_ok=True)

    def _mend(self, folder: Path) -> None:
        """Give artifacts back the names they lost when a process was killed between the two renames of `remaking`."""
        if any(folder.glob(".*.old")):
            with self._lock():  # whoever is between them now holds it
                for old in folder.glob(".*.old"):
                    target = folder / old.name[1:].rsplit(".", 2)[0]
                    if target.exists():
                        shutil.rmtree(old, ignore_errors=True)
                    else:
                        old.rename(target)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.root / ".lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise DataError(
                f"Another process has been writing to the library {self.root} for {LOCK_SECONDS:.0f} seconds; try again"
            ) from error

    def _nothing_named(self, wanted: str, kind: Kind | None, there: list[Card]) -> str:
        what = kind.value if kind else "item"
        if not there:
            return f"There is no {what} named {wanted!r}: the library has no {kind.plural if kind else 'items'} yet"
        close = difflib.get_close_matches(wanted.lower(), [card.name for card in there], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        names = ", ".join(card.name if kind else card.reference for card in there[-20:])
        return f"There is no {what} named {wanted!r}.{hint} There is: {names}"


def _read_card(file: Path) -> Card:
    text = file.read_text(encoding="utf-8")
    try:
        known = {field.name for field in dataclasses.fields(Card)}
        fields = {name: value for name, value in json.loads(text).items() if name in known}  # a newer version may add
        fields["kind"] = Kind(fields["kind"])
        fields["parents"] = tuple(fields["parents"])
        return Card(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The card {file} is damaged ({error}); delete its folder or mend the file") from error
