"""Publishing to a local server that speaks the hub's API: what arrives, what is refused, and what is left behind."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tests.doubles import noise
from tests.tools.hub_server import Account, HubServer, Repository, hub_server
from tools.core.errors import (
    DataError,
    InputError,
    NotInLibraryError,
    PairwrightError,
    RemoteError,
    SettingsError,
    StoppedError,
)
from tools.core.library import Kind, new_card, write_card
from tools.core.pairs.dataset import Pair, save_pairs
from tools.core.settings import Settings
from tools.core.watch import Progress, Watch
from tools.core.workspace import Secrets, Workspace
from tools.hub import client, parquet, process
from tools.publish import Published, preview_publish, publish

TOKEN = "hf_" + "aToken" * 6
TITLES = (
    "Baking bread at home",
    "How I quit my job",
    "Fine-tuning CLIP on a laptop",
    "Why trains are late",
    "Five AI projects for a weekend",
    "The history of the bicycle",
    "Cooking rice: 12 mistakes",
    "Ägypten in drei Minuten",
    "猫はなぜ箱が好きなのか",
    "Un jardin sans eau",
    "What a compiler does 🚀",
    "Knots every sailor knows",
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Run a hub on which TOKEN is that of the account `me`."""
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # the server speaks the older upload by LFS
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "saved-login"))  # never that of whoever runs the tests
    with hub_server() as running:
        running.accounts[TOKEN] = Account("me", orgs={"us": "write", "them": "read"})
        yield running


@pytest.fixture
def desk(home: Path, hub: HubServer) -> Workspace:
    """Return a workspace whose hub is the local one."""
    return Workspace(Settings(home=home, hub_endpoint=hub.url, hub_token=TOKEN))


def picture(number: int) -> bytes:
    content = io.BytesIO()
    noise(number).save(content, "PNG")
    return content.getvalue()


def make_pairs(workspace: Workspace, name: str = "talebi", **parameters: object) -> None:
    pairs = (Pair(picture(i), title, {"video_id": f"v{i}"}) for i, title in enumerate(TITLES))
    save_pairs(workspace, name, pairs, source="the table /home/somebody/My data/pairs.csv", parameters=parameters)


def make_model(workspace: Workspace, folder: Path, name: str = "clip-talebi") -> Path:
    with workspace.library.making(Kind.MODEL, name) as place:
        shutil.copytree(folder, place / "model")
        card = new_card(
            Kind.MODEL,
            name,
            "job/train-talebi",
            parents=("dataset/talebi",),
            parameters={"recipe": "title_thumbnail", "base_model": "starter-clip"},
            metrics={"recall_at_1": 0.75},
        )
        write_card(place, card)
    return workspace.library.folder(Kind.MODEL, name) / "model"


def arrived(hub: HubServer, kind: str, repo: str) -> dict[str, bytes]:
    files = dict(hub.repositories[kind, repo].files)
    del files[".gitattributes"]  # the hub's own
    return files


def previewed(workspace: Workspace, *args: object) -> dict[str, int]:
    """Return path → bytes as the preview lists them."""
    facts = [text for name, text in preview_publish(workspace, *args).facts if name == "file"]
    sizes = {text.rpartition(", ")[0] if "(" not in text else text.partition(", ")[0]: text for text in facts}
    return {path: int(re.findall(r"([\d,]+) bytes", text)[0].replace(",", "")) for path, text in sizes.items()}


def laid_out(files: dict[str, bytes], folder: Path) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_a_dataset_arrives_in_one_commit_exactly_as_previewed_and_loads_again(
    desk: Workspace, hub: HubServer, tmp_path: Path
):
    import datasets

    make_pairs(desk)
    listed = previewed(desk, "talebi", "me/talebi")
    assert hub.repositories == {}, "a preview sends nothing"
    result = publish(desk, "talebi", "me/talebi")
    files = arrived(hub, "dataset", "me/talebi")
    assert {path: len(content) for path, content in files.items()} == listed
    assert {file.path: file.bytes for file in result.files} == listed
    assert hub.repositories["dataset", "me/talebi"].commits == ["initial", "dataset/talebi, by Pairwright"]
    assert result.new and result.changed and result.account == "me" and result.url == f"{hub.url}/datasets/me/talebi"
    again = datasets.load_dataset(str(laid_out(files, tmp_path / "down")), cache_dir=str(tmp_path / "cache"))
    own = datasets.load_from_disk(str(desk.library.folder(Kind.DATASET, "talebi") / "data"))
    assert again.num_rows == own.num_rows == {"train": 8, "validation": 2, "test": 2}
    raw = datasets.Image(decode=False)
    for split in own:
        assert again[split].features == own[split].features
        assert again[split].cast_column("image", raw).to_list() == own[split].cast_column("image", raw).to_list()


