"""Steps that work on what the steps before them make, and changes to a call that waits."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from agent.planner import Planner
from tests.agent.planner.conftest import SIX, collect_youtube, mine_negatives, no_meaning

Names = dict[str, list[str]]


def launch_finetune(
    workspace: object,
    recipe: Literal["title_thumbnail", "caption_choice"],
    dataset: str,
    epochs: int | list[int] | None = None,
    batch_size: int | list[int] | None = None,
    learning_rate: float | list[float] | None = None,
    trainable: Literal["projection", "all"] | None = None,
    hardware: str = "auto",
) -> None:
    """Fine-tune a model."""


def match_thumbnails(
    workspace: object,
    thumbnails: list[str] | None = None,
    titles: list[str] | None = None,
    dataset: str | None = None,
) -> None:
    """Match titles with thumbnails."""


@pytest.fixture(scope="module")
def trainer() -> Planner:
    """A planner that can also train and match."""
    return Planner((*SIX, collect_youtube, mine_negatives, launch_finetune, match_thumbnails), no_meaning)


def datasets(planner: Planner, text: str, *history: str, names: Names | None = None) -> list[Any]:
    """Return the dataset of every call."""
    return [call.args.get("dataset") for call in planner.plan(text, history, (), names).calls]


FLOW = "collect @talebi, mine negatives and fine-tune for 4 epochs"


def test_each_step_gets_what_the_one_before_makes(trainer: Planner) -> None:
    assert datasets(trainer, FLOW) == [None, "talebi", "talebi-negatives"]


def test_a_name_that_is_taken_becomes_the_next_one_as_the_library_counts(trainer: Planner) -> None:
    names = {"dataset": ["talebi", "talebi-2"]}
    assert datasets(trainer, FLOW, names=names) == [None, "talebi-3", "talebi-3-negatives"]


def test_what_was_said_is_not_replaced_by_what_was_made(trainer: Planner) -> None:
    said = "collect @talebi, then mine negatives for old, and then fine-tune clip on other"
    assert datasets(trainer, said, names={"dataset": ["old", "other"]}) == [None, "old", "other"]


def test_negatives_without_a_dataset_are_those_of_the_most_recent_one(trainer: Planner) -> None:
    names = {"dataset": ["old", "talebi"]}
    assert datasets(trainer, "mine negatives, then fine-tune clip", names=names) == [None, "talebi-negatives"]


def test_what_an_earlier_message_made_is_what_it_means(trainer: Planner) -> None:
    names = {"dataset": ["talebi", "talebi-negatives"]}
    history = ("collect @talebi, then mine negatives",)
    assert datasets(trainer, "fine-tune clip on it", *history, names=names) == ["talebi-negatives"]
    assert datasets(trainer, "fine-tune clip on it", *history) == ["talebi-negatives"], "as with --after"


def test_a_plan_says_what_its_steps_make(trainer: Planner) -> None:
    made = [call.makes for call in trainer.plan(FLOW).calls]
    assert made == [("dataset", "talebi"), ("dataset", "talebi-negatives"), ("model", "clip-talebi")]


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("with 3 epochs", {"epochs": 3}),
        ("use three epochs instead", {"epochs": 3}),
        ("make it 3 epochs", {"epochs": 3}),
        ("3 epochs and batch size 8", {"epochs": 3, "batch_size": 8}),
        ("learning rate 3e-5", {"learning_rate": 3e-5}),
        ("again with 5 epochs", {"epochs": 5}),
        ("too costly", {}),
        ("with 3", {}),
        ("find red", {}),
        ("fine-tune clip on talebi for 3 epochs", {}),
        ("", {}),
    ],
)
def test_only_the_end_of_a_command_is_a_change(trainer: Planner, text: str, change: dict[str, Any]) -> None:
    assert trainer.change(text, "launch_finetune") == change
    assert trainer.change(text, "delete_item") == {}


def test_a_message_may_be_read_by_its_words_alone(trainer: Planner) -> None:
    def meaning(texts: list[str]) -> Any:
        raise AssertionError("nobody asked for the meaning")

    planner = Planner(SIX, meaning)
    assert planner.plan("frobnicate the holiday snaps thoroughly", by_meaning=False).calls == ()
    assert planner.plan("list my library", by_meaning=False).calls
