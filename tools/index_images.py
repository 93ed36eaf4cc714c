"""Embed pictures and store them for search."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.core.encoders import Encoder, Unreadable
from tools.core.errors import DataError, NotInLibraryError, StoreError
from tools.core.files import replacing
from tools.core.library import Card, Kind, check_name, new_card, write_card
from tools.core.pictures import suffix_of
from tools.core.sources import PictureItem, PictureSource, open_source
from tools.core.store import Metadata, VectorCollection
from tools.core.workspace import Workspace

BATCH = 64


@dataclasses.dataclass(frozen=True)
class IndexReport:
    """What an indexing run did."""

    collection: str
    source: str
    encoder: str
    added: int
    already_there: int  # same file or same content as in the collection
    duplicates: int  # same content twice in this source
    removed: int  # pictures of this source that were changed or deleted since
    unreadable: tuple[Unreadable, ...]
    total: int  # pictures in the collection now
    seconds: float

    def __str__(self) -> str:
        """Say it in a few lines."""
        lines = [
            f"Indexed {self.source} into the collection {self.collection!r} with {self.encoder}: {self.added} added, "
            f"{self.already_there} already there, {self.duplicates} duplicates, {self.removed} removed, "
            f"{len(self.unreadable)} unreadable; {self.total} pictures now ({self.seconds:.1f} s)."
        ]
        lines += [f"- left out {item.key}: {item.reason}" for item in self.unreadable[:10]]
        if len(self.unreadable) > 10:
            lines.append(f"- and {len(self.unreadable) - 10} more")
        return "\n".join(lines)


def index_images(
    workspace: Workspace, source: str, collection: str = "images", model: str | None = None
) -> IndexReport:
    """Embed the pictures of a folder, table or dataset and add them to a collection that can be searched.

    Running it again adds only what is new; a run that was stopped or killed goes on where it was.

    Args:
        workspace: Where the state is.
        source: Folder (searched with its subfolders), picture, .csv/.jsonl/.parquet table, name of a dataset, or
            "samples" for the pictures that come with Pairwright.
        collection: Name of the collection to add to; made if it does not exist.
        model: Image-text model that embeds the pictures; the collection's own, or the configured one, when omitted.

    Raises:
        DataError: There is nothing to read at `source`.
        StoreError: The collection was made by another model, or another process is writing to it.
        ModelError: The model cannot be loaded.
    """
    began = time.monotonic()
    pictures = open_source(workspace, source)
    card, encoder = _prepare(workspace, check_name(collection), model, pictures.about)
    vectors = workspace.collection(card)
    run = _Run(workspace, card, vectors, pictures.count)
    with vectors.writing():
        try:
            run.go(encoder, pictures)
        finally:  # whatever ended the run: the card says what the collection holds, and an empty one is not left behind
            total = vectors.count()
            if total == 0 and not card.counts:
                workspace.forget_collection(card.name)
                workspace.library.delete(card)
            else:
                _note_counts(workspace, card, total, pictures.parents)
    if total == 0 and run.unreadable:
        raise DataError(
            f"None of the {pictures.count} pictures of {pictures.about} can be read, for example "
            f"{run.unreadable[0].key}: {run.unreadable[0].reason}"
        )
    return IndexReport(
        collection=collection,
        source=pictures.about,
        encoder=encoder.name,
        added=run.added,
        already_there=run.already_there,
        duplicates=run.duplicates,
        removed=run.removed,
        unreadable=tuple(run.unreadable),
        total=total,
        seconds=round(time.monotonic() - began, 2),
    )


def _prepare(workspace: Workspace, name: str, model: str | None, source: str) -> tuple[Card, Encoder]:
    """Return the collection's card, made if needed, and the encoder that fits it."""
    try:
        card = workspace.library.find(f"collection/{name}")
    except NotInLibraryError:
        encoder = workspace.encoder(model)
        card = new_card(
            Kind.COLLECTION,
            name,
            source,
            parameters={"encoder": encoder.name, "weights": encoder.fingerprint, "dimension": encoder.dimension},
        )
        with workspace.library.making(Kind.COLLECTION, name) as folder:
            write_card(folder, card)
        return card, encoder
    if model and workspace.encoder_choice(model).name != card.parameters["encoder"]:
        raise StoreError(
            f"The collection {name!r} was made with {card.parameters['encoder']}, not with {model}: name another "
            "collection, or leave the model out"
        )
    return card, collection_encoder(workspace, card)


