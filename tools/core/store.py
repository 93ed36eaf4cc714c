"""Collections of embeddings: Chroma on disk, exact search in memory, and a check of the one against the other.

    HOME/collections/<name>/card.json      encoder name, weight hash, source
    HOME/collections/<name>/chroma/        vectors and metadata; the only source of truth
    HOME/collections/<name>/pictures/      pictures that came from a dataset and have no file of their own
    HOME/collections/<name>/exact/         a copy of the vectors for exact search; rebuilt whenever it does not match
    HOME/collections/<name>/generation     EPOCH.WRITE: changes with every write, so that other processes see that they
                                           are stale; a new epoch when vectors were replaced, not only added

Chroma allows one writer at a time, and a client does not see what another process wrote until it is opened again. So
writing takes a lock file, and every read compares `generation` first. Up to `EXACT_LIMIT` vectors a search is a matrix
product: exact, 15 ms at 100,000 × 384 on two cores. Above that Chroma's HNSW index is used, after it was compared with
exact search on a sample; where its recall@10 is below 0.99, search stays exact and `SearchPlan.reason` says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import threading
import uuid
from collections.abc import Collection as Container
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from tools.core.errors import StoreError
from tools.core.files import replacing, write_text

EXACT_LIMIT = 200_000  # vectors; 300 MB of memory at 384 dimensions
REQUIRED_RECALL = 0.99
CHECK_QUERIES = 50
READ_ROWS = 2000
LOCK_SECONDS = 2.0

Metadata = dict[str, str | int | float]


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A stored picture near a query."""

    id: str
    score: float  # cosine, −1…1
    metadata: Metadata


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """How a collection is searched, and why."""

    exact: bool
    reason: str
    recall: float | None = None  # recall@10 of the HNSW index on a sample; None when it was not measured


@dataclasses.dataclass(frozen=True)
class _Snapshot:
    """A state of the collection: what is needed to search it."""

    generation: str
    ids: list[str]
    vectors: np.ndarray  # (rows, dimension) float32


