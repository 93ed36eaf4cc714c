"""What is published holds no folders of this machine and no keys, and nothing else is changed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tools.hub.scrub import (
    cell_without_path,
    holds_key,
    is_local_path,
    json_without_paths,
    last_part,
    source_without_path,
    without_paths,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("the folder /home/me/photos", "the folder photos"),
        ("see `/home/me/My Photos/x.csv` now", "see `x.csv` now"),
        ("~/pairs/y.csv, and C:\\Users\\me\\z.csv", "y.csv, and z.csv"),
        ("file:///home/me/x.jpg", "x.jpg"),
        ("path=/root/.cache/a.bin;", "path=a.bin;"),
        ("[plot](/tmp/run/plot.png)", "[plot](plot.png)"),
    ],
)
def test_absolute_paths_become_names(text: str, clean: str):
    assert without_paths(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/datasets/me/talebi/tree/main",
        "and/or, 24/7, 1/2, </s>, a / b",
        "sentence-transformers/clip-ViT-L-14",
        "data/train-00000-of-00001.parquet",
        "../relative/path and ./another/one",
        "s3://bucket/key/file",
        "/data alone tells nothing",
    ],
)
def test_addresses_and_what_is_no_path_stay_as_they_are(text: str):
    assert without_paths(text) == text
    assert json_without_paths(json.dumps({"a": [text]})) == json.dumps({"a": [text]})


def test_no_folder_of_a_random_path_survives():
    generator = random.Random(0)
    for _ in range(200):
        folders = [
            "".join(generator.choices("abcXYZ019._-", k=generator.randint(3, 9))).strip(".-") or "x" for _ in "1234"
        ]
        path = generator.choice(["/", "~/", "file:///"]) + "/".join(folders)
        before, after = generator.choice(
            [("", ""), ("from ", " on"), ("(", ")"), ('"', '"'), ("x: ", ", y"), ("`", "`")]
        )
        clean = without_paths(f"{before}{path}{after}")
        assert clean == f"{before}{folders[-1]}{after}"
        assert json.loads(json_without_paths(json.dumps([path]))) == [folders[-1]]


def test_the_path_at_the_end_of_a_source_may_hold_spaces():
    assert source_without_path("the folder /home/me/My photos/Summer 2024") == "the folder Summer 2024"
    assert source_without_path("the hub dataset me/talebi") == "the hub dataset me/talebi"
    assert source_without_path("@channel, https://www.youtube.com/@channel/videos") == (
        "@channel, https://www.youtube.com/@channel/videos"
    )


def test_json_keeps_its_values_and_its_text_when_there_is_nothing_to_change():
    text = '{"b": 1.50,\n "a": [true, null, "x/y"]}'
    assert json_without_paths(text) is text
    changed = json.loads(json_without_paths('{"_name_or_path": "/home/me/my model/clip", "b": 1.5, "é": ["~/a/b"]}'))
    assert changed == {"_name_or_path": "clip", "b": 1.5, "é": ["b"]}


def test_a_cell_is_shortened_only_when_it_is_a_path_of_this_machine(tmp_path: Path):
    assert cell_without_path(str(tmp_path / "here")) == str(tmp_path / "here"), "there is no such file"
    (tmp_path / "here").touch()
    assert cell_without_path(str(tmp_path / "here")) == "here"
    assert cell_without_path(f"{Path.home()}/gone/a.jpg") == "a.jpg"
    for title in ("/r/funny explained", "a/b/c", "/", "", "/x" * 3000, "nul\0/a/b"):
        assert cell_without_path(title) == title


def test_a_local_path_is_told_from_other_texts():
    assert is_local_path("/home/me") and is_local_path("~/x") and is_local_path("C:\\x")
    assert not any(map(is_local_path, ("home/me", "/data", "https://a/b", "see /home/me", "")))
    assert last_part("/home/me/") == "me" and last_part("C:\\a\\b.txt") == "b.txt"


def test_keys_are_recognised_by_their_looks_and_when_they_are_known():
    assert holds_key("token: hf_" + "a1B2" * 8, ()) and holds_key("key=AIza" + "x" * 35, ())
    assert holds_key("the word opensesame", ("opensesame", None))
    assert not holds_key("hf_hub, AIza, sk-learn, hf_transfer", (None, ""))
