"""Jobs: work that outlives whoever asked for it, as artifacts of the library.

A job is made once for a key, however often and from however many places it is asked for. Whoever looks after the jobs
(`tend`) starts the ones that have no worker; a worker that died goes on from its checkpoint. Several may look after one
library at a time. What a job is doing stands in its folder alone, so that every process knows the same.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from filelock import FileLock

from tools.core.errors import InputError, JobError, NotInLibraryError, PairwrightError
from tools.core.files import write_json
from tools.core.jobs.attempts import Attempt, next_attempt, reason_to_give_up
from tools.core.jobs.endings import end_without_result, is_published
from tools.core.jobs.folder import TERMINAL, JobPaths, JobStage, hold, last_lines, read_events, read_json
from tools.core.jobs.info import Event, JobInfo, progress
from tools.core.jobs.launchers import Launcher, LocalLauncher, launcher_of
from tools.core.library import Card, Kind, Library, new_card, write_card

__all__ = [
    "TERMINAL",
    "Job",
    "JobInfo",
    "JobKeeper",
    "JobPaths",
    "JobStage",
    "Launcher",
    "LocalLauncher",
    "create_job",
    "find_job",
    "jobs_of",
    "tend",
]

log = logging.getLogger(__name__)

TEND_SECONDS = 5.0


class Job:
    """A handle on a job; everything it knows it reads from the job's folder."""

    def __init__(self, library: Library, card: Card) -> None:
        self.library, self.card, self.name = library, card, card.name
        self.paths = JobPaths(library.folder(Kind.JOB, card.name))

    def __str__(self) -> str:
        """Say how it stands, in a line."""
        return str(self.info())

    def info(self) -> JobInfo:
        """Return how it stands."""
        stage, message, ended = self._stage()
        told = progress(self.metrics())
        dataset = next((parent for parent in self.card.parents if parent.startswith("dataset/")), None)
        return JobInfo(
            name=self.name,
            stage=stage.value,
            recipe=str(self.card.parameters.get("recipe", "")),
            dataset=dataset.partition("/")[2] if dataset else None,
            model=ended.get("model"),
            step=told.step,
            steps=told.steps,
            epoch=told.epoch,
            epochs=told.epochs,
            setting=told.setting,
            settings=told.settings,
            loss=told.loss,
            recall=told.recall,
            minutes_left=told.minutes_left if stage is JobStage.RUNNING else None,
            attempt=last.count if (last := Attempt.last(self.paths)) else 0,
            message=message or told.doing,
            log=str(self.paths.log),
            created=self.card.created,
            finished=ended.get("finished"),
        )

    def _stage(self) -> tuple[JobStage, str, dict[str, Any]]:
        """Return its stage, what there is to say of it, and its outcome."""
        alive = launcher_of(self.paths).alive(self.paths)  # asked first: a worker writes its outcome and then dies
        if ended := read_json(self.paths.outcome):
            return JobStage(ended["stage"]), ended["message"], ended
        if alive:
            return JobStage.RUNNING, "ending as you asked" if self.paths.stop.exists() else "", {}
        if self.paths.attempts.exists():
            return JobStage.QUEUED, "its worker died; another goes on from the checkpoint", {}
        return JobStage.QUEUED, "waiting for its worker", {}

    def metrics(self) -> list[Event]:
        """Return what the recipe told so far."""
        return read_events(self.paths.metrics)

    def log_tail(self, lines: int = 20) -> list[str]:
        """Return the last lines that the worker printed."""
        return last_lines(self.paths.log, lines)

    def start(self) -> str:
        """See to it that it has a worker unless it is over; return what was done, in a line, or nothing.

        Raises:
            JobError: No worker can be started.
        """
        if self.paths.outcome.exists():
            return ""
        with _alone(self.paths) as alone:
            return self._tend() if alone else ""

    def cancel(self) -> bool:
        """End it within five seconds; the checkpoint is kept. False when it was over already.

        Raises:
            JobError: Its processes cannot be ended.
        """
        if read_json(self.paths.outcome):
            return False
        launcher = launcher_of(self.paths)
        self.paths.stop.touch()
        launcher.cancel(self.paths)
        if launcher.alive(self.paths):
            return True  # elsewhere; it ends when it sees the request
        if read_json(self.paths.outcome) is None:  # it was not running, or did not end by itself
            config, ending = read_json(self.paths.config) or {}, read_json(self.paths.ending)
            if ending is None or not is_published(config, ending):
                kept = "the checkpoint is kept" if self.paths.checkpoints() else "it had no checkpoint yet"
                ending = end_without_result(JobStage.CANCELLED, f"Cancelled as you asked; {kept}")
            write_json(self.paths.outcome, ending)
        return True

    def resume(self) -> str:
        """Let a failed or cancelled job go on from its checkpoint; return what was done, in a line.

        Raises:
            JobError: It is still going on, or it succeeded.
        """
        ended = read_json(self.paths.outcome)
        if ended is None or ended["stage"] == JobStage.SUCCEEDED:
            how = "succeeded" if ended else "is still going on"
            raise JobError(f"The job {self.name!r} {how}; only a failed or cancelled one can be resumed")
        self.paths.attempts.unlink(missing_ok=True)  # what made earlier workers die may be mended
        self.paths.stop.unlink(missing_ok=True)
        self.paths.outcome.unlink(missing_ok=True)
        return self.start()

    def refuse_if_running(self) -> None:
        """Raise JobError if it has a worker, whose folder must not be removed under it."""
        if self.paths.alive():
            raise JobError(f"The job {self.name!r} is running; cancel it first, then delete it")

    def _tend(self) -> str:
        """Start a worker if it needs one, or give it up; called by one at a time."""
        paths, launcher = self.paths, launcher_of(self.paths)
        if launcher.alive(paths) or read_json(paths.outcome):  # in this order, as in `_stage`
            return ""
        if paths.stop.exists():
            self.cancel()
            return f"{self.name}: cancelled"
        attempt = next_attempt(paths)
        if reason := reason_to_give_up(paths, attempt, read_json(paths.config) or {}):
            write_json(paths.outcome, end_without_result(JobStage.FAILED, reason))
            return str(self)
        attempt.begin(paths)
        launcher.start(paths)
        return f"{self.name}: started" + (f" again, attempt {attempt.count}" if attempt.count > 1 else "")