class VectorCollection:
    """One collection on disk. Safe to use from several threads; several processes may read while one writes."""

    def __init__(self, folder: Path, exact_limit: int = EXACT_LIMIT) -> None:
        """Open the collection in `folder`; the folder must exist."""
        self.folder = folder
        self.exact_limit = exact_limit
        self._mutex = threading.RLock()
        self._client: Any = None
        self._chroma: Any = None
        self._opened_generation = ""
        self._snapshot: _Snapshot | None = None
        self._plan: tuple[str, int, SearchPlan] | None = None  # epoch and count when the index was measured

    # --- writing ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the collection's write lock.

        Raises:
            StoreError: Another process is writing, or has deleted the collection.
        """
        try:
            with FileLock(self._beside("writing"), timeout=LOCK_SECONDS):
                self._check_there()
                try:
                    yield
                finally:
                    if self.folder.is_dir():  # a process killed before it told of its last rows is told of now
                        self._changed(replaced=False)
        except Timeout as error:
            raise StoreError(
                f"The collection {self.folder.name!r} is being written by another process; wait for it, or stop it"
            ) from error

    def upsert(self, ids: Sequence[str], embeddings: np.ndarray, metadatas: Sequence[Metadata]) -> None:
        """Store rows; when this returns they survive a kill. Call inside `writing()`.

        Args:
            ids: Distinct keys; a known key is replaced.
            embeddings: (len(ids), dimension), rows of length 1.
            metadatas: One flat dictionary a row.
        """
        with self._mutex:
            chroma, replaced = self._open(), False
            for start in range(0, len(ids), READ_ROWS):
                rows = slice(start, start + READ_ROWS)
                replaced = replaced or bool(chroma.get(ids=list(ids[rows]), include=[])["ids"])
                chroma.upsert(
                    ids=list(ids[rows]), embeddings=embeddings[rows], metadatas=[dict(m) for m in metadatas[rows]]
                )
            self._changed(replaced)

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Metadata]) -> None:
        """Merge metadata into rows that exist. Call inside `writing()`."""
        with self._mutex:
            for start in range(0, len(ids), READ_ROWS):
                rows = slice(start, start + READ_ROWS)
                self._open().update(ids=list(ids[rows]), metadatas=[dict(m) for m in metadatas[rows]])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows. Call inside `writing()`."""
        with self._mutex:
            for start in range(0, len(ids), READ_ROWS):
                self._open().delete(ids=list(ids[start : start + READ_ROWS]))
            self._changed(replaced=True)

    def _beside(self, what: str) -> Path:
        """Return a lock file beside the folder: inside, it would bring a deleted collection's folder back."""
        return self.folder.parent / f".{self.folder.name}.{what}"

    def _check_there(self) -> None:
        if not self.folder.is_dir():
            raise StoreError(f"The collection {self.folder.name!r} was deleted meanwhile")

    def _changed(self, replaced: bool) -> None:
        """Tell every reader that vectors were added, or replaced."""
        epoch = uuid.uuid4().hex if replaced else _epoch(self._generation())
        self._opened_generation = f"{epoch}.{uuid.uuid4().hex}"
        write_text(self.folder / "generation", self._opened_generation)

    # --- reading ------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of stored pictures."""
        with self._mutex:
            if self._snapshot and self._snapshot.generation == self._generation():
                return len(self._snapshot.ids)  # asking Chroma takes longer than a search
            return int(self._open().count())

    def metadata(self, ids: Sequence[str] | None = None) -> dict[str, Metadata]:
        """Return id → metadata of the rows named (all when None); unknown ids are left out."""
        with self._mutex:
            chroma = self._open()
            if ids is not None:
                found = chroma.get(ids=list(ids), include=["metadatas"]) if ids else {"ids": [], "metadatas": []}
                return dict(zip(found["ids"], found["metadatas"], strict=True))
            everything: dict[str, Metadata] = {}
            for start in range(0, chroma.count(), READ_ROWS):
                found = chroma.get(limit=READ_ROWS, offset=start, include=["metadatas"])
                everything.update(zip(found["ids"], found["metadatas"], strict=True))
            return everything

    def vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return the embeddings of rows that exist: (len(ids), dimension)."""
        with self._mutex:
            found = self._open().get(ids=list(ids), include=["embeddings"])
            rows = dict(zip(found["ids"], found["embeddings"], strict=True))
            return np.asarray([rows[key] for key in ids], dtype=np.float32)

    def search(self, query: np.ndarray, k: int, without: Container[str] = ()) -> list[Neighbour]:
        """Return the `k` stored pictures nearest to `query` by cosine, nearest first.

        Args:
            query: (dimension,) of length 1.
            k: How many; fewer come back when fewer are stored.
            without: Ids to leave out.

        Raises:
            StoreError: The collection is empty or holds vectors of another length.
        """
        with self._mutex:
            count = self.count()
            if count == 0:
                raise StoreError(f"The collection {self.folder.name!r} is empty; index pictures into it first")
            if self.plan().exact:
                found = _nearest(self._current(), query, k, without)
            else:
                found = self._by_index(query, k, without, count)
            metadata = self.metadata([key for key, _ in found])
            return [Neighbour(key, score, metadata[key]) for key, score in found]

    def plan(self) -> SearchPlan:
        """Decide how to search; the index is measured once a process, and again when a tenth was added or removed."""
        with self._mutex:
            count, epoch = self.count(), _epoch(self._generation())
            if self._plan and self._plan[0] == epoch and 0.9 * self._plan[1] <= count <= 1.1 * self._plan[1]:
                return self._plan[2]
            if count <= self.exact_limit:
                plan = SearchPlan(True, f"{count} vectors are searched exactly")
            else:
                recall = self._measured_recall()
                good = recall >= REQUIRED_RECALL
                verdict = (
                    "HNSW index" if good else f"exact, because the index found too little (below {REQUIRED_RECALL})"
                )
                plan = SearchPlan(not good, f"{verdict}; recall@10 {recall:.3f} on {CHECK_QUERIES} queries", recall)
                self._plan = (epoch, count, plan)
            return plan

    def _by_index(self, query: np.ndarray, k: int, without: Container[str], count: int) -> list[tuple[str, float]]:
        """Search Chroma's index unfiltered and widen until `k` remain; its own filters lose recall and time."""
        wanted = k
        while True:
            found = self._open().query(
                query_embeddings=[query], n_results=min(count, max(wanted, 50)), include=["distances"]
            )
            pairs = zip(found["ids"][0], found["distances"][0], strict=True)
            kept = [(key, 1.0 - float(distance)) for key, distance in pairs if key not in without]
            if len(kept) >= k or wanted >= count:
                return kept[:k]
            wanted *= 4

    def _measured_recall(self) -> float:
        """Compare the index with exact search on stored vectors moved a little, as a text query would lie."""
        snapshot = self._current()
        random = np.random.default_rng(0)
        rows = random.choice(len(snapshot.ids), min(CHECK_QUERIES, len(snapshot.ids)), replace=False)
        shares = []
        for row in rows:
            noise = random.standard_normal(snapshot.vectors.shape[1], dtype=np.float32)
            moved = snapshot.vectors[row] + noise / np.linalg.norm(noise)
            query = moved / np.linalg.norm(moved)
            exact = {key for key, _ in _nearest(snapshot, query, 10, ())}
            index = {key for key, _ in self._by_index(query, 10, (), len(snapshot.ids))}
            shares.append(len(exact & index) / len(exact))
        return float(np.mean(shares))

    # --- staying fresh ------------------------------------------------------------------------------------------

    def _generation(self) -> str:
        try:
            return (self.folder / "generation").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _open(self) -> Any:
        """Return the Chroma collection, opened again if another process has written since."""
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        generation = self._generation()
        if self._chroma is not None and generation == self._opened_generation:
            return self._chroma
        if self._client is not None:
            self._client.close()
        self._check_there()
        self._client = chromadb.PersistentClient(
            str(self.folder / "chroma"), settings=ChromaSettings(anonymized_telemetry=False)
        )
        self._chroma = self._client.get_or_create_collection(
            "pictures",
            embedding_function=None,  # Chroma's default would download a model
            configuration={"hnsw": {"space": "cosine", "ef_search": 200, "max_neighbors": 32}},
        )
        self._opened_generation = generation
        return self._chroma

    def close(self) -> None:
        """Let go of the files; the next use opens them again."""
        with self._mutex:
            if self._client is not None:
                self._client.close()
            self._client = self._chroma = self._snapshot = self._plan = None

    def _current(self) -> _Snapshot:
        """Return the vectors as they are now: from memory, else from the copy on disk, the rest from Chroma."""
        generation = self._generation()
        known = self._snapshot
        if known and known.generation == generation:
            return known
        count = int(self._open().count())
        known = known or _read_snapshot(self.folder / "exact")
        if known is None or known.generation != generation or len(known.ids) != count:
            copied = len(known.ids) if known else 0
            known = self._refreshed(known, generation)
            if not copied * 0.9 <= len(known.ids) <= copied * 1.1:
                self._copy(known)
        self._snapshot = known
        return known

    def _copy(self, snapshot: _Snapshot) -> None:
        """Write the copy to start faster from; a slightly old one does, as what it lacks is read from Chroma."""
        # Where another process is writing it, this one does without.
        with contextlib.suppress(Timeout), FileLock(self._beside("copying"), timeout=0):
            for leftover in self.folder.glob(".exact.*"):  # of a process that was killed here
                shutil.rmtree(leftover, ignore_errors=True)
            with replacing(self.folder / "exact") as aside:
                aside.mkdir()
                np.save(aside / "vectors.npy", snapshot.vectors)
                (aside / "about.json").write_text(json.dumps({"generation": snapshot.generation, "ids": snapshot.ids}))

    def _refreshed(self, known: _Snapshot | None, generation: str) -> _Snapshot:
        """Read from Chroma the rows that `known` lacks (all in a new epoch), and drop those that are gone."""
        if known and _epoch(known.generation) != _epoch(generation):
            known = None
        chroma = self._open()
        present: list[str] = chroma.get(include=[])["ids"]
        have = {key: row for row, key in enumerate(known.ids)} if known else {}
        missing = [key for key in present if key not in have]
        parts: dict[str, np.ndarray] = {}
        for start in range(0, len(missing), READ_ROWS):
            found = chroma.get(ids=missing[start : start + READ_ROWS], include=["embeddings"])
            parts.update(zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True))
        ids = [key for key in present if key in have or key in parts]
        rows = [known.vectors[have[key]] if known and key in have else parts[key] for key in ids]
        vectors = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        return _Snapshot(generation, ids, vectors)


