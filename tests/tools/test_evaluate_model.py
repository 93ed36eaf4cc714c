from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.doubles import noise
from tests.tools.test_launch_finetune import add_pairs
from tools.core.errors import DataError, InputError, ModelError, NotInLibraryError
from tools.core.pairs.dataset import Pair, save_pairs
from tools.core.workspace import Workspace
from tools.evaluate_model import evaluate_model


def test_it_scores_both_ways_with_intervals_and_candidates(workspace: Workspace, clip_folder: Path):
    add_pairs(workspace, count=60)
    scored = evaluate_model(workspace, str(clip_folder), "talebi")
    assert scored.scores.items == scored.scores.to_title.candidates == 9
    text = str(scored)
    for part in (
        "Recall@1",
        "MRR",
        "[",
        "picture for a title",
        "9 pairs are few",
        "Guessing would give Recall@1 0.111",
    ):
        assert part in text


def test_its_scores_are_those_of_encoding_everything_plainly(workspace: Workspace, clip_folder: Path):
    import datasets

    add_pairs(workspace, count=60)
    scored = evaluate_model(workspace, str(clip_folder), "talebi", "train")
    rows = datasets.load_from_disk(str(workspace.settings.home / "datasets/talebi/data"))["train"]
    encoder = workspace.encoder(str(clip_folder))
    scores = encoder.encode_pictures([p.convert("RGB") for p in rows["image"]]) @ encoder.encode_texts(rows["title"]).T
    recall = float(np.mean(scores.argmax(axis=1) == np.arange(len(rows))))
    assert scored.scores.to_title.recall[1].value == pytest.approx(recall, abs=1e-9)


def test_a_second_time_nothing_goes_through_the_towers(
    workspace: Workspace, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from tools.core.training import features

    add_pairs(workspace)
    first = evaluate_model(workspace, str(clip_folder), "talebi")
    monkeypatch.setattr(features, "_compute", lambda *_: pytest.fail("computed again"))
    assert evaluate_model(workspace, str(clip_folder), "talebi").scores == first.scores


def test_the_same_thumbnail_for_two_titles_counts_once(workspace: Workspace, clip_folder: Path):
    from io import BytesIO

    def pairs() -> Any:
        for number in range(6):
            content = BytesIO()
            noise(number // 2).save(content, "PNG")
            yield Pair(content.getvalue(), f"Title {number}", split="test" if number < 4 else "train")

    save_pairs(workspace, "twins", pairs(), source="made up", parameters={})
    scored = evaluate_model(workspace, str(clip_folder), "twins")
    assert (scored.scores.to_title.candidates, scored.scores.to_picture.candidates) == (4, 2)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": "no such model"}, ModelError, "starter-clip"),
        ({"model": " "}, InputError, "empty"),
        ({"dataset": "nothing"}, NotInLibraryError, "talebi"),
        ({"split": "dev"}, InputError, "train, validation, test"),
    ],
)
def test_a_wrong_argument_is_named(workspace: Workspace, change: dict[str, str], error: type[Exception], said: str):
    add_pairs(workspace)
    args: dict[str, Any] = {"model": "starter-clip", "dataset": "talebi"} | change
    with pytest.raises(error, match=said):
        evaluate_model(workspace, **args)


def test_titles_that_are_all_the_same_cannot_be_told_apart(workspace: Workspace):
    from io import BytesIO

    def pairs() -> Any:
        for number in range(20):
            content = BytesIO()
            noise(number).save(content, "PNG")
            yield Pair(content.getvalue(), "Always the same", split="train" if number else "test")

    save_pairs(workspace, "same", pairs(), source="made up", parameters={})
    with pytest.raises(DataError, match="different titles"):
        evaluate_model(workspace, "starter-clip", "same", "train")
