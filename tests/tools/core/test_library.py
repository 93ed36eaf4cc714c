import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.doubles import FORK
from tools.core.errors import DataError, InputError, NotInLibraryError
from tools.core.library import NAME_PATTERN, Card, Kind, Library, check_name, new_card, suggest_name, write_card


@pytest.fixture
def library(home: Path) -> Library:
    return Library(home)


def make(library: Library, name: str, kind: Kind = Kind.DATASET, **rest: object) -> Card:
    with library.making(kind, name) as folder:
        (folder / "content").write_text(name)
        card = new_card(kind, name, "a test", **rest)
        write_card(folder, card)
    return card


@pytest.mark.parametrize("name", ["a", "0", "talebi", "my-set_2.1", "a" * 64])
def test_a_good_name_is_allowed(name: str):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-a", "Photos", "my photos", "a/b", "../x", "a" * 65, "é", "a\n", "a\0"]
)
def test_a_bad_name_is_refused_with_one_that_is_allowed(name: str):
    with pytest.raises(InputError, match="such as '") as caught:
        check_name(name)
    suggestion = str(caught.value).rsplit("such as ", 1)[1].strip("'")
    assert check_name(suggestion) == suggestion


@pytest.mark.parametrize(
    ("text", "name"),
    [("My Photos!", "my-photos"), ("@talebi", "talebi"), ("Ünïcode", "n-code"), ("…", "unnamed"), ("a" * 99, "a" * 64)],
)
def test_a_suggestion_keeps_what_it_can(text: str, name: str):
    assert suggest_name(text) == name
    assert NAME_PATTERN.fullmatch(suggest_name(text))


def test_a_suggestion_from_any_text_is_an_allowed_name():
    for code in range(0, 0x3000, 7):
        for text in (chr(code), f"a{chr(code)}", chr(code) * 70, f"{'b' * 63}{chr(code)}c"):
            assert NAME_PATTERN.fullmatch(suggest_name(text)), repr(text)


def test_an_artifact_comes_back_with_its_whole_card(library: Library):
    card = make(
        library,
        "pairs",
        parents=("dataset/raw",),
        parameters={"minutes": 3.5, "channel": "@ž"},
        seed=42,
        counts={"rows": 7},
        content_hash="ab",
        metrics={"recall@1": 0.5},
    )
    assert Library(library.root).find("pairs") == card
    assert card.reference == "dataset/pairs"


def test_making_is_invisible_until_it_is_finished(library: Library):
    with library.making(Kind.DATASET, "pairs") as folder:
        write_card(folder, new_card(Kind.DATASET, "pairs", "a test"))
        assert library.cards() == []
        with pytest.raises(NotInLibraryError):
            library.find("pairs")
    assert [card.name for card in library.cards()] == ["pairs"]


def test_a_failure_while_making_leaves_nothing(library: Library):
    with pytest.raises(RuntimeError), library.making(Kind.DATASET, "pairs") as folder:
        write_card(folder, new_card(Kind.DATASET, "pairs", "a test"))
        raise RuntimeError
    assert list((library.root / "datasets").iterdir()) == []


def test_a_taken_name_is_refused_before_the_work(library: Library):
    make(library, "pairs")
    with (
        pytest.raises(InputError, match="choose another name, or delete it first"),
        library.making(Kind.DATASET, "pairs"),
    ):
        pytest.fail("the block should not run")


def test_different_kinds_may_share_a_name_and_are_told_apart(library: Library):
    make(library, "cats")
    make(library, "cats", Kind.COLLECTION)
    with pytest.raises(InputError, match="say dataset/cats or collection/cats"):
        library.find("cats")
    for said in ("collection/cats", "collections/cats", " Collection/Cats "):
        assert library.find(said).kind is Kind.COLLECTION
    assert library.find("cats", Kind.DATASET).kind is Kind.DATASET


def test_a_thing_of_another_kind_is_not_taken_for_the_one_wanted(library: Library):
    make(library, "cats", Kind.COLLECTION)
    with pytest.raises(NotInLibraryError, match="is a collection; name a dataset"):
        library.find("collection/cats", Kind.DATASET)


def test_a_capital_letter_does_not_hide_an_artifact(library: Library):
    make(library, "talebi")
    assert library.find("Talebi").name == "talebi"


def test_a_misspelt_name_is_answered_with_the_near_one_and_all_there_are(library: Library):
    for name in ("talebi", "xkcd"):
        make(library, name)
    with pytest.raises(NotInLibraryError, match=r"Did you mean 'talebi'\? There is: dataset/talebi, dataset/xkcd"):
        library.find("talebbi")


