"""A new state takes an artifact's place in one step: whoever looks, and whoever comes after a kill, finds one whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.doubles import FORK
from tools.core import library as library_module
from tools.core.errors import NotInLibraryError
from tools.core.exchange import exchange
from tools.core.library import Card, Kind, Library, new_card, write_card

FILES = 4


@pytest.fixture
def library(home: Path) -> Library:
    return Library(home)


@pytest.fixture(params=["in one step", "in two steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test also as on a file system that cannot exchange two folders."""
    if request.param == "in two steps":
        monkeypatch.setattr(library_module, "exchange", _cannot)
    return str(request.param)


def _cannot(one: Path, other: Path) -> bool:
    return False


def fill(folder: Path, number: int, name: str = "pairs") -> None:
    for file in range(FILES):
        (folder / f"{file}.txt").write_text(str(number))
    write_card(folder, new_card(Kind.DATASET, name, "a test", counts={"rows": number}))


def make(library: Library, name: str = "pairs") -> Card:
    with library.making(Kind.DATASET, name) as folder:
        fill(folder, 0, name)
    return library.find(name)


def state(library: Library, name: str = "pairs") -> int:
    """Return which state is there, having checked that all of it is."""
    folder, card = library.folder(Kind.DATASET, name), library.find(name)
    numbers = {(folder / f"{file}.txt").read_text() for file in range(FILES)}
    (number,) = {*map(int, numbers), card.counts["rows"]}
    assert len(list(folder.iterdir())) == FILES + 1
    return number


def leftovers(library: Library) -> list[str]:
    return [path.name for path in (library.root / "datasets").iterdir() if path.name.startswith(".")]


def test_the_new_state_takes_the_old_ones_place(library: Library, steps: str):
    card = make(library, "a.b-c_d")
    with library.remaking(card) as folder:
        fill(folder, 1, card.name)
        assert state(library, card.name) == 0, "nothing is seen of the new state before it is whole"
    assert state(library, card.name) == 1
    new = library.find(card.name)
    assert new.created == card.created and new.updated > card.updated
    assert library.cards() == [new] and leftovers(library) == []


def test_a_failure_leaves_the_old_state(library: Library, steps: str):
    card = make(library)
    with pytest.raises(RuntimeError), library.remaking(card) as folder:
        fill(folder, 1)
        raise RuntimeError
    assert state(library) == 0 and library.find("pairs") == card and leftovers(library) == []


def test_what_was_deleted_meanwhile_stays_deleted(library: Library, steps: str):
    card = make(library)
    with (
        pytest.raises(NotInLibraryError, match="dataset/pairs was deleted meanwhile"),
        library.remaking(card) as folder,
    ):
        fill(folder, 1)
        library.delete(card)
    assert library.cards() == [] and leftovers(library) == []


def test_what_somebody_else_made_under_the_name_meanwhile_is_left_alone(library: Library, steps: str):
    card = make(library)
    library.delete(card)
    time.sleep(0.002)  # cards are dated to the millisecond
    other = make(library)
    with pytest.raises(NotInLibraryError, match="deleted meanwhile"), library.remaking(card) as folder:
        fill(folder, 1)
    assert library.find("pairs") == other and state(library) == 0


def test_a_card_that_changed_meanwhile_is_no_obstacle(library: Library, steps: str):
    card = make(library)
    with library.remaking(card) as folder:
        fill(folder, 1)
        library.update(card, metrics={"recall": 0.5})
    assert state(library) == 1


def test_files_that_were_open_stay_readable(library: Library, steps: str):
    card = make(library)
    with (library.folder(Kind.DATASET, "pairs") / "0.txt").open() as file:
        with library.remaking(card) as folder:
            fill(folder, 1)
        assert file.read() == "0"


def test_folders_are_exchanged_in_one_step_here(tmp_path: Path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    if not exchange(one, other):
        pytest.skip("this system cannot exchange two folders in one step")
    assert ((one / "name").read_text(), (other / "name").read_text()) == ("other", "one")
    with pytest.raises(FileNotFoundError):
        exchange(one, tmp_path / "none")


def test_nobody_who_looks_ever_misses_it(library: Library):
    """One process makes it anew without pause; another one finds it there every time."""
    card = make(library)
    if not _can_exchange(library):
        pytest.skip("this system cannot exchange two folders in one step")
    writer = FORK.Process(target=_remake_for_ever, args=(library.root, card, None))
    writer.start()
    try:
        seen: set[int] = set()
        deadline = time.monotonic() + 30
        while len(seen) < 10:
            seen.add(library.find("pairs").counts["rows"])
            assert time.monotonic() < deadline, "the writer stopped"
    finally:
        writer.kill()
        writer.join()


def _can_exchange(library: Library) -> bool:
    one, other = library.root / "one", library.root / "other"
    one.mkdir()
    other.mkdir()
    return exchange(one, other)


@pytest.mark.parametrize("two_steps", [False, True])
def test_killed_at_any_moment_it_is_the_old_state_or_the_new_one(library: Library, two_steps: bool):
    card, chance, states = make(library), random.Random(7), []
    for _ in range(6):
        ours, theirs = FORK.Pipe(duplex=False)
        writer = FORK.Process(target=_remake_for_ever, args=(library.root, card, theirs, two_steps))
        writer.start()
        theirs.close()
        reported = ours.recv()
        time.sleep(chance.uniform(0, 0.03))
        writer.kill()
        writer.join()
        while ours.poll():
            try:
                reported = ours.recv()
            except EOFError:
                break
        states.append(state(Library(library.root)))
        assert states[-1] >= reported, "what was reported as done is there"
    make(library, "another")  # whoever makes something next sweeps
    assert leftovers(library) == []
    assert len(set(states)) > 1


def test_a_kill_between_the_two_steps_is_mended_by_whoever_looks_next(library: Library):
    make(library)
    folder = library.folder(Kind.DATASET, "pairs")
    folder.rename(folder.parent / ".pairs.01234567.old")
    assert state(Library(library.root)) == 0
    assert leftovers(library) == []


def test_what_a_kill_after_the_two_steps_left_is_removed(library: Library):
    card = make(library)
    old = library.root / "datasets" / ".pairs.01234567.old"
    old.mkdir()
    fill(old, 7)
    assert library.cards() == [card] and state(library) == 0
    assert leftovers(library) == []


def _remake_for_ever(root: Path, card: Card, reports, two_steps: bool = False) -> None:
    if two_steps:
        library_module.exchange = _cannot
    library = Library(root)
    while True:
        number = library.find(card.name).counts["rows"] + 1
        with library.remaking(card) as folder:
            fill(folder, number, card.name)
        if reports:
            reports.send(number)
