"""Draws events and results as chat messages. Pure functions and one transcript; no Gradio events are wired here."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.components.chatbot import MetadataDict

from agent.arguments import written
from agent.events import (
    ApprovalNeeded,
    Call,
    Decided,
    Decision,
    Event,
    Failed,
    Said,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from demo.thumbnails import shown
from tools.delete_item import Deleted
from tools.index_images import IndexReport
from tools.list_library import Listing
from tools.load_dataset import Loaded
from tools.search_images import Hit, SearchResult
from tools.show_dataset import DatasetView

APPROVE, EDIT, REJECT = "approve", "edit", "reject"


class Transcript:
    """A conversation as Gradio messages, grown event by event."""

    def __init__(self, home: Path) -> None:
        """Start empty; thumbnails are kept under `home`."""
        self.messages: list[gr.ChatMessage] = []
        self._home = home
        self._steps: dict[str, gr.ChatMessage] = {}
        self._text: gr.ChatMessage | None = None
        self._question: tuple[gr.ChatMessage, ApprovalNeeded] | None = None  # the open one
        self._rejected: set[str] = set()  # calls whose card says all

    def add(self, event: Event) -> None:
        """Draw one more event."""
        if isinstance(event, TextDelta):
            if self._text is None:
                self._text = self._say("")
            self._text.content = str(self._text.content) + no_links(event.text)
            return
        self._text = None
        if isinstance(event, Said):
            content = [event.text] if event.text else []
            files = [{"path": shown(Path(file), self._home)} for file in event.files]
            self._say([*content, *files], role="user")
        elif isinstance(event, ToolStarted):
            about = {"title": step_title(event), "status": "pending", "id": event.id, "log": event.why}
            self._steps[event.id] = self._say(arguments(event.args), metadata=about)
        elif isinstance(event, ToolProgress):
            if step := self._steps.get(event.id):
                share = f"{event.done} of {event.total}" if event.total else (str(event.done) if event.done else "")
                step.metadata["log"] = f"{event.what} {share}".strip()
        elif isinstance(event, ToolFinished | ToolFailed):
            self._finish(event)
        elif isinstance(event, ApprovalNeeded):
            self._ask(event)
        elif isinstance(event, Decided):
            self._rejected |= {id for id, answer in event.answers.items() if not answer.approved}
            self._close(decided_text(event))
        elif isinstance(event, Failed):
            self._say(f"⚠️ {no_links(event.message)}")

    def _finish(self, event: ToolFinished | ToolFailed) -> None:
        if event.id in self._rejected:
            return
        step = self._steps.get(event.id)
        if step is None:
            step = self._say("", metadata={"title": event.tool, "id": event.id})
        # Written whole: what the step showed while it ran (its progress) is replaced by what came out.
        done: MetadataDict = {"title": step.metadata["title"], "id": event.id, "status": "done"}
        if event.seconds:
            done["duration"] = event.seconds
        failed = isinstance(event, ToolFailed)
        said = event.message if isinstance(event, ToolFailed) else str(event.result)
        if failed:
            done["title"] = f"{done['title']} – did not work"
        step.metadata = done
        step.content = f"{step.content}\n```text\n{_fenced(said)}\n```"
        if isinstance(event, ToolFinished):
            for content in draw(event.result, self._home):
                self._say(content)

    def _ask(self, event: ApprovalNeeded) -> None:
        if self._question:
            message, earlier = self._question
            message.options = []
            message.content = f"**{titles(earlier)}** Asked again below."
        ids = " ".join(call.id for call in event.calls)  # a click answers this question, not a later one
        editable = any(call.preview.editable for call in event.calls)
        message = self._say(
            approval_card(event, question(event)),
            options=[
                {"value": f"{APPROVE} {ids}", "label": confirm_label(event)},
                {"value": f"{EDIT} {ids}", "label": "Edit …" if editable else "No, because …"},
                {"value": f"{REJECT} {ids}", "label": "No, leave it"},
            ],
        )
        self._question = message, event

    def _close(self, outcome: str) -> None:
        """Replace the open question's buttons by what was decided."""
        if self._question:
            message, event = self._question
            message.options = []
            message.content = approval_card(event, outcome)
            self._question = None

    def _say(self, content: Any, role: Literal["user", "assistant"] = "assistant", **rest: Any) -> gr.ChatMessage:
        message = gr.ChatMessage(role=role, content=content, **rest)
        self.messages.append(message)
        return message


def no_links(text: str) -> str:
    """Keep Markdown's links, pictures and HTML in a reply from acting: titles and file names may be in it."""
    return text.replace("[", "\\[").replace("<", "&lt;")


def step_title(event: ToolStarted) -> str:
    """Name the tool and its first argument, short enough for one line."""
    first = next((" ".join(str(value).split()) for value in event.args.values()), "")
    return no_links(f"{event.tool.replace('_', ' ')}{': ' + first[:60] if first else ''}")


