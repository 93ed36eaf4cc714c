"""How the worker of a job is started, watched and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from tools.core.errors import JobError
from tools.core.jobs.folder import JobPaths, hold, is_held, read_json
from tools.core.jobs.processes import MARK, JobProcesses, mark_of

ROOT = Path(__file__).resolve().parents[3]  # where `tools` is found
NICENESS = 10  # the app stays quick while a worker keeps every core busy
TERMINATE_AFTER = 2.0  # seconds that a worker has to end by itself, its checkpoint written
KILL_AFTER = 3.5  # seconds after which it is ended without being asked again
HOPELESS_AFTER = 15.0  # seconds; not even the system could end it


class Launcher(Protocol):
    """Where workers run. The folder is all that a launcher and a worker know of each other."""

    name: str

    def start(self, paths: JobPaths) -> None:
        """Start a worker; nothing happens when there is one."""

    def alive(self, paths: JobPaths) -> bool:
        """Tell whether there is a worker."""

    def cancel(self, paths: JobPaths) -> None:
        """Have the worker end; return when nothing of it is left."""


class LocalLauncher:
    """Workers on this machine: its processors, one GPU, or several by torchrun when `devices` says so.

    A worker is the leader of a session of its own, so it outlives who started it. It inherits the job's lock, held
    already: there is no moment at which a worker that is starting up looks dead.
    """

    name = "local"

    def start(self, paths: JobPaths) -> None:
        """Start a worker; nothing happens when there is one.

        Raises:
            JobError: None can be started.
        """
        if os.name != "posix":
            raise JobError("Jobs run on Linux and macOS; on Windows, run Pairwright in its Linux subsystem (WSL)")
        lock = hold(paths.lock)
        if lock is None:
            return
        try:
            _clear(paths)
            with paths.log.open("ab") as log:
                process = subprocess.Popen(
                    command(paths, lock),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=ROOT,
                    env={**os.environ, MARK: mark_of(paths.folder), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"},
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        except OSError as error:
            raise JobError(f"No worker could be started for {paths.folder}: {error}") from error
        finally:
            os.close(lock)
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
        threading.Thread(target=process.wait, name=f"wait for {process.pid}", daemon=True).start()

    def alive(self, paths: JobPaths) -> bool:
        """Tell whether there is a worker."""
        return paths.alive()

    def cancel(self, paths: JobPaths) -> None:
        """Ask the worker to end, then tell it to, then end it; return when nothing of it is left.

        A worker on another machine can only be asked.

        Raises:
            JobError: Not even the system could end it.
        """
        paths.stop.touch()
        if paths.alive() and not is_held(paths.lock):
            return
        processes = JobProcesses(paths.folder, read_json(paths.worker) if is_held(paths.lock) else None)
        began, told = time.monotonic(), False
        while (held := is_held(paths.lock)) | bool(left := processes.living()):
            waited = time.monotonic() - began
            _check_hope(paths, left, waited)
            if waited > KILL_AFTER or not held:  # without its worker the rest has nothing to do
                processes.send(signal.SIGKILL)
            elif waited > TERMINATE_AFTER and not told:
                processes.send(signal.SIGTERM)
                told = True
            time.sleep(0.05)


def _clear(paths: JobPaths) -> None:
    """End what a worker that was killed has left behind, before it and the next one write into the same files."""
    processes, began = JobProcesses(paths.folder), time.monotonic()
    while left := processes.living():
        _check_hope(paths, left, time.monotonic() - began)
        processes.send(signal.SIGKILL)
        time.sleep(0.02)


def _check_hope(paths: JobPaths, left: list[int], waited: float) -> None:
    if waited > HOPELESS_AFTER:
        raise JobError(f"The processes {left} of the job in {paths.folder} cannot be ended; end them by hand")


LAUNCHERS: dict[str, Launcher] = {"local": LocalLauncher()}


def launcher_of(paths: JobPaths) -> Launcher:
    """Return the launcher that a job was made for.

    Raises:
        JobError: There is none of that name.
    """
    name = (read_json(paths.config) or {}).get("launcher", "local")
    if name not in LAUNCHERS:
        raise JobError(f"The job in {paths.folder} wants the launcher {name!r}; there is {', '.join(LAUNCHERS)}")
    return LAUNCHERS[name]


def command(paths: JobPaths, lock: int) -> list[str]:
    """Return the command line of a worker.

    Raises:
        JobError: The job is gone.
    """
    config = read_json(paths.config)
    if config is None:
        raise JobError(f"There is no job in {paths.folder}; it was deleted meanwhile")
    recipe = ["-m", "tools.recipes", config["recipe"], "--config", str(paths.config), "--lock", str(lock)]
    devices = int(config.get("devices", 1))
    if devices > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices)]
        return [sys.executable, *torchrun, *recipe]
    return [sys.executable, *recipe]
