"""A job's folder: where its files lie, and how they are read while another process writes them.

card.json       what the library knows of the job     attempts.json   how often it was started
config.json     what the recipe is given              worker.json     who works on it
log.txt         what the worker printed               worker.lock     held by the worker while it lives
metrics.jsonl   what the recipe told, a line each     checkpoint/N/   where a worker goes on; the highest N counts
stop            there when the job should end         result/         what the recipe made
ending.json     how it will end                       outcome.json    how it ended; written last
"""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from tools.core.errors import DataError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

SILENCE = 60.0  # seconds without a sign of life after which a worker on another machine counts as dead


class JobStage(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = (JobStage.SUCCEEDED, JobStage.FAILED, JobStage.CANCELLED)


@dataclasses.dataclass(frozen=True)
class JobPaths:
    """Every file of a job's folder; no other place builds these paths."""

    folder: Path

    @property
    def config(self) -> Path:
        """What the recipe is given."""
        return self.folder / "config.json"

    @property
    def log(self) -> Path:
        """What the worker printed, all attempts after one another."""
        return self.folder / "log.txt"

    @property
    def metrics(self) -> Path:
        """What the recipe told, one JSON object a line."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Folder of the checkpoints, each whole in a numbered folder."""
        return self.folder / "checkpoint"

    @property
    def attempts(self) -> Path:
        """How often the job was started, and how far it came."""
        return self.folder / "attempts.json"

    @property
    def worker(self) -> Path:
        """Who works on it: pid, group, host, start."""
        return self.folder / "worker.json"

    @property
    def lock(self) -> Path:
        """Held by the worker while it lives."""
        return self.folder / "worker.lock"

    @property
    def tending(self) -> Path:
        """Held by whoever decides whether the worker is started again."""
        return self.folder / "tending.lock"

    @property
    def stop(self) -> Path:
        """There when the job should end."""
        return self.folder / "stop"

    @property
    def result(self) -> Path:
        """What the recipe made."""
        return self.folder / "result"

    @property
    def ending(self) -> Path:
        """How the job will end, once its model is in the library."""
        return self.folder / "ending.json"

    @property
    def outcome(self) -> Path:
        """How the job ended."""
        return self.folder / "outcome.json"

    def checkpoints(self) -> list[Path]:
        """Return the whole checkpoints, the newest last."""
        folders = self.checkpoint.iterdir() if self.checkpoint.is_dir() else ()
        return sorted((one for one in folders if one.name.isdecimal()), key=lambda one: int(one.name))

    def alive(self) -> bool:
        """Tell whether a worker lives: it holds the lock, which the kernel releases when it dies, however it dies.

        A worker on another machine may hold it where it cannot be seen: it counts as alive until it has given no sign
        of life (`beat`) for a minute.
        """
        if is_held(self.lock):
            return True
        worker = read_json(self.worker)
        if worker is None or worker["host"] == socket.gethostname():
            return False
        try:
            return time.time() - self.lock.stat().st_mtime < SILENCE
        except FileNotFoundError:
            return False

    def beat(self) -> None:
        """Give a sign of life to other machines."""
        os.utime(self.lock)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file, or None when there is no such file.

    Raises:
        DataError: The file holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"The file {path} is damaged ({error}); delete the job, and launch it again") from error
    if not isinstance(value, dict):
        raise DataError(f"The file {path} holds no JSON object; delete the job, and launch it again")
    return value


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return what a recipe told so far; a line that is not whole, such as one being written, is left out."""
    events = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a text file, reading only its end; of a progress bar what it shows last."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 400 * count))
            text = stream.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n") if line.strip()][-count:]


def hold(path: Path, seconds: float = 1.0) -> int | None:
    """Lock a file for as long as the descriptor returned is open here or in a child that inherited it.

    None when somebody else has held it for all of `seconds`; `is_held` may be looking for a moment.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    end = time.monotonic() + seconds
    while not _try_lock(descriptor, alone=True):
        if time.monotonic() >= end:
            os.close(descriptor)
            return None
        time.sleep(0.01)
    return descriptor


def is_held(path: Path) -> bool:
    """Tell whether somebody holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, alone=False)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, alone: bool) -> bool:
    """Take a lock if it is free; one that is not taken alone is shared with others who only look."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
