import time

import pytest

from tests.toy_jobs import processes, toy_job, wait_for_end, wait_until
from tools.cancel_job import cancel_job
from tools.core.errors import NotInLibraryError
from tools.core.library import Library
from tools.core.workspace import Workspace
from tools.job_status import job_status


def test_without_a_job_there_is_nothing_to_cancel(workspace: Workspace):
    with pytest.raises(NotInLibraryError, match="There is no job yet"):
        cancel_job(workspace)
    with pytest.raises(NotInLibraryError, match="There is no job named 'none'"):
        cancel_job(workspace, "none")


def test_a_running_job_ends_and_stays_cancelled(workspace: Workspace, job_library: Library):
    job = toy_job(job_library, steps=1000, pace=0.02)
    job.start()
    wait_until(lambda: job.paths.checkpoints(), "a checkpoint")
    told = cancel_job(workspace, "toy")
    assert str(told).startswith("toy: cancelled at step") and "the checkpoint is kept" in str(told)
    assert not processes(job)
    assert job_status(workspace).job.stage == "cancelled"


def test_the_newest_job_that_goes_on_is_meant_without_a_name(workspace: Workspace, job_library: Library):
    old, going_on = toy_job(job_library, "old"), toy_job(job_library, "going-on")
    time.sleep(0.002)
    over = toy_job(job_library, "over", steps=1)
    over.start()
    wait_for_end(over)
    assert cancel_job(workspace).job.name == going_on.name
    assert cancel_job(workspace).job.name == old.name
    assert cancel_job(workspace).job.name == over.name


def test_cancelling_what_is_over_changes_nothing_and_says_so(workspace: Workspace, job_library: Library):
    job = toy_job(job_library, steps=1)
    job.start()
    wait_for_end(job)
    told = cancel_job(workspace, "toy")
    assert told.job.stage == "succeeded"
    assert str(told).splitlines()[1] == "It was over already, so there was nothing to cancel."
