"""What the frozen towers of an image-text model make of pictures and texts, computed once and kept on disk.

When only the projections train, everything before them gives the same numbers in every step, every evaluation and every
later run. A `Split` model is such a model cut in front of its projections: `embedding = normalise(head(features))`. The
features are kept under a hash of the towers' weights, so that models which differ only in their projections share them.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tools.core.encoders import hash_weights, plain_texts
from tools.core.errors import ModelError
from tools.core.files import replacing
from tools.core.pictures import open_picture
from tools.core.training.trainable import projection_names

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from torch import nn

Modality = Literal["text", "image"]
BATCH = 32
PREPARED = "pictures decoded at full size"  # how inputs are made; say it otherwise when that changes
TOLERANCE = 1e-4  # how far head(features) may be from the model's own output
Report = Callable[[int, int], None]  # how many are done, of how many


@dataclasses.dataclass
class Cut:
    """A model cut in front of its projections."""

    model: SentenceTransformer
    heads: dict[Modality, nn.Linear | None]  # None: what the tower gives is the embedding itself
    fingerprint: str  # of everything in front of the heads

    def embed(self, features: torch.Tensor, modality: Modality) -> torch.Tensor:
        """Return embeddings of length 1, (batch, dimension), for features (batch, width) of the tower."""
        from torch.nn.functional import normalize

        head = self.heads[modality]
        return normalize(features if head is None else head(features), dim=-1)


def cut(model: SentenceTransformer) -> Cut:
    """Find the projections of a model and prove, on a text and a picture, that nothing but length comes after them.

    Raises:
        ModelError: The model cannot be cut there.
    """
    from PIL import Image

    probes: dict[Modality, Any] = {"text": ["a picture"], "image": [Image.new("RGB", (64, 64), "gray")]}
    heads: dict[Modality, nn.Linear | None] = {}
    for modality, inputs in probes.items():
        heads[modality] = _head_of(model, inputs)
        captured, output = _forward(model, inputs, heads[modality])
        embedded = Cut(model, heads, "").embed(captured, modality)
        if captured.ndim != 2 or float((embedded.detach() - output).abs().max()) > TOLERANCE:
            raise ModelError(
                f"This model's {modality} tower cannot be kept apart from its projection; choose trainable all"
            )
    return Cut(model, heads, _tower_hash(model))


def tower_features(
    part: Cut,
    modality: Modality,
    contents: Sequence[Any],
    folder: Path | None,
    report: Report,
    batch: int = BATCH,
) -> torch.Tensor:
    """Return the tower's output for texts or pictures, from the disk where it is known.

    Args:
        part: The model.
        modality: `text` or `image`.
        contents: Texts, or the bytes of pictures; equal ones are computed once.
        folder: Where features are kept; None keeps nothing.
        report: Told how many of the different contents are done.
        batch: How many go through the tower at a time.

    Returns:
        (len(contents), width) float32 on the CPU.
    """
    import torch

    keys: list[bytes] = []
    first: dict[bytes, int] = {}
    length: dict[bytes, int] = {}
    for index, content in enumerate(contents):  # one at a time: pictures may be many
        key = _key(content)
        keys.append(key)
        first.setdefault(key, index)
        length[key] = len(content) if modality == "text" else 0
    store = FeatureStore(folder / part.fingerprint / modality) if folder else None
    known = store.read() if store else {}
    order = sorted(first, key=lambda key: (length[key], key))  # texts of like length share a batch
    done = 0
    for start in range(0, len(order), batch):
        chunk = order[start : start + batch]  # computed whole or not at all: the same numbers after a kill
        if not all(key in known for key in chunk):
            rows = _compute(part, modality, [contents[first[key]] for key in chunk])
            known |= dict(zip(chunk, rows, strict=True))
            if store:
                store.write(chunk, rows)
        done += len(chunk)
        report(done, len(order))
    return torch.from_numpy(np.stack([known[key] for key in keys]))


class FeatureStore:
    """Rows of numbers by the hash of what they were made of; any number of processes may add to it."""

    def __init__(self, folder: Path) -> None:
        """Keep the rows in `folder`, one file a batch."""
        self.folder = folder

    def read(self) -> dict[bytes, np.ndarray]:
        """Return all rows; a damaged file is left out, its rows are computed again."""
        rows: dict[bytes, np.ndarray] = {}
        for file in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(file) as content:
                    rows |= {key.tobytes(): row for key, row in zip(content["keys"], content["rows"], strict=True)}
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                file.unlink(missing_ok=True)
        return rows

    def write(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Add rows (len(keys), width), in one step."""
        with replacing(self.folder / f"{uuid.uuid4().hex}.npz", durable=False) as aside:
            with aside.open("wb") as stream:
                np.savez(stream, keys=np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1), rows=rows)


