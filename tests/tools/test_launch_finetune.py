from __future__ import annotations

import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import noise
from tools.core.errors import InputError, ModelError, NotInLibraryError
from tools.core.jobs import launchers
from tools.core.jobs.folder import JobPaths, read_json
from tools.core.jobs.job import find_job
from tools.core.library import Kind
from tools.core.pairs.dataset import Pair, save_pairs
from tools.core.watch import Watch
from tools.core.workspace import Workspace
from tools.evaluate_model import evaluate_model
from tools.launch_finetune import about, launch_finetune, preview_finetune

WORDS = ("apple", "bridge", "candle", "dragon", "engine", "forest", "guitar", "harbor", "island", "jungle")


class Bench:
    """A launcher that only writes down what it was asked to start."""

    name = "local"

    def __init__(self) -> None:
        self.started: list[Path] = []

    def start(self, paths: JobPaths) -> None:
        self.started.append(paths.folder)

    def alive(self, paths: JobPaths) -> bool:
        return paths.folder in self.started

    def cancel(self, paths: JobPaths) -> None: ...


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setitem(launchers.LAUNCHERS, "local", made)
    return made


def add_pairs(workspace: Workspace, name: str = "talebi", count: int = 40, **extra: Any) -> None:
    def pairs() -> Any:
        for number in range(count):
            content = BytesIO()
            noise(number).save(content, "PNG")
            yield Pair(content.getvalue(), f"{WORDS[number % 10]} by the {WORDS[number // 10]}", extra)

    save_pairs(workspace, name, pairs(), source="made up", parameters={})


def of_call(workspace: Workspace, call: str) -> Workspace:
    return workspace.watched(Watch(), call_id=call)


def test_it_starts_a_job_with_the_published_defaults(workspace: Workspace, bench: Bench):
    add_pairs(workspace)
    launched = launch_finetune(workspace, "title_thumbnail", "talebi", "starter-clip")
    assert launched.model == "clip-talebi" and not launched.again
    job = find_job(workspace.library, launched.job)
    assert bench.started == [job.paths.folder]
    config = read_json(job.paths.config) or {}
    assert (config["epochs"], config["batch_size"], config["learning_rate"]) == ([2], [16], [1e-4])
    assert config["trainable"] == "projection" and config["seed"] == 42
    assert job.card.parents == ("dataset/talebi",)
    assert "Launched the job" in str(launched) and "clip-talebi" in str(launched)


