import csv
import importlib
import json
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.conftest import MakePicture
from tests.doubles import ColourModel, noise
from tools.core.errors import DataError, InputError, ModelError, PairwrightError, StoppedError, StoreError
from tools.core.library import Kind
from tools.core.watch import Progress, Watch
from tools.core.workspace import SAMPLES, Workspace
from tools.index_images import index_images
from tools.load_dataset import load_dataset
from tools.search_images import search_images


def stored(workspace: Workspace, collection: str = "images") -> dict[str, dict]:
    return workspace.collection(workspace.library.find(f"collection/{collection}")).metadata()


def titles(workspace: Workspace, collection: str = "images") -> list[str]:
    return sorted(str(row["title"]) for row in stored(workspace, collection).values())


def counts(report) -> tuple[int, int, int, int, int]:
    return report.added, report.already_there, report.duplicates, len(report.unreadable), report.total


# --- every kind of source -------------------------------------------------------------------------------------------


def test_a_folder_is_indexed_with_its_subfolders(workspace: Workspace, photos: Path):
    report = index_images(workspace, str(photos))
    assert counts(report) == (5, 0, 0, 0, 5)
    assert titles(workspace) == ["a-red", "b-green", "c-blue", "d-yellow", "e-purple"]
    assert str(report).startswith(f"Indexed the folder {photos} into the collection 'images' with colours: 5 added")
    for row in stored(workspace).values():
        assert Path(row["file"]).is_file() and row["stamp"]


def test_the_card_says_what_the_collection_is_made_of(workspace: Workspace, photos: Path):
    index_images(workspace, str(photos))
    card = workspace.library.find("collection/images")
    assert (card.source, card.counts) == (f"the folder {photos}", {"pictures": 5})
    encoder = workspace.encoder()
    assert card.parameters == {"encoder": "colours", "weights": encoder.fingerprint, "dimension": encoder.dimension}


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl", "labels.csv"])
def test_a_table_in_the_folder_gives_titles(workspace: Workspace, photos: Path, table: str):
    rows = [{"file_name": "a-red.png", "title": "a tomato"}, {"file_name": "more/d-yellow.png", "title": "a lemon"}]
    write_table(photos / table, rows)
    index_images(workspace, str(photos))
    assert titles(workspace) == ["a lemon", "a tomato", "b-green", "c-blue", "e-purple"]


def write_table(file: Path, rows: list[dict]) -> Path:
    if file.suffix == ".csv":
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return file


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("columns", [("image", "title"), ("File", "Caption")])
def test_a_table_of_paths_is_indexed_from_where_it_lies(workspace: Workspace, photos: Path, suffix: str, columns):
    picture, title = columns
    rows = [{picture: "a-red.png", title: "a tomato, ž"}, {picture: str(photos / "c-blue.png"), title: "the sky"}]
    report = index_images(workspace, str(write_table(photos / f"list.{suffix}", rows)))
    assert counts(report) == (2, 0, 0, 0, 2)
    assert titles(workspace) == ["a tomato, ž", "the sky"]


def test_a_parquet_table_with_pictures_inside_keeps_them_beside_their_vectors(workspace: Workspace, photos: Path):
    files = sorted(photos.glob("*.png"))
    rows = [
        {"image": {"bytes": file.read_bytes(), "path": file.name}, "caption": f"no. {n}"}
        for n, file in enumerate(files)
    ]
    table = write_table(photos / "set.parquet", rows)
    contents = {file.read_bytes() for file in files}
    assert counts(index_images(workspace, str(table))) == (3, 0, 0, 0, 3)
    table.unlink()
    kept = [Path(row["file"]) for row in stored(workspace).values()]
    assert {file.read_bytes() for file in kept} == contents
    assert {file.suffix for file in kept} == {".png"}
    assert all(file.is_relative_to(workspace.settings.home) for file in kept)


def test_a_single_picture_is_indexed(workspace: Workspace, photos: Path):
    assert counts(index_images(workspace, str(photos / "a-red.png"))) == (1, 0, 0, 0, 1)


def test_a_dataset_of_the_library_is_indexed_and_remembered_as_parent(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos), name="fruit")
    assert counts(index_images(workspace, "fruit", "fruit-pictures")) == (5, 0, 0, 0, 5)
    card = workspace.library.find("fruit-pictures")
    assert card.parents == ("dataset/fruit",)
    assert titles(workspace, "fruit-pictures") == ["a-red", "b-green", "c-blue", "d-yellow", "e-purple"]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="tools/starter/pictures is not there yet")
