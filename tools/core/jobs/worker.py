"""The worker's side of a job: what a recipe is handed, and what happens to what it returns.

A recipe ends with `sys.exit(worker.main(train))`, so that `python -m tools.recipes.NAME --config FILE` runs it by hand
in the folder of FILE. Launchers run `python -m tools.recipes NAME --config FILE`, which takes the job's lock before the
recipe is imported, so that an import that fails ends the job with its reason too.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.core.errors import JobError, StoppedError
from tools.core.files import flush, write_json
from tools.core.jobs.endings import end_without_result, failure_line, now, publish, tidy
from tools.core.jobs.folder import JobPaths, JobStage, hold, read_json
from tools.core.jobs.processes import describe
from tools.core.settings import quieten_libraries

BEAT_SECONDS = 15.0
EXIT_CODES = {JobStage.SUCCEEDED: 0, JobStage.FAILED: 1, JobStage.CANCELLED: 130}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a recipe returns."""

    model: Path | None = None  # folder in `run.folder.result` that becomes the library's model
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)  # of the model, for its card
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)  # likewise
    message: str = ""  # one line for the person


Train = Callable[["Run"], Outcome]


class Run:
    """What a recipe is handed: its settings, and how it tells, stops and goes on.

    With several processes (`world_size` > 1) each has one; only rank 0 writes.
    """

    def __init__(self, folder: JobPaths, config: dict[str, Any], rank: int = 0, world_size: int = 1) -> None:
        self.folder, self.config = folder, config
        self.rank, self.world_size = rank, world_size

    def tell(self, event: str, **fields: Any) -> None:
        """Append an event to metrics.jsonl, at once readable by others. Numbers of numpy and torch may be in it."""
        if self.rank == 0:
            line = json.dumps({"event": event, "time": time.time(), **fields}, ensure_ascii=False, default=plain)
            with self.folder.metrics.open("ab") as stream:
                stream.write(line.encode() + b"\n")

    def check_stop(self) -> None:
        """End the run if the person asked for it; between steps, on all ranks at the same place.

        Raises:
            StoppedError: The person asked to stop.
        """
        if self._agreed(self.folder.stop.exists()):
            raise StoppedError("Cancelled as you asked; the checkpoint is kept")

    def save_checkpoint(self, write: Callable[[Path], None], step: int) -> None:
        """Let `write` fill an empty folder, which becomes the checkpoint in one rename, safe from a power cut.

        A resumed run goes on with metrics.jsonl as it is now.
        """
        if self.rank != 0:
            return
        before = self.folder.checkpoints()
        number = int(before[-1].name) + 1 if before else 1
        aside = self.folder.checkpoint / f".{number}.new"
        aside.mkdir(parents=True)
        try:
            write(aside)
            metrics = self.folder.metrics
            if metrics.exists():
                flush(metrics)
            told = metrics.stat().st_size if metrics.exists() else 0
            write_json(aside / "checkpoint.json", {"step": step, "metrics_bytes": told})
            flush(aside)
            aside.rename(self.folder.checkpoint / str(number))
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # gone already when it became the checkpoint
        for old in before:
            shutil.rmtree(old)

    def checkpoint(self) -> Path | None:
        """Return the folder of the newest checkpoint, or None when the run starts afresh."""
        return next(reversed(self.folder.checkpoints()), None)

    def rewind(self) -> None:
        """Forget what a killed attempt told or wrote after its last checkpoint."""
        newest = self.checkpoint()
        if self.folder.checkpoint.is_dir():
            for other in self.folder.checkpoint.iterdir():
                if other != newest:  # half-written, or older and not yet removed
                    shutil.rmtree(other)
        told = (read_json(newest / "checkpoint.json") or {}).get("metrics_bytes", 0) if newest else 0
        if self.folder.metrics.exists():
            with self.folder.metrics.open("r+b") as stream:
                stream.truncate(min(told, self.folder.metrics.stat().st_size))

    def _agreed(self, mine: bool) -> bool:
        """Return what rank 0 says, where the ranks have met; one that left alone would let the others wait forever."""
        if self.world_size == 1 or "torch" not in sys.modules:
            return mine
        import torch
        import torch.distributed as dist

        if not dist.is_initialized():
            return mine
        flag = torch.tensor([int(mine)], device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.broadcast(flag, src=0)
        return bool(flag.item())


def main(train: Train, arguments: Sequence[str] | None = None) -> int:
    """Run a recipe as the command line says, and return the exit code.

    Args:
        train: The recipe.
        arguments: The command line, without the program; the process's own when None.
    """
    return _main(_parser().parse_args(arguments), train)


def run_recipe(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe that the command line names first: one of `tools.recipes`, or any module by its dotted name."""
    parser = _parser()
    parser.add_argument("recipe", help="a recipe of tools.recipes, or a dotted module with a function train(run)")
    given = parser.parse_args(arguments)
    module = given.recipe if "." in given.recipe else f"tools.recipes.{given.recipe}"

    def train(run: Run) -> Outcome:
        outcome = importlib.import_module(module).train(run)
        if not isinstance(outcome, Outcome):
            raise JobError(f"The recipe {given.recipe} returned {type(outcome).__name__} instead of an Outcome")
        return outcome

    return _main(given, train)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Runs a recipe in the folder of its config file; give it again to resume."
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings, as a JSON object")
    parser.add_argument("--lock", type=int, metavar="DESCRIPTOR", help="the job's lock, when the launcher holds it")
    return parser


def _main(given: argparse.Namespace, train: Train) -> int:
    quieten_libraries()
    paths = JobPaths(given.config.absolute().parent)
    config = read_json(given.config)
    if config is None:
        print(f"There is no file {given.config}; expected a recipe's settings as a JSON object", file=sys.stderr)
        return 2
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))  # set by torchrun
    run = Run(paths, config, rank, world_size)
    if rank != 0:
        return _follow(run, train)
    with _lock(paths, given.lock, world_size) as ours:
        if not ours:
            print(f"Another worker is running the job in {paths.folder}", file=sys.stderr)
            return 1
        ended = read_json(paths.outcome)
        if ended is None:
            write_json(paths.worker, {**describe(given.lock is not None), "started": now()})
            with _beating(paths):
                ended = _work(run, train)
    print(f"{ended['stage']}: {ended['message']}", flush=True)
    return EXIT_CODES[JobStage(ended["stage"])]


def _follow(run: Run, train: Train) -> int:
    """Take part as a rank that writes nothing; torchrun ends everybody when one fails."""
    try:
        train(run)
    except StoppedError:
        return EXIT_CODES[JobStage.CANCELLED]
    return 0


@contextlib.contextmanager
def _lock(paths: JobPaths, inherited: int | None, world_size: int) -> Iterator[bool]:
    """Hold the job's lock, False when another worker does; what this process forks does not hold it any longer."""
    if inherited is not None and world_size > 1:
        yield True  # torchrun, which started this process, holds it
        return
    lock = hold(paths.lock) if inherited is None else inherited
    held = [] if lock is None else [lock]

    def let_go() -> None:
        if held:
            os.close(held.pop())

    if lock is not None:
        os.set_inheritable(lock, False)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=let_go)
    try:
        yield lock is not None
    finally:
        let_go()


@contextlib.contextmanager
def _beating(paths: JobPaths) -> Iterator[None]:
    """Show signs of life."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            paths.beat()

    paths.beat()
    threading.Thread(target=beat, name="beat", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _work(run: Run, train: Train) -> dict[str, Any]:
    """Train and publish; write and return how it ended, whatever happened."""
    paths = run.folder
    try:
        ending = read_json(paths.ending)
        if ending is None:  # otherwise a worker was killed while it published
            if paths.stop.exists():
                raise StoppedError("Cancelled before it began; what was done before is kept")
            run.rewind()
            ending = _ending(run, train(run))
            write_json(paths.ending, ending)
        publish(paths, run.config, ending)
    except (StoppedError, KeyboardInterrupt) as error:
        ending = end_without_result(JobStage.CANCELLED, str(error) or "Cancelled from the keyboard")
    except Exception as error:  # whatever a recipe raises, the person is told why the job ended
        traceback.print_exc()
        ending = end_without_result(JobStage.FAILED, failure_line(error, run.config))
    write_json(paths.outcome, ending)
    tidy(paths, ending)
    return ending


def _ending(run: Run, outcome: Outcome) -> dict[str, Any]:
    if outcome.model is not None and not outcome.model.is_dir():
        raise JobError(f"The recipe returned the model {outcome.model}, which is not a folder")
    inside = None
    if outcome.model is not None:
        if not outcome.model.absolute().is_relative_to(run.folder.folder):
            raise JobError(f"The recipe returned the model {outcome.model}, which is not in {run.folder.result}")
        inside = outcome.model.absolute().relative_to(run.folder.folder).as_posix()
    return {
        "stage": JobStage.SUCCEEDED,
        "message": outcome.message,
        "model": None,  # its name in the library; None without one
        "folder": inside,  # of the model in the job's folder, until it is in the library
        "metrics": {name: plain(value) for name, value in outcome.metrics.items()},
        "parameters": json.loads(json.dumps(outcome.parameters, default=plain)),
        "finished": now(),
    }


def plain(value: Any) -> Any:
    """Return what JSON knows for a path, or for a number or array of numpy or torch."""
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value
