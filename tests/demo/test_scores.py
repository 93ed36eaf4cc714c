from __future__ import annotations

import threading
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

import demo.scores  # noqa: F401  # registers what is tested here
from agent.loop import Agent
from demo.chat import Chats
from demo.render import draw
from tests.toy_jobs import toy_job, wait_for_end
from tools.core.library import Library
from tools.core.metrics import Ranks, score_ranks
from tools.core.workspace import Workspace
from tools.evaluate_model import Evaluation
from tools.job_status import job_status
from tools.list_library import Entry
from tools.mine_negatives import Example, Mined


def test_negatives_are_shown_beside_their_titles(home: Path):
    examples = (Example("How | to", "Fat tails", -0.1), Example("Second", "Third", None))
    mined = Mined("x-negatives", "x", "hard", 1, "colours", {"train": 2}, ("negative",), {}, 0, {}, 0.1, examples)
    (table,) = draw(mined, home)
    assert "How \\| to | Fat tails | -0.10" in table and "Second | Third |  |" in table


def test_scores_are_shown_both_ways_with_their_intervals(home: Path):
    ranks = Ranks(np.array([1, 2, 1, 7]), np.array([1, 1, 1, 1]), titles=4, pictures=3)
    (table,) = draw(Evaluation("clip", "talebi", "test", score_ranks(ranks), False, 0.1), home)
    first, second = table.splitlines()[-2:]
    assert "the title of a picture | 4 | 0.500 \\[" in first
    assert "the picture of a title | 3 | 1.000 \\[" in second


@pytest.mark.slow
def test_a_job_is_shown_with_its_scores_and_curves(home: Path, workspace: Workspace):
    library = Library(home)
    job = toy_job(library)
    job.start()
    wait_for_end(job)
    contents = draw(job_status(workspace), home)
    picture = contents[-1]
    assert isinstance(picture, gr.Image)
    drawn = list((home / "cache" / "shown").rglob("curves.png"))
    assert len(drawn) == 1 and drawn[0].stat().st_size > 3000


@pytest.mark.parametrize(
    ("counts", "metrics", "said"),
    [
        ({"rows": 140, "train": 98, "left_out": 0}, {}, "140 rows"),
        ({"pictures": 5}, {}, "5 pictures"),
        ({}, {"test_recall_at_1": 0.25}, "Recall@1 0.250 on test"),
        ({}, {}, ""),
    ],
)
def test_a_list_says_how_much_there_is_or_how_good_it_is(counts: dict[str, int], metrics: dict[str, float], said: str):
    assert Entry("dataset", "x", "", "", (), counts, metrics).holds == said


def test_a_message_stays_in_its_box_while_the_turn_before_goes_on(workspace: Workspace):
    prepared = threading.Event()
    prepared.set()
    chats = Chats(Agent(workspace), prepared)
    chats._stops["t"] = threading.Event()
    message, *shown = chats.take({"text": "find a dog", "files": []}, "t", "", "")
    assert message is None and all(one == gr.skip() for one in shown)
    assert list(chats.send(message, "t")) == [gr.skip()]
    taken, box, *_ = chats.take({"text": "find a dog", "files": []}, "u", "", "")
    assert taken["text"] == "find a dog" and box is None
