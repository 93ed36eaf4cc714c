"""The app and its workers are killed again and again; no job is lost, and every one ends at the same weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.toy_jobs import processes, toy_job, wait_for_end, wait_until
from tests.toy_recipe import weights_after
from tools.core.files import write_json
from tools.core.jobs.folder import read_json
from tools.core.jobs.job import Job, JobKeeper
from tools.core.library import Kind, Library

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 20
STEPS, EVERY = 5000, 7
PACE = 0.01  # seconds a step: too many for the time of the kills; the last worker goes on without a pause
APP = """
import sys, time
from pathlib import Path
from tools.core.jobs.job import JobKeeper
from tools.core.library import Library
JobKeeper(Library(Path(sys.argv[1])), seconds=0.05).start()
time.sleep(600)
"""


class App:
    """The part of the app that looks after jobs, in a process of its own."""

    def __init__(self, library: Library) -> None:
        line = [sys.executable, "-c", APP, str(library.root)]
        self.process = subprocess.Popen(line, cwd=ROOT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def kill_worker(job: Job) -> bool:
    """Kill a job's worker; False when there was none at this moment."""
    worker = read_json(job.paths.worker)
    if worker is None or worker["pid"] not in processes(job):
        return False
    os.kill(worker["pid"], signal.SIGKILL)
    return True


@pytest.mark.slow
def test_no_kill_of_app_or_worker_loses_a_job_or_changes_its_weights(job_library: Library):
    jobs = [toy_job(job_library, f"toy-{seed}", seed=seed, steps=STEPS, every=EVERY, pace=PACE) for seed in range(2)]
    chance = random.Random(20)
    app, killed = App(job_library), 0
    try:
        while killed < KILLS:
            time.sleep(chance.uniform(0.0, 0.5))
            what = chance.choice(["app", "worker", "both"])
            if what != "worker":
                app.kill()
            hit = kill_worker(chance.choice(jobs)) if what != "app" else True
            if what != "worker":
                app = App(job_library)
            killed += hit
            assert {job.info().stage for job in jobs} <= {"queued", "running"}
            assert not job_library.cards(Kind.MODEL)
        for job in jobs:
            write_json(job.paths.config, {**read_json(job.paths.config), "pace": 0})
            wait_until(lambda job=job: kill_worker(job), "the last kill")
        for job in jobs:
            assert wait_for_end(job).stage == "succeeded"
    finally:
        app.kill()
    assert sorted(card.name for card in job_library.cards(Kind.MODEL)) == ["toy-0-model", "toy-1-model"]
    for seed, job in enumerate(jobs):
        weights = np.load(job_library.folder(Kind.MODEL, f"toy-{seed}-model") / "model" / "weights.npy")
        np.testing.assert_array_equal(weights, weights_after(STEPS, seed))
        steps = [event["step"] for event in job.metrics() if event["event"] == "step"]
        assert steps == list(range(1, STEPS + 1))
        assert [event["when"] for event in job.metrics() if event["event"] == "evaluation"] == ["before", "after"]
    assert sum(job.info().attempt for job in jobs) > 5


def test_a_kill_at_any_moment_of_the_ending_gives_one_whole_model(job_library: Library):
    chance = random.Random(3)
    keeper = JobKeeper(job_library, seconds=0.02)
    keeper.start()
    for number in range(8):
        job = toy_job(job_library, f"short-{number}", steps=3, every=100)
        wait_until(lambda job=job: len(job.metrics()) >= 3 or job.info().is_over, "it is nearly over")
        time.sleep(chance.uniform(0, 0.03))
        kill_worker(job)
        ended = wait_for_end(job)
        assert (ended.stage, ended.model) == ("succeeded", f"short-{number}-model")
        weights = np.load(job_library.folder(Kind.MODEL, str(ended.model)) / "model" / "weights.npy")
        np.testing.assert_array_equal(weights, weights_after(3))
    keeper.stop()
    assert len(job_library.cards(Kind.MODEL)) == 8
