import dataclasses
import random

import pytest

from tools.core.jobs.info import JobInfo, progress, recall_of, scores
from tools.core.plots import draw_curves


def steps(count: int, of: int, pace: float = 1.0, begin: float = 1000.0) -> list[dict]:
    return [
        {"event": "step", "time": begin + pace * n, "step": n, "steps": of, "epoch": n / 10, "loss": 3 - n / of}
        for n in range(1, count + 1)
    ]


def evaluation(when: str, split: str, recall: float) -> dict:
    return {"event": "evaluation", "when": when, "split": split, "epoch": 0, "scores": {"recall_at_1": recall}}


def test_nothing_told_yet_is_no_progress():
    assert progress([]) == progress([{"event": "unheard of"}])
    assert progress([]).minutes_left is None


@pytest.mark.parametrize("pace", [0.1, 1.0, 60.0])
def test_the_rest_takes_as_long_as_the_last_steps(pace: float):
    told = progress(steps(20, of=50, pace=pace))
    assert (told.step, told.steps, told.epoch, told.epochs) == (20, 50, 2.0, 5)
    assert told.minutes_left == pytest.approx(30 * pace / 60)


def test_a_pause_between_two_attempts_does_not_count():
    first = steps(20, of=50)
    later = [{**event, "time": event["time"] + 9999} for event in steps(30, of=50)[20:]]
    assert progress(first + later).minutes_left == pytest.approx(20 / 60, rel=0.01)


def test_steps_that_are_told_together_count_as_many():
    assert progress(steps(40, of=100)[9::10]).minutes_left == pytest.approx(1.0)


def test_only_the_pace_of_late_counts():
    slow, fast = steps(100, of=300, pace=60.0), steps(200, of=300, pace=0.5, begin=1e6)[100:]
    assert progress(slow + fast).minutes_left == pytest.approx(100 * 0.5 / 60)


def test_what_it_does_between_steps_is_said():
    phase = {"event": "phase", "what": "computing features", "done": 5, "total": 100}
    assert progress([phase]).doing == "computing features, 5 of 100"
    assert progress([{"event": "phase", "what": "loading x", "total": None}]).doing == "loading x"
    assert progress([phase, *steps(1, of=2)]).doing == ""
    assert progress([*steps(1, of=2), phase]).doing == "computing features, 5 of 100"


def test_recall_is_that_of_validation_where_there_is_one():
    events = [evaluation("before", "validation", 0.5), evaluation("before", "test", 0.4)]
    assert progress(events).recall == 0.5
    assert progress([*events, evaluation("epoch 1", "validation", 0.6)]).recall == 0.6
    assert progress([evaluation("before", "leave-one-out", 0.3)]).recall == 0.3
    assert recall_of({"loss": 1.0}) is None and recall_of({"recall_at_10": 0.9, "recall_at_1": 0.2}) == 0.2


def test_scores_before_and_after_are_by_split():
    events = [evaluation("before", "test", 0.4), evaluation("epoch 1", "test", 0.5), evaluation("after", "test", 0.6)]
    assert scores(events, "before") == {"test": {"recall_at_1": 0.4}}
    assert scores(events, "after") == {"test": {"recall_at_1": 0.6}}


def test_no_event_however_incomplete_breaks_the_reading():
    chance = random.Random(0)
    grid = {"event": "try", "number": 1, "of": 3, "scores": {"recall_at_1": 0.5}, "best": True}
    whole = [
        grid,
        *steps(5, of=9),
        evaluation("before", "validation", 0.5),
        {"event": "phase", "what": "x", "done": 1, "total": 3},
    ]
    for _ in range(100):
        some = [
            {key: value for key, value in event.items() if key == "event" or chance.random() < 0.6}
            for event in chance.choices(whole, k=6)
        ]
        progress(some)
        scores(some, "before")
        draw_curves(some)


INFO = JobInfo(
    name="clip-talebi",
    stage="running",
    recipe="title_thumbnail",
    dataset="talebi",
    model=None,
    step=14,
    steps=26,
    epoch=1.23,
    epochs=2,
    loss=1.93,
    recall=0.64,
    minutes_left=3.2,
    attempt=1,
    message="",
    log="/home/jobs/clip-talebi/log.txt",
    created="2026-01-01T00:00:00+00:00",
    finished=None,
)
FRESH = {"step": 0, "steps": None, "epoch": 0.0, "epochs": None, "loss": None, "recall": None, "minutes_left": None}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "clip-talebi: running, epoch 1.2 of 2, step 14 of 26, loss 1.93, recall@1 0.64, about 3 minutes left.",
        ),
        ({**FRESH, "message": "loading starter-clip"}, "clip-talebi: running, loading starter-clip."),
        (FRESH, "clip-talebi: running."),
        (
            {**FRESH, "stage": "queued", "message": "waiting for its worker"},
            "clip-talebi: queued, waiting for its worker.",
        ),
        (
            {"stage": "succeeded", "model": "clip", "message": "0.4 before, 0.6 after: better"},
            "clip-talebi: succeeded, the model is clip. 0.4 before, 0.6 after: better",
        ),
        (
            {"stage": "failed", "message": "Out of memory: try a smaller batch_size"},
            "clip-talebi: failed. Out of memory: try a smaller batch_size. The log: /home/jobs/clip-talebi/log.txt",
        ),
        (
            {"stage": "cancelled", "message": "Cancelled as you asked; the checkpoint is kept"},
            "clip-talebi: cancelled at step 14 of 26. Cancelled as you asked; the checkpoint is kept",
        ),
        ({"stage": "cancelled", "step": 0, "message": "Cancelled"}, "clip-talebi: cancelled. Cancelled"),
    ],
)
def test_a_job_is_said_in_a_line(changes: dict, line: str):
    assert str(dataclasses.replace(INFO, **changes)) == line


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0.4, "less than a minute"), (1.2, "about 1 minute"), (1.6, "about 2 minutes"), (200, "about 3.3 hours")],
)
def test_the_time_left_is_said_roughly(minutes: float, said: str):
    assert f", {said} left." in str(dataclasses.replace(INFO, minutes_left=minutes))
