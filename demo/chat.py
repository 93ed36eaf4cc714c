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

from agent.events import Event, Said, TextDelta, ToolProgress
from agent.loop import Agent
from demo.render import APPROVE, Transcript

EXAMPLES = ("find a dog", "show me 8 pictures of birds", "find something to eat", "what can you do?")
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

    def send(self, message: dict[str, Any] | str, thread: str) -> Iterator[Messages]:
        """Carry out a message and yield the messages to show."""
        text, files = (message, []) if isinstance(message, str) else (message.get("text", ""), message.get("files", []))
        transcript = self._drawn(thread)
        yield from self._follow(transcript, thread, lambda stop: self.agent.run(text, thread, files, stop), text, files)

    def decide(self, thread: str, chosen: gr.SelectData) -> Iterator[Messages]:
        """Carry out or refuse what waits for approval."""
        answer, *ids = str(chosen.value).split()
        decisions = dict.fromkeys(ids, answer == APPROVE)
        transcript = self._drawn(thread)
        transcript.close_question(answer)
        yield from self._follow(transcript, thread, lambda stop: self.agent.decide(decisions, thread, stop))

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
            gr.Warning("This conversation is still busy; wait for it, or press Stop")
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
    with gr.Row(elem_id="examples"):
        examples = [gr.Button(text, size="sm", min_width=80) for text in EXAMPLES]
    with gr.Row(equal_height=True):
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

    # wiring
    page.load(chats.load, thread, [chatbot, thread], show_progress="hidden", api_visibility="private")
    sent = gr.State("")
    box_submit = box.submit(lambda said: (said, None), box, [sent, box], queue=False, api_visibility="private")
    turns = [
        box_submit.then(chats.send, [sent, thread], chatbot, show_progress="hidden", api_visibility="private"),
        chatbot.option_select(chats.decide, thread, chatbot, show_progress="hidden", api_visibility="private"),
    ]
    for button in examples:
        turns.append(
            button.click(chats.send, [button, thread], chatbot, show_progress="hidden", api_visibility="private")
        )
    stop.click(chats.stop, thread, None, queue=False, show_progress="hidden", api_visibility="private")
    new.click(chats.renew, thread, [chatbot, thread], cancels=turns, queue=False, api_visibility="private")
