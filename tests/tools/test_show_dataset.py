from pathlib import Path

import pytest
from PIL import Image

from tests.scenes import jpeg as picture
from tools.core.errors import InputError, NotInLibraryError
from tools.core.pairs.dataset import Pair, save_pairs
from tools.core.workspace import Workspace
from tools.index_images import index_images
from tools.load_dataset import load_dataset
from tools.show_dataset import show_dataset


@pytest.fixture
def fruit(workspace: Workspace, photos: Path) -> Workspace:
    load_dataset(workspace, str(photos), name="fruit")
    return workspace


def test_the_first_rows_come_with_their_pictures(fruit: Workspace):
    view = show_dataset(fruit, "fruit", rows=2)
    assert [row.title for row in view.rows] == ["a-red", "b-green"]
    assert (view.split, view.splits) == ("train", {"train": 5})
    assert Image.open(str(view.rows[0].picture)).getpixel((0, 0)) == (255, 0, 0)
    assert view.rows[0].fields == {"title": "a-red", "file": "a-red.png"}
    assert str(view).splitlines()[:2] == ["2 rows of fruit, split train (rows in all: train 5):", "1. 'a-red'"]


def test_more_rows_than_there_are_give_all(fruit: Workspace):
    assert len(show_dataset(fruit, "fruit", "train", 100).rows) == 5


def test_a_row_without_a_picture_is_shown_without(fruit: Workspace):
    import datasets

    folder = fruit.library.folder(fruit.library.find("fruit").kind, "fruit") / "data"
    rows = {"image": [None], "title": ["x" * 900]}
    features = datasets.Features({"image": datasets.Image(), "title": datasets.Value("string")})
    table = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"validation": table}).save_to_disk(str(folder.parent / "new"))
    (folder.parent / "new").rename(folder.parent / "data2")
    folder.rename(folder.parent / "old")
    (folder.parent / "data2").rename(folder)
    view = show_dataset(fruit, "fruit")
    assert (view.split, view.rows[0].picture, len(view.rows[0].title)) == ("validation", None, 500)


@pytest.mark.parametrize("rows", [0, -1, 101, 10**9])
def test_a_number_of_rows_out_of_range_is_refused(fruit: Workspace, rows: int):
    with pytest.raises(InputError, match=f"rows is {rows}; how many rows to show must be from 1 to 100"):
        show_dataset(fruit, "fruit", rows=rows)


def test_a_split_that_is_not_there_is_answered_with_those_that_are(fruit: Workspace):
    with pytest.raises(InputError, match="'fruit' has no split 'test'; it has train"):
        show_dataset(fruit, "fruit", "test")


def test_a_dataset_that_is_not_there_is_answered_with_those_that_are(fruit: Workspace):
    with pytest.raises(NotInLibraryError, match=r"Did you mean 'fruit'\? There is: fruit"):
        show_dataset(fruit, "fruits")


def test_a_collection_is_no_dataset(fruit: Workspace):
    index_images(fruit, "fruit", "pictures")
    for name in ("pictures", "collection/pictures"):
        with pytest.raises(NotInLibraryError, match="dataset"):
            show_dataset(fruit, name)


def test_pairs_are_shown_with_what_is_known_of_them_and_their_negatives(workspace: Workspace):
    extra = {"video_id": "abc", "channel": "Ada", "published_at": "2024-05-01", "thumbnail_url": "https://x.invalid/y"}
    wrong = {"negative_1": "Not 'this'", "negative_2": None}
    pairs = (Pair(picture(number), f"Title {number}", extra | wrong) for number in range(2))
    save_pairs(workspace, "talks", iter([*pairs, Pair(picture(2), "Title 2")]), source="a test")
    view = show_dataset(workspace, "talks")
    first, _, last = view.rows
    assert first.fields == {"title": "Title 0", **extra} and first.negatives == ("Not 'this'",)
    assert Path(str(first.picture)).read_bytes() == picture(0)
    assert last.fields == {"title": "Title 2", **dict.fromkeys(extra, "")} and last.negatives == ()
    assert str(view).splitlines()[1:] == [
        "1. 'Title 0' (channel Ada, published_at 2024-05-01), not \"Not 'this'\"",
        "2. 'Title 1' (channel Ada, published_at 2024-05-01), not \"Not 'this'\"",
        "3. 'Title 2'",
    ]
