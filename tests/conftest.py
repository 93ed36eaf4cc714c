"""What every test may use: a home of its own, a workspace with an honest small encoder, and a maker of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.doubles import COLOURS, ColourModel, HttpSentinel, colour_workspace, http_sentinel
from tools.core.settings import quieten_libraries
from tools.core.workspace import Workspace

quieten_libraries()  # before any test imports them

YOUTUBE = ("YOUTUBE_API_KEY", "YOUTUBE_ENDPOINT")
MakeWorkspace = Callable[..., Workspace]
MakePicture = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own, no network, and none of the settings of whoever runs it."""
    for name in ("ENCODER", "MODEL", "HOST"):
        monkeypatch.delenv(f"PAIRWRIGHT_{name}", raising=False)
    for name in ("SPACE_ID", "PORT", "HF_ENDPOINT", "HF_TOKEN", "OPENAI_BASE_URL", "OPENAI_API_KEY", *YOUTUBE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PAIRWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture
def make_workspace(home: Path) -> Iterator[MakeWorkspace]:
    """Make workspaces on one home, as several processes would have, whose model is a `ColourModel`."""
    made: list[Workspace] = []

    def make(model: ColourModel | None = None) -> Workspace:
        made.append(colour_workspace(home, model))
        return made[-1]

    yield make
    for workspace in made:
        for name in list(workspace._shelf.collections):
            workspace.forget_collection(name)


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """Return an empty workspace in which "red" finds red pictures."""
    return make_workspace()


@pytest.fixture
def make_picture(tmp_path: Path) -> MakePicture:
    """Make picture files: of a plain colour, or of a picture given."""

    def make(name: str, look: str | Image.Image = "red", size: tuple[int, int] = (32, 24), **options: object) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", size, COLOURS[look]) if isinstance(look, str) else look
        picture.save(file, **options)
        return file

    return make


@pytest.fixture
def photos(make_picture: MakePicture) -> Path:
    """Return a folder with a plain picture of each of five colours, two of them in a subfolder."""
    for name, colour in (("a", "red"), ("b", "green"), ("c", "blue"), ("more/d", "yellow"), ("more/e", "purple")):
        file = make_picture(f"photos/{name}-{colour}.png", colour)
    return file.parent.parent


@pytest.fixture
def sentinel() -> Iterator[HttpSentinel]:
    """Run a local HTTP server that remembers what it was asked for."""
    with http_sentinel() as running:
        yield running
