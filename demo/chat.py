"""The chat tab: commands in, steps, pictures and tables out."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from agent.events import Decision, Event, Said, TextDelta, ToolProgress
from agent.keys import take_keys, visitor_keys
from agent.loop import Agent
from demo.approval import ApprovalForm, decisions, ids_of
from demo.render import APPROVE, EDIT, Transcript
from tools.core.workspace import Secrets

EXAMPLES = ("find a dog", "show me 8 pictures of birds", "find something to eat", "what can you do?")
KEYS = (  # label, what it is for, id; in the order of `visitor_keys`
    (
        "YouTube API key",
        "To collect videos. For this visit only; it is neither shown, logged nor stored.",
        "youtube-key",
    ),
    ("Hugging Face token", "To publish, and to read private data. For this visit only, likewise.", "hub-token"),
)
BUSY = "This conversation is still busy; wait for it, or press Stop"
REDRAW_SECONDS = 0.1  # text and progress are drawn at most this often

Messages = list[gr.ChatMessage]


class Chats:
    """The transcripts and stop flags of the conversations shown in this process."""

    def __init__(self, agent: Agent, prepared: threading.Event) -> None:
        """Show the conversations of `agent`; a turn waits until `prepared` is set."""
        self.agent = agent
        self._prepared = prepared
        self.home = agent.workspace.settings.home
        self._stops: dict[str, threading.Event] = {}

    def load(self, thread: str) -> tuple[Messages, str]:
        """Draw a visitor's conversation again, or begin one; return its messages and its id."""
        if not _is_thread(thread):
            return [], uuid.uuid4().hex
        return self._drawn(thread).messages, thread

    def take(self, said: dict[str, Any], thread: str, *keys: str) -> tuple[Any, ...]:
        """Take pasted keys out of a message before anything else sees it, and put them where keys are typed.

        While the turn before goes on, the message stays in its box.

        Returns:
            The message (None when it stays), what the box shows, the keys, nothing (the approval form closes).
        """
        if thread in self._stops:
            gr.Warning(BUSY)
            return None, *(gr.skip() for _ in range(len(keys) + 2))
        text, found = take_keys(said.get("text") or "")
        pasted = (found.youtube_api_key, found.hub_token)
        if any(pasted):
            gr.Info("The key was taken out of your message and put under Keys; it is used for this visit only.")
        return {**said, "text": text}, None, *(new or old for new, old in zip(pasted, keys, strict=True)), ""

    def send(self, message: dict[str, Any] | str | None, thread: str, *keys: str) -> Iterator[Messages]:
        """Carry out a message and yield the messages to show; None is a message that stayed in its box."""
        if message is None:
            yield gr.skip()
            return
        text, files = (message, []) if isinstance(message, str) else (message.get("text", ""), message.get("files", []))

        def turn(stop: threading.Event) -> Iterator[Event]:
            return self.agent.run(text, thread, files, stop, self._secrets(keys))

        yield from self._follow(self._drawn(thread), thread, turn, text, files)

    def open_form(self, thread: str, chosen: gr.SelectData) -> str:
        """Return whose approval form is to be open after a click on a question's buttons."""
        answer, _, ids = str(chosen.value).partition(" ")
        asked = self.agent.waiting(thread) if answer == EDIT else None
        if answer == EDIT and (asked is None or ids_of(asked) != ids):
            gr.Warning("This question is no longer open")
            return ""
        return ids if asked else ""

    def choose(self, thread: str, chosen: gr.SelectData, *keys: str) -> Iterator[Messages]:
        """Carry out or refuse what waits for approval, after a click on a question's buttons."""
        answer, *ids = str(chosen.value).split()
        if answer == EDIT:
            yield gr.skip()  # `open_form` does it
        else:
            yield from self._decide(thread, dict.fromkeys(ids, Decision(answer == APPROVE)), keys)

    def decide(self, answer: dict[str, Any] | None, thread: str, *keys: str) -> Iterator[Messages]:
        """Carry out or refuse what waits for approval, as the form says."""
        if answer:
            yield from self._decide(thread, decisions(answer), keys)

    def _decide(self, thread: str, decided: dict[str, Decision], keys: Sequence[str]) -> Iterator[Messages]:
        def turn(stop: threading.Event) -> Iterator[Event]:
            return self.agent.decide(decided, thread, stop, self._secrets(keys))

        yield from self._follow(self._drawn(thread), thread, turn)

    def _secrets(self, keys: Sequence[str]) -> Secrets:
        return visitor_keys(self.agent.workspace.settings, *keys)

    def stop(self, thread: str) -> None:
        """Stop the running turn: the tool ends at its next step."""
        if running := self._stops.get(thread):
            running.set()

    def renew(self, thread: str) -> tuple[Messages, str]:
        """Stop what runs and begin another conversation; the old one stays in the home folder."""
        self.stop(thread)
        return [], uuid.uuid4().hex

    def _drawn(self, thread: str) -> Transcript:
        transcript = Transcript(self.home)
        for event in self.agent.history(thread):
            transcript.add(event)
        return transcript

    def _follow(
        self,
        transcript: Transcript,
        thread: str,
        turn: Callable[[threading.Event], Iterator[Event]],
        text: str = "",
        files: Sequence[str] = (),
    ) -> Iterator[Messages]:
        """Draw a turn as it goes; `text` and `files` are what the person said to begin it."""
        stop = threading.Event()
        if self._stops.setdefault(thread, stop) is not stop:
            gr.Warning(BUSY)
            yield gr.skip()  # the running turn goes on drawing
            return
        try:
            if text or files:
                transcript.add(Said(text, tuple(files)))
            yield transcript.messages
            if not self._prepared.is_set():
                yield [*transcript.messages, gr.ChatMessage("Preparing the sample pictures; this happens once …")]
                while not self._prepared.wait(0.2) and not stop.is_set():
                    pass
            drawn = 0.0
            for event in turn(stop):
                transcript.add(event)
                if not isinstance(event, TextDelta | ToolProgress) or time.monotonic() - drawn > REDRAW_SECONDS:
                    yield transcript.messages
                    drawn = time.monotonic()
            yield transcript.messages
        finally:
            del self._stops[thread]


