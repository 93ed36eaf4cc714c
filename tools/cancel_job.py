"""End a job."""

from __future__ import annotations

from tools.core.jobs.job import find_job, jobs_of
from tools.core.workspace import Workspace
from tools.job_status import JobReport, report


def cancel_job(workspace: Workspace, job: str | None = None) -> JobReport:
    """End a job that runs or waits, within five seconds; its checkpoint is kept.

    Args:
        workspace: Where the state is.
        job: Name of the job; the most recent one that is not over when omitted.

    Raises:
        NotInLibraryError: There is no such job, or none at all.
        JobError: Its processes cannot be ended.
    """
    going_on = (one for one in jobs_of(workspace.library) if job is None and not one.info().is_over)
    found = next(going_on, None) or find_job(workspace.library, job)
    if not found.cancel():
        return report(found, "It was over already, so there was nothing to cancel.")
    return report(found)
