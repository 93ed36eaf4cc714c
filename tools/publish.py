"""Publish a dataset or a model on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
from collections.abc import Iterator

from tools.core.errors import InputError, NotInLibraryError
from tools.core.library import Card, Kind, Library
from tools.core.preview import Preview
from tools.core.workspace import Workspace
from tools.hub.client import Hub, RepoKind, Standing, check_repo_id
from tools.hub.parcel import Parcel, forget, packed
from tools.hub.readme import is_youtube

OLD_DATA = "data/*.parquet"  # of a dataset published before: would be read together with the new files
SAID = 20  # files in the text of a result


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file that was sent."""

    path: str  # in the repository
    bytes: int


@dataclasses.dataclass(frozen=True)
class Published:
    """What was published."""

    item: str  # kind/name
    repo_id: str
    url: str
    private: bool
    account: str  # whose token it was
    files: tuple[PublishedFile, ...]
    removed: tuple[str, ...]  # old data files of the repository
    commit: str
    new: bool  # the repository was made for it
    changed: bool  # False: the very same files were there already
    notes: tuple[str, ...]  # on rights and policies

    def __str__(self) -> str:
        """Say it in a few lines."""
        who = "private" if self.private else "public"
        total = size_text(sum(file.bytes for file in self.files))
        done = f"Published {self.item} as {self.repo_id} ({who}), {len(self.files)} files, {total}: {self.url}"
        lines = [
            done if self.changed else f"{self.item} was at {self.url} already, the very same files; nothing changed."
        ]
        lines += [f"- {file.path}, {size_text(file.bytes)}" for file in self.files[:SAID]]
        if len(self.files) > SAID:
            lines.append(f"- and {len(self.files) - SAID} more")
        if self.removed:
            lines.append(f"Old data files removed there: {', '.join(self.removed)}.")
        return "\n".join(lines + [f"Note: {note}." for note in self.notes])


def publish(workspace: Workspace, item: str, repo_id: str, private: bool = True) -> Published:
    """Publish a dataset or a model of the library on the Hugging Face hub. The person is asked before it happens.

    It goes up in one commit with a card that says where it came from, from the account of the person's own token. The
    dataset loads with `datasets.load_dataset(repo_id)`, the model with `SentenceTransformer(repo_id)`.

    Args:
        workspace: Where the state is.
        item: Name of the dataset or model, or kind/name (such as model/clip-talebi) where two share a name.
        repo_id: Where it goes: you/name, with your account or organisation on the hub; made if it does not exist.
        private: Whether only you can see it; false makes it visible to everybody.

    Raises:
        NotInLibraryError: There is no such artifact.
        InputError: It is of another kind, the name is not possible, there is no token, or the repository has the other
            visibility.
        SettingsError: HF_HUB_OFFLINE is set.
        DataError: A file is damaged, or holds a key.
        RemoteError: The hub cannot be reached or refuses; the message says what is left there.
    """
    with _planned(workspace, item, repo_id, private) as plan:
        there = plan.standing.repository
        sent = plan.hub.send(
            plan.repo,
            plan.parcel.kind,
            plan.parcel.files,
            private=private,
            there=there,
            remove=plan.removed,
            message=f"{plan.card.reference}, by Pairwright",
        )
        forget(workspace, plan.card)
        return Published(
            item=plan.card.reference,
            repo_id=plan.repo,
            url=plan.hub.url(plan.repo, plan.parcel.kind),
            private=private,
            account=plan.standing.account,
            files=tuple(PublishedFile(path, size) for path, size in plan.parcel.sizes.items()),
            removed=plan.removed,
            commit=sent.commit,
            new=there is None,
            changed=sent.changed,
            notes=plan.parcel.notes,
        )


