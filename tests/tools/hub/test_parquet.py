"""Any dataset comes back from its parquet files as it was."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.doubles import noise
from tools.core.watch import Progress, Watch
from tools.hub import parquet
from tools.hub.parquet import write_parquet


def picture(number: int) -> bytes:
    content = io.BytesIO()
    noise(number).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(("group", "limit"), [(100, 500_000_000), (2, 500_000_000), (2, 1)])
def test_columns_of_every_kind_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, limit: int):
    import datasets

    monkeypatch.setattr(parquet, "GROUP", group)
    monkeypatch.setattr(parquet, "MAX_FILE_BYTES", limit)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "title": datasets.Value("string"),
            "minutes": datasets.Value("float64"),
            "tags": datasets.List(datasets.Value("string")),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "answers": {
                "text": datasets.List(datasets.Value("string")),
                "start": datasets.List(datasets.Value("int32")),
            },
        }
    )
    rows = {
        "image": [{"bytes": picture(i), "path": f"{i}.png"} if i != 3 else None for i in range(5)],
        "title": ["a", None, "", "日本", "🚀"],
        "minutes": [1.5, None, 0.0, 2.0, 3.0],
        "tags": [["x"], [], None, ["y", "z"], ["/home/me/x"]],
        "label": [0, 1, 0, None, 1],
        "answers": [{"text": ["a"], "start": [1]}] * 5,
    }
    data = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict(rows, features),
            "test": datasets.Dataset.from_dict(rows, features).select([4, 0]),
        }
    )
    told: list[Progress] = []
    written = write_parquet(data, tmp_path / "out", Watch(told.append))
    assert written.rows == {"train": 5, "test": 2} and told[-1] == Progress("writing the files to publish", 7, 7)
    raw = datasets.Image(decode=False)
    for split, own in data.items():
        files = sorted(map(str, (tmp_path / "out" / "data").glob(f"{split}-*.parquet")))
        assert all(name.endswith(f"-of-{len(files):05}.parquet") for name in files)
        again = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path / "cache" / f"{group}-{limit}"))
        assert again.features == own.features
        assert again.cast_column("image", raw).to_list() == own.cast_column("image", raw).to_list()


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path):
    import datasets

    data = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"title": ["a", "b"] * 100})})
    for name in ("one", "two"):
        write_parquet(data, tmp_path / name, Watch())
    file = "data/train-00000-of-00001.parquet"
    assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_empty_split_keeps_its_columns(tmp_path: Path):
    import datasets

    features = datasets.Features({"title": datasets.Value("string")})
    data = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"title": []}, features)})
    assert write_parquet(data, tmp_path, Watch()).rows == {"train": 0}
    assert pq.read_table(tmp_path / "data" / "train-00000-of-00001.parquet").column_names == ["title"]


def test_a_picture_known_by_its_path_is_put_inside(tmp_path: Path):
    import datasets

    noise(1).save(tmp_path / "a.png")
    features = datasets.Features({"image": datasets.Image()})
    data = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"image": [str(tmp_path / "a.png")]}, features)})
    write_parquet(data, tmp_path / "out", Watch())
    cell = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")["image"][0].as_py()
    assert cell == {"bytes": (tmp_path / "a.png").read_bytes(), "path": "a.png"}


def test_paths_of_this_machine_become_names_also_inside_lists_and_structs(tmp_path: Path):
    import datasets

    (tmp_path / "a.txt").touch()
    path = str(tmp_path / "a.txt")
    rows = {"file": [path, None], "list": [[path, "b"], []], "struct": [{"at": path}, {"at": "/r/x"}]}
    data = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)})
    written = write_parquet(data, tmp_path / "out", Watch())
    assert written.shortened == {"file": 1, "list": 1, "struct": 1}
    table = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    assert table.to_pydict() == {
        "file": ["a.txt", None],
        "list": [["a.txt", "b"], []],
        "struct": [{"at": "a.txt"}, {"at": "/r/x"}],
    }
