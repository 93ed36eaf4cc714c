"""Image-text encoders by name: starter-clip, a library model, a local folder, or a hub id.

`load_encoder` gives a plain `SentenceTransformer` whose output has length 1. `Encoder` wraps one for the tools:
batches, decoding in parallel with the forward pass, a report of what could not be read, and a fingerprint of the
weights that a collection remembers.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.core.errors import DataError, ModelError, first_line
from tools.core.library import Kind, Library
from tools.core.pictures import open_picture
from tools.core.settings import PREFERRED_ENCODER, Settings
from tools.core.starter import load_starter_clip

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from sentence_transformers import SentenceTransformer

STARTER = "starter-clip"
LARGE = 8  # times the side a model looks at: what is larger is shrunk while it is decoded
HUB_SECONDS = 3.0  # how long to wait for the hub before doing without it


@dataclasses.dataclass(frozen=True)
class EncoderChoice:
    """Which encoder is used, and why."""

    name: str
    reason: str


def choose_encoder(settings: Settings, library: Library, name: str | None = None) -> EncoderChoice:
    """Decide which encoder `name` (None: the setting) means, without loading it.

    `auto` means the preferred model if it is in the local cache or the hub answers, else the starter model.
    """
    asked = name or settings.encoder
    if asked != "auto":
        return EncoderChoice(asked, "named in the command" if name else "set by PAIRWRIGHT_ENCODER")
    if _in_hub_cache(PREFERRED_ENCODER):
        return EncoderChoice(PREFERRED_ENCODER, "found in the local cache")
    if settings.hub_offline:
        return EncoderChoice(STARTER, f"HF_HUB_OFFLINE is set and {PREFERRED_ENCODER} is not in the local cache")
    if _hub_answers(settings.hub_endpoint):
        return EncoderChoice(PREFERRED_ENCODER, "the model hub can be reached (downloaded once, about 1.7 GB)")
    return EncoderChoice(STARTER, f"{PREFERRED_ENCODER} is not in the local cache and the hub cannot be reached")


def load_encoder(
    name: str = "auto", settings: Settings | None = None, library: Library | None = None
) -> SentenceTransformer:
    """Load an image-text model whose embeddings are float32 and have length 1.

    Args:
        name: `starter-clip`, a model of the library, a local folder (sentence-transformers layout, or a plain
            transformers CLIP or SigLIP folder), a hub id, or `auto`.
        settings: Read from the environment when None.
        library: Opened at the settings' home when None.

    Raises:
        ModelError: Nothing of that name can be loaded, or it does not take both texts and pictures.
    """
    settings = settings or Settings.from_env()
    return _on_best_device(_load(name, settings, library or Library(settings.home)))


def load_base(name: str, settings: Settings, library: Library) -> SentenceTransformer:
    """Load a model to fine-tune, in float32 on the CPU; its saved folder loads with plain `SentenceTransformer(path)`.

    The same names are taken and the same errors raised as by `load_encoder`.
    """
    return load_starter_clip(portable=True) if name == STARTER else _load(name, settings, library)


def _load(name: str, settings: Settings, library: Library) -> SentenceTransformer:
    """Load in float32 on the CPU."""
    if name == "auto":
        name = choose_encoder(settings, library).name
    if name == STARTER:
        return load_starter_clip()
    folder = model_folder(name, library)
    return _load_checkpoint(name, str(folder or name), offline=settings.hub_offline)


def weight_hash(model: SentenceTransformer) -> str:
    """Return a SHA-256 (first 16 hex digits) over the names and values of all weights, however they are stored."""
    return hash_weights(model.state_dict()).hexdigest()[:16]


def hash_weights(weights: Mapping[str, torch.Tensor]) -> hashlib._Hash:
    """Return a SHA-256 over the names and values of weights."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest


def picture_side(model: Any) -> int:
    """Return how many pixels a side a model looks at (224 when it does not say)."""
    for module in model.modules():
        processor = getattr(getattr(module, "processor", None), "image_processor", None) or getattr(
            module, "processor", None
        )
        for name in ("crop_size", "size"):
            size = getattr(processor, name, None)
            sides = [v for v in dict(size).values() if v] if size else []
            if sides:
                return max(int(value) for value in sides)
    return 224


