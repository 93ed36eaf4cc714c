"""The form below the chat in which what waits for approval is changed, or declined with a reason."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from agent.arguments import choices, is_switch, written
from agent.events import ApprovalNeeded, Call, Decision
from agent.keys import visitor_keys
from agent.loop import Agent
from agent.planner.signature import read_signature
from demo.render import confirm_label, facts_table, no_links
from tools.core.errors import PairwrightError

BOX: dict[str, Any] = {"min_width": 200, "interactive": True}


class Field(NamedTuple):
    """An argument that may be changed, and where it is typed."""

    call: Call
    name: str
    box: gr.components.Component


class ApprovalForm:
    """Offers the editable arguments of the open question of a conversation."""

    def __init__(self, agent: Agent) -> None:
        """Ask about the conversations of `agent`."""
        self.agent = agent

    def layout(self, thread: gr.BrowserState, opened: gr.State, answered: gr.State, keys: Sequence[gr.Textbox]) -> None:
        """Lay the form out; it is drawn while `opened` names the open question.

        Args:
            thread: Which conversation.
            opened: Ids of the calls whose form is open, as one text; empty when none is.
            answered: Where the answer goes: plain data for `decisions`.
            keys: The visitor's keys.
        """

        def form(conversation: str, ids: str) -> None:
            asked = self.agent.waiting(conversation) if ids else None
            if asked and ids == ids_of(asked):
                self._draw(asked, opened, answered, keys)

        gr.render(inputs=[thread, opened], triggers=[opened.change], show_progress="hidden")(form)

    def _draw(self, asked: ApprovalNeeded, opened: gr.State, answered: gr.State, keys: Sequence[gr.Textbox]) -> None:
        with gr.Column(elem_id="approval", variant="panel"):
            fields = self._fields(asked)
            note = gr.Markdown(elem_id="approval-note", visible=bool(fields))
            if fields:
                approve = gr.Button(f"{confirm_label(asked)} with these", variant="primary")
            with gr.Row(elem_id="approval-no"):
                reason = gr.Textbox(label="Or no, because", placeholder="too costly", scale=4, max_lines=1, **BOX)
                reject = gr.Button("Reject", variant="stop", scale=1, min_width=90)
                cancel = gr.Button("Close", scale=1, min_width=90)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        boxes = [one.box for one in fields]

        def look(*values: Any) -> str:
            """Show what would be different."""
            return self._shown(asked, _changes(fields, values[len(keys) :]), values[: len(keys)])

        def accept(*values: Any) -> tuple[Any, str]:
            """Approve, unless a value cannot be used."""
            changes = _changes(fields, values[len(keys) :])
            try:
                self.agent.changed(asked, changes, self._secrets(values[: len(keys)]))
            except PairwrightError as error:
                return gr.skip(), _problem(error)
            return _answer(asked, True, changes), ""

        def decline(why: str) -> Any:
            return _answer(asked, False, reason=why.strip())

        for box in boxes:
            if isinstance(box, gr.Textbox):
                gr.on([box.blur, box.submit], look, [*keys, *boxes], note, **quiet)
            else:
                box.change(look, [*keys, *boxes], note, **quiet)  # type: ignore[attr-defined]
        if fields:
            approve.click(accept, [*keys, *boxes], [answered, note], **quiet)
        gr.on([reject.click, reason.submit], decline, reason, answered, **quiet)
        cancel.click(lambda: "", None, opened, **quiet)

    def _fields(self, asked: ApprovalNeeded) -> list[Field]:
        fields = []
        for call in asked.calls:
            tool = self.agent.toolbox.tool(call.tool)
            about = read_signature(tool).arguments
            if call.preview.editable and len(asked.calls) > 1:
                gr.Markdown(f"**{no_links(call.preview.title)}**")
            with gr.Row(elem_classes="approval-fields"):
                for name in call.preview.editable:
                    value = call.preview.args.get(name)
                    shape: dict[str, Any] = {
                        "label": name.replace("_", " "),
                        "info": about[name].about,
                        **BOX,
                    }
                    box: gr.components.Component
                    if named := choices(tool, name):
                        box = gr.Dropdown(list(named), value=value, **shape)
                    elif is_switch(tool, name):
                        box = gr.Checkbox(bool(value), **shape)
                    else:
                        box = gr.Textbox(written(value), max_lines=1, **shape)
                    fields.append(Field(call, name, box))
        return fields

    def _shown(self, asked: ApprovalNeeded, changes: dict[str, dict[str, Any]], keys: Sequence[str]) -> str:
        try:
            changed = self.agent.changed(asked, changes, self._secrets(keys))
        except PairwrightError as error:
            return _problem(error)
        pairs = zip(asked.calls, changed.calls, strict=True)
        new = [fact for before, after in pairs for fact in after.preview.facts if fact not in before.preview.facts]
        return facts_table(new)

    def _secrets(self, keys: Sequence[str]) -> Any:
        return visitor_keys(self.agent.workspace.settings, *keys)


def ids_of(asked: ApprovalNeeded) -> str:
    """Return the ids of the calls that wait, as one text."""
    return " ".join(call.id for call in asked.calls)


def decisions(answer: dict[str, Any]) -> dict[str, Decision]:
    """Return what the form answered, by the ids of the calls."""
    approved = bool(answer["approved"])
    return {id: Decision(approved, answer["changes"].get(id), answer["reason"]) for id in answer["ids"]}


def _answer(
    asked: ApprovalNeeded, approved: bool, changes: dict[str, dict[str, Any]] | None = None, reason: str = ""
) -> dict[str, Any]:
    """Return an answer as plain data; like no other one, so that the page notices it."""
    ids = [call.id for call in asked.calls]
    return {"ids": ids, "approved": approved, "changes": changes or {}, "reason": reason, "number": uuid.uuid4().hex}


def _changes(fields: Sequence[Field], values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return what differs from what was shown: call id → argument → value."""
    changes: dict[str, dict[str, Any]] = {}
    for field, value in zip(fields, values, strict=True):
        shown = field.call.preview.args.get(field.name)
        if value != (shown if isinstance(value, bool) else written(shown)):
            changes.setdefault(field.call.id, {})[field.name] = value
    return changes


def _problem(error: Exception) -> str:
    return f"⚠️ {no_links(str(error))}"