def test_the_samples_are_indexed(workspace: Workspace):
    report = index_images(workspace, "samples")
    assert report.added > 0 and report.unreadable == ()


def test_a_home_sign_in_the_source_is_understood(workspace: Workspace, photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    assert index_images(workspace, f"~/{photos.name}").added == 5


# --- what is odd in a source ----------------------------------------------------------------------------------------


def test_unreadable_pictures_are_listed_and_the_rest_is_indexed(workspace: Workspace, photos: Path):
    (photos / "text.jpg").write_text("no picture")
    (photos / "empty.png").touch()
    whole = (photos / "a-red.png").read_bytes()
    (photos / "half.png").write_bytes(whole[: len(whole) // 2])
    report = index_images(workspace, str(photos))
    assert counts(report) == (5, 0, 0, 3, 5)
    assert {Path(item.key).name for item in report.unreadable} == {"text.jpg", "empty.png", "half.png"}
    assert all(item.reason for item in report.unreadable)
    assert f"- left out {photos / 'text.jpg'}: the picture is not a picture that can be read" in str(report)


def test_a_long_list_of_unreadable_pictures_is_cut(workspace: Workspace, photos: Path):
    for number in range(13):
        (photos / f"bad{number}.jpg").write_text(f"no picture {number}")
    said = str(index_images(workspace, str(photos)))
    assert said.count("left out") == 10 and said.endswith("- and 3 more")


def test_a_table_that_names_missing_pictures_is_indexed_as_far_as_it_goes(workspace: Workspace, photos: Path):
    rows = [{"image": "a-red.png"}, {"image": "gone.png"}, {"image": None}, {"other": 1}, {"image": {"bytes": "x"}}]
    rows += [{"image": "nul\0.png"}, {"image": 7}, {"image": "b-green.png", "title": None}]
    report = index_images(workspace, str(write_table(photos / "list.jsonl", rows)))
    assert counts(report) == (2, 0, 0, 6, 2)
    assert "gone.png cannot be read: No such file" in str(report)
    assert "list.jsonl row 2: list.jsonl row 2 has no picture" in str(report)


def test_a_title_that_is_half_a_character_is_mended(workspace: Workspace, photos: Path):
    (photos / "list.jsonl").write_text('{"image": "a-red.png", "title": "a \\ud800 b"}\n')
    index_images(workspace, str(photos / "list.jsonl"))
    assert titles(workspace) == ["a ? b"]


def test_a_csv_with_cells_beyond_its_header_is_read(workspace: Workspace, photos: Path):
    (photos / "list.csv").write_text("image,title\na-red.png,tomato,extra,cells\nb-green.png\n")
    assert counts(index_images(workspace, str(photos / "list.csv"))) == (2, 0, 0, 0, 2)
    assert titles(workspace) == ["b-green", "tomato"]


def test_the_same_content_is_stored_once(workspace: Workspace, photos: Path):
    (photos / "copy.png").write_bytes((photos / "a-red.png").read_bytes())
    (photos / "more" / "again.png").write_bytes((photos / "a-red.png").read_bytes())
    assert counts(index_images(workspace, str(photos))) == (5, 0, 2, 0, 5)


def test_a_picture_that_is_deleted_while_indexing_is_listed(workspace: Workspace, photos: Path):
    table = write_table(photos / "list.csv", [{"image": name} for name in ("a-red.png", "b-green.png")])
    reports = iter(range(100))

    class Deleting(Watch):
        def check(self) -> None:
            if next(reports) == 1:
                (photos / "b-green.png").unlink()

    report = index_images(workspace.watched(Deleting()), str(table))
    assert counts(report) == (1, 0, 0, 1, 1)


def test_a_file_name_that_is_not_utf8_is_listed_and_the_rest_goes_on(workspace: Workspace, photos: Path):
    odd = bytes(photos) + b"/\xff\xfe.png"
    with open(odd, "wb") as stream:
        noise(5).save(stream, "PNG")
    report = index_images(workspace, str(photos))
    assert counts(report) == (5, 0, 0, 1, 5)
    assert report.unreadable[0].reason == "its name is not UTF-8: rename it"
    assert str(report).encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "x", "neither a picture nor a table; expected .csv"),
        ("empty.csv", "", "has no rows"),
        ("header.csv", "image,title\n", "has no rows"),
        ("other.csv", "a,b\n1,2\n", "has the columns a, b, none of which holds pictures; expected one of image"),
        ("bad.jsonl", '{"image": "a.png"}\n{"image"\n', "line 2: not JSON"),
        ("list.jsonl", "[1]\n", "line 1: expected an object, got list"),
        ("bad.parquet", "PAR1", "cannot be read as parquet"),
    ],
)
def test_a_file_that_is_no_source_says_why(workspace: Workspace, tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        index_images(workspace, str(tmp_path / name))
    assert workspace.library.cards() == []


def test_a_table_in_another_encoding_says_so(workspace: Workspace, tmp_path: Path):
    (tmp_path / "latin.csv").write_bytes("image,title\na.png,čeština\n".encode("cp1250"))
    with pytest.raises(DataError, match="cannot be read as csv: 'utf-8' codec can't decode"):
        index_images(workspace, str(tmp_path / "latin.csv"))


def test_a_folder_without_pictures_says_what_it_looked_for(workspace: Workspace, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no pictures \(looked for .jpg"):
        index_images(workspace, str(tmp_path / "empty"))


def test_a_source_that_is_nowhere_says_where_it_looked(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos), name="fruit")
    with pytest.raises(DataError, match=r"no such folder or file in .* Did you mean 'fruit'\? There is: fruit"):
        index_images(workspace, "fruits")


@pytest.mark.parametrize("source", ["", "  ", "\n"])
def test_an_empty_source_is_refused(workspace: Workspace, source: str):
    with pytest.raises(InputError, match="give a folder, a file, or the name of a dataset"):
        index_images(workspace, source)


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b", "~no-such-user/x", "/proc/1/root/secret", "collection/images"])
def test_a_text_that_can_be_no_source_is_refused(workspace: Workspace, photos: Path, source: str):
    index_images(workspace, str(photos))
    with pytest.raises(DataError, match="There is nothing to read"):
        index_images(workspace, source)


def test_a_bad_collection_name_is_refused_with_a_good_one(workspace: Workspace, photos: Path):
    with pytest.raises(InputError, match="such as 'my-photos'"):
        index_images(workspace, str(photos), "My photos")
    assert workspace.library.cards() == []


# --- again ----------------------------------------------------------------------------------------------------------


def test_a_second_run_embeds_nothing(workspace: Workspace, photos: Path):
    index_images(workspace, str(photos))
    model = workspace.encoder().model
    model.calls.clear()
    assert counts(index_images(workspace, str(photos))) == (0, 5, 0, 0, 5)
    assert model.calls == []


def test_only_what_is_new_is_added(workspace: Workspace, photos: Path, make_picture):
    index_images(workspace, str(photos))
    make_picture("photos/new.png", "white")
    assert counts(index_images(workspace, str(photos))) == (1, 5, 0, 0, 6)


def test_a_copy_elsewhere_is_already_there(workspace: Workspace, photos: Path, tmp_path: Path):
    index_images(workspace, str(photos))
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "x.png").write_bytes((photos / "a-red.png").read_bytes())
    assert counts(index_images(workspace, str(tmp_path / "copies"))) == (0, 1, 0, 0, 5)


def test_a_collection_grows_from_several_sources(workspace: Workspace, photos: Path, make_picture):
    load_dataset(workspace, str(photos / "more"), name="yellows")
    index_images(workspace, str(photos / "a-red.png"))
    index_images(workspace, "yellows")
    assert counts(index_images(workspace, str(photos))) == (2, 3, 0, 0, 5)
    assert workspace.library.find("images").parents == ("dataset/yellows",)


# --- stopping -------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(make_picture) -> Path:
    for number in range(60):
        file = make_picture(f"many/{number:03}.png", noise(number))
    return file.parent


def test_progress_is_told_up_to_the_end(workspace: Workspace, many: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.import_module("tools.index_images"), "BATCH", 8)
    told: list[Progress] = []
    index_images(workspace.watched(Watch(told.append)), str(many))
    done = [progress.done for progress in told]
    assert done == sorted(done) and done[-1] == 60
    assert {progress.total for progress in told} == {60}


def test_stopping_keeps_what_was_stored_and_the_next_run_goes_on(
    workspace: Workspace, many: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.import_module("tools.index_images"), "BATCH", 8)
    stop = threading.Event()

    def stop_after_20(progress: Progress) -> None:
        if progress.done >= 20:
            stop.set()

    with pytest.raises(StoppedError, match="what was finished before is kept"):
        index_images(workspace.watched(Watch(stop_after_20, stop)), str(many))
    kept = len(stored(workspace))
    assert 20 <= kept < 60
    assert workspace.library.find("images").counts == {"pictures": kept}
    assert search_images(workspace, image=str(many / "003.png"), k=1).hits[0].title == "003"
    assert counts(index_images(workspace, str(many))) == (60 - kept, kept, 0, 0, 60)


def test_stopping_before_anything_stores_nothing(workspace: Workspace, many: Path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        index_images(workspace.watched(Watch(stop=stop)), str(many))
    assert not workspace.library.cards() or stored(workspace) == {}


def test_the_embeddings_stored_are_those_of_the_pictures(workspace: Workspace, many: Path):
    index_images(workspace, str(many))
    rows = stored(workspace)
    collection = workspace.collection(workspace.library.find("images"))
    pictures = [Image.open(row["file"]).convert("RGB") for row in rows.values()]
    expected = workspace.encoder().encode_pictures(pictures)
    np.testing.assert_allclose(collection.vectors(list(rows)), expected, atol=1e-5)


# --- the encoder of a collection ------------------------------------------------------------------------------------


def test_a_collection_is_not_mixed_from_two_encoders(workspace: Workspace, photos: Path):
    index_images(workspace, str(photos))
    with pytest.raises(StoreError, match="was made with colours, not with starter-clip: name another collection"):
        index_images(workspace, str(photos), model="starter-clip")
    assert index_images(workspace, str(photos), model="colours").already_there == 5


def test_other_weights_under_the_same_name_are_refused(make_workspace, photos: Path, make_picture):
    index_images(make_workspace(ColourModel(0.1)), str(photos))
    other = make_workspace(ColourModel(0.2))
    make_picture("photos/new.png", "white")
    with pytest.raises(StoreError, match="index the pictures again into a new collection, or delete this one"):
        index_images(other, str(photos))
    assert index_images(other, str(photos), "others").added == 6


def test_a_model_that_cannot_be_loaded_leaves_no_collection(workspace: Workspace, photos: Path):
    with pytest.raises(ModelError, match="expected a model of the library"):
        index_images(workspace, str(photos), model="no such model")
    assert workspace.library.cards() == []


def test_two_runs_at_once_do_not_mix(make_workspace, photos: Path):
    first, second = make_workspace(), make_workspace()
    index_images(first, str(photos))
    with first.collection(first.library.find("images")).writing():
        with pytest.raises(StoreError, match="is being written by another process; wait for it, or stop it"):
            index_images(second, str(photos))


def test_every_error_is_one_a_person_can_read(workspace: Workspace):
    for source in ("/etc/passwd", "/dev/null", "/", "..\\..", "http://127.0.0.1:9/x.png", "%s", "{}"):
        if source != "/":
            with pytest.raises(PairwrightError):
                index_images(workspace, source)
    assert workspace.library.cards(Kind.COLLECTION) == []


def test_a_source_without_one_readable_picture_leaves_no_collection(workspace: Workspace, tmp_path: Path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").write_text("no picture")
    with pytest.raises(DataError, match="None of the 1 pictures .* can be read, for example"):
        index_images(workspace, str(tmp_path / "bad"))
    assert workspace.library.cards() == []


def test_pictures_that_were_moved_are_found_at_their_new_place(workspace: Workspace, photos: Path):
    index_images(workspace, str(photos))
    moved = photos.rename(photos.with_name("elsewhere"))
    assert index_images(workspace, str(moved)).already_there == 5
    assert all(moved in Path(hit.file).parents for hit in search_images(workspace, "red").hits)


def test_a_file_with_other_content_now_loses_its_old_picture(
    workspace: Workspace, photos: Path, make_picture: MakePicture
):
    index_images(workspace, str(photos))
    make_picture("photos/a-red.png", "white")
    report = index_images(workspace, str(photos))
    assert (report.added, report.removed, report.total) == (1, 1, 5)
    files = [Path(hit.file).name for hit in search_images(workspace, "white").hits]
    assert files[0] == "a-red.png" and len(set(files)) == len(files)


def test_files_that_were_deleted_or_spoilt_leave_the_collection(workspace: Workspace, photos: Path):
    index_images(workspace, str(photos))
    (photos / "a-red.png").unlink()
    (photos / "b-green.png").write_bytes(b"")
    report = index_images(workspace, str(photos))
    assert (report.removed, report.total, len(report.unreadable)) == (2, 3, 1)
    assert not {"a-red", "b-green"} & {hit.title for hit in search_images(workspace, "red").hits}


def test_of_two_files_with_the_same_picture_the_other_one_takes_over(
    workspace: Workspace, photos: Path, make_picture: MakePicture
):
    make_picture("photos/z-copy.png", "red")
    index_images(workspace, str(photos))
    make_picture("photos/a-red.png", "white")
    report = index_images(workspace, str(photos))
    assert (report.added, report.removed, report.total) == (1, 0, 6)
    assert Path(search_images(workspace, "red", k=1).hits[0].file).name == "z-copy.png"
