import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.scenes import jpeg as picture
from tools.core.encoders import Unreadable
from tools.core.errors import DataError, InputError, NotInLibraryError, StoppedError
from tools.core.library import Kind
from tools.core.pairs.dataset import Pair, open_pairs, pair_columns, read_groups, save_pairs
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace


def pairs(count: int, **extra: Any) -> Iterator[Pair]:
    for number in range(count):
        yield Pair(picture(number), f"The title of {chr(0x4E00 + number)}", {"video_id": f"id{number}", **extra})


def test_pairs_are_kept_as_they_came_and_shared_out(workspace: Workspace):
    card, counts = save_pairs(workspace, "talks", pairs(20, channel="Ada"), source="a test")
    assert (counts.pairs, counts.splits, counts.note) == (20, {"train": 14, "validation": 3, "test": 3}, "")
    assert (counts.near_duplicates, counts.near_duplicate_groups, counts.left_out) == (0, 0, ())
    _, splits, columns = open_pairs(workspace, "talks")
    assert (columns.picture, columns.title, columns.negatives) == ("image", "title", ())
    assert splits["train"].column_names == ["image", "title", "video_id", "channel"]
    import datasets

    rows = {
        row["title"]: row for part in splits.values() for row in part.cast_column("image", datasets.Image(decode=False))
    }
    for pair in pairs(20):
        row = rows[pair.title]
        assert (row["image"]["bytes"], row["video_id"], row["channel"]) == (
            pair.picture,
            pair.extra["video_id"],
            "Ada",
        )
    assert isinstance(splits["test"][0]["image"], Image.Image)
    assert card == workspace.library.find("dataset/talks")
    assert card.parameters["kind"] == "title_thumbnail" and card.seed == 42 and card.content_hash
    assert card.counts == {"rows": 20, "train": 14, "validation": 3, "test": 3, "near_duplicates": 0, "left_out": 0}


def test_near_duplicates_stay_in_one_split_and_are_counted(workspace: Workspace):
    def some() -> Iterator[Pair]:
        yield from pairs(30)
        for number in range(0, 30, 3):  # the same picture saved again, under another title
            yield Pair(picture(number, 40), f"Once more {chr(0x5E00 + number)}")
        yield Pair(picture(99), f"THE TITLE of {chr(0x4E00)}!")  # another picture, the same title

    _, counts = save_pairs(workspace, "talks", some(), source="a test")
    assert (counts.pairs, counts.near_duplicates, counts.near_duplicate_groups) == (41, 21, 10)
    _, splits, _ = open_pairs(workspace, "talks")
    titles = {name: set(part["title"]) for name, part in splits.items()}
    for number in range(0, 30, 3):
        one, other = f"The title of {chr(0x4E00 + number)}", f"Once more {chr(0x5E00 + number)}"
        assert [name for name in titles if one in titles[name]] == [name for name in titles if other in titles[name]]
    groups = read_groups(workspace, workspace.library.find("talks"))
    assert {name: len(numbers) for name, numbers in groups.items()} == splits.num_rows
    assert len({*groups["train"]} & {*groups["validation"]} | {*groups["train"]} & {*groups["test"]}) == 0


def test_the_same_pairs_give_the_same_dataset(workspace: Workspace):
    one, _ = save_pairs(workspace, "one", pairs(15), source="a test")
    two, _ = save_pairs(workspace, "two", pairs(15), source="a test")
    three, _ = save_pairs(workspace, "three", pairs(16), source="a test")
    assert one.content_hash == two.content_hash != three.content_hash


@pytest.mark.parametrize("count", [1, 3, 9])
def test_too_few_pairs_are_only_train_and_the_note_offers_leave_one_out(workspace: Workspace, count: int):
    _, counts = save_pairs(workspace, "few", pairs(count), source="a test")
    assert counts.splits == {"train": count}
    assert f"too small to split: {count} pairs in {count} groups" in counts.note and "leave-one-out" in counts.note


