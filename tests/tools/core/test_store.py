import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.doubles import FORK
from tools.core.errors import StoreError
from tools.core.store import REQUIRED_RECALL, VectorCollection

DIMENSION = 24


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def keys(count: int, start: int = 0) -> list[str]:
    return [f"p{number:05}" for number in range(start, start + count)]


def store(collection: VectorCollection, rows: np.ndarray, start: int = 0) -> list[str]:
    names = keys(len(rows), start)
    with collection.writing():
        collection.upsert(names, rows, [{"title": name} for name in names])
    return names


def nearest(rows: np.ndarray, query: np.ndarray, k: int, without: set[int] = frozenset()) -> list[str]:
    """Brute force: sort all by cosine."""
    order = [int(row) for row in np.argsort(-(rows @ query), kind="stable") if int(row) not in without]
    return [f"p{row:05}" for row in order[:k]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stars").mkdir()
    return tmp_path / "stars"


@pytest.fixture
def collection(folder: Path) -> Iterator[VectorCollection]:
    opened = VectorCollection(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def by_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VectorCollection, np.ndarray]]:
    """Give 4,000 vectors in a collection that searches exactly only up to 100."""
    folder = tmp_path_factory.mktemp("indexed")
    opened, rows = VectorCollection(folder, exact_limit=100), unit_rows(4000, seed=7)
    store(opened, rows)
    yield opened, rows
    opened.close()


# --- searching ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 50, 700])
def test_exact_search_finds_what_brute_force_finds(collection: VectorCollection, count: int):
    rows = unit_rows(count)
    store(collection, rows)
    for query in unit_rows(20, seed=1):
        for k in (1, 7, count, count + 5):
            found = collection.search(query, k)
            assert [near.id for near in found] == nearest(rows, query, k)
            scores = [near.score for near in found]
            np.testing.assert_allclose(scores, sorted(rows @ query, reverse=True)[:k], atol=1e-5)
    assert collection.plan().exact and f"{count} vectors" in collection.plan().reason


def test_what_is_left_out_does_not_come_back_and_its_place_is_filled(collection: VectorCollection):
    rows = unit_rows(200)
    names = store(collection, rows)
    for seed, query in enumerate(unit_rows(10, seed=2)):
        hidden = set(np.random.default_rng(seed).choice(200, 150, replace=False).tolist())
        found = [near.id for near in collection.search(query, 20, {names[row] for row in hidden})]
        assert found == nearest(rows, query, 20, hidden)


def test_leaving_everything_out_finds_nothing(collection: VectorCollection):
    names = store(collection, unit_rows(10))
    assert collection.search(unit_rows(1)[0], 3, set(names)) == []
    assert len(collection.search(unit_rows(1)[0], 3, set(names[1:]))) == 1


def test_a_neighbour_carries_its_metadata(collection: VectorCollection):
    rows = unit_rows(5)
    store(collection, rows)
    assert collection.search(rows[3], 1)[0].metadata == {"title": "p00003"}


def test_the_index_finds_what_brute_force_finds(by_index: tuple[VectorCollection, np.ndarray]):
    collection, rows = by_index
    plan = collection.plan()
    assert not plan.exact and "HNSW index; recall@10" in plan.reason
    assert plan.recall is not None and plan.recall >= REQUIRED_RECALL
    shares = []
    for query in unit_rows(100, seed=3):
        found = collection.search(query, 10)
        shares.append(len({near.id for near in found} & set(nearest(rows, query, 10))) / 10)
        np.testing.assert_allclose([n.score for n in found], [rows[int(n.id[1:])] @ query for n in found], atol=1e-3)
    assert np.mean(shares) >= 0.99


def test_the_index_widens_until_enough_remain(by_index: tuple[VectorCollection, np.ndarray]):
    collection, rows = by_index
    query = unit_rows(1, seed=4)[0]
    hidden = {int(name[1:]) for name in nearest(rows, query, 900)}
    found = [near.id for near in collection.search(query, 10, {f"p{row:05}" for row in hidden})]
    assert len(found) == 10
    assert len(set(found) & set(nearest(rows, query, 10, hidden))) >= 9


def test_an_index_that_finds_too_little_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def poor(self, query, k, without, count):
        return [(name, 0.0) for name in keys(k)]

    monkeypatch.setattr(VectorCollection, "_by_index", poor)
    collection, rows = VectorCollection(folder, exact_limit=100), unit_rows(300)
    store(collection, rows)
    plan = collection.plan()
    assert plan.exact and plan.recall is not None and plan.recall < REQUIRED_RECALL
    assert "exact, because the index found too little (below 0.99)" in plan.reason
    query = unit_rows(1, seed=5)[0]
    assert [near.id for near in collection.search(query, 9)] == nearest(rows, query, 9)
    collection.close()


def test_the_plan_changes_when_the_collection_grows_over_the_limit(folder: Path):
    collection = VectorCollection(folder, exact_limit=100)
    store(collection, unit_rows(100))
    assert collection.plan().recall is None
    store(collection, unit_rows(50, seed=6), start=100)
    assert collection.plan().recall is not None
    collection.close()


def test_an_empty_collection_says_what_fills_it(collection: VectorCollection):
    with pytest.raises(StoreError, match="'stars' is empty; index pictures into it first"):
        collection.search(unit_rows(1)[0], 3)
    assert collection.count() == 0 and collection.metadata() == {}


def test_a_query_of_another_length_is_refused(collection: VectorCollection):
    store(collection, unit_rows(5))
    with pytest.raises(StoreError, match=f"The query has 3 numbers, the collection {DIMENSION} a vector"):
        collection.search(np.array([1.0, 0.0, 0.0], np.float32), 3)


# --- what is stored -------------------------------------------------------------------------------------------------


