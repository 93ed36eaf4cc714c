"""`pairwright` in a terminal: the same agent, its events printed.

pairwright "index the images in ./photos, then find dogs in the snow"
pairwright plan "find dogs" --after "index ./photos" --json
pairwright plan --batch commands.jsonl
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from agent.arguments import written
from agent.events import (
    ApprovalNeeded,
    Call,
    Decided,
    Decision,
    Event,
    Failed,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agent.keys import joined, take_keys
from agent.tables import printable, table_of
from tools.core.errors import DataError, PairwrightError
from tools.core.settings import Settings, quieten_libraries
from tools.core.workspace import Workspace

EDIT = ("edit", "e", "change")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    quieten_libraries()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["plan"]:
            return plan(given[1:])
        return run(given)
    except PairwrightError as error:
        print(f"pairwright: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def run(arguments: list[str]) -> int:
    """Carry out one command and print what happens; 1 when something did not work."""
    parser = argparse.ArgumentParser(
        prog="pairwright",
        description='Match pictures with words, in your words: pairwright "find dogs in the snow". '
        "See also: pairwright plan --help",
    )
    parser.add_argument("command", nargs="+", help="what to do")
    parser.add_argument("--file", action="append", default=[], type=Path, help="a picture the command speaks of")
    parser.add_argument("--thread", help="go on with this conversation (a new one each time when omitted)")
    parser.add_argument("--yes", action="store_true", help="approve what would be asked for, such as deleting")
    given = parser.parse_args(arguments)
    for file in given.file:
        if not file.is_file():
            raise DataError(f"There is no file {file}")

    from agent.loop import Agent

    agent, command = Agent(Workspace()), " ".join(given.command)
    keys = joined(take_keys(command)[1], agent.workspace.secrets)  # also for what is approved later on
    console = Console()
    thread = f"terminal-{given.thread or uuid.uuid4().hex}"
    printer = Printer(console)
    stop = threading.Event()
    _stop_on_interrupt(stop)
    try:
        events = agent.run(command, thread, [str(file.absolute()) for file in given.file], stop, keys)
        while (asked := printer.follow(events)) is not None:
            said = _yes_or_no(console, asked, given.yes)
            if isinstance(said, bool):
                events = agent.decide({call.id: Decision(said) for call in asked.calls}, thread, stop, keys)
            else:  # yes, no and why, a change, or another command: as in the chat
                events = agent.run(said, thread, (), stop, keys)
    finally:
        if not given.thread:
            agent.forget(thread)
    if stop.is_set():
        return 130  # as a shell says of what Ctrl-C ended
    return 1 if printer.failed else 0


def _stop_on_interrupt(stop: threading.Event) -> None:
    """Let the first Ctrl-C end the running tool at its next step, the second one everything."""

    def interrupted(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)


class Printer:
    """Prints events as they come."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self.console = console
        self.failed = False
        self._in_text = False
        self._waiting = ""  # text that is not printed yet
        self._shown = ""  # the result printed last

    def follow(self, events: Iterable[Event]) -> ApprovalNeeded | None:
        """Print a turn to its end; return what it waits for, or None."""
        asked = None
        with ProgressBar(console=self.console, transient=True) as bar:
            tasks: dict[str, Any] = {}
            for event in events:
                if isinstance(event, ApprovalNeeded):
                    asked = event
                elif isinstance(event, ToolProgress):
                    if event.id not in tasks:
                        tasks[event.id] = bar.add_task(event.what)
                    bar.update(tasks[event.id], description=event.what, completed=event.done, total=event.total)
                else:
                    self.print(event)
        self._end_text()
        return asked

    def print(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, TextDelta):
            self._waiting += printable(event.text)
            if not self._shown.startswith(self._waiting):  # else it may only repeat the result just printed
                self.console.print(self._waiting, end="", markup=False, highlight=False)
                self._waiting, self._shown, self._in_text = "", "", True
            return
        self._end_text()
        if isinstance(event, ToolStarted):
            args = " ".join(f"{name}={value!r}" for name, value in event.args.items())
            self.console.print(f"→ {event.tool} {args}", style="bold cyan", markup=False, highlight=False)
        elif isinstance(event, ToolFinished):
            shown = table_of(event.result) or printable(str(event.result))
            self.console.print(shown, markup=False)
            self._shown = shown if isinstance(shown, str) else ""
        elif isinstance(event, Decided):
            for answer in event.answers.values():
                if answer.approved and answer.args:
                    changed = " ".join(f"{name}={written(value)}" for name, value in answer.args.items())
                    self.console.print(f"approved with {changed}", markup=False, highlight=False)
        elif isinstance(event, ToolFailed | Failed):
            self.failed = True
            self.console.print(printable(event.message), style="red", markup=False, highlight=False)

    def _end_text(self) -> None:
        if self._in_text:
            self.console.print()
        self._waiting, self._in_text = "", False


