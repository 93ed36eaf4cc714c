"""The OpenAI-compatible client against a small local server that speaks the protocol."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.events import Failed, TextDelta, ToolFinished
from agent.loop import Agent
from agent.models import build_chat_model, describe_chat_model
from agent.planner_model import PlannerModel
from tests.doubles import colour_workspace
from tools.core.library import Library
from tools.core.settings import Settings
from tools.index_images import index_images


class Endpoint:
    """Answers chat completions by a script of status codes and messages, streamed when asked for."""

    def __init__(self, *script: Any) -> None:
        self.script, self.requests = list(script), []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append({"body": asked, "key": self.headers["Authorization"]})
                reply = endpoint.script.pop(0)
                if isinstance(reply, int):
                    body, kind = json.dumps({"error": {"message": "no"}}).encode(), "application/json"
                    self.send_response(reply)
                else:
                    body, kind = _stream(reply), "text/event-stream"
                    self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def _stream(message: dict[str, Any]) -> bytes:
    calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls", []))]
    delta = {"role": "assistant", "content": message.get("content")} | ({"tool_calls": calls} if calls else {})
    reason = "tool_calls" if calls else "stop"
    chunks = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
    ]
    shared = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return b"".join(f"data: {json.dumps(shared | chunk)}\n\n".encode() for chunk in chunks) + b"data: [DONE]\n\n"


def call(arguments: str) -> dict[str, Any]:
    function = {"name": "search_images", "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[Endpoint] = []

    def start(*script: Any) -> Endpoint:
        endpoint = Endpoint(*script)
        running.append(endpoint)
        threading.Thread(target=endpoint.server.serve_forever, daemon=True).start()
        return endpoint

    yield start
    for endpoint in running:
        endpoint.server.shutdown()
        endpoint.server.server_close()


def agent_at(url: str, home: Path) -> Agent:
    settings = Settings(home=home, chat_model="openai:tiny", openai_base_url=url, openai_api_key="secret")
    workspace = colour_workspace(home)
    workspace.settings = settings
    return Agent(workspace)


def test_an_endpoint_calls_tools_and_streams_its_answer(serve: Any, home: Path, photos: Path):
    endpoint = serve(call('{"query": "red", "k": 2}'), {"content": "Here they are."})
    agent = agent_at(endpoint.url, home)
    index_images(agent.workspace, str(photos), model="colours")
    events = list(agent.run("find red", "t"))
    assert [event.result.hits[0].title for event in events if isinstance(event, ToolFinished)] == ["a-red"]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Here they are."
    asked = endpoint.requests[0]
    assert asked["key"] == "Bearer secret" and asked["body"]["model"] == "tiny"
    assert {tool["function"]["name"] for tool in asked["body"]["tools"]} >= {"search_images", "delete_item"}
    assert endpoint.requests[1]["body"]["messages"][-1]["role"] == "tool"


def test_arguments_that_are_no_json_end_in_a_message_not_in_silence(serve: Any, home: Path):
    endpoint = serve(call('{"query": '), {"content": "I got that wrong."})
    events = list(agent_at(endpoint.url, home).run("find red", "t"))
    assert not any(isinstance(event, ToolFinished) for event in events)
    assert any(isinstance(event, Failed | TextDelta) for event in events)


@pytest.mark.parametrize(
    ("status", "says"), [(401, "refused the key (check OPENAI_API_KEY)"), (404, "has no model 'tiny'")]
)
def test_a_refusal_says_what_to_change(serve: Any, home: Path, status: int, says: str):
    events = list(agent_at(serve(status).url, home).run("find red", "t"))
    assert isinstance(events[-1], Failed) and says in events[-1].message
    assert "PAIRWRIGHT_MODEL=planner" in events[-1].message


def test_a_busy_endpoint_is_asked_again(serve: Any, home: Path):
    endpoint = serve(429, 500, {"content": "Now."})
    events = list(agent_at(endpoint.url, home).run("hello", "t"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Now."
    assert len(endpoint.requests) == 3


def test_without_an_endpoint_the_planner_is_used_and_said(home: Path):
    settings = Settings(home=home)
    assert isinstance(build_chat_model(settings, Library(home)), PlannerModel)
    assert "planner" in describe_chat_model(settings) and "PAIRWRIGHT_MODEL" in describe_chat_model(settings)
    with_endpoint = Settings(
        home=home, chat_model="openai:tiny", openai_base_url="http://x/v1", openai_api_key="secret"
    )
    assert "openai:tiny" in describe_chat_model(with_endpoint) and "secret" not in repr(with_endpoint)
