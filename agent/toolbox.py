"""The one place that knows how LangChain wraps a function as a tool."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import threading
import traceback
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from langchain.tools import ToolRuntime
from langchain_core.tools import StructuredTool, ToolException

from agent.approvals import changes_of, is_approved, last_reply
from agent.arguments import changed, fitted
from agent.events import ApprovalNeeded
from agent.keys import hide
from agent.results import to_plain
from tools import PREVIEWS, TOOLS, Tool
from tools.core.errors import PairwrightError
from tools.core.preview import Preview
from tools.core.watch import Progress, Watch
from tools.core.workspace import Secrets, Workspace

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Toolbox:
    """The tools of an agent, and what says before asking what those do that wait for approval."""

    tools: tuple[Tool, ...] = TOOLS
    previews: Mapping[str, Callable[..., Preview]] = dataclasses.field(default_factory=lambda: PREVIEWS)

    def tool(self, name: str) -> Tool:
        """Return a tool by its name."""
        return next(tool for tool in self.tools if tool.__name__ == name)

    def preview(self, name: str, args: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Return what a call would do.

        Raises:
            PairwrightError: It cannot be done.
        """
        return carry_out(self.previews[name], workspace, **fitted(self.tool(name), args))  # type: ignore[no-any-return]

    def changed(
        self, asked: ApprovalNeeded, changes: Mapping[str, Mapping[str, Any]], workspace: Workspace
    ) -> ApprovalNeeded:
        """Return a question with arguments of its calls changed, and previewed again.

        Args:
            asked: The question.
            changes: Call id → the editable arguments to change, typed or as text.
            workspace: What the previews look at.

        Raises:
            PairwrightError: A value cannot be used; the message says which would.
        """
        calls = []
        for call in asked.calls:
            args, given = call.preview.args, changes.get(call.id)
            if given:
                args = changed(self.tool(call.tool), args, given, call.preview.editable)
            if args != call.preview.args:
                preview = self.preview(call.tool, args, workspace.watched(workspace.watch, None, call.id))
                call = dataclasses.replace(call, preview=preview)
            calls.append(call)
        return ApprovalNeeded(tuple(calls))

    def wrapped(self, workspace: Workspace, stop: threading.Event) -> list[StructuredTool]:
        """Wrap every tool for one turn: bound to the workspace, stopped by `stop`, progress sent into the stream."""
        return [as_tool(tool, workspace, stop, tool.__name__ in self.previews) for tool in self.tools]


def as_tool(function: Tool, workspace: Workspace, stop: threading.Event, needs_approval: bool) -> StructuredTool:
    """Wrap a tool function; its docstring and signature are what the model sees.

    Our own errors become the tool's answer, for the model and the person to act on. A tool that needs approval runs
    only for a call that the person approved, whatever brought the call here.
    """

    @functools.wraps(function)
    def call(bound: Workspace, *args: Any, runtime: ToolRuntime, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        id, reply = str(runtime.tool_call_id), last_reply(runtime.state["messages"])
        if needs_approval and not is_approved(reply, id):
            raise ToolException(f"{function.__name__} needs your approval, and this call has none; ask for it again")
        report = _reporter(id, bound.secrets, runtime.stream_writer)
        watched = bound.watched(Watch(report, stop), bound.secrets, id)
        try:
            result = carry_out(function, watched, *args, **kwargs)
        except PairwrightError as error:
            raise ToolException(str(error)) from error
        said = "\n\n".join(filter(None, [str(result), _changed(changes_of(reply, id))]))
        return hide(said, bound.secrets), hide(to_plain(result), bound.secrets)

    hints = typing.get_type_hints(function)
    runtime = inspect.Parameter("runtime", inspect.Parameter.KEYWORD_ONLY, annotation=ToolRuntime)
    signature = inspect.signature(function)
    parameters = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    call.__signature__ = signature.replace(parameters=[*parameters, runtime])  # type: ignore[attr-defined]
    call.__annotations__ = {**hints, "runtime": ToolRuntime}
    return StructuredTool.from_function(
        types.MethodType(call, workspace),
        parse_docstring=True,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )


def carry_out(function: Callable[..., Any], workspace: Workspace, *args: Any, **kwargs: Any) -> Any:
    """Call a function of the tools.

    Raises:
        PairwrightError: It cannot be done. Anything else than our own errors is a defect: it is logged with its trace
            and becomes a line that says so. No key is in either.
    """
    try:
        return function(workspace, *args, **kwargs)
    except PairwrightError as error:
        hidden = hide(str(error), workspace.secrets)
        if hidden == str(error):
            raise
        raise PairwrightError(hidden) from None
    except Exception as error:
        log.error("The tool %s failed\n%s", function.__name__, _trace(workspace.secrets))
        raise PairwrightError(
            f"{function.__name__} failed in a way it should not ({type(error).__name__}: "
            f"{hide(str(error), workspace.secrets)}); the trace is in the log of the process"
        ) from None


def _trace(secrets: Secrets) -> str:
    return str(hide(traceback.format_exc(), secrets))


def _changed(changes: Mapping[str, Any]) -> str:
    """Tell a language model why the call that ran is not quite the one it made."""
    if not changes:
        return ""
    values = ", ".join(f"{name} = {value!r}" for name, value in changes.items())
    return f"(Before approving, the person changed: {values}.)"


def _reporter(id: str, secrets: Secrets, write: Callable[[Any], None]) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        write({"id": id, "what": hide(progress.what, secrets), "done": progress.done, "total": progress.total})

    return report
