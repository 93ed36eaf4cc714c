"""The agent: LangChain's `create_agent` around our tools, its stream turned into typed events.

A conversation (thread) is kept in SQLite under the home folder and survives a restart, also while it waits for an
approval. One turn of a thread runs at a time.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ToolCallLimitMiddleware,
    hook_config,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.errors import GraphRecursionError
from langgraph.types import Command

from agent.events import (
    ApprovalNeeded,
    Call,
    Event,
    Failed,
    Said,
    TextDelta,
    ToolFailed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agent.models import build_chat_model, explain_model_error
from agent.planner_model import files_of, person_says, said_in
from agent.results import REJECTED, from_plain, is_rejected
from agent.toolbox import build_toolbox
from tools import NEED_APPROVAL
from tools.core.workspace import Workspace

log = logging.getLogger(__name__)

MAX_CALLS = 12  # tool calls in one turn
MAX_STEPS = 120  # steps of the graph in one turn; a tool call takes about five
MAX_TEXT = 8000  # characters of one message
PROMPT = Path(__file__).parent / "prompt.md"


class Agent:
    """Runs turns of conversations; safe to use from several threads."""

    def __init__(self, workspace: Workspace, chat_model: BaseChatModel | None = None) -> None:
        """Use `chat_model`, or the one of the settings when None; nothing is opened before the first turn."""
        self.workspace = workspace
        self._chat_model = chat_model
        self._saver: SqliteSaver | None = None
        self._opening = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def run(
        self, text: str, thread: str, files: Sequence[str] = (), stop: threading.Event | None = None
    ) -> Iterator[Event]:
        """Carry out a message and yield what happens.

        A message sent while an approval is open rejects it: what the person says now counts.

        Args:
            text: What the person said.
            thread: Which conversation.
            files: Paths of pictures uploaded with it.
            stop: Set it to end the turn; the running tool stops at its next step and keeps what it finished.
        """
        if not text.strip() and not files:
            yield Failed("There is nothing to do: the message is empty. Try: find dogs in the snow")
            return
        if len(text) > MAX_TEXT:
            yield Failed(f"The message has {len(text)} characters; use at most {MAX_TEXT}, or put the text in a file")
            return
        message = person_says(text.strip(), files)
        with self._turn(thread) as free:
            if not free:
                yield Failed("This conversation is still busy with the message before; wait for it, or press Stop")
                return
            self._settle(thread)
            yield from self._stream({"messages": [message]}, thread, stop or threading.Event())

    def decide(self, approved: Mapping[str, bool], thread: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Answer the open approval and go on.

        Args:
            approved: Whether each call may run, by the ids in `ApprovalNeeded.calls`: a decision about other calls than
                those that wait now is refused.
            thread: Which conversation.
            stop: Set it to end the turn.
        """
        with self._turn(thread) as free:
            waiting = self.waiting(thread)
            if not free or waiting is None:
                yield Failed("Nothing is waiting for a decision any more")
                return
            if set(approved) != {call.id for call in waiting.calls}:
                yield Failed("This question is no longer open: another one has been asked since; answer that one")
                return
            yield from self._stream(
                _decisions([approved[call.id] for call in waiting.calls]), thread, stop or threading.Event(), waiting
            )

    def waiting(self, thread: str) -> ApprovalNeeded | None:
        """Return the approval that a conversation waits for, also after a restart; None when there is none."""
        state = self._graph(threading.Event()).get_state(_config(thread))
        return _approval(state) if state.interrupts else None

    def history(self, thread: str) -> list[Event]:
        """Return what was said and done in a conversation, for drawing it again."""
        events: list[Event] = []
        messages = self._graph(threading.Event()).get_state(_config(thread)).values.get("messages", [])
        calls: dict[str, dict[str, Any]] = {}
        for message in messages:
            if isinstance(message, HumanMessage):
                events.append(Said(said_in(message), files_of(message)))
            elif isinstance(message, AIMessage):
                calls |= {str(call["id"]): dict(call) for call in message.tool_calls}
                events += [_started(dict(call), message) for call in message.tool_calls]
                if message.text:
                    events.append(TextDelta(str(message.text)))
            elif isinstance(message, ToolMessage):
                events.append(_finished(message, 0.0))
        if waiting := self.waiting(thread):
            events.append(waiting)
        return events

    def forget(self, thread: str) -> None:
        """Delete a conversation."""
        self._open_saver().delete_thread(thread)

    # --- the graph ----------------------------------------------------------------------------------------------

    def _graph(self, stop: threading.Event) -> Any:
        """Build the agent for one turn (2 ms), its tools bound to this turn's stop."""
        if self._chat_model is None:
            self._chat_model = build_chat_model(self.workspace.settings, self.workspace.library)
        return create_agent(
            self._chat_model,
            build_toolbox(self.workspace, stop),
            system_prompt=PROMPT.read_text(encoding="utf-8"),
            checkpointer=self._open_saver(),
            middleware=[
                HumanInTheLoopMiddleware(
                    {name: {"allowed_decisions": ["approve", "reject"]} for name in sorted(NEED_APPROVAL)}
                ),
                _StopMiddleware(stop),
                ToolCallLimitMiddleware(run_limit=MAX_CALLS, exit_behavior="end"),
            ],
        )

    def _open_saver(self) -> SqliteSaver:
        with self._opening:
            if self._saver is None:
                home = self.workspace.settings.home
                home.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(home / "conversations.sqlite", check_same_thread=False, timeout=30)
                connection.execute("PRAGMA journal_mode=WAL")
                self._saver = SqliteSaver(connection)
            return self._saver

    @contextlib.contextmanager
    def _turn(self, thread: str) -> Iterator[bool]:
        """Hold a conversation for one turn; give False when another turn holds it."""
        lock = self._turns[thread]
        free = lock.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                lock.release()

    def _settle(self, thread: str) -> None:
        """Answer what an earlier turn left open, so that every tool call in the history has its reply."""
        graph = self._graph(threading.Event())
        messages = graph.get_state(_config(thread)).values.get("messages", [])
        answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
        open_calls = [
            call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls if call["id"] not in answered
        ]
        if open_calls:  # it waits for an approval, or the process died while a tool ran
            replies = [
                ToolMessage(_left_open(call["name"]), tool_call_id=call["id"], name=call["name"], status="error")
                for call in open_calls
            ]
            graph.update_state(_config(thread), {"messages": replies}, as_node="tools")

    def _stream(
        self, given: Any, thread: str, stop: threading.Event, waiting: ApprovalNeeded | None = None
    ) -> Iterator[Event]:
        """Run the graph and translate its stream; the calls of `waiting` were announced before they were approved."""
        started = {call.id: time.monotonic() for call in waiting.calls} if waiting else {}
        running = next(iter(started), "")
        asked = False
        graph = self._graph(stop)
        try:
            stream = graph.stream(given, _config(thread), stream_mode=["updates", "messages", "custom"])
            with contextlib.closing(stream):
                for mode, chunk in stream:
                    if mode == "messages":
                        if isinstance(chunk[0], AIMessage) and chunk[0].text:
                            yield TextDelta(str(chunk[0].text))
                    elif mode == "custom":
                        yield ToolProgress(running, **chunk)
                    else:
                        asked = asked or "__interrupt__" in chunk
                        for event in _of_update(chunk, started):
                            running = event.id if isinstance(event, ToolStarted) else running
                            yield event
                    # A tool that runs is waited for: it stops at its next step, its answer is kept, and the middleware
                    # ends the turn. Only a text that is being written is cut off.
                    if stop.is_set() and mode == "messages" and isinstance(chunk[0], AIMessage):
                        break
            if stop.is_set():
                yield Failed("Stopped.")
            elif asked:
                yield _approval(graph.get_state(_config(thread)))
        except GraphRecursionError:
            yield Failed(f"I stopped after {MAX_STEPS} steps without finishing; say it in smaller steps")
        except Exception as error:
            log.exception("A turn failed")
            yield Failed(explain_model_error(error, self.workspace.settings))
        except GeneratorExit:
            stop.set()  # nobody listens any more: end the tool that may still run
            raise
        finally:
            self._forget_old_states(thread)

    def _forget_old_states(self, thread: str) -> None:
        """Keep only the newest state of a conversation: each holds the whole history, so all grow as its square."""
        saver = self._open_saver()
        with saver.lock:
            for table in ("checkpoints", "writes"):
                saver.conn.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < "
                    "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ?)",
                    (thread, thread),
                )
            saver.conn.commit()


