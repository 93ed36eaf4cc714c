import json
import re

import pytest
from pydantic import TypeAdapter

from agent.results import to_plain
from tests.toy_jobs import toy_job, wait_for_end, wait_until
from tools.core.errors import NotInLibraryError
from tools.core.files import write_json
from tools.core.jobs.worker import Run
from tools.core.library import Library
from tools.core.workspace import Workspace
from tools.job_status import JobReport, job_status, report


def test_without_a_job_it_says_how_to_launch_one(workspace: Workspace):
    with pytest.raises(NotInLibraryError, match="There is no job yet; launch one, for example: fine-tune"):
        job_status(workspace)
    with pytest.raises(NotInLibraryError, match="no jobs yet"):
        job_status(workspace, "clip-talebi")


def test_looking_at_a_job_starts_the_ones_that_wait(workspace: Workspace, job_library: Library):
    job = toy_job(job_library, steps=1000, pace=0.02)
    assert job_status(workspace).job.stage == "running"
    wait_until(lambda: job.info().step > 3, "some steps")
    told = job_status(workspace, "toy")
    first = str(told).splitlines()[0]
    assert re.fullmatch(
        r"toy: running, epoch \d+\.\d of \d+, step \d+ of 1000, loss [\d.]+, recall@1 [\d.]+, [\w ]+ left\.", first
    )
    assert told.before.keys() == {"validation"} and not told.after


def test_a_finished_job_tells_its_model_and_its_scores_before_and_after(workspace: Workspace, job_library: Library):
    job = toy_job(job_library)
    job_status(workspace)
    wait_for_end(job)
    told = job_status(workspace, "job/toy")
    assert str(told).splitlines() == [
        "toy: succeeded, the model is toy-model. The toy wandered about",
        f"- Recall@1 on validation: 0.000 before, {told.job.recall:.3f} after",
    ]
    assert TypeAdapter(JobReport).validate_python(json.loads(json.dumps(to_plain(told)))["data"]) == told


def test_a_failed_job_shows_the_reason_then_the_end_of_its_log(workspace: Workspace, job_library: Library):
    job = toy_job(job_library, trouble="memory")
    job_status(workspace)
    wait_for_end(job)
    lines = str(job_status(workspace)).splitlines()
    assert lines[0].startswith("toy: failed. Out of memory: try a smaller batch_size (it was 16)")
    assert lines[0].endswith(f"The log: {job.paths.log}")
    assert lines[-1].startswith("| failed: Out of memory")


def test_other_jobs_that_go_on_are_mentioned(workspace: Workspace, job_library: Library):
    first = toy_job(job_library, "first", steps=1000, pace=0.05)
    toy_job(job_library, "over").cancel()
    wait_until(lambda: first.card.created < toy_job(job_library, "last", pace=0.05).card.created, "a later one")
    told = job_status(workspace)
    assert told.job.name.startswith("last")
    assert any(line.startswith("first: running") for line in told.others)
    assert not any("over" in line for line in told.others)
    assert f"Also: {told.others[-1]}" in str(told)


def test_a_damaged_job_says_so_and_does_not_hide_the_others(workspace: Workspace, job_library: Library):
    toy_job(job_library, "good", steps=1)
    bad = toy_job(job_library, "bad")
    write_json(bad.paths.config, {"launcher": "moon"})
    told = job_status(workspace, "good")
    assert told.job.name == "good" and "wants the launcher 'moon'" in told.others[0]


def test_intervals_are_told_where_they_are_known(workspace: Workspace, job_library: Library):
    job = toy_job(job_library)
    known = {"recall_at_1": 0.5, "recall_at_1_low": 0.25, "recall_at_1_high": 0.75}
    for when, told in (("before", {"recall_at_1": 0.5}), ("after", known)):
        Run(job.paths, {}).tell("evaluation", when=when, epoch=0, split="test", scores=told)
    assert "- Recall@1 on test: 0.500 before, 0.500 [0.250, 0.750] after" in str(report(job)).splitlines()