def preview_publish(workspace: Workspace, item: str, repo_id: str, private: bool = True) -> Preview:
    """Say what `publish` would send, file by file; it takes the same arguments and raises the same errors."""
    with _planned(workspace, item, repo_id, private) as plan:
        parcel, repository = plan.parcel, plan.standing.repository
        sizes = parcel.sizes
        facts = [
            ("what", f"{plan.card.reference}: {parcel.contents}"),
            ("to", f"{plan.hub.url(plan.repo, parcel.kind)} ({'new' if repository is None else 'is there already'})"),
            ("seen by", _seen_by(plan.repo, plan.standing.account, private)),
            ("account", f"{plan.standing.account}, by the token given"),
            *(("file", f"{path}, {size_text(size)}") for path, size in sizes.items()),
            ("in all", f"{len(sizes)} files, {size_text(sum(sizes.values()))}; nothing else leaves this machine"),
            *_effects(plan),
            *(("left here", path) for path in parcel.stays),
            *(("changed", f"{where}: folders of this machine were taken out") for where in parcel.changed),
            *(("rights", note) for note in parcel.notes),
        ]
        return Preview(
            title=f"Publish {plan.card.reference} to {plan.repo}, {'private' if private else 'public'}",
            facts=tuple(facts),
            args={"item": plan.card.reference, "repo_id": plan.repo, "private": private},
            editable=("repo_id", "private"),
            warning=_warning(plan, private),
            confirm="Publish" if private else "Publish for everybody",
        )


@dataclasses.dataclass(frozen=True)
class _Plan:
    """A checked publication."""

    card: Card
    repo: str
    hub: Hub
    standing: Standing
    parcel: Parcel
    removed: tuple[str, ...]


@contextlib.contextmanager
def _planned(workspace: Workspace, item: str, repo_id: str, private: bool) -> Iterator[_Plan]:
    """Check every argument, ask the hub, and make the files ready."""
    repo = check_repo_id(repo_id)
    card = _find(workspace.library, item)
    if card.kind not in (Kind.DATASET, Kind.MODEL):
        raise InputError(f"{card.reference} is a {card.kind.value}; only datasets and models can be published")
    kind: RepoKind = "dataset" if card.kind is Kind.DATASET else "model"
    hub = Hub(workspace)
    workspace.watch.tell(f"asking {hub.endpoint} about {repo}", 0)
    standing = hub.look(repo, kind)
    repository = standing.repository
    if repository and repository.private != private:
        is_now, other = ("private", "public") if repository.private else ("public", "private")
        raise InputError(
            f"{repo} is there already and {is_now}, and {other} was asked for: give another name, publish it {is_now}, "
            f"or change the repository on the hub first ({hub.url(repo, kind)}/settings)"
        )
    with packed(workspace, card, repo) as parcel:
        old = [] if repository is None or parcel.kind != "dataset" else fnmatch.filter(repository.files, OLD_DATA)
        removed = tuple(path for path in old if path not in parcel.files)
        yield _Plan(card, repo, hub, standing, parcel, removed)


def _find(library: Library, item: str) -> Card:
    """Find a dataset or model; a collection or job of the same name does not stand in the way."""
    found = []
    for kind in (Kind.DATASET, Kind.MODEL):
        with contextlib.suppress(NotInLibraryError):
            found.append(library.find(item, kind))
    return found[0] if len(found) == 1 else library.find(item)


def _seen_by(repo: str, account: str, private: bool) -> str:
    owner = repo.partition("/")[0]
    if not private:
        return "everybody: anyone can see and download it"
    return "you alone" if owner.lower() == account.lower() else f"the members of {owner} alone"


def _effects(plan: _Plan) -> Iterator[tuple[str, str]]:
    """Yield what becomes of the files of a repository that is there already."""
    repository = plan.standing.repository
    if repository is None:
        return
    for path in repository.files:
        if path in plan.parcel.files:
            yield "replaces", path
        elif path in plan.removed:
            yield "removes", f"{path} (old data)"
    kept = [path for path in repository.files if path not in plan.parcel.files and path not in plan.removed]
    if kept:
        yield "keeps there", ", ".join(kept)


def _warning(plan: _Plan, private: bool) -> str:
    lines = []
    if not private:
        lines.append("Everybody will be able to see and download it.")
    lines += [f"{note[:1].upper()}{note[1:]}." for note in plan.parcel.notes if is_youtube([note])]
    if plan.standing.repository and set(plan.standing.repository.files) & set(plan.parcel.files):
        lines.append(
            "Files of the same name that are there already are replaced; the hub keeps the old ones in its history."
        )
    return " ".join(lines)


def size_text(size: int) -> str:
    """Write a number of bytes, rounded and exact."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.1f} {unit} ({size:,} bytes)"
    return f"{size} bytes"
