"""Jobs for tests: made of the toy recipe, waited for, and ended with the test."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable
from typing import Any

from tools.core.jobs.job import Job, JobInfo, create_job, jobs_of
from tools.core.jobs.processes import JobProcesses
from tools.core.library import Library

PATIENCE = 60.0  # seconds; the machine may be busy
TOY = "tests.toy_recipe"


def toy_job(library: Library, name: str = "toy", key: str | None = None, **config: Any) -> Job:
    """Make a job of the toy recipe; it is not started."""
    full = {"model_name": f"{name}-model", "batch_size": 16, "seed": 42, **config}
    return create_job(library, TOY, name, full, ["dataset/pairs"], {"epochs": 3}, key or uuid.uuid4().hex)[0]


def wait_until(done: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return what `done` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.02)
    return value


def wait_for_end(job: Job) -> JobInfo:
    """Return how a job ended; it is not started again."""
    wait_until(lambda: job.info().is_over, f"{job.name} is over; {job.info()}; {job.log_tail()}")
    return job.info()


def wait_for_death(job: Job) -> None:
    """Wait until a job has no worker."""
    wait_until(lambda: not job.paths.alive(), f"the worker of {job.name} is dead")


def processes(job: Job) -> list[int]:
    """Return the numbers of a job's processes."""
    return JobProcesses(job.paths.folder).living()


def end_all(library: Library) -> None:
    """Kill whatever a test left running."""
    for job in jobs_of(library):
        job.paths.stop.touch()
        JobProcesses(job.paths.folder).send(signal.SIGKILL)
