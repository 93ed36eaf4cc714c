import threading
from pathlib import Path

import pytest

from tools.core.errors import DataError, InputError, StoppedError
from tools.core.library import Kind
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace
from tools.load_dataset import load_dataset
from tools.show_dataset import show_dataset


def files_of(workspace: Workspace) -> list[str]:
    return [path.name for path in (workspace.settings.home / "datasets").glob("*")]


def test_a_folder_becomes_a_dataset_with_a_card(workspace: Workspace, photos: Path):
    (photos / "bad.jpg").write_text("no picture")
    loaded = load_dataset(workspace, str(photos))
    assert (loaded.dataset, loaded.kind, loaded.splits) == ("photos", "images", {"train": 5})
    assert loaded.columns == ("image", "title", "file")
    assert [Path(item.key).name for item in loaded.left_out] == ["bad.jpg"]
    card = workspace.library.find("dataset/photos")
    assert (card.source, card.counts) == (f"the folder {photos}", {"rows": 5, "left_out": 1})
    assert card.content_hash and card.parameters == {"kind": "images"}
    assert "Loaded the folder" in str(loaded) and "left out" in str(loaded)


def test_a_dataset_keeps_the_bytes_as_they_were(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos))
    shown = show_dataset(workspace, "photos").rows
    originals = {file.read_bytes() for file in photos.rglob("*.png")}
    assert {Path(str(row.picture)).read_bytes() for row in shown} == originals


def test_a_dataset_does_not_need_its_source_any_more(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos))
    for file in photos.rglob("*.png"):
        file.unlink()
    assert len(show_dataset(workspace, "photos").rows) == 5


def test_the_name_may_be_given_and_is_otherwise_made_from_the_source(workspace: Workspace, photos: Path):
    assert load_dataset(workspace, str(photos), name="fruit").dataset == "fruit"
    assert load_dataset(workspace, str(photos)).dataset == "photos"
    assert load_dataset(workspace, str(photos)).dataset == "photos-2"


def test_the_same_content_has_the_same_hash_and_other_content_another(workspace: Workspace, photos: Path, make_picture):
    hashes = []
    for name in ("one", "two"):
        load_dataset(workspace, str(photos), name=name)
        hashes.append(workspace.library.find(name).content_hash)
    make_picture("photos/a-red.png", "white")
    load_dataset(workspace, str(photos), name="three")
    assert hashes[0] == hashes[1] != workspace.library.find("three").content_hash


def test_a_dataset_can_be_made_from_a_dataset(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos), name="fruit")
    load_dataset(workspace, "fruit", name="copy")
    assert workspace.library.find("copy").parents == ("dataset/fruit",)


def test_a_taken_name_is_refused(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos), name="fruit")
    with pytest.raises(InputError, match="There is already a dataset named 'fruit'; choose another name"):
        load_dataset(workspace, str(photos), name="fruit")


def test_a_bad_name_is_refused_with_a_good_one(workspace: Workspace, photos: Path):
    with pytest.raises(InputError, match="such as 'my-fruit'"):
        load_dataset(workspace, str(photos), name="My fruit")


def test_an_unknown_kind_is_refused(workspace: Workspace, photos: Path):
    with pytest.raises(InputError, match="kind is 'videos'; expected auto or images"):
        load_dataset(workspace, str(photos), kind="videos")  # type: ignore[arg-type]


def test_pictures_none_of_which_can_be_read_make_no_dataset(workspace: Workspace, tmp_path: Path):
    (tmp_path / "bad").mkdir()
    for number in range(3):
        (tmp_path / "bad" / f"{number}.jpg").write_text("no picture")
    with pytest.raises(DataError, match="None of the 3 pictures .* can be read, for example .* is not a picture"):
        load_dataset(workspace, str(tmp_path / "bad"))
    assert files_of(workspace) == []


def test_a_table_that_breaks_off_makes_no_dataset_and_gives_the_line(workspace: Workspace, photos: Path):
    (photos / "list.jsonl").write_text('{"image": "a-red.png"}\n{"image"\n')
    with pytest.raises(DataError, match="line 2: not JSON"):
        load_dataset(workspace, str(photos / "list.jsonl"))
    assert files_of(workspace) == []


def test_stopping_leaves_no_dataset(workspace: Workspace, photos: Path):
    stop = threading.Event()

    def stop_at_3(progress: Progress) -> None:
        if progress.done == 3:
            stop.set()

    with pytest.raises(StoppedError):
        load_dataset(workspace.watched(Watch(stop_at_3, stop)), str(photos))
    assert files_of(workspace) == [] and workspace.library.cards(Kind.DATASET) == []


def test_a_hub_dataset_that_cannot_be_had_says_what_to_check(workspace: Workspace):
    with pytest.raises(
        DataError, match="neither a file here nor .*; check the name, the network, and whether it needs"
    ):
        load_dataset(workspace, "nobody/no-such-dataset-at-all")
    assert files_of(workspace) == []


@pytest.mark.parametrize("source", ["", "nowhere", "x" * 5000, "~no-such-user/x", "a\0b"])
def test_a_source_that_is_nowhere_is_refused(workspace: Workspace, source: str):
    with pytest.raises((DataError, InputError), match="nothing to read|source is empty"):
        load_dataset(workspace, source)
    assert files_of(workspace) == []
