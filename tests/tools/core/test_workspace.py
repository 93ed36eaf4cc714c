import threading
from pathlib import Path

import pytest

from tests.doubles import FORK, colour_workspace
from tools.core.encoders import STARTER, EncoderChoice
from tools.core.errors import ModelError, StoppedError
from tools.core.settings import Settings
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace
from tools.delete_item import delete_item
from tools.index_images import index_images
from tools.search_images import search_images


def test_opening_a_workspace_writes_nothing_and_loads_nothing(home: Path):
    workspace = Workspace()
    assert workspace.settings.home == home
    assert workspace.library.cards() == [] and workspace._shelf.encoders == {}
    assert not home.exists()


def test_a_watched_workspace_shares_what_is_loaded(workspace: Workspace, photos: Path):
    told: list[Progress] = []
    watched = workspace.watched(Watch(told.append))
    index_images(watched, str(photos))
    card = workspace.library.find("images")
    assert watched.encoder() is workspace.encoder()
    assert watched.collection(card) is workspace.collection(card)
    count = len(told)
    index_images(workspace, str(photos))
    assert count > 0 and len(told) == count  # the first workspace still tells nobody


def test_the_encoder_is_decided_once_and_can_be_named_for_a_call(home: Path):
    workspace = Workspace(Settings(home, encoder="mine"))
    assert workspace.encoder_choice() is workspace.encoder_choice()
    assert workspace.encoder_choice().reason == "set by PAIRWRIGHT_ENCODER"
    assert workspace.encoder_choice("other") == EncoderChoice("other", "named in the command")


def test_an_encoder_is_loaded_once_even_by_several_threads(home: Path, clip_folder: Path):
    workspace = Workspace(Settings(home, encoder=str(clip_folder), hub_offline=True))
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(workspace.encoder())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(map(id, found))) == 1
    assert list(workspace._shelf.encoders) == [str(clip_folder)]


def test_an_encoder_that_cannot_be_loaded_is_tried_again(home: Path):
    workspace = Workspace(Settings(home, encoder="missing", hub_offline=True))
    for _ in range(2):
        with pytest.raises(ModelError, match="There is no model 'missing'"):
            workspace.encoder()


def test_a_collection_made_anew_by_another_process_is_opened_anew(workspace: Workspace, photos: Path):
    index_images(workspace, str(photos))
    assert [hit.title for hit in search_images(workspace, "red").hits][0] == "a-red"
    other = FORK.Process(target=_make_anew, args=(workspace.settings.home, photos / "c-blue.png"))
    other.start()
    other.join(60)
    assert other.exitcode == 0
    assert [hit.title for hit in search_images(workspace, "red").hits] == ["c-blue"]


def _make_anew(home: Path, source: Path) -> None:
    workspace = colour_workspace(home)
    delete_item(workspace, "images")
    index_images(workspace, str(source))


def test_a_picture_without_a_file_gets_one_and_only_one(workspace: Workspace):
    first, second = workspace.picture_file(b"abc"), workspace.picture_file(b"abc")
    assert first == second and first.read_bytes() == b"abc"
    assert workspace.picture_file(b"abd") != first
    assert len(list(first.parent.iterdir())) == 2


def test_a_watch_tells_until_it_is_stopped():
    told: list[Progress] = []
    watch = Watch(told.append)
    watch.tell("working", 1, 3)
    watch.stop.set()
    for act in (watch.check, lambda: watch.tell("working", 2, 3)):
        with pytest.raises(StoppedError, match="Stopped as you asked"):
            act()
    assert told == [Progress("working", 1, 3)]


def test_when_what_auto_chose_cannot_be_loaded_the_starter_takes_its_place_and_says_so(home: Path, monkeypatch):
    workspace = Workspace(Settings(home=home))
    monkeypatch.setattr("tools.core.workspace.choose_encoder", lambda *_: EncoderChoice("nobody/half-there", "cached"))
    assert workspace.encoder().name == STARTER
    assert "nobody/half-there failed" in workspace.encoder_choice().reason
