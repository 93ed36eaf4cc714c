import csv
import dataclasses
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenes import jpeg as picture
from tools.core.errors import DataError, InputError, StoppedError
from tools.core.library import Kind
from tools.core.pairs.dataset import open_pairs
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace
from tools.load_dataset import load_dataset
from tools.loaders import title_thumbnail
from tools.loaders.source import Source
from tools.show_dataset import show_dataset

YOUTUBE = Path(__file__).parents[3] / "shared" / "data" / "youtube"


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
    with pytest.raises(InputError, match="kind is 'videos'; expected auto, title_thumbnail or images"):
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


# title_thumbnail

MakeTalks = Callable[..., Path]


def title(number: int) -> str:
    return f"Talk {chr(0x4E00 + number)}, a title"


@pytest.fixture
def make_talks(tmp_path: Path) -> MakeTalks:
    """Make a folder of pictures with a table beside them."""

    def make(table: str = "videos.jsonl", count: int = 20, **more: Callable[[int], Any]) -> Path:
        folder = tmp_path / "talks"
        (folder / "thumbs").mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(count):
            (folder / "thumbs" / f"{number}.jpg").write_bytes(picture(number))
            row = {"title": title(number), "thumbnail": f"thumbs/{number}.jpg", "video_id": f"id{number}"}
            rows.append({**row, **{name: value(number) for name, value in more.items()}})
        write_table(folder / table, rows)
        return folder

    return make


def write_table(file: Path, rows: list[dict[str, Any]]) -> None:
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif file.suffix == ".csv":
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), file)


@pytest.mark.parametrize("table", ["videos.jsonl", "videos.csv", "videos.parquet", "metadata.csv"])
@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_table_of_thumbnails_and_titles_becomes_pairs(
    workspace: Workspace, make_talks: MakeTalks, table: str, whole_folder: bool
):
    folder = make_talks(table, channel=lambda number: "Ada")
    loaded = load_dataset(workspace, str(folder if whole_folder else folder / table))
    assert loaded.kind == "title_thumbnail" and loaded.splits == {"train": 14, "validation": 3, "test": 3}
    assert loaded.columns == ("image", "title", "video_id", "channel") and loaded.left_out == ()
    assert loaded.dataset == ("talks" if whole_folder else Path(table).stem)
    found = open_pairs(workspace, loaded.dataset)[1]
    assert {row for part in found.values() for row in part["title"]} == {title(number) for number in range(20)}
    assert "of title_thumbnail: train 14, validation 3, test 3 rows, columns image, title" in str(loaded)


def test_pictures_inside_a_parquet_are_read_from_there(workspace: Workspace, tmp_path: Path):
    rows = [{"image": {"bytes": picture(number), "path": None}, "title": title(number)} for number in range(3)]
    write_table(tmp_path / "inside.parquet", rows)
    assert load_dataset(workspace, str(tmp_path / "inside.parquet")).splits == {"train": 3}


def test_columns_may_be_called_anchor_positive_and_negative(workspace: Workspace, tmp_path: Path):
    rows = [
        {"anchor": {"bytes": picture(number), "path": None}, "positive": title(number), "negative": title(number + 1)}
        for number in range(3)
    ]
    write_table(tmp_path / "triplets.parquet", rows)
    loaded = load_dataset(workspace, str(tmp_path / "triplets.parquet"))
    assert (loaded.kind, loaded.columns) == ("title_thumbnail", ("image", "title", "negative"))


@pytest.mark.parametrize(("column", "kind"), [("caption", "images"), ("label", "images"), ("Title", "title_thumbnail")])
def test_only_a_column_really_named_title_makes_pairs_unasked(
    workspace: Workspace, photos: Path, column: str, kind: str
):
    write_table(photos / "metadata.jsonl", [{"file_name": "a-red.png", column: "A red thing"}])
    assert load_dataset(workspace, str(photos)).kind == kind


def test_the_kind_that_is_asked_for_wins(workspace: Workspace, make_talks: MakeTalks, photos: Path):
    talks = make_talks()
    images = load_dataset(workspace, str(talks), kind="images", name="pictures")
    assert (images.kind, images.splits) == ("images", {"train": 20})
    assert [row.title for row in show_dataset(workspace, "pictures", rows=1).rows] == [title(0)]
    write_table(photos / "metadata.csv", [{"file_name": "a-red.png", "caption": "A red thing"}])
    captions = load_dataset(workspace, str(photos), kind="title_thumbnail")
    assert captions.kind == "title_thumbnail" and captions.splits == {"train": 1}


