"""The Hugging Face hub as publishing needs it: whose token, what is there, send in one commit, take back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tools.core.errors import InputError, PairwrightError, RemoteError, SettingsError
from tools.core.watch import Watch
from tools.core.workspace import Workspace
from tools.hub.process import ask

LOOK_SECONDS = 10.0  # how long the hub may be silent when it is asked something
SEND_SECONDS = 300.0  # likewise while it takes files in
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
TOKEN = re.compile(r"[\x21-\x7e]{4,500}")
READERS = ("read",)  # roles that may not write

RepoKind = Literal["dataset", "model"]


@dataclasses.dataclass(frozen=True)
class Repository:
    """What lies on the hub now."""

    private: bool
    sha: str
    files: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Standing:
    """Whose token it is, and what it finds."""

    account: str
    repository: Repository | None  # None: it would be new


@dataclasses.dataclass(frozen=True)
class Sent:
    """What came of sending."""

    commit: str
    changed: bool  # False: the very same files were there already


def check_repo_id(repo_id: str) -> str:
    """Return the name of a repository if it has the form you/name.

    Raises:
        InputError: It has not.
    """
    name = repo_id.strip()
    if not REPO_ID.fullmatch(name) or "--" in name or ".." in name or name.endswith((".git", "-", ".")):
        parts = [re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-._") for part in name.split("/")][-2:]
        hint = f", perhaps {'/'.join(parts)!r}" if len(parts) == 2 and all(parts) and "/".join(parts) != name else ""
        raise InputError(
            f"repo_id is {repo_id!r}; expected you/name (your account or organisation on the hub, a slash, and a name "
            f"of letters, digits, '-', '_' and '.'){hint}"
        )
    return name


class Hub:
    """The hub with the visitor's token; each question is asked by a process of its own."""

    def __init__(self, workspace: Workspace) -> None:
        """Take the token of the call.

        Raises:
            SettingsError: The hub must not be asked.
            InputError: On a Space, there is no token of the visitor's; or it cannot be one.
        """
        settings = workspace.settings
        if settings.hub_offline:
            raise SettingsError("HF_HUB_OFFLINE is set, so nothing can be published: unset it and start again")
        self.endpoint, self.watch = settings.hub_endpoint, workspace.watch
        self._saved_login = not settings.on_space
        self._token = (workspace.secrets.hub_token or "").strip() or None
        self._where = "" if settings.on_space else ", or set HF_TOKEN before the start, or run `hf auth login`"
        if settings.on_space and self._token == (settings.hub_token or "").strip():
            self._token = None  # that of whoever owns the Space
        if self._token and not TOKEN.fullmatch(self._token):
            raise InputError("The Hugging Face token holds characters that no token has; copy it again")
        if not self._token and not self._saved_login:
            raise self._no_token()

    def url(self, repo: str, kind: RepoKind) -> str:
        """Return the address of a repository."""
        return f"{self.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"

    def look(self, repo: str, kind: RepoKind) -> Standing:
        """Ask whose token it is and what lies in the repository.

        Raises:
            InputError: There is no token, or the account cannot write there.
            RemoteError: The hub cannot be reached, or refuses.
        """
        found = {event.pop("event"): event for event in self._talk("look", repo, kind, LOOK_SECONDS)}
        me, there = found["account"], found["repository"]
        self._check_account(repo, me)
        if there["id"] is None:
            return Standing(me["name"], None)
        if there["id"].lower() != repo.lower():
            raise InputError(f"{repo} is now called {there['id']} on the hub; give that name")
        return Standing(me["name"], Repository(there["private"], there["sha"], tuple(there["files"])))

    def _check_account(self, repo: str, me: dict[str, Any]) -> None:
        owner = repo.partition("/")[0].lower()
        may = {me["name"].lower(): "owner"} | {name.lower(): role for name, role in me["orgs"].items()}
        if me["role"] in READERS:
            raise InputError(
                f"The token of {me['name']} may only read: make one with write permission at "
                f"{self.endpoint}/settings/tokens"
            )
        if owner not in may or may[owner] in READERS:
            others = [name for name, role in me["orgs"].items() if role not in READERS]
            names = " or ".join(f"{name}/{repo.partition('/')[2]}" for name in [me["name"], *others])
            raise InputError(f"The token is that of {me['name']}, who cannot write to {repo}: give {names}")

    def send(
        self,
        repo: str,
        kind: RepoKind,
        files: dict[str, Path],
        *,
        private: bool,
        there: Repository | None,
        remove: tuple[str, ...],
        message: str,
    ) -> Sent:
        """Put files into a repository in one commit, making it first where there is none; then read back what is there.

        Raises:
            RemoteError: It did not work; the message says what is left on the hub, which is normally nothing.
            StoppedError: The person pressed Stop; likewise.
        """
        request = {
            "new": there is None,
            "parent": there.sha if there else None,
            "private": private,
            "files": {path: str(file) for path, file in files.items()},
            "remove": list(remove),
            "message": message,
        }
        commit: Sent | None = None
        created, sizes = False, {}
        try:
            for event in self._talk("send", repo, kind, SEND_SECONDS, **request):
                match event["event"]:
                    case "created":
                        created = True
                    case "visibility":
                        raise _RefusedError(_other_visibility(repo, private, event["private"]))
                    case "committed":
                        commit = Sent(event["oid"], event["changed"])
                    case "there":
                        sizes = event["files"]
        except PairwrightError as error:
            if commit:
                raise RemoteError(f"{repo} was published, but could not be read back: {error}") from error
            left = self._left(repo, kind, there, created, sure=isinstance(error, _RefusedError))
            raise type(error)(f"{error}. {left}") from error
        if commit is None:
            raise RemoteError(f"Sending to {repo} ended without an answer: look at {self.url(repo, kind)}")
        missing = [path for path, file in files.items() if sizes.get(path) != file.stat().st_size]
        if missing:
            raise RemoteError(
                f"{repo} was published, but the hub does not show {', '.join(missing)} as sent: look there"
            )
        return commit

    def _left(self, repo: str, kind: RepoKind, there: Repository | None, created: bool, sure: bool) -> str:
        """Say what a failed sending left on the hub, after removing the empty repository it may have made.

        Unless the hub said no, the answer may have been lost rather than the request.
        """
        self.watch = Watch()  # a Stop does not stop the tidying up
        place = self.url(repo, kind)
        try:
            if created or (there is None and not sure):
                gone = [event["gone"] for event in self._talk("undo", repo, kind, LOOK_SECONDS)] == [True]
                if not gone:
                    return f"The repository made for it is left, and not empty: see {place}"
                return f"Nothing was published{'; the repository made for it was removed again' if created else ''}"
            if there and not sure and self.look(repo, kind).repository != there:
                return f"The repository changed all the same: see {place}"
        except PairwrightError:
            return f"What is left there could not be found out: see {place}"
        return "Nothing was published"

    def _talk(self, do: str, repo: str, kind: RepoKind, seconds: float, **more: Any) -> Iterator[dict[str, Any]]:
        """Ask, and yield the answers that are no failures."""
        request = {
            "do": do,
            "endpoint": self.endpoint,
            "token": self._token,
            "saved_login": self._saved_login,
            "repo": repo,
            "kind": kind,
            "seconds": seconds,
            **more,
        }
        for event in ask(request, self.watch):
            match event["event"]:
                case "failed":
                    raise self._translated(event["status"], event["said"], repo)
                case "no token":
                    raise self._no_token()
                case "uploading":
                    self.watch.tell(f"uploading to {repo}", 0)
                case _:
                    yield event

    def _no_token(self) -> InputError:
        return InputError(
            f"Publishing needs a Hugging Face token of yours: make one with write permission at {self.endpoint}"
            f"/settings/tokens, and give it in the app's field for keys{self._where}"
        )

    def _translated(self, status: int | None, said: str, repo: str) -> RemoteError:
        """Return what a person can do about an answer of the hub (status 0: there was none, None: nothing known)."""
        said = " ".join(said.split())[:300]
        if self._token:
            said = said.replace(self._token, "(token)")
        if "xet" in said.lower():
            said += "; with HF_HUB_DISABLE_XET=1 in the environment files are sent without Xet"
        if status == 0:
            return RemoteError(
                f"The hub at {self.endpoint} cannot be reached: check the network and try again ({said})"
            )
        if status is None:
            return RemoteError(f"The hub's answer cannot be understood, or sending failed ({said})")
        if status >= 500:
            return RemoteError(f"The hub has trouble: try again later ({status}: {said})")
        what = {
            401: f"does not accept the token: make a new one with write permission at {self.endpoint}/settings/tokens",
            402: "asks for a paid plan for this",
            403: f"does not let this token write to {repo}: it needs write permission there",
            404: f"does not know {repo}, or not with this token",
            409: f"says that {repo} is there already, or is being changed: try again, or choose another name",
            412: f"says that {repo} has changed meanwhile: look at it, and try again",
            413: "finds it too large",
            429: "was asked too often: wait some minutes and try again",
        }.get(status, "refuses")
        return _RefusedError(f"The hub {what} ({status}: {said})")


class _RefusedError(RemoteError):
    """The hub said no: what was asked has not happened."""


def _other_visibility(repo: str, private: bool, found: bool | None) -> str:
    if found is None:
        return f"{repo} was made, but cannot be seen"
    asked, is_now = ("private", "public") if private else ("public", "private")
    return f"{repo} is {is_now} on the hub although {asked} was asked for"