def test_what_cannot_be_used_is_left_out_with_its_reason(workspace: Workspace):
    def some() -> Iterator[Pair | Unreadable]:
        yield from pairs(3)
        yield Pair(b"no picture", "A title", {"video_id": "broken"})
        yield Pair(picture(50)[:2000], "A title", key="torn.jpg")
        yield Pair(picture(51), " \n ")
        yield Unreadable("video 9", "it could not be fetched")
        yield next(pairs(1))

    card, counts = save_pairs(workspace, "some", some(), source="a test", left_out=4)
    reasons = {item.key: item.reason for item in counts.left_out}
    assert list(reasons) == ["broken", "torn.jpg", "pair 6", "video 9", "id0"]
    assert "not a picture" in reasons["broken"] and "damaged" in reasons["torn.jpg"]
    assert reasons["pair 6"] == "it has no title" and reasons["video 9"] == "it could not be fetched"
    assert reasons["id0"] == "the same picture with the same title came before"
    assert (card.counts["rows"], card.counts["left_out"]) == (3, 9)


def test_pairs_of_which_none_can_be_used_make_no_dataset(workspace: Workspace):
    with pytest.raises(DataError, match="None of the 2 pairs of a test .*, for example pair 1: it has no title"):
        save_pairs(workspace, "none", iter([Pair(picture(0), ""), Pair(b"", "x")]), source="a test")
    with pytest.raises(DataError, match="None of the 0 pairs of a test can be used"):
        save_pairs(workspace, "none", iter([]), source="a test")
    assert workspace.library.cards(Kind.DATASET) == []
    assert list((workspace.settings.home / "datasets").glob("*")) == []


def test_titles_are_of_one_line_and_of_any_script(workspace: Workspace):
    titles = ["  two\n lines ", "日本語", "مرحبا", "\ud800 broken", "x" * 5000, "🔥"]
    save_pairs(workspace, "any", (Pair(picture(k), title) for k, title in enumerate(titles)), source="a test")
    found = open_pairs(workspace, "any")[1]["train"]["title"]
    assert list(found) == ["two lines", "日本語", "مرحبا", "? broken", "x" * 1000, "🔥"]


def test_columns_have_one_type_and_those_nobody_knows_are_absent(workspace: Workspace):
    import datetime

    known: list[dict[str, Any]] = [
        {"n": 1, "f": 1, "b": True, "mixed": 1, "when": datetime.date(2024, 1, 2), "gone": None, "big": 2**70},
        {"n": None, "f": 0.5, "mixed": "two", "tags": ["a", "ü"], "image": "clash", "negative": "wrong", "late": 3},
    ]
    save_pairs(workspace, "types", (Pair(picture(k), f"t {k}", row) for k, row in enumerate(known)), source="a test")
    _, splits, columns = open_pairs(workspace, "types")
    first, second = (dict(row) for row in splits["train"].remove_columns(["image", "title"]))
    assert (first["n"], first["f"], first["b"], first["mixed"], first["when"]) == (1, 1.0, True, "1", "2024-01-02")
    assert (second["n"], second["f"], second["b"], second["mixed"]) == (None, 0.5, None, "two")
    assert (second["tags"], second["source_image"], first["big"]) == ('["a", "ü"]', "clash", str(2**70))
    assert "gone" not in first and splits["train"].column_names[-1] == "negative" == columns.negatives[0]


def test_splits_of_the_source_are_kept_and_near_duplicates_across_them_are_told(workspace: Workspace):
    def some() -> Iterator[Pair]:
        for number, pair in enumerate(pairs(12)):
            yield Pair(pair.picture, pair.title, split=("train", "valid", "Test")[number % 3])
        yield Pair(picture(0, 40), "Another title", split="test")  # its picture is in train
        yield Pair(picture(3, 40), "A third title", split="train")

    card, counts = save_pairs(workspace, "given", some(), source="a test")
    assert counts.splits == {"train": 5, "validation": 4, "test": 5}
    assert (counts.near_duplicate_groups, counts.across_splits) == (2, 1)
    assert counts.note.startswith("1 groups of near-duplicates lie in more than one of the source's splits")
    assert card.parameters["splits"] == "as in the source" and card.seed is None


