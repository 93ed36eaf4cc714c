"""A local server that speaks as much of the Hugging Face hub's REST API as publishing needs, and keeps what it is sent.

Repositories, accounts with tokens, single commits with small files inside and large ones by LFS. It answers as the hub
does for what is wrong: unknown token, foreign or private repository, name taken, changed meanwhile. `fail` makes it
misbehave on top.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

REGULAR_BYTES = 10_000  # larger files, and binary ones, go by LFS
BINARY = (".parquet", ".safetensors", ".png")


@dataclasses.dataclass
class Repository:
    kind: str  # dataset or model
    private: bool
    files: dict[str, bytes]
    commits: list[str] = dataclasses.field(default_factory=list)  # their messages

    @property
    def sha(self) -> str:
        state = json.dumps([self.commits, sorted(self.files)])
        return hashlib.sha1(state.encode()).hexdigest()


@dataclasses.dataclass
class Account:
    name: str
    role: str = "write"
    orgs: dict[str, str] = dataclasses.field(default_factory=dict)  # name → role in it

    def may_write(self, repo: str) -> bool:
        owner = repo.partition("/")[0]
        return self.role != "read" and (owner == self.name or self.orgs.get(owner) in ("write", "admin"))

    def may_see(self, repo: str, private: bool) -> bool:
        owner = repo.partition("/")[0]
        return not private or owner == self.name or owner in self.orgs


@dataclasses.dataclass
class Fault:
    method: str
    path: re.Pattern[str]
    status: int
    message: str
    seconds: float  # waited before answering
    after: bool  # the request is carried out first, and only its answer is lost


class HubServer:
    """The state of the hub, and what it was asked."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}  # by token
        self.repositories: dict[tuple[str, str], Repository] = {}  # (kind, name)
        self.requests: list[str] = []
        self.seen: list[bytes] = []  # everything that arrived: heads and bodies
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.always_public = False
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hub.seen.append(str(self.headers).encode() + body)
                hub.requests.append(f"{self.command} {self.path}")
                status, answer = hub.answer(self.command, self.path.partition("?")[0], dict(self.headers), body)
                content = json.dumps(answer).encode()
                with contextlib.suppress(ConnectionError):  # whoever asked has gone
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fail(
        self, method: str, path: str, status: int, message: str = "on purpose", seconds: float = 0, after: bool = False
    ) -> None:
        """Answer requests that match with an error, late, or both."""
        self.faults.append(Fault(method, re.compile(path), status, message, seconds, after))

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        fault = next((one for one in self.faults if one.method == method and one.path.search(path)), None)
        if fault and not fault.after:
            time.sleep(fault.seconds)
            if fault.status:
                return fault.status, {"error": fault.message}
        done = self._route(method, path, headers, body)
        if fault and fault.after:
            time.sleep(fault.seconds)
            return fault.status, {"error": fault.message}
        return done

    def _route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if method == "PUT" and path.startswith("/lfs/"):  # an address that carries its own permission
            self.blobs[path.removeprefix("/lfs/")] = body
            return 200, {}
        token = headers.get("authorization", headers.get("Authorization", "")).removeprefix("Bearer ")
        me = self.accounts.get(token)
        if me is None:
            return 401, {"error": "Invalid username or password."}
        if path == "/api/whoami-v2":
            orgs = [{"name": name, "roleInOrg": role} for name, role in me.orgs.items()]
            return 200, {"name": me.name, "orgs": orgs, "auth": {"accessToken": {"role": me.role}}}
        if path == "/api/validate-yaml":
            content = json.loads(body)["content"]
            good = content.startswith("---\n") and "\n---\n" in content
            return (200 if good else 400), {"errors": [] if good else [{"message": "no front matter"}], "warnings": []}
        if path in ("/api/repos/create", "/api/repos/delete"):
            return self._make_or_delete(method, json.loads(body), me)
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(("dataset" if match[1] else "model", match[2]), json.loads(body), me)
        match = re.fullmatch(r"/api/(dataset|model)s/([^/]+/[^/]+)(?:/(\w+)/main)?", path)
        if match is None:
            return 404, {"error": f"no such route: {method} {path}"}
        repository = self.repositories.get((match[1], match[2]))
        if repository is None or not me.may_see(match[2], repository.private):
            return 404, {"error": "Repository not found"}
        return self._on_repository(method, match[3], match[2], repository, body, me)

    def _make_or_delete(self, method: str, asked: dict[str, Any], me: Account) -> tuple[int, Any]:
        name = f"{asked['organization'] or me.name}/{asked['name']}"
        key = (asked.get("type", "model"), name)
        if not me.may_write(name):
            return 403, {"error": f"You don't have the rights to create a {key[0]} under the namespace of {name}"}
        if method == "DELETE":
            return (200, {}) if self.repositories.pop(key, None) else (404, {"error": "Repository not found"})
        if key in self.repositories:
            return 409, {"error": "You already created this repo"}
        private = asked.get("visibility") == "private" and not self.always_public
        self.repositories[key] = Repository(key[0], private, {".gitattributes": b"*.parquet filter=lfs\n"}, ["initial"])
        return 200, {"url": f"{self.url}/{'datasets/' if key[0] == 'dataset' else ''}{name}"}

    def _batch(self, key: tuple[str, str], asked: dict[str, Any], me: Account) -> tuple[int, Any]:
        if key not in self.repositories or not me.may_write(key[1]):
            return 403, {"error": "You may not upload here"}
        objects = [{**one, "actions": {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}} for one in asked["objects"]]
        return 200, {"transfer": "basic", "objects": objects}

    def _on_repository(
        self, method: str, what: str | None, name: str, repository: Repository, body: bytes, me: Account
    ) -> tuple[int, Any]:
        if method == "GET" and what in (None, "revision"):
            siblings = [{"rfilename": path} for path in repository.files]
            return 200, {"id": name, "private": repository.private, "sha": repository.sha, "siblings": siblings}
        if method == "GET" and what == "tree":
            return 200, [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
                for path, content in repository.files.items()
            ]
        if not me.may_write(name):
            return 403, {"error": "You need write access"}
        if what == "preupload":
            return 200, {"files": [self._how_to_upload(one, repository) for one in json.loads(body)["files"]]}
        return self._commit(repository, name, [json.loads(line) for line in body.splitlines()])

    @staticmethod
    def _how_to_upload(file: dict[str, Any], repository: Repository) -> dict[str, Any]:
        mode = "lfs" if file["size"] > REGULAR_BYTES or file["path"].endswith(BINARY) else "regular"
        known = repository.files.get(file["path"])
        as_git = b"" if known is None else b"blob %d\0%s" % (len(known), known)
        oid = hashlib.sha256(known).hexdigest() if known and mode == "lfs" else hashlib.sha1(as_git).hexdigest()
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid if known else None}

    def _commit(self, repository: Repository, name: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit", repository.sha) != repository.sha:
            return 412, {"error": "A commit has happened since. Please refresh and try again."}
        files = dict(repository.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.blobs.get(value["oid"], b"")
                if len(content) != value["size"] or hashlib.sha256(content).hexdigest() != value["oid"]:
                    return 400, {"error": f"{value['path']} was not uploaded"}
                files[value["path"]] = content
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        repository.files = files
        repository.commits.append(header["summary"])
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{repository.sha}", "commitOid": repository.sha}


@contextlib.contextmanager
def hub_server() -> Iterator[HubServer]:
    """Run a `HubServer` for the length of a block."""
    hub = HubServer()
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
