"""How a job ends: with a model in the library, or with a line that says why not."""

from __future__ import annotations

import datetime
import errno
import os
import shutil
from pathlib import Path
from typing import Any

from tools.core.errors import InputError, NotInLibraryError, PairwrightError, first_line
from tools.core.files import write_json
from tools.core.jobs.folder import JobPaths, JobStage
from tools.core.library import Card, Kind, Library, new_card, write_card


def end_without_result(stage: JobStage, message: str) -> dict[str, Any]:
    """Return the content of outcome.json for a job that has none."""
    return {"stage": stage, "message": message, "model": None, "folder": None, "finished": now()}


def publish(paths: JobPaths, config: dict[str, Any], ending: dict[str, Any]) -> None:
    """Make the library's model, in one step; done again after a kill at any moment, it is made once.

    Changes `ending`, and ending.json with it: the name is in the file before the model is in the library, so that
    afterwards a model of that name made from this job can only be this one.
    """
    if ending["folder"] is None or "library" not in config:  # without a library the model stays where it is
        return
    library, job = Library(Path(config["library"])), f"job/{config['name']}"
    while True:
        if ending["model"] is None:
            ending["model"] = library.free_name(Kind.MODEL, config.get("model_name") or config["name"])
            write_json(paths.ending, ending)
        if is_published(config, ending):
            return
        try:
            with library.making(Kind.MODEL, ending["model"]) as folder:
                shutil.copytree(paths.folder / ending["folder"], folder / "model", copy_function=_link)
                write_card(folder, _card(config, ending, job))
            return
        except InputError:  # another process just took the name
            ending["model"] = None


def is_published(config: dict[str, Any], ending: dict[str, Any]) -> bool:
    """Tell whether the model of a job is in the library."""
    if ending["model"] is None:
        return False
    try:
        return f"job/{config['name']}" in Library(Path(config["library"])).find(f"model/{ending['model']}").parents
    except NotInLibraryError:
        return False


def _card(config: dict[str, Any], ending: dict[str, Any], job: str) -> Card:
    parents = tuple(config.get("parents", ()))
    return new_card(
        Kind.MODEL,
        ending["model"],
        f"recipe {config['recipe']}" if "recipe" in config else job,
        parents=(job, *parents),
        parameters=ending["parameters"],
        seed=config.get("seed"),
        metrics=ending["metrics"],
    )


def _link(source: str, target: str) -> str:
    """Give a file a second name instead of a second place on the disk, where that can be done."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def tidy(paths: JobPaths, ending: dict[str, Any]) -> None:
    """Remove what a job that succeeded needs no longer: the model is in the library."""
    if ending["stage"] == JobStage.SUCCEEDED:
        paths.ending.unlink(missing_ok=True)
        shutil.rmtree(paths.checkpoint, ignore_errors=True)
        if ending["model"] is not None:
            shutil.rmtree(paths.folder / ending["folder"], ignore_errors=True)


def failure_line(error: BaseException, config: dict[str, Any]) -> str:
    """Say in a line why a run failed, and what to do where that is known."""
    said = first_line(error) if isinstance(error, Exception) else str(error)
    if is_out_of_memory(error):
        return f"Out of memory: {advice(config)} ({said})"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: make room, then launch it again ({said})"
    if isinstance(error, PairwrightError):
        return str(error)
    return f"{type(error).__name__}: {said}"


def advice(config: dict[str, Any]) -> str:
    """Say what helps when memory runs out."""
    size = config.get("batch_size")
    was = " or ".join(map(str, size)) if isinstance(size, list) else size
    return f"try a smaller batch_size{f' (it was {was})' if was else ''}"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, on a GPU or here; torch has an error for each device and says it in words too."""
    words = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words))
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    )


def now() -> str:
    """Return the time as it stands in a job's files: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
