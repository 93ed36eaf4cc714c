"""Tell how a job stands."""

from __future__ import annotations

import dataclasses

from tools.core.errors import PairwrightError
from tools.core.jobs.info import JobInfo, recall_of, scores
from tools.core.jobs.job import Job, find_job, jobs_of, tend
from tools.core.workspace import Workspace

LOG_LINES = 8


@dataclasses.dataclass(frozen=True)
class JobReport:
    """How a job stands, and what it said last."""

    job: JobInfo
    before: dict[str, dict[str, float]]  # split → scores; empty until they are known
    after: dict[str, dict[str, float]]  # likewise; those of the result
    log: tuple[str, ...]  # the last lines that its worker printed
    others: tuple[str, ...]  # a line for each other job that goes on
    note: str = ""  # what the call did or found; empty when it only looked

    def __str__(self) -> str:
        """Say how it stands in the first line, then the rest."""
        lines = [str(self.job), *([self.note] if self.note else []), *self._scores()]
        if self.job.stage == "failed":
            lines += [f"| {line}" for line in self.log]
        return "\n".join([*lines, *(f"Also: {line}" for line in self.others)])

    def _scores(self) -> list[str]:
        lines = []
        for split in self.after or self.before:
            was, now = (_recall(told.get(split, {})) for told in (self.before, self.after))
            told = [f"{value} {when}" for value, when in ((was, "before"), (now, "after")) if value]
            if told:
                lines.append(f"- Recall@1 on {split}: {', '.join(told)}")
        return lines


def job_status(workspace: Workspace, job: str | None = None) -> JobReport:
    """Tell how a fine-tune or another job stands: its step, loss, recall and minutes left, or how it ended.

    Args:
        workspace: Where the state is.
        job: Name of the job; the most recent one when omitted.

    Raises:
        NotInLibraryError: There is no such job, or none at all.
    """
    found = find_job(workspace.library, job)
    tend(workspace.library)
    return report(found)


def report(job: Job, note: str = "") -> JobReport:
    """Return how a job stands."""
    events = job.metrics()
    return JobReport(
        job=job.info(),
        before=scores(events, "before"),
        after=scores(events, "after"),
        log=tuple(job.log_tail(LOG_LINES)),
        others=tuple(filter(None, map(_if_going_on, (one for one in jobs_of(job.library) if one.name != job.name)))),
        note=note,
    )


def _recall(scores: dict[str, float]) -> str:
    """Write Recall@1, with its 95 % interval where there is one; nothing when it is not known."""
    value, low, high = recall_of(scores), scores.get("recall_at_1_low"), scores.get("recall_at_1_high")
    if value is None:
        return ""
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _if_going_on(job: Job) -> str:
    """Return a line about a job, or nothing when it is over."""
    try:
        info = job.info()
    except PairwrightError as error:
        return f"{job.name}: {error}"  # damaged
    return "" if info.is_over else str(info)
