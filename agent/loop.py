"""The agent: LangChain's `create_agent` around our tools, its stream turned into typed events.

A conversation (thread) is kept in SQLite under the home folder and survives a restart, also while it waits for an
approval. One turn of a thread runs at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolCallLimitMiddleware, hook_config
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.errors import GraphRecursionError
from langgraph.types import Command

from agent import approvals, translate
from agent.approvals import Decisions, Round
from agent.asking import AskFirst
from agent.conversations import Conversations
from agent.events import ApprovalNeeded, Decision, Event, Failed, TextDelta, ToolProgress
from agent.keys import REMOVED, hide, joined, take_keys, without_mention
from agent.models import build_chat_model, explain_model_error
from agent.planner_model import person_says, planner_of
from agent.replies import read_changes, read_reply
from agent.toolbox import Toolbox
from tools.core.errors import PairwrightError
from tools.core.watch import Watch
from tools.core.workspace import Secrets, Workspace

log = logging.getLogger(__name__)

MAX_CALLS = 12  # tool calls in one turn
MAX_STEPS = 120  # steps of the graph in one turn; a tool call takes about five
MAX_TEXT = 8000  # characters of one message
PROMPT = Path(__file__).parent / "prompt.md"


@dataclasses.dataclass(frozen=True)
class _Turn:
    """What holds for one turn."""

    thread: str
    stop: threading.Event
    workspace: Workspace  # with the keys of who speaks, stopped by `stop`


class Agent:
    """Runs turns of conversations; safe to use from several threads."""

    def __init__(
        self, workspace: Workspace, chat_model: BaseChatModel | None = None, toolbox: Toolbox | None = None
    ) -> None:
        """Use `chat_model`, or the one of the settings when None; nothing is opened before the first turn."""
        self.workspace = workspace
        self.toolbox = toolbox or Toolbox()
        self._chat_model = chat_model
        self._kept = Conversations(workspace.settings.home)
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def run(
        self,
        text: str,
        thread: str,
        files: Sequence[str] = (),
        stop: threading.Event | None = None,
        secrets: Secrets | None = None,
    ) -> Iterator[Event]:
        """Carry out a message and yield what happens.

        While an approval is open, a yes approves, a no rejects and may say why, and "with 3 epochs" changes what is
        asked about and asks again. Any other message rejects it: what the person says now counts.

        Args:
            text: What the person said. Keys in it are used in this turn and taken out before anything is kept.
            thread: Which conversation.
            files: Paths of pictures uploaded with it.
            stop: Set it to end the turn; the running tool stops at its next step and keeps what it finished.
            secrets: Keys of the visitor; the settings' own when None.
        """
        if not text.strip() and not files:
            yield Failed("There is nothing to do: the message is empty. Try: find dogs in the snow")
            return
        if len(text) > MAX_TEXT:
            yield Failed(f"The message has {len(text)} characters; use at most {MAX_TEXT}, or put the text in a file")
            return
        text, found = take_keys(text.strip())
        if found != Secrets():
            yield TextDelta("I took the key out of your message: it is used now, and neither shown nor kept.\n\n")
        if REMOVED in text and not without_mention(text) and not files:
            yield TextDelta("Now say what to do with it, for example: collect @3blue1brown")
            return
        turn = self._turn(thread, stop, joined(found, secrets or self.workspace.secrets))
        with self._holding(thread) as free:
            if not free:
                yield Failed("This conversation is still busy with the message before; wait for it, or press Stop")
                return
            asked = None if files else self.waiting(thread)
            answer = self._answer(text, asked, turn) if asked else None
            if answer is not None:
                yield from answer
                return
            yield from self._settle(thread)
            yield from self._stream({"messages": [person_says(text, files)]}, turn)

    def decide(
        self,
        decisions: Mapping[str, Decision],
        thread: str,
        stop: threading.Event | None = None,
        secrets: Secrets | None = None,
    ) -> Iterator[Event]:
        """Answer the open approval and go on. The question stays open when a changed argument cannot be used.

        Args:
            decisions: What is decided about each call, by the ids in `ApprovalNeeded.calls`: decisions about other
                calls than those that wait now are refused.
            thread: Which conversation.
            stop: Set it to end the turn.
            secrets: Keys of the visitor; the settings' own when None.
        """
        turn = self._turn(thread, stop, secrets)
        with self._holding(thread) as free:
            asked = self.waiting(thread)
            if free and asked is None and self._was_interrupted(decisions, thread):
                yield from self._stream(None, turn)  # the process died after the approval: the same call goes on
            elif not free or asked is None:
                yield Failed("Nothing is waiting for a decision any more")
            elif set(decisions) != {call.id for call in asked.calls}:
                yield Failed("This question is no longer open: another one has been asked since; answer that one")
            else:
                yield from self._decide(asked, decisions, turn)

    def waiting(self, thread: str) -> ApprovalNeeded | None:
        """Return the approval that a conversation waits for, also after a restart; None when there is none."""
        state = self._state(thread)
        reply, rounds = approvals.last_reply(state.values.get("messages", [])), _rounds(state)
        return approvals.question(reply, rounds) if reply and rounds else None

    def changed(
        self, asked: ApprovalNeeded, changes: Mapping[str, Mapping[str, Any]], secrets: Secrets | None = None
    ) -> ApprovalNeeded:
        """Return a question with arguments changed, previewed again; nothing is decided or kept.

        Args:
            asked: The question.
            changes: Call id → the editable arguments to change, typed or as text.
            secrets: Keys of the visitor; the settings' own when None.

        Raises:
            PairwrightError: A value cannot be used; the message says which would.
        """
        return self.toolbox.changed(asked, changes, self._turn("", None, secrets).workspace)

    def history(self, thread: str) -> list[Event]:
        """Return what was said and done in a conversation, for drawing it again."""
        state = self._state(thread)
        messages, running = state.values.get("messages", []), self._turns[thread].locked()
        return list(translate.history(messages, _rounds(state), running))

    def forget(self, thread: str) -> None:
        """Delete a conversation."""
        self._kept.saver().delete_thread(thread)

    # --- approvals ----------------------------------------------------------------------------------------------

    def _answer(self, text: str, asked: ApprovalNeeded, turn: _Turn) -> Iterator[Event] | None:
        """Return the turn that a message is as an answer to the open question; None when it is something else."""
        reply = read_reply(text)
        try:
            changes = read_changes(reply.rest, asked, planner_of(self._chat_model, self.toolbox.tools))
            if changes:
                return self._ask_again(self.toolbox.changed(asked, changes, turn.workspace), text, "", turn)
        except PairwrightError as error:
            return self._ask_again(asked, text, str(error), turn)
        if reply.kind == "yes" and reply.rest:
            unsure = "I am not sure whether that is a yes. Say yes, no, or what to change."
            return self._ask_again(asked, text, unsure, turn)
        if reply.kind == "other":
            return None
        decision = Decision(reply.kind == "yes", reason=reply.rest)
        return self._decide(asked, dict.fromkeys((call.id for call in asked.calls), decision), turn, text)

    def _decide(
        self, asked: ApprovalNeeded, decisions: Mapping[str, Decision], turn: _Turn, said: str = ""
    ) -> Iterator[Event]:
        changes = {id: one.args or {} for id, one in decisions.items() if one.approved}
        try:
            final = self.toolbox.changed(asked, changes, turn.workspace)
        except PairwrightError as error:
            yield Failed(str(error))
            yield asked
            return
        answers = approvals.answers_to(final, decisions, asked)
        yield approvals.decided(answers)
        yield from self._stream(Command(resume=Decisions(answers=answers, said=said)), turn)

    def _ask_again(self, asked: ApprovalNeeded, said: str, note: str, turn: _Turn) -> Iterator[Event]:
        if note:
            yield TextDelta(note)
        yield from self._stream(Command(resume=approvals.again(asked, said, note)), turn)

    def _was_interrupted(self, decisions: Mapping[str, Decision], thread: str) -> bool:
        """Tell whether these very calls were approved, and then not carried out to their end."""
        messages = self._state(thread).values.get("messages", [])
        reply, answered = approvals.last_reply(messages), translate.answered(messages)
        return any(id not in answered for id in decisions) and all(
            decision.approved and not decision.args and approvals.is_approved(reply, id)
            for id, decision in decisions.items()
        )

    def _settle(self, thread: str) -> Iterator[Event]:
        """Answer what an earlier turn left open, so that every tool call in the history has its reply."""
        state = self._state(thread)
        replies, decided = translate.settled(state.values.get("messages", []), _rounds(state))
        if decided:
            yield decided
        if replies:
            self._graph(self._turn(thread)).update_state(_config(thread), {"messages": replies}, as_node="tools")

    # --- the graph ----------------------------------------------------------------------------------------------

    def _graph(self, turn: _Turn) -> Any:
        """Build the agent for one turn (2 ms), its tools bound to this turn's stop and keys."""
        if self._chat_model is None:
            self._chat_model = build_chat_model(self.workspace.settings, self.workspace.library)
        return create_agent(
            self._chat_model,
            self.toolbox.wrapped(turn.workspace, turn.stop),
            system_prompt=PROMPT.read_text(encoding="utf-8"),
            checkpointer=self._kept.saver(),
            middleware=[
                AskFirst(self.toolbox, turn.workspace),
                _StopMiddleware(turn.stop),
                ToolCallLimitMiddleware(run_limit=MAX_CALLS, exit_behavior="end"),
            ],
        )

    def _state(self, thread: str) -> Any:
        return self._graph(self._turn(thread)).get_state(_config(thread))

    def _turn(self, thread: str, stop: threading.Event | None = None, secrets: Secrets | None = None) -> _Turn:
        stop = stop or threading.Event()
        return _Turn(thread, stop, self.workspace.watched(Watch(None, stop), secrets))

    @contextlib.contextmanager
    def _holding(self, thread: str) -> Iterator[bool]:
        """Hold a conversation for one turn; give False when another turn holds it."""
        lock = self._turns[thread]
        free = lock.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                lock.release()

    def _stream(self, given: Any, turn: _Turn) -> Iterator[Event]:
        """Run the graph and translate its stream."""
        config = _config(turn.thread)
        graph = self._graph(turn)
        started = {}
        if not isinstance(given, dict):  # the last reply goes on: what needs no approval in it was announced before
            last = approvals.last_reply(graph.get_state(config).values["messages"])
            started = {call.id: time.monotonic() for call in translate.announced(last)} if last else {}
        asked = False
        try:
            stream = graph.stream(given, config, stream_mode=["updates", "messages", "custom"])
            with contextlib.closing(stream):
                for mode, chunk in stream:
                    if mode == "messages":
                        if isinstance(chunk[0], AIMessage) and chunk[0].text:
                            yield TextDelta(str(chunk[0].text))
                    elif mode == "custom":
                        yield ToolProgress(**chunk)
                    else:
                        asked = asked or "__interrupt__" in chunk
                        yield from translate.of_update(chunk, started, MAX_CALLS)
                    # A tool that runs is waited for: it stops at its next step, its answer is kept, and the middleware
                    # ends the turn. Only a text that is being written is cut off.
                    if turn.stop.is_set() and mode == "messages" and isinstance(chunk[0], AIMessage):
                        break
            if turn.stop.is_set():
                yield Failed("Stopped.")
            elif asked and (question := self.waiting(turn.thread)):
                yield question
        except GraphRecursionError:
            yield Failed(f"I stopped after {MAX_STEPS} steps without finishing; say it in smaller steps")
        except Exception as error:
            log.error("A turn failed\n%s", hide(traceback.format_exc(), turn.workspace.secrets))
            yield Failed(hide(explain_model_error(error, self.workspace.settings), turn.workspace.secrets))
        except GeneratorExit:
            turn.stop.set()  # nobody listens any more: end the tool that may still run
            raise
        finally:
            self._kept.forget_old_states(turn.thread)


class _StopMiddleware(AgentMiddleware[Any, Any, Any]):
    """Ends a turn that was stopped before the model is asked again."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        return {"jump_to": "end"} if self._stop.is_set() else None


def _rounds(state: Any) -> list[Round]:
    """Return what was shown of the open question; nothing when none is open."""
    return list(state.interrupts[0].value["rounds"]) if state.interrupts else []


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": MAX_STEPS}
