import os
from pathlib import Path

import pytest

from tests.conftest import MakeWorkspace
from tools import Tool
from tools.core.errors import InputError, JobError, NotInLibraryError, StoreError
from tools.core.jobs.folder import hold
from tools.core.jobs.job import create_job
from tools.core.workspace import Workspace
from tools.delete_item import delete_item, preview_delete
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
    for delete in (preview_delete, delete_item):
        with pytest.raises(InputError, match="say dataset/fruit or collection/fruit"):
            delete(fruit, "fruit")
    assert len(list_library(fruit).entries) == 3


def test_a_preview_says_what_would_go_and_what_remains_and_changes_nothing(fruit: Workspace):
    preview = preview_delete(fruit, "fruit")
    facts = dict(preview.facts)
    assert preview.title == "Delete dataset/fruit" and preview.args == {"item": "dataset/fruit"}
    assert facts["holds"].startswith("5 rows") and facts["frees"].endswith(" MB")
    assert facts["remains"] == "collection/pictures, made from it"
    assert preview.warning and preview.editable == ()
    assert len(list_library(fruit).entries) == 2
    assert delete_item(fruit, **preview.args).item == "dataset/fruit"


def test_a_job_is_not_deleted_under_its_worker(workspace: Workspace):
    job, _ = create_job(workspace.library, "none", "train-fruit", {}, (), {}, key="once")
    worker = hold(job.paths.lock)
    for delete in (preview_delete, delete_item):
        with pytest.raises(JobError, match="cancel it first"):
            delete(workspace, job.name)
    os.close(worker)
    assert preview_delete(workspace, job.name).args == {"item": f"job/{job.name}"}
    assert delete_item(workspace, job.name).item == f"job/{job.name}"


@pytest.mark.parametrize("delete", [delete_item, preview_delete])
@pytest.mark.parametrize("item", ["friut", "", "dataset/pictures", "../datasets/fruit", "*"])
def test_what_is_not_there_is_not_deleted(fruit: Workspace, item: str, delete: Tool):
    with pytest.raises(NotInLibraryError, match="There is"):
        delete(fruit, item)
    assert len(list_library(fruit).entries) == 2


def test_a_collection_that_is_being_written_is_not_deleted(fruit: Workspace, make_workspace: MakeWorkspace):
    other = make_workspace()
    with other.collection(other.library.find("pictures")).writing():
        with pytest.raises(StoreError, match="is being written by another process"):
            delete_item(fruit, "pictures")
    assert search_images(fruit, "red", collection="pictures").searched == 5