def plain_texts(texts: Sequence[str]) -> list[str]:
    """Keep texts that look like a file or an address texts: sentence-transformers would open or fetch them.

    With a space on both sides nothing starts with "http:" or ends with ".jpg". Some tokenisers keep outer spaces
    (SigLIP 2), so only a text that could be taken for one of these gets them.
    """
    return [f" {text} " if "." in text or ":" in text else text for text in texts]


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A picture that was left out, and why."""

    key: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Batch:
    """Embeddings of some pictures, in the order they were given."""

    keys: tuple[str, ...]
    embeddings: np.ndarray  # (len(keys), dimension) float32, rows of length 1
    unreadable: tuple[Unreadable, ...]


class Encoder:
    """An image-text model with a name and a fingerprint; safe to call from several threads."""

    def __init__(self, name: str, model: SentenceTransformer) -> None:
        """Wrap a model on the CPU in float32 and move it to the best device.

        Its fingerprint is taken before, so that a collection made on a GPU can be searched on a CPU.
        """
        self.name = name
        self.fingerprint = weight_hash(model)
        self.model = _on_best_device(model)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, name: str, settings: Settings, library: Library) -> Encoder:
        """Load an encoder by any name that `load_encoder` takes; the same errors are raised."""
        return cls(name, _load(name, settings, library))

    @functools.cached_property
    def dimension(self) -> int:
        """Length of an embedding."""
        return int(self.encode_texts(["a picture"]).shape[1])

    def encode_texts(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Embed texts, batched by length: (len(texts), dimension) float32, rows of length 1.

        A text that looks like a file or an address is embedded as text: sentence-transformers would open or fetch it.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        with self._lock:
            return _float32(self.model.encode(plain_texts(texts), batch_size=batch_size, show_progress_bar=False))

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[SentenceTransformer]:
        """Give the model itself while no other thread uses it."""
        with self._lock:
            yield self.model

    def encode_pictures(self, pictures: Sequence[Image.Image], batch_size: int = 64) -> np.ndarray:
        """Embed RGB pictures: (len(pictures), dimension) float32, rows of length 1."""
        with self._lock:
            return _float32(self.model.encode(list(pictures), batch_size=batch_size, show_progress_bar=False))

    def stream_pictures(
        self, items: Iterable[tuple[str, Callable[[], Path | bytes]]], batch_size: int = 64, workers: int | None = None
    ) -> Iterator[Batch]:
        """Embed many pictures batch by batch; the next ones are decoded while the model runs.

        Args:
            items: A key and a function that gives the file or its bytes.
            batch_size: Pictures a forward pass.
            workers: Decoding threads; as many as cores when None.

        Yields:
            Batches in the order of `items`; a picture that cannot be read is named instead of embedded.
        """
        workers = workers or max(2, os.cpu_count() or 2)
        side = LARGE * self.picture_side
        with concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:

            def decode(source: Callable[[], Path | bytes]) -> Image.Image | str:
                try:
                    return open_picture(source(), side=side)
                except DataError as error:
                    return str(error)

            waiting: collections.deque[tuple[str, concurrent.futures.Future[Image.Image | str]]] = collections.deque()
            remaining = iter(items)
            try:
                while True:
                    while len(waiting) < 2 * batch_size and (item := next(remaining, None)) is not None:
                        waiting.append((item[0], pool.submit(decode, item[1])))
                    if not waiting:
                        return
                    ready = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
                    yield self._embed(ready, batch_size)
            finally:
                for _, future in waiting:
                    future.cancel()

    @functools.cached_property
    def picture_side(self) -> int:
        """Pixels a side that the model looks at (224 when it does not say)."""
        return picture_side(self.model)

    def _embed(self, ready: list[tuple[str, concurrent.futures.Future[Image.Image | str]]], batch_size: int) -> Batch:
        keys, pictures, unreadable = [], [], []
        for key, future in ready:
            decoded = future.result()
            if isinstance(decoded, str):
                unreadable.append(Unreadable(key, decoded))
            else:
                keys.append(key)
                pictures.append(decoded)
        embeddings = self.encode_pictures(pictures, batch_size) if pictures else np.zeros((0, 0), np.float32)
        return Batch(tuple(keys), embeddings, tuple(unreadable))


def _float32(embeddings: Any) -> np.ndarray:
    """Return float32 rows of length 1 (half precision on a GPU leaves them a little off)."""
    rows = np.asarray(embeddings, dtype=np.float32)
    lengths: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)  # (rows, 1)
    unit: np.ndarray = rows / np.maximum(lengths, 1e-12)
    return unit


def model_folder(name: str, library: Library) -> Path | None:
    """Return the folder a name means, or None for a hub id.

    Raises:
        ModelError: It is none of the three.
    """
    for card in library.cards(Kind.MODEL):
        if name in (card.name, card.reference):
            return library.folder(card.kind, card.name) / "model"
    folder = Path(os.path.expanduser(name))
    if os.path.isdir(folder):  # unlike Path.is_dir, False for a text that cannot be a path
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        known = ", ".join([STARTER, *(card.name for card in library.cards(Kind.MODEL))])
        raise ModelError(
            f"There is no model {name!r}: expected a model of the library ({known}), an existing folder, or a hub id "
            "such as sentence-transformers/clip-ViT-B-32"
        )
    return None


def _load_checkpoint(name: str, source: str, offline: bool) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    try:
        model = SentenceTransformer(
            source, device="cpu", model_kwargs={"dtype": torch.float32}, local_files_only=offline
        )
    except Exception as error:  # transformers and hub raise many kinds; each means that this name gives no model
        hint = (
            "check the name and the network, or use starter-clip" if "/" in name else "is it a complete model folder?"
        )
        raise ModelError(f"The model {name!r} cannot be loaded ({first_line(error)}): {hint}") from error
    missing = [modality for modality in ("text", "image") if not model.supports(modality)]
    if missing:
        raise ModelError(
            f"The model {name!r} does not take {' and '.join(missing)} input; Pairwright needs an image-text model "
            "such as sentence-transformers/clip-ViT-B-32"
        )
    _fit_text(model)
    if not isinstance(model[-1], Normalize):
        model.append(Normalize())
    return model


def _fit_text(model: SentenceTransformer) -> None:
    """Cut texts to the model's window where its tokenizer does not know it, and fill the window for SigLIP."""
    for module in map(_as_any, model.modules()):
        config = getattr(getattr(module, "model", None), "config", None) or getattr(module, "config", None)
        positions = getattr(getattr(config, "text_config", config), "max_position_embeddings", None)
        tokenizer = getattr(module, "tokenizer", None)
        if positions and tokenizer is not None and tokenizer.model_max_length > positions:
            tokenizer.model_max_length = positions
        if hasattr(module, "processing_kwargs") and str(getattr(config, "model_type", "")).startswith("siglip"):
            # It masks no padding and reads the last position: a text would depend on the others of its batch.
            module.processing_kwargs = {"text": {"padding": "max_length"}, **module.processing_kwargs}


def _as_any(module: object) -> Any:
    """Drop the static type: torch declares every unknown attribute of a module to be a tensor or a module."""
    return module


def _on_best_device(model: SentenceTransformer) -> SentenceTransformer:
    """Move to the GPU in half precision when there is one."""
    import torch

    if torch.cuda.is_available():
        return model.to("cuda", dtype=torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)
    return model


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    # The weights too: a download that broke off leaves the small files.
    weights = ("0_CLIPModel/model.safetensors", "0_CLIPModel/pytorch_model.bin", "model.safetensors")
    there = [isinstance(try_to_load_from_cache(name, file), str) for file in ("modules.json", *weights)]
    return there[0] and any(there[1:])


def _hub_answers(endpoint: str) -> bool:
    import httpx

    try:
        return httpx.head(endpoint, timeout=HUB_SECONDS).status_code < 500
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