def test_pictures_that_no_row_names_and_rows_without_a_picture_are_left_out(
    workspace: Workspace, make_talks: MakeTalks
):
    folder = make_talks(count=12)
    (folder / "thumbs" / "stray.jpg").write_bytes(picture(70))
    (folder / "thumbs" / "3.jpg").unlink()
    (folder / "thumbs" / "4.jpg").write_text("no picture")
    with (folder / "videos.jsonl").open("a") as stream:
        stream.write('{"title": "", "thumbnail": "thumbs/0.jpg"}\n{"title": "No picture at all"}\n')
    loaded = load_dataset(workspace, str(folder))
    assert sum(loaded.splits.values()) == 10
    reasons = {Path(item.key).name: item.reason for item in loaded.left_out}
    assert set(reasons) == {f"videos.jsonl row {row}" for row in (4, 5, 13, 14)} | {"stray.jpg"}
    assert "cannot be read" in reasons["videos.jsonl row 4"] and "not a picture" in reasons["videos.jsonl row 5"]
    assert reasons["videos.jsonl row 13"] == "it has no title" and "has no picture" in reasons["videos.jsonl row 14"]
    assert reasons["stray.jpg"] == "no row of videos.jsonl names it"


def test_near_duplicates_are_told(workspace: Workspace, make_talks: MakeTalks):
    folder = make_talks(count=20)
    (folder / "thumbs" / "1.jpg").write_bytes(picture(0, 40))
    loaded = load_dataset(workspace, str(folder))
    told = "2 of 20 pairs are near-duplicates of another by picture or title, in 1 groups, each group in one split."
    assert loaded.notes == (told,) and told in str(loaded)


def test_a_set_too_small_to_split_says_so(workspace: Workspace, make_talks: MakeTalks):
    loaded = load_dataset(workspace, str(make_talks(count=3)))
    assert loaded.splits == {"train": 3}
    assert "too small to split: 3 pairs" in str(loaded) and "leave-one-out" in str(loaded)


def test_a_column_named_split_is_kept(workspace: Workspace, make_talks: MakeTalks):
    names = ("train", "train", "val", "test")
    folder = make_talks(count=12, Split=lambda number: names[number % 4])
    loaded = load_dataset(workspace, str(folder))
    assert loaded.splits == {"train": 6, "validation": 3, "test": 3}
    assert loaded.columns == ("image", "title", "video_id")


def test_a_folder_of_pictures_alone_is_no_set_of_pairs(workspace: Workspace, photos: Path):
    with pytest.raises(DataError, match="no table that gives their titles; put one beside them, such as metadata.csv"):
        load_dataset(workspace, str(photos), kind="title_thumbnail")
    assert files_of(workspace) == []


def test_a_table_without_pictures_or_titles_is_refused(workspace: Workspace, tmp_path: Path):
    write_table(tmp_path / "a.csv", [{"views": 3, "title": "x"}])
    write_table(tmp_path / "b.csv", [{"views": 3, "image": "x.jpg"}])
    with pytest.raises(DataError, match="none of which holds pictures; rename one to 'image'"):
        load_dataset(workspace, str(tmp_path / "a.csv"), kind="title_thumbnail")
    with pytest.raises(DataError, match="none of which holds titles; rename one to 'title'"):
        load_dataset(workspace, str(tmp_path / "b.csv"), kind="title_thumbnail")


def test_a_folder_with_two_tables_or_one_of_something_else_is_of_pictures(workspace: Workspace, photos: Path):
    write_table(photos / "notes.csv", [{"title": "a note", "views": 3}])
    assert load_dataset(workspace, str(photos)).kind == "images"
    write_table(photos / "one.csv", [{"title": "a title", "image": "a-red.png"}])
    assert load_dataset(workspace, str(photos)).kind == "images"
    (photos / "one.csv").unlink()
    (photos / "notes.csv").unlink()
    (photos / "broken.jsonl").write_text("{")
    assert load_dataset(workspace, str(photos)).kind == "images"


