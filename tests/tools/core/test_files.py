import json
from pathlib import Path

import pytest

from tools.core.files import replacing, write_json, write_text


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_when_the_block_succeeds(tmp_path: Path, durable: bool):
    (tmp_path / "note").write_text("old")
    with replacing(tmp_path / "note", durable) as aside:
        aside.write_text("new")
        assert (tmp_path / "note").read_text() == "old"
    assert (tmp_path / "note").read_text() == "new"
    assert names_in(tmp_path) == ["note"]


def test_a_file_is_left_as_it_was_when_the_block_fails(tmp_path: Path):
    (tmp_path / "note").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "note") as aside:
        aside.write_text("half")
        raise RuntimeError
    assert (tmp_path / "note").read_text() == "old"
    assert names_in(tmp_path) == ["note"]


def test_a_folder_is_replaced_whole(tmp_path: Path):
    (tmp_path / "box").mkdir()
    (tmp_path / "box/old").touch()
    with replacing(tmp_path / "box") as aside:
        (aside / "deep").mkdir(parents=True)
        (aside / "deep/new").write_text("x")
    assert (names_in(tmp_path), names_in(tmp_path / "box")) == (["box"], ["deep"])


def test_a_folder_is_left_as_it_was_when_the_block_fails(tmp_path: Path):
    (tmp_path / "box").mkdir()
    (tmp_path / "box/old").touch()
    with pytest.raises(RuntimeError), replacing(tmp_path / "box") as aside:
        aside.mkdir()
        (aside / "new").touch()
        raise RuntimeError
    assert (names_in(tmp_path), names_in(tmp_path / "box")) == (["box"], ["old"])


def test_missing_parents_are_made(tmp_path: Path):
    write_text(tmp_path / "a/b/note", "ž")
    assert (tmp_path / "a/b/note").read_text(encoding="utf-8") == "ž"


def test_json_comes_back_as_it_was_and_stays_readable(tmp_path: Path):
    write_json(tmp_path / "x.json", {"název": [1, None]})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"název": [1, None]}
    assert "název" in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_a_value_that_is_not_json_leaves_the_old_file(tmp_path: Path):
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", object())
    assert (tmp_path / "x.json").read_text() == "1\n"