def test_the_card_goes_along_without_the_folders_of_this_machine(desk: Workspace, hub: HubServer):
    from huggingface_hub import DatasetCard

    make_pairs(desk, platform_policy="Platform: refresh within 30 days")
    publish(desk, "talebi", "me/talebi")
    card = DatasetCard(arrived(hub, "dataset", "me/talebi")["README.md"].decode())
    assert card.data.tags[0] == "pairwright" and card.data.license == "other"
    assert (
        "from: `the table pairs.csv`" in card.text
        and "seed: `42`" in card.text
        and 'load_dataset("me/talebi")' in card.text
    )
    assert "Platform: refresh within 30 days." in card.text
    everything = b"".join(hub.seen)
    assert b"/home/somebody" not in everything and str(desk.settings.home).encode() not in everything


def test_a_model_arrives_with_its_card_and_loads_by_sentence_transformers_alone(
    desk: Workspace, hub: HubServer, resaved_clip_folder: Path, tmp_path: Path
):
    from huggingface_hub import ModelCard
    from sentence_transformers import SentenceTransformer

    own = make_model(desk, resaved_clip_folder)
    text = "---\nlicense: mit\n---\n\n# clip-talebi\n\nFrom `/home/somebody/base model`, see [it](/home/somebody/x).\n"
    (own / "README.md").write_text(text)
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/somebody/clip"}))
    (own / "training_args.bin").write_bytes(b"pickled /home/somebody")
    (own / ".cache").mkdir()
    (own / ".cache" / "state.json").write_text("{}")
    listed = previewed(desk, "clip-talebi", "me/clip")
    result = publish(desk, "clip-talebi", "me/clip")
    files = arrived(hub, "model", "me/clip")
    assert {path: len(content) for path, content in files.items()} == listed
    left = {file.relative_to(own).as_posix() for file in own.rglob("*") if file.is_file()} - set(files)
    assert left == {"training_args.bin", ".cache/state.json"}
    facts = preview_publish(desk, "clip-talebi", "me/clip").facts
    assert ("left here", "training_args.bin") in facts and any(
        name == "changed" and "config.json" in said for name, said in facts
    )
    same = set(files) - {"README.md", "config.json"}
    assert all(files[path] == (own / path).read_bytes() for path in same) and "model.safetensors" in same
    card = ModelCard(files["README.md"].decode())
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "mit",
        "sentence-transformers",
        "sentence-similarity",
    )
    assert (
        "From `base model`, see [it](x)." in card.text
        and "ImageNet" in card.text
        and "recall at 1: `0.75`" in card.text
    )
    assert b"/home/somebody" not in b"".join(files.values())
    assert any("ImageNet" in note for note in result.notes)
    loaded = SentenceTransformer(str(laid_out(files, tmp_path / "down")), device="cpu")
    before = SentenceTransformer(str(own), device="cpu")
    assert (loaded.encode(["a title"]) == before.encode(["a title"])).all()