def _key(content: str | bytes) -> bytes:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(raw).digest()


def _compute(part: Cut, modality: Modality, contents: Sequence[Any]) -> np.ndarray:
    inputs = plain_texts(contents) if modality == "text" else list(decode(contents))
    captured, _ = _forward(part.model, inputs, part.heads[modality])
    rows: np.ndarray = captured.float().cpu().numpy()
    return rows


def decode(pictures: Sequence[bytes]) -> Iterator[Any]:
    """Decode picture files in parallel, in their order, at full size: scores are then those of plain `encode`."""
    with concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="decode") as pool:
        yield from pool.map(open_picture, pictures)


def _head_of(model: SentenceTransformer, inputs: Sequence[Any]) -> nn.Linear | None:
    """Return the projection that such inputs go through."""
    from torch import nn

    names = {name.rpartition(".")[0] for name in projection_names(model)}
    used: list[nn.Linear] = []
    hooks = []
    for name in names:
        module = model.get_submodule(name)
        if isinstance(module, nn.Linear):
            hooks.append(module.register_forward_pre_hook(lambda module, _: used.append(module)))
    try:
        _forward(model, inputs, None)
    finally:
        for hook in hooks:
            hook.remove()
    if len(used) > 1:
        raise ModelError("This model sends an input through several projections; choose trainable all")
    return used[0] if used else None


def _forward(model: SentenceTransformer, inputs: Sequence[Any], head: nn.Linear | None) -> tuple[Any, Any]:
    """Return what goes into the head (without one: the embedding) and the model's own output, of length 1."""
    import torch
    from torch.nn.functional import normalize

    captured: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, given: captured.append(given[0])) if head is not None else None
    model.eval()
    try:
        with torch.no_grad():
            output = embed_with_gradient(model, inputs)
    finally:
        if hook:
            hook.remove()
    return (captured[0] if hook else output), normalize(output, dim=-1)


def embed_with_gradient(model: SentenceTransformer, inputs: Sequence[Any]) -> torch.Tensor:
    """Run inputs through the model: (len(inputs), dimension); `encode` would stop the gradient and sort them."""
    import torch

    given = model.preprocess(inputs)
    placed = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value for name, value in given.items()
    }
    output: torch.Tensor = model(placed)["sentence_embedding"]
    return output


def _tower_hash(model: SentenceTransformer) -> str:
    """Return a SHA-256 (first 16 hex digits) over the weights in front of the heads and how inputs are prepared."""
    heads = projection_names(model)
    digest = hash_weights({name: value for name, value in model.state_dict().items() if name not in heads})
    digest.update(PREPARED.encode())
    for module in model.modules():
        for name in ("processor", "tokenizer"):
            if (one := getattr(module, name, None)) is not None:
                digest.update(_settings_of(one).encode())
    return digest.hexdigest()[:16]


def _settings_of(processor: Any) -> str:
    parts = [getattr(processor, name, None) for name in ("image_processor", "tokenizer")]
    told = []
    for one in [processor, *parts]:
        if hasattr(one, "to_json_string") and not any(parts):
            told.append(one.to_json_string())
        elif hasattr(one, "model_max_length"):
            told.append(f"{type(one).__name__} {one.model_max_length} {len(one)}")
        elif one is not None and one is not processor:
            told.append(one.to_json_string() if hasattr(one, "to_json_string") else type(one).__name__)
    return " ".join(told)