def _yes_or_no(console: Console, asked: ApprovalNeeded, yes: bool) -> bool | str:
    """Show what waits and ask for an answer; without a person to ask it is no.

    Returns:
        What was decided, or what the person said in other words.
    """
    for call in asked.calls:
        console.print(approval_table(call), markup=False)
    if yes:
        return True
    if not sys.stdin.isatty():
        tools = ", ".join(call.tool for call in asked.calls)
        console.print(f"{tools} needs your approval: say --yes", style="red", markup=False)
        return False
    editable = list(dict.fromkeys(name for call in asked.calls for name in call.preview.editable))
    while True:
        try:
            said = console.input(f"Go ahead? yes / {'edit / ' if editable else ''}no: ").strip()
        except EOFError:
            return False
        if said.lower() not in EDIT:
            return said or False
        values = {name: call.preview.args.get(name) for call in asked.calls for name in call.preview.editable}
        now = " ".join(f"{name}={written(value)}" for name, value in values.items())
        can = f"Say what to change, on one line. Now: {now}" if editable else "Nothing of this can be changed."
        console.print(can, markup=False, highlight=False)


def approval_table(call: Call) -> Table:
    """Return a table that shows what a call would do."""
    preview = call.preview
    table = Table(show_header=False, title=Text(printable(preview.title)), title_justify="left")
    for name, fact in preview.facts:
        table.add_row(Text(printable(name)), Text(printable(fact), overflow="fold"))
    args = "\n".join(f"{name} = {printable(written(value))}" for name, value in preview.args.items())
    table.add_row(Text(call.tool), Text(args, overflow="fold"))
    if preview.warning:
        table.add_row("", Text(preview.warning, style="bold red"))
    return table


def plan(arguments: list[str]) -> int:
    """Print what the planner would do, without doing it."""
    parser = argparse.ArgumentParser(prog="pairwright plan", description="Print what would be done, without doing it.")
    parser.add_argument("text", nargs="?", help="the command")
    parser.add_argument("--after", action="append", default=[], metavar="COMMAND", help="assume this was done before")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--batch", type=Path, metavar="FILE", help='JSON lines {"text", "history"} to plan one by one')
    given = parser.parse_args(arguments)
    if (given.text is None) == (given.batch is None):
        parser.error("give either a command or --batch FILE")

    from agent.planner import Planner
    from agent.planner_model import plan_for
    from tools import TOOLS
    from tools.core.library import Library

    library, planner = Library(Settings.from_env().home), Planner(TOOLS)
    if given.batch:
        for text, history in _batch(given.batch):
            print(json.dumps(_as_json(plan_for(planner, library, text, history)), ensure_ascii=False), flush=True)
        return 0
    made = _as_json(plan_for(planner, library, given.text, given.after))
    if given.json:
        print(json.dumps(made, ensure_ascii=False))
        return 0
    for call in made["calls"]:
        print(f"{call['tool']} {json.dumps(call['args'], ensure_ascii=False)}")
    if made["say"]:
        print(made["say"])
    return 0


def _batch(file: Path) -> Iterable[tuple[str, list[str]]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield str(row["text"]), [str(text) for text in row.get("history") or []]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f'{file}, line {number}: expected an object with "text" and perhaps "history"') from error


def _as_json(made: Any) -> dict[str, Any]:
    return {
        "calls": [{"tool": call.tool, "args": call.args} for call in made.calls],
        "ask": made.ask,
        "say": made.say,
    }


if __name__ == "__main__":
    sys.exit(main())
