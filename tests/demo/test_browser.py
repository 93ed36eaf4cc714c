"""The chat in headless Chromium, on the colour model, so that the right pictures are known."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.app import build_demo, launch_options
from tests.conftest import MakePicture
from tools.core.workspace import Workspace
from tools.index_images import index_images

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PATIENCE = 60_000  # milliseconds; the machine may be busy


class Page:
    """The app in a browser tab, with what a person does there."""

    def __init__(self, tab, url: str) -> None:
        self.tab, self.url, self.foreign = tab, url, []
        tab.set_default_timeout(PATIENCE)
        tab.on("request", self._note)
        self.open()

    def _note(self, request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self) -> None:
        self.tab.goto(self.url)
        self.tab.wait_for_selector("#command textarea")

    def say(self, text: str) -> None:
        self.tab.locator("#command textarea").fill(text)
        self.tab.locator("#command textarea").press("Enter")

    def wait_for(self, text: str) -> None:
        self.tab.locator("#conversation").get_by_text(text).last.wait_for()

    def pictures(self, scope: str = "#conversation") -> list[str]:
        """Return the file names of the gallery's pictures, in order."""
        self.tab.wait_for_selector(f"{scope} .grid-wrap img")
        sources = self.tab.eval_on_selector_all(f"{scope} .grid-wrap img", "all => all.map(one => one.src)")
        loaded = f"[...document.querySelectorAll('{scope} .grid-wrap img')].every(one => one.naturalWidth > 0)"
        self.tab.wait_for_function(loaded)
        return [re.sub(r".*/", "", source) for source in sources]


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(workspace: Workspace, chromium) -> Iterator[Page]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = build_demo(workspace)
    demo.launch(
        server_name="127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(workspace.settings),
    )
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield Page(context.new_page(), f"http://127.0.0.1:{port}")
    context.close()
    demo.close()


def test_a_typed_command_shows_the_right_pictures_and_nothing_comes_from_elsewhere(page: Page, photos: Path):
    page.say(f"index the images in '{photos}', then show me 2 pictures of red")
    page.wait_for("nearest to 'red'")
    assert page.pictures()[0] == "a-red.png" and len(page.pictures()) == 2
    page.tab.reload()
    page.wait_for("nearest to 'red'")
    assert page.pictures()[0] == "a-red.png", "the conversation is drawn again after a reload"
    assert page.foreign == []


def test_an_uploaded_picture_finds_its_like(page: Page, photos: Path, make_picture: MakePicture, workspace: Workspace):
    index_images(workspace, str(photos))
    upload = make_picture("upload/mine.png", "blue")
    page.tab.set_input_files("#command input[type=file]", str(upload))
    page.tab.wait_for_selector("#command .thumbnail-item, #command img")
    page.say("find 1 picture like this")
    page.wait_for("nearest to the picture 'mine.png'")
    assert page.pictures()[-1] == "c-blue.png"


def test_deleting_asks_and_the_buttons_decide(page: Page, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    page.say("delete the collection images")
    page.wait_for("Shall I go ahead?")
    page.tab.get_by_role("button", name="No, leave it").click()
    page.wait_for("All right, I left it as it is.")
    assert workspace.library.find("images")
    page.say("delete the collection images")
    page.tab.get_by_role("button", name="Yes, do it").click()
    page.wait_for("Deleted collection/images")
    assert workspace.library.cards() == []


def test_tables_are_drawn_and_the_answer_comes_after_them(page: Page, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos), "holidays")
    page.say("what is in my library?")
    page.wait_for("There is 1 item in the library.")
    page.tab.locator("#conversation table").get_by_text("holidays").wait_for()


def test_stop_ends_a_running_step(page: Page, make_picture: MakePicture, workspace: Workspace):
    for number in range(3000):
        folder = make_picture(f"many/{number}.png", "red", (number % 50 + 1, number // 50 + 1)).parent
    page.say(f"index '{folder}'")
    page.wait_for("indexing pictures")
    page.tab.click("#stop")
    page.wait_for("Stopped.")
    assert 0 < workspace.collection(workspace.library.find("images")).count() < 3000


def test_the_search_tab_finds_by_words_and_more_like_a_chosen_picture(page: Page, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    page.open()
    page.tab.get_by_role("tab", name="Search").click()
    page.tab.locator("#query textarea, #query input").fill("green")
    page.tab.locator("#query textarea, #query input").press("Enter")
    assert page.pictures("#found")[0] == "b-green.png"
    page.tab.locator("#found .thumbnail-item").first.click()
    page.tab.get_by_role("button", name="More like the chosen one").click()
    page.tab.get_by_text("4 of 5 pictures").wait_for()


def test_the_library_tab_deletes_after_asking_twice(page: Page, photos: Path, workspace: Workspace):
    index_images(workspace, str(photos))
    page.open()
    page.tab.get_by_role("tab", name="Library").click()
    page.tab.locator("#library").get_by_text("images", exact=True).last.click()
    page.tab.get_by_role("button", name="Delete collection/images").click()
    assert workspace.library.find("images")
    page.tab.get_by_role("button", name="Really delete collection/images for good").click()
    page.tab.get_by_text("Deleted collection/images").wait_for()
    assert workspace.library.cards() == []
