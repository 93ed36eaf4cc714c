import json
import sys
from pathlib import Path

import pytest

from agent import terminal
from tests.agent.training import Ran, make_dataset, planned_agent
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
    out = capsys.readouterr().out
    assert "Delete collection/images" in out and "say --yes" in out and colours.library.find("images")
    assert terminal.main(["delete the collection images", "--yes"]) == 0
    assert colours.library.cards() == []


@pytest.fixture
def at_the_keyboard(colours: Workspace, ran: Ran, monkeypatch: pytest.MonkeyPatch):
    """Let a person sit there who gives these answers; the agent can train, and there is the dataset talebi."""
    make_dataset(colours, "talebi")
    monkeypatch.setattr("agent.loop.Agent", lambda workspace: planned_agent(workspace, ran))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def sit(*answers: str) -> None:
        left = list(answers)

        def answer(*_: object) -> str:
            if not left:
                raise EOFError
            return left.pop(0)

        monkeypatch.setattr("builtins.input", answer)

    return sit


@pytest.mark.parametrize(
    ("answers", "epochs", "status"),
    [
        (["yes"], [2], 0),
        (["no"], [], 1),
        ([""], [], 1),
        ([], [], 1),
        (["no, too costly"], [], 1),
        (["edit", "epochs=3 batch_size=8", "yes"], [3], 0),
        (["with 3 epochs", "y"], [3], 0),
        (["epochs=many", "yes"], [2], 0),
    ],
)
def test_what_waits_is_shown_and_asked_about(at_the_keyboard, ran: Ran, capsys, answers, epochs, status):
    at_the_keyboard(*answers)
    assert terminal.main(["fine-tune clip on talebi"]) == status
    assert [args["epochs"] for _, args in ran.launched] == epochs
    out = capsys.readouterr().out
    assert "Fine-tune starter-clip on talebi" in out and "2 minutes" in out and "learning_rate = 0.0001" in out
    assert ("Now: epochs=2 batch_size=16" in out) == ("edit" in answers)
    assert ("expected a whole number" in out) == ("epochs=many" in answers)
    assert ("3 minutes" in out) == (epochs == [3])


def test_yes_approves_what_is_shown(at_the_keyboard, ran: Ran, capsys):
    assert terminal.main(["fine-tune clip on talebi for 5 epochs", "--yes"]) == 0
    assert ran.launched[0][1]["epochs"] == 5 and "5 minutes" in capsys.readouterr().out


def test_a_key_in_the_command_also_counts_for_what_is_approved_later(at_the_keyboard, ran: Ran, capsys):
    token = "hf_" + "aBcD1" * 7
    assert terminal.main([f"fine-tune clip on talebi with my token {token}", "--yes"]) == 0
    assert ran.launched_with == [token] and token not in capsys.readouterr().out


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
