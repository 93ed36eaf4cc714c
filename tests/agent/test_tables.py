from pathlib import Path

from rich.console import Console

from agent.tables import table_of
from tests.conftest import MakePicture
from tools.core.workspace import Workspace
from tools.match_thumbnails import match_thumbnails


def test_a_match_of_several_thumbnails_is_a_table_with_its_answer_and_what_was_left_out(
    workspace: Workspace, photos: Path
):
    result = match_thumbnails(workspace, [str(photos), "/none.jpg"], ["red", "[bold]blue[/bold]\x1b[31m"])
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table_of(result))
    text = captured.get()
    assert "5 thumbnails and 2 titles" in text and "a-red.png" in text and "left out none.jpg" in text
    assert "[bold]blue[/bold]" in text and "\x1b[31m" not in text, "cells are text, and steer nothing"


def test_a_match_of_one_thumbnail_says_itself_in_words(workspace: Workspace, make_picture: MakePicture):
    assert table_of(match_thumbnails(workspace, [str(make_picture("red.png"))], ["red", "blue"])) is None