def arguments(args: dict[str, Any]) -> str:
    """Write a call's arguments as a block of code."""
    return f"```json\n{_fenced(json.dumps(args, indent=2, ensure_ascii=False))}\n```" if args else ""


def inline(args: dict[str, Any]) -> str:
    """Write a call's arguments in a line."""
    return ", ".join(f"{name} = `{written(value).replace('`', chr(39)) or 'none'}`" for name, value in args.items())


def approval_card(event: ApprovalNeeded, end: str) -> str:
    """Write what waits for approval: what it would do, its cost, the arguments it runs with; then `end`."""
    return "\n\n".join([*map(_call_card, event.calls), end])


def question(event: ApprovalNeeded) -> str:
    """Ask for an answer, and say how one may be given in words."""
    values = [(name, call.preview.args.get(name)) for call in event.calls for name in call.preview.editable]
    number = next(((name, value + 1) for name, value in values if isinstance(value, int)), None)
    example = number or next(iter(values), None)
    change = f", or what to change, such as `{example[0]}={written(example[1])}`" if example else ""
    return f"Shall I go ahead? You can also say *yes*, *no* and why{change}."


def confirm_label(event: ApprovalNeeded) -> str:
    """Return what the button says that approves."""
    return event.calls[0].preview.confirm if len(event.calls) == 1 else "Yes, do all of it"


def titles(event: ApprovalNeeded) -> str:
    """Name what waits, in a line."""
    return "; ".join(_cell(call.preview.title) for call in event.calls)


def decided_text(event: Decided) -> str:
    """Say what was decided, in a line."""
    return " ".join(dict.fromkeys(map(_decision_text, event.answers.values())))


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Write facts of a preview as a table; it has no header."""
    return markdown_table(("", ""), facts) if facts else ""


def _call_card(call: Call) -> str:
    preview = call.preview
    warning = f"⚠️ {no_links(preview.warning)}" if preview.warning else ""
    return "\n\n".join(
        filter(None, [f"**{_cell(preview.title)}**", facts_table(preview.facts), inline(preview.args), warning])
    )


def _decision_text(answer: Decision) -> str:
    if answer.approved:
        return f"**Approved** with {inline(answer.args)}." if answer.args else "**Approved.**"
    return f"**Rejected:** {_cell(answer.reason)}" if answer.reason else "**Rejected.**"


def _fenced(text: str) -> str:
    """Keep text inside its code block, whatever it contains."""
    return text.replace("```", "ʼʼʼ")


def gallery_items(hits: Iterable[Hit], home: Path) -> list[tuple[str, str]]:
    """Return (file, caption) of every hit; a picture whose file is gone is drawn as an empty frame that says so."""
    return [(shown(Path(hit.file), home), f"{hit.rank}. {hit.title} · {hit.score:.2f}") for hit in hits]


@functools.singledispatch
def draw(result: Any, home: Path) -> list[Any]:
    """Return the contents of chat messages that show a result; none when its step says it all."""
    return []


@draw.register
def _(result: SearchResult, home: Path) -> list[Any]:
    return [_gallery(gallery_items(result.hits, home))] if result.hits else []


@draw.register
def _(result: DatasetView, home: Path) -> list[Any]:
    pictures = [(shown(Path(row.picture), home), row.title) for row in result.rows if row.picture]
    return [_gallery(pictures)] if pictures else []


@draw.register
def _(result: Listing, home: Path) -> list[Any]:
    if not result.entries:
        return []
    return [markdown_table(LIBRARY_HEADERS, library_rows(result))]


@draw.register
def _(result: IndexReport, home: Path) -> list[Any]:
    return _left_out([(item.key, item.reason) for item in result.unreadable])


@draw.register
def _(result: Loaded, home: Path) -> list[Any]:
    return _left_out([(item.key, item.reason) for item in result.left_out])


@draw.register
def _(result: Deleted, home: Path) -> list[Any]:
    return []


LIBRARY_HEADERS = ("kind", "name", "holds", "from", "changed (UTC)")


def library_rows(listing: Listing) -> list[list[str]]:
    """Return the rows of the library's table, the most recently changed first."""
    return [
        [
            entry.kind,
            entry.name,
            entry.holds,
            entry.source,
            entry.updated[:16].replace("T", " "),
        ]
        for entry in reversed(listing.entries)
    ]


def _gallery(items: list[tuple[str, str]]) -> gr.Gallery:
    return gr.Gallery(
        value=items,
        columns=4,
        height="auto",
        object_fit="contain",
        show_label=False,
        buttons=["download", "fullscreen"],
    )


def _left_out(pairs: list[tuple[str, str]]) -> list[Any]:
    return [markdown_table(("left out", "why"), pairs)] if pairs else []


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table as Markdown, its cells as plain text. A Dataframe inside a chat message would not be drawn."""
    lines = [headers, ["---"] * len(headers), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return (
        no_links(" ".join(text.split())).replace("|", "\\|").replace("`", "\\`").replace("*", "\\*").replace("_", "\\_")
    )
