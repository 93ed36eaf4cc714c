"""Search a collection by text or by picture."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np

from tools.core.encoders import Encoder
from tools.core.errors import InputError, NotInLibraryError
from tools.core.library import Card, Kind
from tools.core.pictures import open_picture
from tools.core.store import VectorCollection
from tools.core.workspace import Workspace
from tools.index_images import collection_encoder

MAX_K = 100
MAX_QUERY = 1000  # characters


@dataclasses.dataclass(frozen=True)
class Hit:
    """A picture found."""

    rank: int  # 1 is the nearest
    id: str
    score: float  # cosine with the query, −1…1
    file: str
    title: str


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The pictures found, nearest first."""

    query: str
    collection: str
    encoder: str
    hits: tuple[Hit, ...]
    searched: int  # pictures in the collection
    how: str  # exact or by index, and why
    seconds: float

    def __str__(self) -> str:
        """Say it in a few lines; titles are quoted, being data."""
        lines = [
            f"{len(self.hits)} of {self.searched} pictures in {self.collection!r} ({self.encoder}) nearest to "
            f"{self.query}:"
        ]
        lines += [
            f"{hit.rank}. {hit.title!r} ({Path(hit.file).name}), score {hit.score:.3f}, id {hit.id}"
            for hit in self.hits
        ]
        return "\n".join(lines)


def search_images(
    workspace: Workspace,
    query: str | None = None,
    image: str | None = None,
    k: int = 12,
    collection: str | None = None,
) -> SearchResult:
    """Find the pictures of a collection that fit a description, or that look like a picture.

    Args:
        workspace: Where the state is.
        query: What the pictures should show, in free words. Give this or `image`.
        image: Picture file, or the id of a picture found before (which is then left out). Give this or `query`.
        k: How many pictures, 1 to 100.
        collection: Collection to search; the most recently changed one when omitted.

    Raises:
        InputError: Neither or both of `query` and `image`, or `k` is out of range.
        NotInLibraryError: There is no such collection.
        StoreError: The collection is empty or made by another model.
        DataError: The picture cannot be read.
    """
    began = time.monotonic()
    query, image = (query or "").strip(), (image or "").strip()
    if bool(query) == bool(image):
        raise InputError("give either a query (what to look for) or an image (what it should look like), not both")
    if not 1 <= k <= MAX_K:
        raise InputError(f"k is {k}; how many pictures to show must be from 1 to {MAX_K}")
    if len(query) > MAX_QUERY:
        raise InputError(f"the query has {len(query)} characters; use at most {MAX_QUERY}")
    card = _collection(workspace, collection)
    vectors = workspace.collection(card)
    encoder = collection_encoder(workspace, card)
    without: set[str] = set()
    if query:
        said, vector, without = repr(query), encoder.encode_texts([query])[0], set()
    else:
        said, vector, without = _picture_query(image, encoder, vectors)
    found = vectors.search(vector, k, without)
    hits = tuple(
        Hit(rank, near.id, round(near.score, 4), str(near.metadata["file"]), str(near.metadata["title"]))
        for rank, near in enumerate(found, 1)
    )
    how = vectors.plan().reason
    return SearchResult(said, card.name, encoder.name, hits, vectors.count(), how, round(time.monotonic() - began, 4))


def _collection(workspace: Workspace, name: str | None) -> Card:
    if name:
        return workspace.library.find(name, Kind.COLLECTION)
    try:
        return workspace.library.latest(Kind.COLLECTION)
    except NotInLibraryError as error:
        raise NotInLibraryError(
            "No pictures have been indexed yet: index a folder first, or the pictures that come with Pairwright "
            '("index the samples")'
        ) from error


def _picture_query(image: str, encoder: Encoder, vectors: VectorCollection) -> tuple[str, np.ndarray, set[str]]:
    """Return how to say the query, its vector, and what to leave out: the picture itself when it is named by id."""
    known = vectors.metadata([image])
    if image in known:
        return f"the picture {known[image]['title']!r}", vectors.vectors([image])[0], {image}
    picture = open_picture(Path(os.path.expanduser(image)), side=2 * encoder.picture_side)
    return f"the picture {Path(image).name!r}", encoder.encode_pictures([picture])[0], set()