def test_it_is_private_unless_the_person_asks_for_public(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    assert publish(desk, "talebi", "me/hidden").private
    preview = preview_publish(desk, "talebi", "me/shown", private=False)
    assert (
        "Everybody" in preview.warning
        and "creators" in preview.warning
        and ("seen by", "everybody: anyone can see and download it") in preview.facts
    )
    assert not publish(desk, "talebi", "me/shown", private=False).private
    private = {name: one.private for (_, name), one in hub.repositories.items()}
    assert private == {"me/hidden": True, "me/shown": False}


@pytest.mark.parametrize("private", [True, False])
def test_a_repository_of_the_other_visibility_is_refused_and_left_alone(desk: Workspace, hub: HubServer, private: bool):
    make_pairs(desk)
    hub.repositories["dataset", "me/talebi"] = Repository("dataset", not private, {"a.txt": b"a"}, ["initial"])
    for call in (preview_publish, publish):
        with pytest.raises(
            InputError, match="is there already and (private|public), and (private|public) was asked for"
        ):
            call(desk, "talebi", "me/talebi", private=private)
    assert hub.repositories["dataset", "me/talebi"].files == {"a.txt": b"a"}
    assert {one.split()[0] for one in hub.requests} == {"GET"}


def test_a_hub_that_makes_it_public_although_private_was_asked_gets_nothing(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    hub.always_public = True
    with pytest.raises(
        RemoteError, match=r"is public on the hub although private was asked for\. Nothing .* removed again"
    ):
        publish(desk, "talebi", "me/talebi")
    assert hub.repositories == {} and hub.blobs == {}


def test_publishing_again_replaces_what_was_there_and_says_so(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    publish(desk, "talebi", "me/talebi")
    repository = hub.repositories["dataset", "me/talebi"]
    repository.files |= {
        "data/train-00001-of-00002.parquet": b"old",
        "notes.txt": b"mine",
        "README.md": b"---\n{}\n---\n",
    }
    facts = preview_publish(desk, "talebi", "me/talebi").facts
    assert ("replaces", "README.md") in facts and ("keeps there", ".gitattributes, notes.txt") in facts
    assert ("removes", "data/train-00001-of-00002.parquet (old data)") in facts
    result = publish(desk, "talebi", "me/talebi")
    assert not result.new and result.removed == ("data/train-00001-of-00002.parquet",)
    assert set(arrived(hub, "dataset", "me/talebi")) == {file.path for file in result.files} | {"notes.txt"}
    unchanged = publish(desk, "talebi", "me/talebi")
    assert not unchanged.changed and "nothing changed" in str(unchanged) and len(repository.commits) == 3


def test_the_token_is_shown_nowhere_and_sent_only_as_authorization(
    desk: Workspace, hub: HubServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    make_pairs(desk)
    caplog.set_level(logging.DEBUG)
    preview = preview_publish(desk, "talebi", "me/talebi")
    hub.fail("POST", "/commit/", 400, f"your token {TOKEN} is odd")
    with pytest.raises(RemoteError) as caught:
        publish(desk, "talebi", "me/talebi")
    assert "(token) is odd" in str(caught.value)
    hub.faults.clear()
    result = publish(desk, "talebi", "me/talebi")
    captured = capfd.readouterr()
    said = [
        str(preview),
        repr(desk.secrets),
        repr(desk.settings),
        str(caught.value),
        str(result),
        repr(result),
        caplog.text,
    ]
    assert not any(TOKEN in text for text in [*said, captured.out, captured.err])
    for request in hub.seen:
        lines = [line for line in request.split(b"\n") if TOKEN.encode() in line]
        assert all(line.lower().startswith(b"authorization: bearer ") for line in lines)
    kept = [file for file in desk.settings.home.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()]
    assert kept == []


def test_without_a_token_it_says_where_to_get_one_and_where_to_put_it(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    bare = desk.watched(Watch(), Secrets())
    for call in (preview_publish, publish):
        with pytest.raises(InputError, match=r"write permission at .*/settings/tokens, and .* HF_TOKEN"):
            call(bare, "talebi", "me/talebi")
    assert hub.requests == []


def test_a_saved_login_serves_at_home(desk: Workspace, hub: HubServer, tmp_path: Path):
    make_pairs(desk)
    (tmp_path / "saved-login").write_text(TOKEN)
    desk.secrets = Secrets()
    assert publish(desk, "talebi", "me/talebi").account == "me"


def test_on_a_space_neither_the_owners_token_nor_a_saved_login_is_used(home: Path, hub: HubServer, tmp_path: Path):
    (tmp_path / "saved-login").write_text(TOKEN)
    space = Workspace(Settings(home=home, hub_endpoint=hub.url, hub_token=TOKEN, on_space=True))
    make_pairs(space)
    with pytest.raises(InputError, match="Hugging Face token of yours"):
        publish(space, "talebi", "me/talebi")
    assert hub.requests == []
    hub.accounts["hf_visitor"] = Account("visitor")
    visit = space.watched(Watch(), Secrets(hub_token="hf_visitor"))
    assert publish(visit, "talebi", "visitor/talebi").account == "visitor"


def test_offline_it_says_so_and_asks_nobody(home: Path, hub: HubServer):
    workspace = Workspace(Settings(home=home, hub_endpoint=hub.url, hub_token=TOKEN, hub_offline=True))
    make_pairs(workspace)
    with pytest.raises(SettingsError, match="HF_HUB_OFFLINE is set"):
        preview_publish(workspace, "talebi", "me/talebi")
    assert hub.requests == []


@pytest.mark.parametrize(
    "repo_id",
    ["", "talebi", "me/", "/talebi", "me/a/b", "me/a b", "me/--x", "me/x..y", "me/x.git", "../x", "me/ü", "me/x\n"],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_form_expected(desk: Workspace, hub: HubServer, repo_id: str):
    make_pairs(desk)
    if repo_id.strip() != repo_id:
        assert publish(desk, "talebi", repo_id).repo_id == repo_id.strip()
        return
    with pytest.raises(InputError, match="expected you/name"):
        publish(desk, "talebi", repo_id)
    assert hub.requests == []


def test_an_address_of_the_hub_gives_a_hint(desk: Workspace):
    with pytest.raises(InputError, match="perhaps 'me/talebi'"):
        publish(desk, "talebi", "https://huggingface.co/datasets/me/talebi")


def test_only_the_accounts_and_organisations_of_the_token_can_be_written_to(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    for foreign in ("shawhin/talebi", "them/talebi"):
        with pytest.raises(InputError, match=r"that of me, who cannot write to .*: give me/talebi or us/talebi"):
            preview_publish(desk, "talebi", foreign)
    assert ("seen by", "the members of us alone") in preview_publish(desk, "talebi", "us/talebi").facts
    hub.accounts[TOKEN].role = "read"
    with pytest.raises(InputError, match="may only read"):
        publish(desk, "talebi", "me/talebi")
    assert hub.repositories == {}


def test_what_is_no_dataset_or_model_is_refused(desk: Workspace, hub: HubServer):
    with desk.library.making(Kind.COLLECTION, "photos") as folder:
        write_card(folder, new_card(Kind.COLLECTION, "photos", "x"))
    with pytest.raises(InputError, match="collection/photos is a collection; only datasets and models"):
        publish(desk, "photos", "me/photos")
    with pytest.raises(NotInLibraryError, match="no item named 'other'"):
        publish(desk, "other", "me/other")
    assert hub.requests == []


def test_a_collection_of_the_same_name_does_not_stand_in_the_way(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    with desk.library.making(Kind.COLLECTION, "talebi") as folder:
        write_card(folder, new_card(Kind.COLLECTION, "talebi", "x"))
    assert preview_publish(desk, "talebi", "me/talebi").args["item"] == "dataset/talebi"


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "does not accept the token: make a new one with write permission"),
        (403, "does not let this token write to me/talebi"),
        (409, "choose another name"),
        (429, "wait some minutes"),
        (503, "has trouble: try again later"),
    ],
)
def test_a_hub_that_refuses_to_make_it_is_understood_and_nothing_is_left(
    desk: Workspace, hub: HubServer, status: int, advice: str
):
    make_pairs(desk)
    hub.fail("POST", "/api/repos/create", status)
    with pytest.raises(RemoteError, match=f"{advice}.*{status}: on purpose.*Nothing was published"):
        publish(desk, "talebi", "me/talebi")
    assert hub.repositories == {}


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_hub_that_does_not_answer_the_first_question_is_understood(desk: Workspace, hub: HubServer, status: int):
    make_pairs(desk)
    hub.fail("GET", "/api/whoami-v2", status)
    with pytest.raises(RemoteError, match=str(status)):
        preview_publish(desk, "talebi", "me/talebi")


def test_a_commit_that_fails_leaves_no_empty_repository_and_changes_no_old_one(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    hub.fail("POST", "/commit/", 403, "no")
    with pytest.raises(
        RemoteError, match=r"403: no.*Nothing was published; the repository made for it was removed again"
    ):
        publish(desk, "talebi", "me/talebi")
    assert hub.repositories == {}
    hub.repositories["dataset", "me/talebi"] = Repository("dataset", True, {"a.txt": b"a"}, ["initial"])
    with pytest.raises(RemoteError, match=r"403: no\)\. Nothing was published$"):
        publish(desk, "talebi", "me/talebi")
    assert hub.repositories["dataset", "me/talebi"].files == {"a.txt": b"a"}


def test_what_cannot_be_removed_again_is_named(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    hub.fail("POST", "/commit/", 403)
    hub.fail("DELETE", "/api/repos/delete", 403)
    with pytest.raises(RemoteError, match=f"could not be found out: see {hub.url}/datasets/me/talebi"):
        publish(desk, "talebi", "me/talebi")


@pytest.mark.parametrize("old", [False, True])
def test_a_commit_whose_answer_is_lost_is_not_called_unpublished(desk: Workspace, hub: HubServer, old: bool):
    make_pairs(desk)
    if old:
        hub.repositories["dataset", "me/talebi"] = Repository("dataset", True, {"a.txt": b"a"}, ["initial"])
    hub.fail("POST", "/commit/", 504, after=True)
    with pytest.raises(RemoteError, match="changed all the same" if old else "is left, and not empty"):
        publish(desk, "talebi", "me/talebi")
    assert "README.md" in hub.repositories["dataset", "me/talebi"].files


def test_a_hub_that_cannot_be_reached_is_named(home: Path, hub: HubServer):
    away = Workspace(Settings(home=home, hub_endpoint="http://127.0.0.1:1", hub_token=TOKEN))
    make_pairs(away)
    with pytest.raises(RemoteError, match=r"The hub at http://127\.0\.0\.1:1 cannot be reached: check the network"):
        preview_publish(away, "talebi", "me/talebi")


def test_a_hub_that_stays_silent_is_given_up_soon(desk: Workspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch):
    make_pairs(desk)
    monkeypatch.setattr(client, "LOOK_SECONDS", 0.5)
    hub.fail("GET", "/api/whoami-v2", 0, seconds=20)
    began = time.monotonic()
    with pytest.raises(RemoteError, match="cannot be reached"):
        preview_publish(desk, "talebi", "me/talebi")
    assert time.monotonic() - began < 10


def test_a_process_that_dies_is_reported(
    desk: Workspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    make_pairs(desk)
    monkeypatch.setattr(process, "WORKER", tmp_path / "no such file.py")
    with pytest.raises(RemoteError, match="ended with code 2; try again|did not start"):
        preview_publish(desk, "talebi", "me/talebi")


def test_stop_ends_an_upload_at_once_and_leaves_nothing(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    hub.fail("PUT", "/lfs/", 0, seconds=60)
    stop = threading.Event()

    def report(progress: Progress) -> None:
        if progress.what.startswith("uploading"):
            threading.Timer(0.5, stop.set).start()

    began = time.monotonic()
    with pytest.raises(StoppedError, match="Nothing was published; the repository made for it was removed again"):
        publish(desk.watched(Watch(report, stop)), "talebi", "me/talebi")
    assert time.monotonic() - began < 20 and hub.repositories == {}


def test_two_at_once_publish_it_once_and_remove_nothing_of_each_other(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    ended: list[Published | PairwrightError] = []

    def run() -> None:
        try:
            ended.append(publish(desk, "talebi", "me/talebi"))
        except PairwrightError as error:
            ended.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(one, Published) for one in ended), ended
    assert len(hub.repositories["dataset", "me/talebi"].commits) == 2
    assert len(arrived(hub, "dataset", "me/talebi")) == 4


def test_a_large_split_becomes_several_files_and_reads_as_one(
    desk: Workspace, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import datasets

    monkeypatch.setattr(parquet, "MAX_FILE_BYTES", 1)
    monkeypatch.setattr(parquet, "GROUP", 3)
    make_pairs(desk)
    publish(desk, "talebi", "me/talebi")
    files = arrived(hub, "dataset", "me/talebi")
    assert sorted(path for path in files if "train" in path) == [
        f"data/train-0000{n}-of-00003.parquet" for n in range(3)
    ]
    again = datasets.load_dataset(str(laid_out(files, tmp_path / "down")), cache_dir=str(tmp_path / "cache"))
    own = datasets.load_from_disk(str(desk.library.folder(Kind.DATASET, "talebi") / "data"))
    assert again["train"]["title"] == own["train"]["title"]


def test_cells_that_are_paths_of_this_machine_become_names_and_the_preview_says_so(
    desk: Workspace, hub: HubServer, tmp_path: Path
):
    import pyarrow.parquet as pq

    there = tmp_path / "private" / "a.png"
    there.parent.mkdir()
    noise(0).save(there)
    content = there.read_bytes()
    extras = [{"file": str(there)}, {"file": "/r/funny"}, {"file": None}]
    pairs = [Pair(content, f"/title {i}", extra) for i, extra in enumerate(extras)]
    save_pairs(desk, "small", iter(pairs), source="a test")
    facts = preview_publish(desk, "small", "me/small").facts
    assert [said for name, said in facts if name == "changed"] == [
        "1 cells of the column file: folders of this machine were taken out"
    ]
    publish(desk, "small", "me/small")
    table = pq.read_table(io.BytesIO(arrived(hub, "dataset", "me/small")["data/train-00000-of-00001.parquet"]))
    assert sorted(map(str, table["file"].to_pylist())) == ["/r/funny", "None", "a.png"]
    assert sorted(table["title"].to_pylist()) == ["/title 0", "/title 1", "/title 2"]


def test_rows_kept_longer_than_the_policy_allows_are_pointed_out(desk: Workspace, hub: HubServer):
    days = ("2020-01-01T00:00:00+00:00", "2020-01-01", "not a date", None)
    pairs = [Pair(picture(1), f"title {i}", {"fetched_at": day}) for i, day in enumerate(days)]
    save_pairs(desk, "old", iter(pairs), source="the channel @old on YouTube")
    result = publish(desk, "old", "me/old")
    assert any("2 rows were fetched more than 30 days ago" in note for note in result.notes)


def test_a_file_that_holds_a_key_is_not_sent(desk: Workspace, hub: HubServer, resaved_clip_folder: Path):
    own = make_model(desk, resaved_clip_folder)
    (own / "README.md").write_text(f"# clip-talebi\n\nupload with {TOKEN}\n")
    with pytest.raises(DataError, match=r"README\.md of model/clip-talebi holds what looks like a key"):
        publish(desk, "clip-talebi", "me/clip")
    assert hub.repositories == {}


def test_damaged_content_is_named_before_anything_is_sent(desk: Workspace, hub: HubServer, resaved_clip_folder: Path):
    own = make_model(desk, resaved_clip_folder)
    (own / "modules.json").unlink()
    with pytest.raises(DataError, match=r"no complete model \(modules\.json is missing\)"):
        publish(desk, "clip-talebi", "me/clip")
    make_pairs(desk)
    shutil.rmtree(desk.library.folder(Kind.DATASET, "talebi") / "data" / "train")
    with pytest.raises(DataError, match="dataset/talebi cannot be read"):
        publish(desk, "talebi", "me/talebi")
    assert hub.repositories == {}


def test_a_hub_that_stores_by_xet_and_fails_names_the_way_around(
    desk: Workspace, hub: HubServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HF_HUB_DISABLE_XET")
    make_pairs(desk)
    with pytest.raises(RemoteError, match=r"HF_HUB_DISABLE_XET=1.*Nothing was published; .* removed again"):
        publish(desk, "talebi", "me/talebi")  # the server has no Xet
    assert hub.repositories == {}


def test_what_is_kept_between_preview_and_sending_is_used_once_and_old_leftovers_go(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    cache = desk.settings.home / "cache" / "publish"
    preview_publish(desk, "talebi", "me/talebi")
    (kept,) = cache.iterdir()
    stamps = {file: file.stat().st_mtime_ns for file in kept.rglob("*.parquet")}
    old = cache / "old"
    old.mkdir()
    os.utime(old, (0, 0))
    preview_publish(desk, "talebi", "me/other")
    assert stamps == {file: file.stat().st_mtime_ns for file in kept.rglob("*.parquet")} and not old.exists()
    publish(desk, "talebi", "me/talebi")
    assert list(cache.iterdir()) == []


def test_the_preview_names_what_an_approval_approves(desk: Workspace, hub: HubServer):
    make_pairs(desk)
    preview = preview_publish(desk, "talebi", " me/talebi ")
    assert preview.title == "Publish dataset/talebi to me/talebi, private"
    assert preview.args == {"item": "dataset/talebi", "repo_id": "me/talebi", "private": True}
    assert ("account", "me, by the token given") in preview.facts
    result = publish(desk, **preview.args)
    assert result.repo_id == "me/talebi"
    plain = json.loads(json.dumps(dataclasses.asdict(result)))
    assert TypeAdapter(Published).validate_python(plain) == result, "it survives the conversation"
