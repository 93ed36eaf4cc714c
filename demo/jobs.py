"""The jobs tab: what runs and what ran, with live curves, the end of the log, and cancelling after asking once more."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from demo.render import markdown_table, no_links
from tools.cancel_job import cancel_job
from tools.core.errors import PairwrightError
from tools.core.jobs.info import Event, JobInfo, recall_of, scores
from tools.core.jobs.job import Job, JobStage, find_job, jobs_of
from tools.core.plots import draw_curves
from tools.core.workspace import Workspace

JOB_HEADERS = ("job", "stage", "how far", "Recall@1", "made from", "launched (UTC)")
LOG_LINES = 200
EVERY = 2.0  # seconds between two looks; what has not changed is not sent again
NO_JOBS = (
    "There is no job yet. Ask for one in the chat, for example: *fine-tune starter-clip on my-dataset for 2 epochs*. "
    "It runs in the background, and its curves appear here."
)

Stamp = tuple[Any, ...]  # changes when a job does


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a visitor's page shows, to tell what is new."""

    all: tuple[Stamp, ...]  # of the table
    one: Stamp | None  # of the chosen job; None without jobs
    stage: str  # likewise

    @property
    def name(self) -> str:
        """The chosen job's name."""
        return str(self.one[0]) if self.one else ""


class JobBoard:
    """The jobs as they stand, read again only when their files have changed; shared by all visitors."""

    def __init__(self, workspace: Workspace) -> None:
        """Show the jobs of a workspace."""
        self._library = workspace.library
        self._known: dict[str, tuple[Stamp, JobInfo]] = {}
        self._lock = threading.Lock()

    def look(self) -> list[tuple[Job, Stamp, JobInfo]]:
        """Return every job that can be read, the newest first, with a stamp that changes when it does."""
        found = []
        with self._lock:
            for job in jobs_of(self._library):
                stamp = _stamp(job)
                if self._known.get(job.name, (None,))[0] != stamp:
                    try:
                        self._known[job.name] = (stamp, job.info())
                    except (PairwrightError, FileNotFoundError):
                        continue  # damaged, which job_status says, or deleted meanwhile
                found.append((job, *self._known[job.name]))
        return found


def build_jobs(workspace: Workspace, page: gr.Blocks) -> None:
    """Lay out the jobs tab inside `page` and wire it."""
    board = JobBoard(workspace)

    def show(chosen: str, seen: Shown | None) -> tuple[Any, ...]:
        """Return what is new for a page that shows the job `chosen`, or the newest one."""
        jobs = board.look()
        now = next((one for one in jobs if one[0].name == chosen), next(iter(jobs), None))
        job, stamp, info = now or (None, None, None)
        shows = Shown(tuple(stamp for _, stamp, _ in jobs), stamp, info.stage if info else "")
        if shows == seen:
            return (gr.skip(),) * len(shown)
        table = gr.Dataframe(job_rows([info for _, _, info in jobs]), visible=bool(jobs))
        if job is None or info is None:
            return shows, table, NO_JOBS, gr.Plot(visible=False), gr.Textbox(visible=False), *_buttons(None)
        if seen and seen.one == stamp:
            return shows, table, *(gr.skip(),) * 6
        events = job.metrics()
        log = gr.Textbox("\n".join(job.log_tail(LOG_LINES)), visible=True, label=f"The end of {info.log}")
        asked = seen and seen.name == job.name and seen.stage == info.stage
        buttons = (gr.skip(),) * 3 if asked else _buttons(info)  # an open question stays open while a job goes on
        curves = gr.Plot(draw_curves(events), visible=True)
        return shows, table, described(info, events), curves, log, *buttons

    def choose(table: list[list[str]], chosen: gr.SelectData) -> tuple[Any, ...]:
        name = str(table[chosen.index[0]][0])
        return name, *show(name, None)

    def ask(seen: Shown) -> tuple[gr.Button, gr.Button]:
        return gr.Button(visible=False), gr.Button(f"Really cancel {seen.name}", visible=True)

    def cancel(chosen: str, seen: Shown) -> tuple[Any, ...]:
        return act(chosen, lambda: cancel_job(workspace, seen.name))

    def resume(chosen: str, seen: Shown) -> tuple[Any, ...]:
        return act(chosen, lambda: find_job(workspace.library, seen.name).resume())

    def act(chosen: str, action: Callable[[], Any]) -> tuple[Any, ...]:
        try:
            action()
        except PairwrightError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return show(chosen, None)

    # layout
    table = gr.Dataframe(
        headers=list(JOB_HEADERS), interactive=False, wrap=True, type="array", elem_id="jobs", show_label=False
    )
    about = gr.Markdown(NO_JOBS, elem_id="job")
    curves = gr.Plot(show_label=False, visible=False, elem_id="curves")
    with gr.Row():
        stop = gr.Button(visible=False, elem_id="cancel-job")
        really = gr.Button(visible=False, variant="stop", elem_id="really-cancel-job")
        again = gr.Button(visible=False, elem_id="resume-job")
    log = gr.Textbox(lines=12, max_lines=12, interactive=False, visible=False, elem_id="job-log")
    chosen, seen = gr.State(""), gr.State(None)  # the job chosen in the table: none follows the newest

    # wiring
    shown = [seen, table, about, curves, log, stop, really, again]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(lambda: show("", None), None, shown, **quiet)
    gr.Timer(EVERY).tick(show, [chosen, seen], shown, queue=False, **quiet)
    table.select(choose, table, [chosen, *shown], **quiet)
    stop.click(ask, seen, [stop, really], **quiet)
    really.click(cancel, [chosen, seen], shown, api_visibility="private")
    again.click(resume, [chosen, seen], shown, api_visibility="private")


