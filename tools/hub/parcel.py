"""What leaves the machine when something is published: the very files, made ready to be sent."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from tools.core.errors import DataError, first_line
from tools.core.files import replacing
from tools.core.library import Card, Kind
from tools.core.workspace import Workspace
from tools.hub.client import RepoKind
from tools.hub.parquet import Written, write_parquet
from tools.hub.readme import ancestors, dataset_readme, model_readme, terms
from tools.hub.scrub import holds_key, json_without_paths

if TYPE_CHECKING:
    import datasets

# Files of a saved model; anything else, such as a pickled training state, stays here.
MODEL_SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja", ".png", ".svg", ".md")
VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")  # words, which no path is taken for
KEPT_SECONDS = 86_400.0  # how long files made for a preview wait for the sending
POLICY_DAYS = 30


@dataclasses.dataclass(frozen=True)
class Parcel:
    """Everything that would be sent, nothing else."""

    kind: RepoKind
    contents: str  # in words
    files: dict[str, Path]  # path in the repository → the file here
    stays: tuple[str, ...]  # files of the artifact that are not sent
    changed: tuple[str, ...]  # where paths of this machine were shortened to names
    notes: tuple[str, ...]  # on rights and policies

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file."""
        return {path: file.stat().st_size for path, file in self.files.items()}


@contextlib.contextmanager
def packed(workspace: Workspace, card: Card, repo: str) -> Iterator[Parcel]:
    """Make ready what is sent of a dataset or model.

    Raises:
        DataError: A file is damaged, or holds a key.
    """
    cache = _cache(workspace)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        pack = _pack_dataset if card.kind is Kind.DATASET else _pack_model
        parcel = pack(workspace, card, repo, Path(aside))
        known = (workspace.secrets.hub_token, workspace.secrets.youtube_api_key, workspace.settings.openai_api_key)
        for path, file in parcel.files.items():
            if path.endswith((".md", ".json", ".txt")) and holds_key(file.read_text("utf-8", "replace"), known):
                raise DataError(
                    f"{path} of {card.reference} holds what looks like a key; take it out before publishing"
                )
        yield parcel


def forget(workspace: Workspace, card: Card) -> None:
    """Remove what was kept for the sending of a dataset."""
    with _alone(workspace):
        shutil.rmtree(_kept(workspace, card), ignore_errors=True)


def _cache(workspace: Workspace) -> Path:
    return workspace.settings.home / "cache" / "publish"


def _kept(workspace: Workspace, card: Card) -> Path:
    """Return the folder of the data files of a dataset in its present state."""
    state = f"{card.reference} {card.created} {card.updated} {card.content_hash}"
    return _cache(workspace) / hashlib.sha256(state.encode()).hexdigest()[:24]


@contextlib.contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Let one call at a time change what is kept."""
    lock = FileLock(workspace.settings.home / "cache" / "publish.lock")
    while True:
        workspace.watch.check()
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0.5)
            break
    try:
        yield
    finally:
        lock.release()


def _pack_dataset(workspace: Workspace, card: Card, repo: str, aside: Path) -> Parcel:
    import datasets

    try:
        splits = datasets.load_from_disk(str(workspace.library.folder(card.kind, card.name) / "data"))
    except (OSError, ValueError) as error:
        raise DataError(f"{card.reference} cannot be read ({first_line(error)}): load it again") from error
    if not isinstance(splits, datasets.DatasetDict):
        splits = datasets.DatasetDict({"train": splits})
    with _alone(workspace):
        made, written = _parquet(workspace, card, splits)
        files = {f"data/{file.name}": _linked(file, aside / file.name) for file in sorted((made / "data").iterdir())}
    features = next(iter(splits.values())).features
    cards = ancestors(workspace.library, card)
    notes = [*terms(cards, features), *_age(splits)]
    download = sum(file.stat().st_size for file in files.values())
    readme = _put(aside / "README.md", dataset_readme(cards, repo, written, features, download, notes))
    rows = ", ".join(f"{count} {split}" for split, count in written.rows.items())
    return Parcel(
        kind="dataset",
        contents=f"{rows} rows with the columns {', '.join(features)}",
        files={"README.md": readme, **files},
        stays=(),
        changed=tuple(f"{count} cells of the column {column}" for column, count in written.shortened.items()),
        notes=tuple(notes),
    )


def _parquet(workspace: Workspace, card: Card, splits: datasets.DatasetDict) -> tuple[Path, Written]:
    """Return the folder with the data files, made once for the preview and the sending after it."""
    for old in _cache(workspace).iterdir():  # of previews that nobody approved
        with contextlib.suppress(FileNotFoundError):  # another call may remove its own
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    folder = _kept(workspace, card)
    if not folder.exists():
        with replacing(folder, durable=False) as aside:
            written = write_parquet(splits, aside, workspace.watch)
            _put(aside / "written.json", json.dumps(dataclasses.asdict(written)))
    return folder, Written(**json.loads((folder / "written.json").read_text(encoding="utf-8")))


def _age(splits: datasets.DatasetDict) -> list[str]:
    """Return a note when rows were fetched longer ago than YouTube's policies allow to keep them."""
    days = [
        (datetime.datetime.now(datetime.UTC) - _moment(str(cell))).days
        for rows in splits.values()
        if "fetched_at" in rows.column_names
        for cell in rows["fetched_at"]
        if cell
    ]
    if not days or max(days) <= POLICY_DAYS:
        return []
    old = sum(one > POLICY_DAYS for one in days)
    return [f"{old} rows were fetched more than {POLICY_DAYS} days ago: collect the channel again before publishing"]


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime.now(datetime.UTC)  # no date: nothing is known of its age
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _pack_model(workspace: Workspace, card: Card, repo: str, aside: Path) -> Parcel:
    root = workspace.library.folder(card.kind, card.name) / "model"
    if not (root / "modules.json").exists():
        raise DataError(f"{card.reference} holds no complete model (modules.json is missing): train it again")
    inside = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*")) if not file.is_dir()}
    files = {path: file for path, file in inside.items() if _belongs(path, file)}
    changed = []
    for path, file in files.items():
        if path.endswith(".json") and file.name not in VOCABULARIES:
            text = file.read_text(encoding="utf-8")
            try:
                clean = json_without_paths(text)
            except ValueError as error:
                raise DataError(f"{path} of {card.reference} is no JSON ({error}): train it again") from error
            if clean != text:
                files[path] = _put(aside / path, clean)
                changed.append(path)
    own = files["README.md"].read_text(encoding="utf-8") if "README.md" in files else ""
    cards = ancestors(workspace.library, card)
    notes = terms(cards)
    files["README.md"] = _put(aside / "README.md", model_readme(own, cards, repo, notes))
    return Parcel(
        kind="model",
        contents=f"a SentenceTransformer model in {len(files)} files",
        files=dict(sorted(files.items())),
        stays=tuple(path for path in inside if path not in files),
        changed=tuple(changed),
        notes=tuple(notes),
    )


def _belongs(path: str, file: Path) -> bool:
    """Tell whether a file is part of the model itself."""
    if file.is_symlink() or any(part.startswith(".") for part in path.split("/")):
        return False
    weights = file.suffix == ".bin" and file.stem.startswith(("pytorch_model", "model"))
    return weights or file.suffix in MODEL_SUFFIXES


def _put(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def _linked(file: Path, place: Path) -> Path:
    """Give a file a second name of our own: another call may remove the first."""
    try:
        os.link(file, place)
    except OSError:  # a file system without links
        shutil.copyfile(file, place)
    return place