def test_pairs_can_be_made_of_pairs_and_of_pictures(workspace: Workspace, make_talks: MakeTalks, photos: Path):
    first = load_dataset(workspace, str(make_talks()), name="talks")
    copy = load_dataset(workspace, "dataset/talks", name="copy")
    assert (copy.kind, copy.splits, copy.columns) == ("title_thumbnail", first.splits, first.columns)
    assert workspace.library.find("copy").parents == ("dataset/talks",)
    assert load_dataset(workspace, "talks", kind="images", name="pictures").splits == {"train": 20}
    load_dataset(workspace, str(photos), name="fruit")
    assert load_dataset(workspace, "fruit", name="fruit-2").kind == "images"
    assert load_dataset(workspace, "fruit", kind="title_thumbnail", name="fruit-pairs").splits == {"train": 5}


def splits_of_pairs(**columns: Callable[[int], Any]) -> Any:
    """Return what the hub would give: a dataset with the splits that were published."""
    import datasets

    kinds = {"anchor": datasets.Image(), "image": datasets.Image()}
    features = datasets.Features({name: kinds.get(name, datasets.Value("string")) for name in columns})
    parts = {"train": range(8), "valid": range(8, 10), "test": range(10, 12)}
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {name: [value(number) for number in numbers] for name, value in columns.items()}, features=features
            )
            for split, numbers in parts.items()
        }
    )


def from_hub(found: Any) -> Source:
    return Source("x/talks", "the hub dataset x/talks", hub=found, columns=tuple(found["train"].column_names))


def test_pairs_of_the_hub_keep_their_splits(workspace: Workspace):
    found = splits_of_pairs(
        anchor=lambda number: {"bytes": picture(number), "path": None}, positive=title, negative=lambda number: "Wrong"
    )
    source = from_hub(found)
    assert title_thumbnail.recognises(source)
    loaded = title_thumbnail.load(workspace, source, "talks")
    assert loaded.splits == {"train": 8, "validation": 2, "test": 2}
    assert loaded.columns == ("image", "title", "negative")


def test_a_column_of_the_hub_that_holds_no_pictures_is_refused(workspace: Workspace):
    found = splits_of_pairs(file=lambda number: "x.jpg", title=title)
    with pytest.raises(DataError, match="The column 'file' of the hub dataset x/talks holds no pictures"):
        title_thumbnail.load(workspace, from_hub(found), "talks")
    assert files_of(workspace) == []


@pytest.fixture
def image_host() -> Iterator[str]:
    """Run a local server of thumbnails: /3.jpg is the third picture; there are ten."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(Path(self.path).stem)
            self.send_response(200 if number < 10 else 404)
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(picture(number) if number < 10 else b"")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_published_set_gets_its_pictures_from_their_addresses(workspace: Workspace, image_host: str):
    workspace.settings = dataclasses.replace(workspace.settings, youtube_endpoint=image_host)
    found = splits_of_pairs(
        video_id=lambda number: f"id{number}",
        title=title,
        thumbnail_url=lambda number: f"{image_host}/{number}.jpg" if number != 1 else None,
        title_neg=lambda number: "Wrong",
    )
    source = from_hub(found)
    assert title_thumbnail.recognises(source)
    loaded = title_thumbnail.load(workspace, source, "talks")
    assert loaded.splits == {"train": 7, "validation": 2}
    assert loaded.columns == ("image", "title", "video_id", "thumbnail_url", "fetched_at", "title_neg")
    assert {item.key: item.reason for item in loaded.left_out} == {
        "train row 2": "its picture cannot be had: it has no address",
        "test row 1": "its picture cannot be had: it is not there",
        "test row 2": "its picture cannot be had: it is not there",
    }


def test_addresses_elsewhere_are_not_asked(workspace: Workspace, tmp_path: Path, sentinel):
    write_table(tmp_path / "far.csv", [{"title": "A title", "thumbnail_url": f"{sentinel.url}/x.jpg"}])
    with pytest.raises(DataError, match="its picture cannot be had"):
        load_dataset(workspace, str(tmp_path / "far.csv"))
    assert sentinel.requests == []


@pytest.mark.skipif(not YOUTUBE.exists(), reason="the thumbnails of the development data are not here")
def test_the_development_data_loads_as_a_folder_and_as_a_table(workspace: Workspace):
    folder = load_dataset(workspace, str(YOUTUBE))
    table = load_dataset(workspace, str(YOUTUBE / "videos.jsonl"))
    assert folder.splits == table.splits == {"train": 207, "validation": 45, "test": 44}
    assert folder.columns == ("image", "title", "video_id", "channel", "published_at") and folder.left_out == ()
    assert "21 of 296 pairs are near-duplicates" in str(folder)