def job_rows(jobs: list[JobInfo]) -> list[list[str]]:
    """Return the rows of the table of jobs."""
    return [
        [
            info.name,
            info.stage,
            how_far(info),
            "" if info.recall is None else f"{info.recall:.3f}",
            info.dataset or "",
            info.created[:16].replace("T", " "),
        ]
        for info in jobs
    ]


def how_far(info: JobInfo) -> str:
    """Say how far a job came, in a few words."""
    if info.stage == JobStage.SUCCEEDED:
        return f"model {info.model}" if info.model else "done"
    if info.step:
        return f"step {info.step}" + (f" of {info.steps}" if info.steps else "")
    return info.message if not info.is_over else ""


def described(info: JobInfo, events: list[Event]) -> str:
    """Return what is said above the curves: how the job stands, and its scores."""
    before, after = scores(events, "before"), scores(events, "after")
    rows = []
    for split in after or before:
        told = [recall_of(one.get(split, {})) for one in (before, after)]
        rows.append((split, *("" if value is None else f"{value:.3f}" for value in told)))
    table = markdown_table(("Recall@1", "before", "after"), rows) if rows else ""
    return f"**{info.name}**{no_links(str(info).removeprefix(info.name))}\n\n{table}"


def _buttons(info: JobInfo | None) -> tuple[gr.Button, gr.Button, gr.Button]:
    """Return the buttons for cancelling, for really doing so, and for going on."""
    if info is None:
        return gr.Button(visible=False), gr.Button(visible=False), gr.Button(visible=False)
    resumable = info.stage in (JobStage.FAILED, JobStage.CANCELLED)
    return (
        gr.Button(f"Cancel {info.name} …", visible=not info.is_over),
        gr.Button(visible=False),
        gr.Button(f"Go on with {info.name}", visible=resumable),
    )


def _stamp(job: Job) -> Stamp:
    """Return what changes when a job does."""
    paths = job.paths
    files = (paths.outcome, paths.metrics, paths.attempts, paths.stop, paths.log)
    return job.name, job.card.created, paths.alive(), *map(_file_stamp, files)


def _file_stamp(file: Path) -> tuple[int, int] | None:
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    return about.st_size, about.st_mtime_ns
