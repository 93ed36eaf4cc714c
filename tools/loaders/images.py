"""Pictures with what is known of them: any folder, table or dataset that has pictures."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.core.encoders import Unreadable
from tools.core.errors import DataError, PairwrightError
from tools.core.library import Kind, new_card, write_card
from tools.core.pairs.dataset import content_hash
from tools.core.pictures import open_picture
from tools.core.sources import PictureSource, open_source, picture_and_title_columns
from tools.core.workspace import Workspace
from tools.loaders.loaded import Loaded
from tools.loaders.source import Source

if TYPE_CHECKING:
    import datasets

KIND = "images"
CHECK_SIDE = 64  # pixels; decoding at a fraction of the size is enough to prove that a picture can be read


def recognises(source: Source) -> bool:
    """Tell whether `source` is of this kind: it takes what no other kind knows better."""
    return True


def load(workspace: Workspace, source: Source, name: str) -> Loaded:
    """Copy the pictures of `source` into the library as the dataset `name`."""
    with workspace.library.making(Kind.DATASET, name) as folder:
        left_out: tuple[Unreadable, ...] = ()
        if source.hub is not None:
            data = _proven(source.hub, source.text)
        else:
            data, left_out = _read(workspace, open_source(workspace, source.text), folder / "cache")
        data.save_to_disk(str(folder / "data"))
        shutil.rmtree(folder / "cache", ignore_errors=True)  # there is none for a hub dataset
        sizes = {str(split): len(table) for split, table in data.items()}
        card = new_card(
            Kind.DATASET,
            name,
            source.about,
            parents=source.parents,
            parameters={"kind": KIND},
            counts={"rows": sum(sizes.values()), "left_out": len(left_out)},
            content_hash=content_hash(folder / "data"),
        )
        write_card(folder, card)
    columns = tuple(next(iter(data.values())).column_names)
    return Loaded(name, KIND, source.about, sizes, columns, left_out)


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


def _proven(found: datasets.DatasetDict, about: str) -> datasets.DatasetDict:
    """Return a dataset of the hub if every split has a column of pictures."""
    import datasets

    for part in found.values():
        picture, _ = picture_and_title_columns(part.column_names, about)
        if not isinstance(part.features[picture], datasets.Image):
            raise DataError(f"The column {picture!r} of {about} holds no pictures; only sets of pictures can be loaded")
    return found
