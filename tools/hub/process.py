"""Runs `worker` as a process and reads its events; Stop ends it at once."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tools.core.errors import RemoteError
from tools.core.watch import Watch

WORKER = Path(__file__).parent / "worker.py"
POLL_SECONDS = 0.2  # how soon Stop is noticed


def ask(request: dict[str, Any], watch: Watch) -> Iterator[dict[str, Any]]:
    """Carry out a request (see `worker`) and yield the events; however this ends, the process is gone then.

    Raises:
        StoppedError: The person pressed Stop.
        RemoteError: The process died.
    """
    with tempfile.TemporaryFile() as chatter:  # what libraries print is for nobody
        child = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=chatter,
            text=True,
            encoding="utf-8",
        )
        assert child.stdin and child.stdout
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True, name="hub")
        reader.start()
        try:
            child.stdin.write(json.dumps(request) + "\n")  # not on the command line, where every user could see it
            child.stdin.flush()
            while (line := _next(lines, watch)) is not None:
                yield json.loads(line)
            if child.wait() != 0:  # a failure that was told has ended the loop before
                raise RemoteError(f"The process that talks to the hub ended with code {child.returncode}; try again")
        except BrokenPipeError as error:
            raise RemoteError("The process that talks to the hub did not start; try again") from error
        finally:
            child.kill()
            child.wait()
            reader.join()
            child.stdout.close()
            try:
                child.stdin.close()
            except BrokenPipeError:
                pass  # it died before it had read everything


def _next(lines: queue.SimpleQueue[str | None], watch: Watch) -> str | None:
    while True:
        watch.check()
        try:
            return lines.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue


def _read(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)
