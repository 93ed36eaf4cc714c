"""Small honest stand-ins shared by the tests."""

from __future__ import annotations

import contextlib
import http.server
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from tools.core.encoders import Encoder
from tools.core.settings import Settings
from tools.core.watch import Watch
from tools.core.workspace import Workspace

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "purple": (255, 0, 255),
    "turquoise": (0, 255, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
FORK = multiprocessing.get_context("forkserver")  # children that start fast: what they need is imported once
FORK.set_forkserver_preload(["tests.doubles", "tools.index_images", "torch", "chromadb"])
GRID = 4  # the picture's detail is seen as GRID × GRID squares


class ColourModel:
    """An image-text model that knows colours: a picture is its mean colour, a text the colours it names.

    Plain pictures of a named colour and that word have the same embedding; what differs inside a picture goes into
    dimensions that texts leave at zero, so that two different pictures differ. Like a SentenceTransformer it has
    `encode`, `modules` and `state_dict`; it opens and fetches nothing.
    """

    def __init__(self, weight: float = 0.1) -> None:
        """Make a model; another `weight` is another model."""
        self.weight = weight
        self.calls: list[list[object]] = []  # what `encode` was given

    def encode(self, inputs: list[object], batch_size: int = 32, show_progress_bar: bool = False) -> np.ndarray:
        self.calls.append(list(inputs))
        return np.stack([self._text(i) if isinstance(i, str) else self._picture(i) for i in inputs])

    def modules(self) -> Iterator[object]:
        yield SimpleNamespace(processor=SimpleNamespace(size={"height": 16, "width": 16}))

    def state_dict(self) -> dict[str, object]:
        import torch

        return {"weight": torch.tensor([self.weight])}

    def _text(self, text: str) -> np.ndarray:
        named = [COLOURS[word] for word in text.lower().split() if word in COLOURS]
        return self._row(np.mean(named, axis=0) if named else np.full(3, 127.5), np.zeros(3 * GRID * GRID))

    def _picture(self, picture: Image.Image) -> np.ndarray:
        assert picture.mode == "RGB"
        squares = np.asarray(picture.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float64).reshape(-1, 3)
        return self._row(squares.mean(axis=0), (squares - squares.mean(axis=0)).ravel() / 127.5)

    def _row(self, colour: np.ndarray, detail: np.ndarray) -> np.ndarray:
        row = np.concatenate([colour / 127.5 - 1, [self.weight], detail])
        return (row / np.linalg.norm(row)).astype(np.float32)


def colour_workspace(home: Path, model: ColourModel | None = None, watch: Watch | None = None) -> Workspace:
    """Return a workspace whose encoder is a real `Encoder` around a `ColourModel`."""
    workspace = Workspace(Settings(home=home, encoder="colours", hub_offline=True), watch)
    workspace._shelf.encoders["colours"] = Encoder("colours", model or ColourModel())  # type: ignore[arg-type]
    return workspace


class HttpSentinel:
    """A local HTTP server that answers every request with one status and remembers the paths asked for."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[str] = []
        sentinel = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sentinel.requests.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextlib.contextmanager
def http_sentinel(status: int = 200) -> Iterator[HttpSentinel]:
    """Run an `HttpSentinel` for the length of a block."""
    sentinel = HttpSentinel(status)
    thread = threading.Thread(target=sentinel.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield sentinel
    finally:
        sentinel.server.shutdown()
        sentinel.server.server_close()
        thread.join()


def noise(seed: int, size: tuple[int, int] = (32, 24)) -> Image.Image:
    """Return a picture of coloured squares that is like no other seed's."""
    squares = np.random.default_rng(seed).integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize(size, Image.Resampling.NEAREST)