def _epoch(generation: str) -> str:
    return generation.partition(".")[0]


def _nearest(snapshot: _Snapshot, query: np.ndarray, k: int, without: Container[str]) -> list[tuple[str, float]]:
    """Exact search: scores[i] = vectors[i] · query."""
    if query.shape != (snapshot.vectors.shape[1],):
        raise StoreError(
            f"The query has {query.shape[-1]} numbers, the collection {snapshot.vectors.shape[1]} a vector"
        )
    scores = snapshot.vectors @ query.astype(np.float32)  # (rows,)
    if without:
        scores[[row for row, key in enumerate(snapshot.ids) if key in without]] = -np.inf
    k = min(k, len(scores))
    best = np.argpartition(scores, -k)[-k:]
    best = best[np.argsort(-scores[best], kind="stable")]
    return [(snapshot.ids[row], float(scores[row])) for row in best if np.isfinite(scores[row])]


def _read_snapshot(folder: Path) -> _Snapshot | None:
    """Read the copy of the vectors; None when there is none or it is damaged (it is then made again)."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        vectors = np.load(folder / "vectors.npy")
    except (FileNotFoundError, ValueError, EOFError):
        return None
    if len(about["ids"]) != len(vectors):
        return None
    return _Snapshot(about["generation"], about["ids"], vectors)
