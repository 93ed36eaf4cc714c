"""How long until the first page, and what is loaded by then?

    python -m benchmarks.start_up [--times 5]

Starts `python -m demo` on a fresh home, asks for the page until it answers, and ends it. The first start is cold as far
as a program can make it (a new home; the system's file cache may be warm).
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import httpx

from benchmarks.machine import describe_machine
from tools.core.settings import quieten_libraries

HEAVY = ("torch", "transformers", "sentence_transformers", "chromadb", "datasets")


def first_page(home: str) -> float:
    """Return the seconds from the start of the process to the first page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PAIRWRIGHT_HOME": home, "PORT": str(port), "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    app = subprocess.Popen([sys.executable, "-m", "demo"], env=environment, stdout=subprocess.DEVNULL)
    try:
        while app.poll() is None and time.perf_counter() - began < 120:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200:
                    return time.perf_counter() - began
            except httpx.TransportError:
                time.sleep(0.05)
        raise SystemExit("the app did not answer within 120 seconds")
    finally:
        app.terminate()
        app.wait(20)


def loaded_by_the_page() -> list[str]:
    """Return which heavy packages building the page imports."""
    code = (
        "import sys, demo.app; from tools.core.workspace import Workspace; demo.app.build_demo(Workspace()); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PAIRWRIGHT_HOME": home, "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()


def main() -> None:
    """Print the table."""
    quieten_libraries()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        seconds = [first_page(home) for _ in range(given.times)]
    print(f"{describe_machine()}\n\n| start | seconds to the first page |\n| --- | --- |")
    print(f"| first, fresh home | {seconds[0]:.1f} |")
    print(f"| later, median of {len(seconds) - 1} | {statistics.median(seconds[1:]):.1f} |")
    print(f"\nheavy packages loaded to show the page: {', '.join(loaded_by_the_page()) or 'none'}")


if __name__ == "__main__":
    main()
