"""The one place that knows how LangChain wraps a function as a tool."""

from __future__ import annotations

import functools
import logging
import threading
import types
from collections.abc import Callable
from typing import Any

from langchain_core.tools import StructuredTool, ToolException
from langgraph.config import get_stream_writer

from agent.results import to_plain
from tools import TOOLS, Tool
from tools.core.errors import PairwrightError
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace

log = logging.getLogger(__name__)


def build_toolbox(workspace: Workspace, stop: threading.Event) -> list[StructuredTool]:
    """Wrap every tool for one turn: bound to the workspace, stopped by `stop`, progress sent into the stream."""
    return [as_tool(function, workspace, stop) for function in TOOLS]


def as_tool(function: Tool, workspace: Workspace, stop: threading.Event) -> StructuredTool:
    """Wrap a tool function; its docstring and signature are what the model sees.

    Our own errors become the tool's answer, for the model and the person to act on. Anything else is a defect: it is
    logged with its trace and answered by a line that says so.
    """

    @functools.wraps(function)
    def call(bound: Workspace, *args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        watched = bound.watched(Watch(_reporter(get_stream_writer()), stop))
        try:
            result = function(watched, *args, **kwargs)
        except PairwrightError as error:
            raise ToolException(str(error)) from error
        except Exception as error:
            log.exception("The tool %s failed", function.__name__)
            raise ToolException(
                f"{function.__name__} failed in a way it should not ({type(error).__name__}: {error}); the trace is in "
                "the log of the process"
            ) from error
        return str(result), to_plain(result)

    return StructuredTool.from_function(
        types.MethodType(call, workspace),
        parse_docstring=True,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )


def _reporter(write: Callable[[Any], None]) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        write({"what": progress.what, "done": progress.done, "total": progress.total})

    return report