def test_the_same_call_launches_once_whoever_asks_how_often(workspace: Workspace, bench: Bench):
    add_pairs(workspace)
    launched: list[Any] = []

    def approve() -> None:
        launched.append(launch_finetune(of_call(workspace, "call-1"), "title_thumbnail", "talebi", "starter-clip"))

    threads = [threading.Thread(target=approve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.again for one in launched) == [False, True, True, True]
    assert len({one.job for one in launched}) == len(workspace.library.cards(Kind.JOB)) == 1
    assert "launched before" in str(next(one for one in launched if one.again))
    other = launch_finetune(of_call(workspace, "call-2"), "title_thumbnail", "talebi", "starter-clip")
    assert other.job != launched[0].job


def test_the_preview_says_what_will_run_and_fills_in_every_default(workspace: Workspace):
    add_pairs(workspace)
    preview = preview_finetune(workspace, "title_thumbnail", "TALEBI", "starter-clip", learning_rate=[1e-4, 3e-4])
    facts = dict(preview.facts)
    assert "28 train, 6 validation, 6 test" in facts["data"]
    assert "2 combinations" in facts["settings"] and "0.0001 or 0.0003" in facts["settings"]
    assert "CPU cores" in facts["hardware"] and "minute" in facts["takes"]
    assert preview.args["dataset"] == "talebi" and preview.args["epochs"] == 2
    assert set(preview.editable) <= set(preview.args)
    assert not workspace.library.cards(Kind.JOB)


def test_approving_the_preview_runs_what_it_showed(workspace: Workspace, bench: Bench):
    add_pairs(workspace)
    preview = preview_finetune(workspace, "title_thumbnail", "talebi", "starter-clip", epochs=[1, 2])
    launched = launch_finetune(workspace, **preview.args)
    config = read_json(find_job(workspace.library, launched.job).paths.config) or {}
    assert config["epochs"] == [1, 2]


def test_the_model_is_named_after_the_dataset_that_was_collected(workspace: Workspace, bench: Bench):
    from tools.mine_negatives import mine_negatives

    add_pairs(workspace)
    mined = mine_negatives(workspace, "talebi", "random", 2)
    launched = launch_finetune(workspace, "title_thumbnail", mined.dataset, "starter-clip")
    assert launched.model == "clip-talebi"
    config = read_json(find_job(workspace.library, launched.job).paths.config) or {}
    assert config["columns"]["negatives"] == ["negative_1", "negative_2"]
    assert (
        "2 mined negatives"
        in dict(preview_finetune(workspace, "title_thumbnail", mined.dataset, "starter-clip").facts)["data"]
    )


def test_few_pairs_are_offered_leave_one_out(workspace: Workspace):
    add_pairs(workspace, "few", 5)
    assert (
        "leave-one-out" in dict(preview_finetune(workspace, "title_thumbnail", "few", "starter-clip").facts)["scores"]
    )
    with pytest.raises(InputError, match="leave-one-out"):
        preview_finetune(workspace, "title_thumbnail", "few", "starter-clip", trainable="lora")
    add_pairs(workspace, "two", 2)
    with pytest.raises(InputError, match="at least 3 pairs"):
        preview_finetune(workspace, "title_thumbnail", "two", "starter-clip")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": "question_asking"}, "this version has title_thumbnail"),
        ({"dataset": "nothing"}, "talebi"),
        ({"base_model": "no such model"}, "starter-clip"),
        ({"epochs": 0}, "from 1 to 1000"),
        ({"epochs": []}, "empty list"),
        ({"epochs": [2, 2000]}, "2000"),
        ({"epochs": 2.5}, "whole number"),
        ({"batch_size": 1}, "from 2 to 8192"),
        ({"learning_rate": -1e-4}, "from 1e-09 to 1"),
        ({"learning_rate": [10.0]}, "10.0"),
        ({"learning_rate": True}, "expected a number"),
        ({"trainable": "everything"}, "projection, last_layers, lora, all"),
        ({"hardware": "tpu"}, "auto, cpu or gpu"),
        ({"hardware": "hf-jobs:a10g-small"}, "this machine"),
        ({"epochs": list(range(1, 21)), "batch_size": list(range(2, 22))}, "400 combinations"),
    ],
)
def test_a_wrong_argument_is_named_before_anybody_is_asked(workspace: Workspace, change: dict[str, Any], said: str):
    add_pairs(workspace)
    args: dict[str, Any] = {"recipe": "title_thumbnail", "dataset": "talebi", "base_model": "starter-clip"} | change
    for function in (preview_finetune, launch_finetune):
        with pytest.raises((InputError, NotInLibraryError, ModelError), match=said):
            function(workspace, **args)
    assert not workspace.library.cards(Kind.JOB)


def test_durations_are_said_roughly():
    assert [about(minutes) for minutes in (0.2, 1.0, 3.4, 89, 600)] == [
        "less than a minute",
        "about 1 minute",
        "about 4 minutes",
        "about 89 minutes",
        "about 10.0 hours",
    ]


@pytest.mark.slow
def test_a_launched_job_ends_with_a_model_that_scores_as_it_says(
    workspace: Workspace, clip_folder: Path, job_library: Any
):
    add_pairs(workspace)
    launched = launch_finetune(
        workspace, "title_thumbnail", "talebi", str(clip_folder), epochs=4, learning_rate=[1e-3, 1e-2], batch_size=8
    )
    job = find_job(workspace.library, launched.job)
    until = time.monotonic() + 180
    while not (info := job.info()).is_over and time.monotonic() < until:
        time.sleep(0.2)
    assert info.stage == "succeeded", "\n".join(job.log_tail())
    assert info.model == launched.model == "clip-talebi"
    card = workspace.library.find("model/clip-talebi")
    assert card.parameters["recipe"] == "title_thumbnail" and "dataset/talebi" in card.parents
    scored = evaluate_model(workspace, "clip-talebi", "talebi")
    assert scored.scores.to_title.recall[1].value == pytest.approx(card.metrics["test_recall_at_1"], abs=1e-4)
    assert workspace.matcher_choice().name == "clip-talebi"
