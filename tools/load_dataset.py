"""Bring data into the library as a named dataset."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tools.core.encoders import Unreadable
from tools.core.errors import DataError, InputError, PairwrightError, first_line
from tools.core.library import Kind, check_name, new_card, write_card
from tools.core.pictures import open_picture
from tools.core.sources import PictureSource, open_source, picture_and_title_columns
from tools.core.workspace import Workspace

if TYPE_CHECKING:
    import datasets

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
CHECK_SIDE = 64  # pixels; decoding at a fraction of the size is enough to prove that a picture can be read


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A dataset that was loaded."""

    dataset: str
    kind: str
    source: str
    splits: dict[str, int]  # rows of every split
    columns: tuple[str, ...]
    left_out: tuple[Unreadable, ...]

    def __str__(self) -> str:
        """Say it in a few lines."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        lines = [
            f"Loaded {self.source} as the dataset {self.dataset!r} of {self.kind}: {sizes} rows, columns "
            f"{', '.join(self.columns)}; {len(self.left_out)} unreadable."
        ]
        lines += [f"- left out {item.key}: {item.reason}" for item in self.left_out[:10]]
        if len(self.left_out) > 10:
            lines.append(f"- and {len(self.left_out) - 10} more")
        return "\n".join(lines)


def load_dataset(
    workspace: Workspace, source: str, kind: Literal["auto", "images"] = "auto", name: str | None = None
) -> Loaded:
    """Copy pictures, with what is known of them, into the library as a named dataset.

    Args:
        workspace: Where the state is.
        source: Folder, picture, .csv/.jsonl/.parquet table, or the id of a dataset on the Hugging Face hub.
        kind: What the data is; found out when auto.
        name: Name of the dataset; made from the source when omitted.

    Raises:
        DataError: There is nothing to read, or no pictures in it.
        InputError: The name is not allowed or taken, or the kind is unknown.
    """
    if kind not in ("auto", "images"):
        raise InputError(f"kind is {kind!r}; expected auto or images")
    path = Path(os.path.expanduser(source))
    chosen = check_name(name) if name else workspace.library.free_name(Kind.DATASET, path.stem or source)
    on_hub = not os.path.exists(path) and HUB_ID.fullmatch(source) and not source.startswith((".", "~"))
    with workspace.library.making(Kind.DATASET, chosen) as folder:
        parents: tuple[str, ...] = ()
        left_out: tuple[Unreadable, ...] = ()
        if on_hub:
            data, about = _from_hub(workspace, source), f"the hub dataset {source}"
        else:
            pictures = open_source(workspace, source)
            data, left_out = _read(workspace, pictures, folder / "cache")
            about, parents = pictures.about, pictures.parents
        data.save_to_disk(str(folder / "data"))
        shutil.rmtree(folder / "cache", ignore_errors=True)  # there is none for a hub dataset
        sizes = {str(split): len(table) for split, table in data.items()}
        card = new_card(
            Kind.DATASET,
            chosen,
            about,
            parents=parents,
            parameters={"kind": "images"},
            counts={"rows": sum(sizes.values()), "left_out": len(left_out)},
            content_hash=_content_hash(folder / "data"),
        )
        write_card(folder, card)
    columns = tuple(next(iter(data.values())).column_names)
    return Loaded(chosen, "images", about, sizes, columns, left_out)


def _read(
    workspace: Workspace, pictures: PictureSource, cache: Path
) -> tuple[datasets.DatasetDict, tuple[Unreadable, ...]]:
    """Read every picture once, proving that it can be decoded; only a few are in memory at a time."""
    import datasets

    left_out: list[Unreadable] = []

    def rows() -> Iterator[dict[str, Any]]:
        number = 0
        for number, item in enumerate(pictures.items(), 1):
            workspace.watch.tell("reading pictures", number, pictures.count)
            try:
                content = item.read()
                open_picture(content, side=CHECK_SIDE)
            except DataError as error:
                left_out.append(Unreadable(item.key, str(error)))
                continue
            file = item.file.name if item.file else item.key
            yield {"image": {"bytes": content, "path": file}, "title": item.title, "file": file}
        if len(left_out) == number:  # said here, since `datasets` cannot make an empty table of a generator
            reason = f", for example {left_out[0].reason}" if left_out else ""
            raise DataError(f"None of the {number} pictures of {pictures.about} can be read{reason}")

    features = datasets.Features(
        {"image": datasets.Image(), "title": datasets.Value("string"), "file": datasets.Value("string")}
    )
    try:
        table = datasets.Dataset.from_generator(
            rows, features=features, cache_dir=str(cache), fingerprint=uuid.uuid4().hex
        )
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, PairwrightError):  # a Stop, or a table that breaks off
            raise error.__cause__ from None
        raise
    return datasets.DatasetDict({"train": table}), tuple(left_out)


def _from_hub(workspace: Workspace, source: str) -> datasets.DatasetDict:
    import datasets

    workspace.watch.tell(f"downloading {source}", 0)
    try:
        found = datasets.load_dataset(source)
    except Exception as error:  # the library raises many kinds for "absent", "private", "offline" and "broken"
        raise DataError(
            f"{source!r} is neither a file here nor a dataset that can be had from the hub ({first_line(error)}); "
            "check the name, the network, and whether it needs a token"
        ) from error
    for part in found.values():
        picture, _ = picture_and_title_columns(part.column_names, source)
        if not isinstance(part.features[picture], datasets.Image):
            raise DataError(
                f"The column {picture!r} of {source} holds no pictures; only sets of pictures can be loaded"
            )
    return found


def _content_hash(folder: Path) -> str:
    """Return a SHA-256 (first 16 hex digits) over the rows as saved, split by split."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.arrow")):
        digest.update(file.parent.name.encode())
        with file.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]
