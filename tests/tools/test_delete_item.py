from pathlib import Path

import pytest

from tests.conftest import MakeWorkspace
from tools.core.errors import InputError, NotInLibraryError, StoreError
from tools.core.workspace import Workspace
from tools.delete_item import delete_item
from tools.index_images import index_images
from tools.list_library import list_library
from tools.load_dataset import load_dataset
from tools.search_images import search_images


@pytest.fixture
def fruit(workspace: Workspace, photos: Path) -> Workspace:
    load_dataset(workspace, str(photos), name="fruit")
    index_images(workspace, "fruit", "pictures")
    return workspace


def test_a_collection_is_deleted_and_its_source_stays(fruit: Workspace, photos: Path):
    index_images(fruit, str(photos), "from-folder")
    search_images(fruit, "red", collection="from-folder")  # its files are open
    deleted = delete_item(fruit, "from-folder")
    assert deleted.item == "collection/from-folder" and deleted.megabytes > 0 and deleted.children == ()
    assert len(list(photos.rglob("*.png"))) == 5
    left = (fruit.settings.home / "collections").glob("*from-folder*")
    assert not [file for file in left if file.is_dir()], "only empty lock files may stay"
    assert [entry.name for entry in list_library(fruit).entries] == ["fruit", "pictures"]


def test_what_was_made_from_it_remains_and_is_named(fruit: Workspace):
    deleted = delete_item(fruit, "dataset/fruit")
    assert deleted.children == ("collection/pictures",)
    assert "What was made from it remains: collection/pictures." in str(deleted)
    assert search_images(fruit, "red").hits[0].title == "a-red"


def test_a_name_can_be_used_again_after_deleting(fruit: Workspace, photos: Path):
    assert search_images(fruit, "red", collection="pictures").searched == 5
    delete_item(fruit, "pictures")
    index_images(fruit, str(photos / "c-blue.png"), "pictures")
    found = search_images(fruit, "red", collection="pictures")
    assert [hit.title for hit in found.hits] == ["c-blue"]


def test_a_name_of_two_things_is_asked_back(fruit: Workspace, photos: Path):
    index_images(fruit, str(photos), "fruit")
    with pytest.raises(InputError, match="say dataset/fruit or collection/fruit"):
        delete_item(fruit, "fruit")
    assert len(list_library(fruit).entries) == 3


@pytest.mark.parametrize("item", ["friut", "", "dataset/pictures", "../datasets/fruit", "*"])
def test_what_is_not_there_is_not_deleted(fruit: Workspace, item: str):
    with pytest.raises(NotInLibraryError, match="There is"):
        delete_item(fruit, item)
    assert len(list_library(fruit).entries) == 2


def test_a_collection_that_is_being_written_is_not_deleted(fruit: Workspace, make_workspace: MakeWorkspace):
    other = make_workspace()
    with other.collection(other.library.find("pictures")).writing():
        with pytest.raises(StoreError, match="is being written by another process"):
            delete_item(fruit, "pictures")
    assert search_images(fruit, "red", collection="pictures").searched == 5