def _browser_secret(home: Path) -> str:
    """Return the key that conversations' ids are kept with in browsers; the same after a restart."""
    file = home / "browser-secret"
    home.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.suppress(FileExistsError),
        open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new,
    ):
        new.write(secrets.token_urlsafe(16))
    return file.read_text(encoding="utf-8")


def _is_thread(thread: Any) -> bool:
    return isinstance(thread, str) and len(thread) == 32 and thread.isalnum()


def build_chat(agent: Agent, page: gr.Blocks, prepared: threading.Event) -> None:
    """Lay out the chat tab inside `page` and wire it; `prepared` is set when the sample pictures can be searched."""
    chats = Chats(agent, prepared)

    # layout
    thread = gr.BrowserState("", storage_key="pairwright-conversation", secret=_browser_secret(chats.home))
    chatbot = gr.Chatbot(
        elem_id="conversation",
        show_label=False,
        height="62vh",
        buttons=["copy"],
        placeholder="**Match pictures with words.** Index a folder of pictures, then ask for what they show.",
    )
    opened, answered = gr.State(""), gr.State(None)  # whose approval form is open; what it answered
    keys = [_key_box(*about) for about in KEYS]
    ApprovalForm(agent).layout(thread, opened, answered, keys)
    with gr.Row(elem_id="examples"):
        examples = [gr.Button(text, size="sm", min_width=80) for text in EXAMPLES]
    with gr.Row(equal_height=True, elem_id="say"):
        box = gr.MultimodalTextbox(
            elem_id="command",
            show_label=False,
            placeholder="Say it in your words: index the images in ./photos, then find dogs in the snow",
            file_types=["image"],
            file_count="multiple",
            scale=8,
            autofocus=True,
        )
        stop = gr.Button("Stop", elem_id="stop", variant="stop", scale=1, min_width=70)
        new = gr.Button("New", elem_id="new", scale=1, min_width=70)

    with gr.Accordion("Keys", open=False, elem_id="keys"), gr.Row():
        for one in keys:
            one.render()  # type: ignore[no-untyped-call]

    # wiring; only an event in the queue lets the form notice that `opened` has changed
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(chats.load, thread, [chatbot, thread], **quiet)
    sent = gr.State("")
    box_submit = box.submit(
        chats.take, [box, thread, *keys], [sent, box, *keys, opened], concurrency_limit=None, **quiet
    )
    turns = [
        box_submit.then(chats.send, [sent, thread, *keys], chatbot, **quiet),
        chatbot.option_select(chats.choose, [thread, *keys], chatbot, **quiet),
        answered.change(chats.decide, [answered, thread, *keys], chatbot, **quiet),
    ]
    chatbot.option_select(chats.open_form, thread, opened, concurrency_limit=None, **quiet)
    answered.change(lambda: "", None, opened, concurrency_limit=None, **quiet)
    for button in examples:
        turns.append(button.click(chats.send, [button, thread, *keys], chatbot, **quiet))
    stop.click(chats.stop, thread, None, queue=False, **quiet)
    new.click(chats.renew, thread, [chatbot, thread], cancels=turns, queue=False, api_visibility="private")
    new.click(lambda: "", None, opened, concurrency_limit=None, **quiet)


def _key_box(label: str, about: str, id: str) -> gr.Textbox:
    return gr.Textbox("", label=label, info=about, type="password", elem_id=id, max_lines=1, render=False)
