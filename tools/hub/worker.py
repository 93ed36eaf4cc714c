"""Talks to the Hugging Face hub in a process of its own: one request on stdin, events as JSON lines on stdout.

    {"do": "look" | "send" | "undo", "endpoint": …, "token": … | null, "saved_login": …, "repo": …, "kind": …, …}

It needs nothing but huggingface_hub, so that it starts fast.
Why a process: an upload in a thread could not be stopped, huggingface_hub waits without end for an answer and reads
"offline" and "endpoint" at its import, and the only token it can see here is the one it was handed. Nothing of the
token is ever written to stdout or stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Tell = Callable[..., None]
OURS = frozenset({".gitattributes"})  # what the hub itself puts into a new repository


def look(api: HfApi, request: dict[str, Any], tell: Tell) -> None:
    """Tell whose token it is, and what lies in the repository now."""
    me = api.whoami()
    role = ((me.get("auth") or {}).get("accessToken") or {}).get("role", "")
    orgs = {str(one["name"]): str(one.get("roleInOrg", "")) for one in me.get("orgs") or []}
    tell("account", name=str(me["name"]), role=role, orgs=orgs)
    tell("repository", **(_state(api, request) or {"id": None}))


def send(api: HfApi, request: dict[str, Any], tell: Tell) -> None:
    """Make the repository if it is new, put the files there in one commit, and read back what is there."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    if request["new"]:
        api.create_repo(request["repo"], repo_type=request["kind"], private=request["private"], exist_ok=False)
        tell("created")
    before = _state(api, request)
    if before is None or before["private"] != request["private"]:
        tell("visibility", private=None if before is None else before["private"])
        return
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationDelete(path) for path in request["remove"]
    ]
    operations += [CommitOperationAdd(path, file) for path, file in request["files"].items()]
    tell("uploading")
    commit = api.create_commit(
        request["repo"],
        operations,
        commit_message=request["message"],
        repo_type=request["kind"],
        parent_commit=request["parent"] or before["sha"],
    )
    tell("committed", oid=commit.oid, changed=commit.oid != before["sha"])
    tell("there", files=_sizes(api, request))


def undo(api: HfApi, request: dict[str, Any], tell: Tell) -> None:
    """Delete a repository that was just made, if nothing came to lie in it."""
    state = _state(api, request)
    empty = state is not None and set(state["files"]) <= OURS
    if empty:
        api.delete_repo(request["repo"], repo_type=request["kind"])
    tell("undone", gone=state is None or empty)


def _state(api: HfApi, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is known of the repository; None when there is none that the token may see."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info: Any = api.repo_info(request["repo"], repo_type=request["kind"])
    except HfHubHTTPError as error:
        if error.response.status_code == 404:
            return None
        raise
    return {
        "id": info.id,
        "private": bool(info.private),
        "sha": info.sha,
        "files": sorted(one.rfilename for one in info.siblings or []),
    }


def _sizes(api: HfApi, request: dict[str, Any]) -> dict[str, int]:
    tree = api.list_repo_tree(request["repo"], recursive=True, repo_type=request["kind"])
    return {one.path: one.size for one in tree if hasattr(one, "size")}


def _session(seconds: float) -> None:
    """Let no request wait longer than so many seconds for a sign of life; by default it would wait for ever."""
    from huggingface_hub import get_session, set_client_factory

    client = type(get_session())  # that of huggingface_hub's own HTTP library
    set_client_factory(lambda: client(follow_redirects=True, timeout=seconds))


def _prepare_environment(endpoint: str) -> None:
    """Say what huggingface_hub reads at its import; the parent has decided that the hub may be asked."""
    for name in {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_DEBUG"}.intersection(os.environ):
        del os.environ[name]
    quiet = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_IMPLICIT_TOKEN")
    os.environ.update({name: "1" for name in quiet})
    os.environ.update({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_ENDPOINT": endpoint})


def _failure(error: Exception) -> dict[str, Any]:
    """Say what failed, in words and as a status."""
    from huggingface_hub.errors import HfHubHTTPError

    while isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # an upload of one file of several
    said = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, HfHubHTTPError):
        return {"status": error.response.status_code, "said": error.server_message or said[0]}
    lost = isinstance(error, ConnectionError | TimeoutError)
    unreachable = lost or any(base.__name__ == "TransportError" for base in type(error).__mro__)  # of the HTTP library
    return {"status": 0 if unreachable else None, "said": f"{type(error).__name__}: {' '.join(said)}"}


def main() -> int:
    """Carry out the request on stdin."""
    request = json.loads(sys.stdin.readline())
    _prepare_environment(request["endpoint"])
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer

    def tell(event: str, **fields: Any) -> None:
        answers.write(json.dumps({"event": event, **fields}) + "\n")
        answers.flush()

    from huggingface_hub import HfApi, get_token

    token = request["token"] or (get_token() if request["saved_login"] else None)
    if not token:
        tell("no token")
        return 1
    try:
        _session(request["seconds"])
        api = HfApi(endpoint=request["endpoint"], token=token, library_name="pairwright")
        {"look": look, "send": send, "undo": undo}[request["do"]](api, request, tell)
    except Exception as error:  # whatever it is, the parent says it; a trace could hold what should not be shown
        failure = _failure(error)
        tell("failed", **failure | {"said": failure["said"].replace(token, "(token)")})
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # an upload thread of a library must not keep the process