@contextmanager
def _alone(paths: JobPaths) -> Iterator[bool]:
    """Give True to one at a time; the others need not wait, since the one does what is to be done."""
    lock = hold(paths.tending, seconds=0)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def create_job(
    library: Library,
    recipe: str,
    name_text: str,
    config: dict[str, Any],
    parents: Sequence[str],
    parameters: dict[str, Any],
    key: str,
) -> tuple[Job, bool]:
    """Make a job; it waits until it is started. What holds keys and tokens must not be in `config`: it is a file.

    Args:
        library: Where it is made.
        recipe: One of `tools.recipes`, or a dotted module with a function train(run).
        name_text: What its name is made from.
        config: What the recipe is given; completed by what the worker needs to know of the job.
        parents: Artifacts that it works on, as kind/name.
        parameters: For its card.
        key: Names the request: for the same key there is one job.

    Returns:
        The job, and whether it was made now: False when there was one for this key.

    Raises:
        InputError: There is no key.
    """
    if not key:
        raise InputError("A job needs a key that names the request, such as the id of the call that was approved")
    library.root.mkdir(parents=True, exist_ok=True)
    with FileLock(library.root / ".jobs.lock"):
        for card in library.cards(Kind.JOB):
            if card.parameters.get("key") == key:
                return Job(library, card), False
        name = library.free_name(Kind.JOB, name_text)
        about = {"name": name, "recipe": recipe, "parents": list(parents), "library": str(library.root.absolute())}
        card = new_card(
            Kind.JOB,
            name,
            f"recipe {recipe}",
            parents=tuple(parents),
            parameters={**parameters, "recipe": recipe, "key": key},
            seed=config.get("seed"),
        )
        with library.making(Kind.JOB, name) as made:
            write_json(made / "config.json", {**config, **about})
            write_card(made, card)
        return Job(library, card), True


def find_job(library: Library, name: str | None = None) -> Job:
    """Return a job by name; the most recent when None.

    Raises:
        NotInLibraryError: There is none of that name, or none at all.
    """
    if name is not None:
        return Job(library, library.find(name, Kind.JOB))
    jobs = jobs_of(library)
    if not jobs:
        raise NotInLibraryError("There is no job yet; launch one, for example: fine-tune starter-clip on my dataset")
    return jobs[0]


def jobs_of(library: Library) -> list[Job]:
    """Return all jobs, the most recent first."""
    cards = sorted(library.cards(Kind.JOB), key=lambda card: (card.created, card.name), reverse=True)
    return [Job(library, card) for card in cards]


def tend(library: Library) -> list[str]:
    """Start every job that waits or whose worker died, and give up those that get no further.

    Safe to do in several processes at once.

    Returns:
        What was done, a line each.
    """
    done = []
    for job in jobs_of(library):
        try:
            done.append(job.start())
        except FileNotFoundError:
            continue  # deleted meanwhile
        except (PairwrightError, OSError) as error:
            done.append(f"{job.name}: {error}")  # one damaged job must not keep the others waiting
    return [line for line in done if line]


class JobKeeper:
    """Looks after the jobs of a library from a thread, for as long as the app runs."""

    def __init__(self, library: Library, seconds: float = TEND_SECONDS) -> None:
        """Prepare to look every so many seconds."""
        self._library, self._seconds = library, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="jobs", daemon=True)

    def start(self) -> None:
        """Look now, and again and again; the jobs go on when this ends."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stop.is_set():
            try:
                for line in tend(self._library):
                    log.info("%s", line)
            except (PairwrightError, OSError) as error:
                log.warning("The jobs cannot be looked after just now: %s", error)
            self._stop.wait(self._seconds)