class _StopMiddleware(AgentMiddleware[Any, Any, Any]):
    """Ends a turn that was stopped before the model is asked again."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        return {"jump_to": "end"} if self._stop.is_set() else None


def _left_open(tool: str) -> str:
    """Return the answer to a call that nothing will answer any more."""
    if tool in NEED_APPROVAL:
        return f"User rejected the tool call for `{tool}` with reason: {REJECTED}"
    return "It was interrupted; ask again to go on"


def _of_update(chunk: dict[str, Any], started: dict[str, float]) -> Iterator[Event]:
    """Translate a state update: calls that begin and calls that ended."""
    for node, update in chunk.items():
        if node == "__interrupt__":
            continue  # told when the stream has ended and the state is written
        for message in _messages(update):
            if isinstance(message, AIMessage):
                for call in message.tool_calls:
                    if str(call["id"]) not in started:
                        started[str(call["id"])] = time.monotonic()
                        yield _started(dict(call), message)
                if node.startswith("ToolCallLimit") and message.text:
                    yield Failed(f"I stopped after {MAX_CALLS} tool calls; say it in smaller steps")
            elif isinstance(message, ToolMessage):
                began = started.get(message.tool_call_id, time.monotonic())
                yield _finished(message, round(time.monotonic() - began, 2))


def _messages(update: Any) -> list[BaseMessage]:
    if not isinstance(update, dict):
        return []
    found = update.get("messages", [])
    return list(getattr(found, "value", found) or [])


def _started(call: dict[str, Any], message: AIMessage) -> ToolStarted:
    return ToolStarted(str(call["id"]), call["name"], call["args"], str(message.additional_kwargs.get("why", "")))


def _finished(message: ToolMessage, seconds: float) -> ToolFinished | ToolFailed:
    tool = message.name or "tool"
    if is_rejected(message):
        return ToolFailed(message.tool_call_id, tool, REJECTED, seconds)
    result = from_plain(message.artifact) if message.status != "error" else None
    if result is None:
        return ToolFailed(message.tool_call_id, tool, str(message.content), seconds)
    return ToolFinished(message.tool_call_id, tool, result, seconds)


def _approval(state: Any) -> ApprovalNeeded:
    """Return the calls of the last reply that need approval, in the order in which decisions are given."""
    replies = [message for message in state.values["messages"] if isinstance(message, AIMessage)]
    calls = (call for call in replies[-1].tool_calls if call["name"] in NEED_APPROVAL)
    return ApprovalNeeded(tuple(Call(str(call["id"]), call["name"], call["args"]) for call in calls))


def _decisions(approved: Sequence[bool]) -> Command[Any]:
    said = {"type": "reject", "message": REJECTED}
    return Command(resume={"decisions": [{"type": "approve"} if yes else said for yes in approved]})


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": MAX_STEPS}