def test_vectors_and_metadata_come_back_as_they_were(collection: VectorCollection):
    rows = unit_rows(2500)  # more than one read
    names = store(collection, rows)
    np.testing.assert_allclose(collection.vectors([names[7], names[3]]), rows[[7, 3]], atol=1e-6)
    assert collection.metadata([names[5], "unknown"]) == {names[5]: {"title": names[5]}}
    assert collection.metadata([]) == {}
    assert collection.metadata() == {name: {"title": name} for name in names}


def test_a_known_key_is_replaced_also_in_exact_search(collection: VectorCollection, folder: Path):
    rows = unit_rows(20)
    names = store(collection, rows)
    reader = VectorCollection(folder)
    assert collection.search(rows[4], 1)[0].id == reader.search(rows[4], 1)[0].id == names[4]
    other = unit_rows(1, seed=9)
    with collection.writing():
        collection.upsert([names[4]], other, [{"title": "new"}])
    for opened in (collection, reader, VectorCollection(folder)):
        best = opened.search(other[0], 1)[0]
        assert (opened.count(), best.id, best.metadata) == (20, names[4], {"title": "new"})
        assert best.score == pytest.approx(1, abs=1e-5)
        assert opened.search(rows[4], 1)[0].score < 0.99
        opened.close()


def test_metadata_is_merged_and_vectors_stay(collection: VectorCollection):
    rows = unit_rows(5)
    names = store(collection, rows)
    with collection.writing():
        collection.update_metadata(names[:2], [{"seen": 1}, {"seen": 1, "title": "new"}])
    assert collection.metadata(names[:3]) == {
        names[0]: {"title": names[0], "seen": 1},
        names[1]: {"title": "new", "seen": 1},
        names[2]: {"title": names[2]},
    }
    assert collection.search(rows[1], 1)[0].metadata == {"title": "new", "seen": 1}


def test_a_closed_collection_opens_again(collection: VectorCollection):
    rows = unit_rows(5)
    store(collection, rows)
    collection.close()
    assert collection.search(rows[2], 1)[0].id == "p00002"


@pytest.mark.parametrize("damage", ["vectors.npy", "about.json"])
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_copy_of_the_vectors_is_made_again(folder: Path, damage: str, content: bytes | None):
    rows = unit_rows(30)
    collection = VectorCollection(folder)
    store(collection, rows)
    collection.search(rows[0], 1)
    collection.close()
    file = folder / "exact" / damage
    file.write_bytes(file.read_bytes()[:-20] if content is None else content)
    collection = VectorCollection(folder)
    query = unit_rows(1, seed=1)[0]
    assert [near.id for near in collection.search(query, 5)] == nearest(rows, query, 5)
    collection.close()


def test_a_collection_deleted_meanwhile_is_refused(folder: Path):
    collection = VectorCollection(folder)
    folder.rmdir()
    with pytest.raises(StoreError, match="was deleted meanwhile"):
        collection.count()


# --- several at once ------------------------------------------------------------------------------------------------


def _store_in_another_process(folder: Path, count: int, seed: int, start: int) -> None:
    collection = VectorCollection(folder)
    store(collection, unit_rows(count, seed), start)
    collection.close()


def in_another_process(function, *args: object) -> None:
    child = FORK.Process(target=function, args=args)
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("exact_limit", [10_000, 10], ids=["exact", "index"])
def test_an_open_reader_sees_what_another_process_wrote(folder: Path, exact_limit: int):
    reader = VectorCollection(folder, exact_limit)
    rows = unit_rows(200)
    store(reader, rows)
    assert reader.search(rows[0], 1)[0].id == "p00000"
    for number in range(1, 3):
        in_another_process(_store_in_another_process, folder, 30, number, 1000 * number)
        new = unit_rows(30, number)
        assert reader.count() == 200 + 30 * number
        for row, name in zip(new, keys(30, 1000 * number), strict=True):
            best = reader.search(row, 1)[0]
            assert (best.id, best.metadata) == (name, {"title": name})
            assert best.score == pytest.approx(1, abs=1e-3)
    reader.close()


def _hold_the_lock(folder: Path, connection) -> None:
    with VectorCollection(folder).writing():
        connection.send("locked")
        connection.recv()


def test_a_second_writer_is_refused_and_the_lock_of_a_killed_one_is_free(collection: VectorCollection, folder: Path):
    ours, theirs = FORK.Pipe()
    writer = FORK.Process(target=_hold_the_lock, args=(folder, theirs))
    writer.start()
    assert ours.recv() == "locked"
    with pytest.raises(StoreError, match="'stars' is being written by another process; wait for it"):
        with collection.writing():
            pytest.fail("two writers at once")
    assert collection.count() == 0  # reading goes on
    writer.kill()
    writer.join()
    store(collection, unit_rows(3))
    assert collection.count() == 3


def test_readers_of_the_same_process_see_each_others_writes(folder: Path):
    one, two = VectorCollection(folder), VectorCollection(folder)
    rows = unit_rows(40)
    store(one, rows[:20])
    assert two.search(rows[3], 1)[0].id == "p00003"
    store(two, rows[20:], start=20)
    assert one.search(rows[33], 1)[0].id == "p00033"
    one.close()
    assert two.search(rows[33], 1)[0].id == "p00033"
    two.close()


def test_searching_while_another_thread_writes_never_fails(collection: VectorCollection):
    rows = unit_rows(600)
    store(collection, rows[:100])
    errors: list[Exception] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                assert collection.search(rows[5], 3)[0].id == "p00005"
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(100, 600, 50):
        store(collection, rows[start : start + 50], start)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    query = unit_rows(1, seed=8)[0]
    assert [near.id for near in collection.search(query, 10)] == nearest(rows, query, 10)
