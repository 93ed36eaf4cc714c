import json
from pathlib import Path

import pytest

from agent import terminal
from tests.doubles import colour_workspace
from tools.core.workspace import Workspace
from tools.index_images import index_images


@pytest.fixture
def colours(home: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = colour_workspace(home)
    monkeypatch.setattr(terminal, "Workspace", lambda: workspace)
    return workspace


def test_a_command_prints_its_call_and_its_table(colours: Workspace, photos: Path, capsys):
    assert terminal.main([f"index '{photos}' and then find red"]) == 0
    out = capsys.readouterr().out
    assert "→ index_images" in out and "5 added" in out
    assert "a-red" in out and "score" in out


def test_deleting_without_a_person_to_ask_needs_yes(colours: Workspace, photos: Path, capsys):
    index_images(colours, str(photos))
    assert terminal.main(["delete", "the", "collection", "images"]) == 1
    assert "say --yes" in capsys.readouterr().out and colours.library.find("images")
    assert terminal.main(["delete the collection images", "--yes"]) == 0
    assert colours.library.cards() == []


def test_a_failed_tool_gives_status_1_and_says_why(colours: Workspace, capsys):
    assert terminal.main(["index ./nowhere"]) == 1
    assert "no such folder or file" in " ".join(capsys.readouterr().out.split())


def test_a_missing_file_and_a_bad_setting_are_one_line(capsys, monkeypatch):
    assert terminal.main(["find this", "--file", "/no/such.png"]) == 1
    assert capsys.readouterr().err == "pairwright: There is no file /no/such.png\n"
    monkeypatch.setenv("PORT", "many")
    assert terminal.main(["list my library"]) == 1
    assert capsys.readouterr().err.startswith("pairwright: PORT is 'many'; expected")


def test_plan_prints_the_calls_without_making_them(home: Path, capsys):
    assert terminal.main(["plan", "find lions", "--after", "index ./photos", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan == {"calls": [{"tool": "search_images", "args": {"query": "lions"}}], "ask": None, "say": ""}
    assert not home.exists()


def test_plan_reads_a_batch_and_answers_line_by_line(tmp_path: Path, capsys):
    batch = tmp_path / "batch.jsonl"
    batch.write_text('{"text": "find dogs", "history": []}\n\n{"text": "index my pictures"}\n')
    assert terminal.main(["plan", "--batch", str(batch)]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["calls"][0]["args"] == {"query": "dogs"}
    assert second["calls"] == [] and second["ask"] == "source" and second["say"]


def test_a_broken_batch_names_its_line(tmp_path: Path, capsys):
    batch = tmp_path / "batch.jsonl"
    batch.write_text('{"text": "find dogs"}\n["no"]\n')
    assert terminal.main(["plan", "--batch", str(batch)]) == 1
    assert "line 2: expected an object" in capsys.readouterr().err