def collection_encoder(workspace: Workspace, card: Card) -> Encoder:
    """Return the encoder that made a collection.

    Raises:
        StoreError: The model of that name now has other weights.
        ModelError: It cannot be loaded.
    """
    encoder = workspace.encoder(card.parameters["encoder"])
    if encoder.fingerprint != card.parameters["weights"]:
        raise StoreError(
            f"The collection {card.name!r} was made with other weights of {encoder.name} (then "
            f"{card.parameters['weights']}, now {encoder.fingerprint}), so its scores would mean nothing: index the "
            "pictures again into a new collection, or delete this one"
        )
    return encoder


def _note_counts(workspace: Workspace, card: Card, total: int, parents: tuple[str, ...]) -> None:
    latest = workspace.library.find(card.reference)
    merged = tuple(dict.fromkeys([*latest.parents, *parents]))
    workspace.library.update(latest, counts={"pictures": total}, parents=merged)


class _Run:
    """The state of one indexing run."""

    def __init__(self, workspace: Workspace, card: Card, vectors: VectorCollection, count: int) -> None:
        self.workspace, self.card, self.vectors, self.count = workspace, card, vectors, count
        self.folder = workspace.library.folder(card.kind, card.name)
        self.added = self.already_there = self.duplicates = self.removed = 0
        self.unreadable: list[Unreadable] = []
        self.new: dict[str, tuple[PictureItem, bytes]] = {}  # id → what is being embedded
        self.seen: dict[str, str] = {}  # file → id of its content now
        self.others: dict[str, PictureItem] = {}  # id → another file with a known picture's content

    def go(self, encoder: Encoder, pictures: PictureSource) -> None:
        """Embed and store what is not there yet, batch by batch; then remove what is no longer so."""
        there = self.vectors.metadata()
        for batch in encoder.stream_pictures(self._unknown(pictures.items(), there), BATCH):
            metadatas = [self._metadata(key) for key in batch.keys]
            if batch.keys:
                self.vectors.upsert(batch.keys, batch.embeddings, metadatas)
            self.added += len(batch.keys)
            for item in batch.unreadable:
                self.unreadable.append(Unreadable(self.new.pop(item.key)[0].key, item.reason))
            self._tell()
        self._settle(there, pictures.folder)
        self._tell()

    def _settle(self, there: dict[str, Metadata], folder: Path | None) -> None:
        """Note where known pictures lie now, and remove those of the indexed folder that are gone or changed."""
        moved = {key: item for key, item in self.others.items() if self._is_outdated(key, there[key])}
        places: list[Metadata] = [
            {"file": str(item.file), "stamp": item.stamp, "key": item.key} for item in moved.values()
        ]
        if moved:
            self.vectors.update_metadata(list(moved), places)
        gone = [
            key
            for key, known in there.items()
            if folder and Path(str(known["file"])).is_relative_to(folder) and self._is_outdated(key, known)
        ]
        removed = [key for key in gone if key not in moved]
        if removed:
            self.vectors.delete(removed)
        self.removed = len(removed)

    def _is_outdated(self, key: str, known: Metadata) -> bool:
        """Tell whether a picture's file is gone or has other content now; one that cannot be read just now is not."""
        now = self.seen.get(str(known["file"]))
        return now != key if now else not Path(str(known["file"])).exists()

    def _tell(self) -> None:
        seen = self.added + self.already_there + self.duplicates + len(self.unreadable)
        self.workspace.watch.tell("indexing pictures", min(seen, self.count), self.count)

    def _unknown(
        self, items: Iterator[PictureItem], there: dict[str, Metadata]
    ) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Yield what is not in the collection, by the hash of its bytes."""
        stamps = {(m.get("file"), m["stamp"]): key for key, m in there.items() if m.get("stamp")}
        started: set[str] = set()
        for item in items:
            self.workspace.watch.check()
            if item.file and item.stamp and (str(item.file), item.stamp) in stamps:
                self.already_there += 1
                self.seen[str(item.file)] = stamps[str(item.file), item.stamp]
                continue
            try:
                content = item.read()
            except DataError as error:
                self.unreadable.append(Unreadable(item.key, str(error)))
                continue
            key = hashlib.sha256(content).hexdigest()[:32]
            self.seen[str(item.file)] = key
            if key in there:
                self.already_there += 1
                if item.file and there[key].get("file") != str(item.file):
                    self.others[key] = item
            elif key in started:
                self.duplicates += 1
            else:
                started.add(key)
                self.new[key] = (item, content)
                yield key, functools.partial(bytes, content)

    def _metadata(self, key: str) -> Metadata:
        item, content = self.new.pop(key)
        file = item.file
        if file is None:  # it lies inside a dataset: keep the picture beside its vector, so that it can be shown
            file = self.folder / "pictures" / f"{key}{suffix_of(content)}"
            with replacing(file, durable=False) as aside:
                aside.write_bytes(content)
        return {"file": str(file), "title": item.title, "stamp": item.stamp, "key": item.key}