def test_a_single_split_of_the_source_is_shared_out(workspace: Workspace):
    some = (Pair(pair.picture, pair.title, split="full") for pair in pairs(20))
    _, counts = save_pairs(workspace, "one", some, source="a test")
    assert counts.splits == {"train": 14, "validation": 3, "test": 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train", "holdout"], "the names 'holdout'; expected train, validation, test"),
        (["train", "test", None], "1 rows"),
    ],
)
def test_splits_of_unknown_names_are_refused(workspace: Workspace, given: list[str | None], message: str):
    some = (Pair(picture(k), f"title {k}", split=split) for k, split in enumerate(given))
    with pytest.raises(DataError, match=message):
        save_pairs(workspace, "odd", some, source="a test")


def test_more_files_and_parameters_go_into_the_dataset(workspace: Workspace):
    def also(folder: Path) -> None:
        (folder / "ledger.txt").write_text("3 units")

    card, _ = save_pairs(
        workspace, "more", pairs(2), source="a test", parents=("dataset/x",), parameters={"channel": "c"}, also=also
    )
    assert (workspace.library.folder(Kind.DATASET, "more") / "ledger.txt").read_text() == "3 units"
    assert card.parameters["channel"] == "c" and card.parents == ("dataset/x",)


def test_a_taken_name_is_refused_before_anything_is_read(workspace: Workspace):
    def never() -> Iterator[Pair]:
        raise AssertionError
        yield

    save_pairs(workspace, "talks", pairs(1), source="a test")
    with pytest.raises(InputError, match="already a dataset named 'talks'"):
        save_pairs(workspace, "talks", never(), source="a test")


def test_stopping_leaves_nothing(workspace: Workspace):
    stop = threading.Event()

    def stop_at_3(progress: Progress) -> None:
        assert progress.total == 9
        if progress.done == 3:
            stop.set()

    with pytest.raises(StoppedError):
        save_pairs(workspace.watched(Watch(stop_at_3, stop)), "half", pairs(9), source="a test", total=9)
    assert list((workspace.settings.home / "datasets").glob("*")) == []


def test_nothing_but_the_dataset_is_left_on_the_disk(workspace: Workspace):
    save_pairs(workspace, "talks", pairs(12), source="a test")
    folder = workspace.library.folder(Kind.DATASET, "talks")
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "data", "groups.json"]


def test_a_dataset_of_something_else_says_how_to_make_pairs_of_it(workspace: Workspace, photos: Path):
    from tools.load_dataset import load_dataset

    load_dataset(workspace, str(photos))
    with pytest.raises(DataError, match=r"holds images, not pairs .* load_dataset\('photos', kind='title_thumbnail'\)"):
        open_pairs(workspace, "photos")
    with pytest.raises(NotInLibraryError, match="There is: photos"):
        open_pairs(workspace, "talks")


@pytest.mark.parametrize("damaged", ["data/train/state.json", "data/dataset_dict.json", "groups.json"])
def test_a_damaged_dataset_says_so(workspace: Workspace, damaged: str):
    card, _ = save_pairs(workspace, "talks", pairs(2), source="a test")
    (workspace.library.folder(Kind.DATASET, "talks") / damaged).unlink()
    with pytest.raises(DataError, match="load .* again"):
        open_pairs(workspace, "talks")
        read_groups(workspace, card)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["video_id", "title", "thumbnail"], ("thumbnail", "title", [])),
        (["anchor", "positive", "negative"], ("anchor", "positive", ["negative"])),
        (["Image", "Title", "negative_1", "negative_2"], ("Image", "Title", ["negative_1", "negative_2"])),
        (["file_name", "text"], ("file_name", "text", [])),
        (["image", "title", "title_neg"], ("image", "title", ["title_neg"])),
        (["image", "caption", "title", "path"], ("image", "title", [])),
    ],
)
def test_columns_are_known_by_their_names(names: list[str], expected: tuple[str, str, list[str]]):
    found = pair_columns(names, "a table")
    assert (found.picture, found.title, list(found.negatives)) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["title", "views"], "columns title, views, none of which holds pictures; rename one to 'image'"),
        (["image", "views"], "columns image, views, none of which holds titles; rename one to 'title'"),
    ],
)
def test_missing_columns_are_named_with_what_is_expected(names: list[str], message: str):
    with pytest.raises(DataError, match=message):
        pair_columns(names, "a table")
