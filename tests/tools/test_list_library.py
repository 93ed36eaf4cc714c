from pathlib import Path

import pytest

from tools.core.errors import InputError
from tools.core.workspace import Workspace
from tools.index_images import index_images
from tools.list_library import list_library
from tools.load_dataset import load_dataset


@pytest.mark.parametrize(("kind", "said"), [("all", "The library is empty."), ("jobs", "The library has no jobs.")])
def test_an_empty_library_says_how_to_begin(workspace: Workspace, kind: str, said: str):
    listing = list_library(workspace, kind)  # type: ignore[arg-type]
    assert listing.entries == ()
    assert str(listing) == f"{said} Index a folder of pictures or load a dataset to begin."


def test_everything_is_listed_the_last_changed_last(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos), name="fruit")
    index_images(workspace, "fruit", "pictures")
    entries = list_library(workspace).entries
    assert [(entry.kind, entry.name) for entry in entries] == [("dataset", "fruit"), ("collection", "pictures")]
    assert entries[1].parents == ("dataset/fruit",) and entries[1].counts == {"pictures": 5}
    assert "collection pictures: 5 pictures, from the dataset fruit, changed 2" in str(list_library(workspace))
    index_images(workspace, str(photos), "other")
    index_images(workspace, "fruit", "pictures")
    assert [entry.name for entry in list_library(workspace).entries] == ["fruit", "other", "pictures"]


def test_one_kind_is_listed_alone(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos), name="fruit")
    index_images(workspace, "fruit", "pictures")
    assert [entry.name for entry in list_library(workspace, "datasets").entries] == ["fruit"]
    assert [entry.name for entry in list_library(workspace, "collections").entries] == ["pictures"]
    assert list_library(workspace, "models").entries == ()


def test_an_unknown_kind_is_refused_with_those_there_are(workspace: Workspace):
    with pytest.raises(InputError, match="expected one of all, datasets, models, collections, concepts, jobs"):
        list_library(workspace, "pictures")  # type: ignore[arg-type]