def test_a_name_like_no_other_gets_no_guess(library: Library):
    make(library, "talebi")
    with pytest.raises(NotInLibraryError, match="There is: talebi") as caught:
        library.find("qqq", Kind.DATASET)
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("item", ["", "  ", "/", "dataset/", "../../etc", "a" * 5000, "a\0"])
def test_an_odd_name_is_simply_not_there(library: Library, item: str):
    with pytest.raises(NotInLibraryError, match="the library has no items yet"):
        library.find(item)


def test_latest_is_the_last_changed_not_the_last_made(library: Library):
    with pytest.raises(NotInLibraryError, match="no dataset in the library yet"):
        library.latest(Kind.DATASET)
    older, newer = make(library, "older"), make(library, "newer")
    assert library.latest(Kind.DATASET).name == newer.name
    changed = library.update(older, counts={"rows": 3})
    assert library.latest(Kind.DATASET) == changed
    assert (changed.created, changed.counts) == (older.created, {"rows": 3})


def test_a_deleted_artifact_is_gone_from_the_disk(library: Library):
    card = make(library, "pairs")
    library.delete(card)
    assert list((library.root / "datasets").iterdir()) == []
    for act in (library.delete, library.update):
        with pytest.raises(NotInLibraryError, match="deleted meanwhile"):
            act(card)


def test_free_names_never_clash_and_are_always_allowed(library: Library):
    text = "A very long title " * 6
    names = []
    for _ in range(12):
        names.append(library.free_name(Kind.DATASET, text))
        make(library, names[-1])
    assert len(set(names)) == 12


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kind": "thing"}', "null"])
def test_a_damaged_card_is_named_and_hides_no_other(library: Library, content: str, caplog: pytest.LogCaptureFixture):
    make(library, "pairs")
    other = make(library, "other")
    (library.folder(Kind.DATASET, "pairs") / "card.json").write_text(content)
    assert library.cards() == [other] and "is damaged" in caplog.text
    with pytest.raises(DataError, match=r"datasets/pairs/card\.json is damaged .*delete its folder or mend the file"):
        library.find("pairs")


def test_a_card_of_a_newer_version_is_read(library: Library):
    card = make(library, "pairs")
    file = library.folder(Kind.DATASET, "pairs") / "card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mood": "sunny"}))
    assert library.cards() == [card]


def test_a_card_is_never_seen_half_written(library: Library):
    """One process rewrites a card without pause; every read of another finds it whole."""
    card = make(library, "pairs")
    writer = FORK.Process(target=_rewrite, args=(library.root, card))
    writer.start()
    try:
        seen, deadline = set(), time.monotonic() + 30
        while len(seen) < 50:
            seen.add(library.find("pairs").counts.get("rows", 0))
            assert time.monotonic() < deadline, "the writer stopped"
    finally:
        writer.kill()
        writer.join()
    json.loads((library.folder(Kind.DATASET, "pairs") / "card.json").read_text())


def _rewrite(root: Path, card: Card) -> None:
    rows = 0
    while True:
        rows += 1
        Library(root).update(card, counts={"rows": rows}, parameters={"long": "x" * 20_000})


def test_two_processes_making_the_same_artifact_have_exactly_one_winner(library: Library):
    for trial in range(5):
        name = f"pairs-{trial}"
        barrier, outcomes = FORK.Barrier(3), FORK.Queue()
        racers = [FORK.Process(target=_race, args=(library.root, name, n, barrier, outcomes)) for n in range(3)]
        for racer in racers:
            racer.start()
        results = dict(outcomes.get(timeout=30) for _ in racers)
        for racer in racers:
            racer.join()
        winners = [n for n, message in results.items() if message is None]
        assert len(winners) == 1
        assert (library.folder(Kind.DATASET, name) / "content").read_text() == str(winners[0])
        assert all(message is None or name in message for message in results.values())
    assert not [path for path in (library.root / "datasets").iterdir() if path.name.startswith(".")]


def _race(root: Path, name: str, racer: int, barrier, outcomes) -> None:
    try:
        with Library(root).making(Kind.DATASET, name) as folder:
            (folder / "content").write_text(str(racer))
            write_card(folder, new_card(Kind.DATASET, name, "a race"))
            barrier.wait(20)  # all are past the first look
        outcomes.put((racer, None))
    except InputError as error:
        outcomes.put((racer, str(error)))


def test_a_process_killed_while_making_leaves_nothing_visible(library: Library):
    ours, theirs = FORK.Pipe()
    maker = FORK.Process(target=_make_slowly, args=(library.root, theirs))
    maker.start()
    assert ours.recv() == "card written"
    os.kill(maker.pid, signal.SIGKILL)
    maker.join()
    assert library.cards() == []
    make(library, "pairs")  # the name is free
    assert [card.source for card in library.cards()] == ["a test"]


def _make_slowly(root: Path, connection) -> None:
    with Library(root).making(Kind.DATASET, "pairs") as folder:
        write_card(folder, new_card(Kind.DATASET, "pairs", "a killed process"))
        connection.send("card written")
        connection.recv()  # never comes
