"""What the system knows of a job's processes: which there are, how to end them, and whether memory ran out.

A process belongs to a job when its environment says so, which what it starts inherits, also into other groups (torchrun
gives each rank its own), or when it shares a session with one that says so. A number alone is never trusted: it may
belong to somebody else by now. What sheds its environment and outlives its session is left alone. Where there is no
/proc only the group that was started for the job is known.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

MARK = "PAIRWRIGHT_JOB"
PROC = Path("/proc")


class JobProcesses:
    """The living processes of the job in a folder; what was once seen in one of their sessions stays known."""

    def __init__(self, folder: Path, worker: dict[str, Any] | None = None) -> None:
        """Look for the processes of `folder`.

        Args:
            folder: The job's.
            worker: What `describe` said of a worker that lives: it may have been started by hand, without the mark.
        """
        self._mark = f"{MARK}={mark_of(folder)}".encode()
        self._worker = worker or {}
        self._sessions: set[int] = set()

    def living(self) -> list[int]:
        """Return their numbers."""
        if sys.platform != "linux":
            group = self._worker.get("group")
            return [group] if group and _group_exists(group) else []
        for pid in _all_processes():
            if self._is_marked(pid):
                with contextlib.suppress(ProcessLookupError):
                    self._sessions.add(os.getsid(pid))  # the launcher made it, for this job alone
        return [pid for pid in _all_processes() if self._belongs(pid)]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of them."""
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                if sys.platform != "linux":
                    os.killpg(pid, number)
                else:
                    self._send(pid, number)

    def _send(self, pid: int, number: signal.Signals) -> None:
        if sys.platform == "linux":
            try:
                handle = os.pidfd_open(pid)  # stays with this process, also when its number is given away
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                os.kill(pid, number)  # a kernel older than 5.3
                return
            try:
                if self._belongs(pid):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def _belongs(self, pid: int) -> bool:
        try:
            ours = os.getsid(pid) in self._sessions or self._is_marked(pid) or self._is_worker(pid)
            return ours and pid != os.getpid() and _is_alive(pid)
        except ProcessLookupError:
            return False

    def _is_worker(self, pid: int) -> bool:
        return pid == self._worker.get("pid") and _started(pid) == self._worker.get("ticks")

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another user's
            return False


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdecimal()]


def _status(pid: int) -> list[str]:
    """Return what follows a process's name in its stat file, beginning with its state."""
    try:
        return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:  # ended, or no /proc
        return []


def _is_alive(pid: int) -> bool:
    """Tell whether a process still runs; one that ended stays listed until its parent has asked how."""
    return (_status(pid) or ["X"])[0] not in "ZX"


def _started(pid: int) -> str | None:
    """Return when a process started, in ticks of this machine; two processes of one number differ in it."""
    return next(iter(_status(pid)[19:20]), None)


def describe(launched: bool) -> dict[str, Any]:
    """Describe this process, so that it can be told from a later one with its number."""
    pid = os.getpid()
    group = os.getpgrp() if launched and sys.platform != "win32" else None  # by hand, others may share the group
    return {"pid": pid, "ticks": _started(pid), "group": group, "host": socket.gethostname()}


def mark_of(folder: Path) -> str:
    """Return how a folder is written in the mark of its processes."""
    return str(folder.resolve())


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def boot() -> str:
    """Name this run of the machine or container; empty where that is unknown. Started again it has another name."""
    try:
        machine = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return f"{machine} {_started(1)}"


def memory_kills() -> int:
    """Return how many processes the system has ended because memory ran out; 0 where that is unknown."""
    for file in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"):
        with contextlib.suppress(OSError):
            for line in Path(file).read_text(encoding="ascii").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0
