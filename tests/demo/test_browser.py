"""The chat in headless Chromium, on the colour model, so that the right pictures are known."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import pytest

from demo.app import build_demo, launch_options
from demo.chat import build_chat
from tests.agent.training import Ran, make_dataset, planned_agent
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

    def press(self, button: str) -> None:
        self.tab.get_by_role("button", name=button, exact=True).click()

    def field(self, label: str):
        """Return a field of the approval form."""
        return self.tab.locator("#approval").get_by_label(label)

    def form(self, says: str) -> None:
        """Leave the field, and wait for what the approval form then says."""
        self.tab.keyboard.press("Tab")
        self.tab.locator("#approval-note").get_by_text(says).wait_for()

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that cannot be seen on the page."""
        end = time.monotonic() + PATIENCE / 1000
        while not true() and time.monotonic() < end:
            self.tab.wait_for_timeout(100)

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
    with shown(build_demo(workspace), workspace, chromium) as page:
        yield page


@pytest.fixture
def trainer(workspace: Workspace, ran: Ran, chromium) -> Iterator[Page]:
    """Return the chat of an agent whose training tools are stand-ins; there is the dataset talebi."""
    make_dataset(workspace, "talebi")
    prepared = threading.Event()
    prepared.set()
    with gr.Blocks(analytics_enabled=False) as demo:
        build_chat(planned_agent(workspace, ran), demo, prepared)
    with shown(demo, workspace, chromium) as page:
        yield page


@pytest.fixture
def ran() -> Ran:
    return Ran()


@contextlib.contextmanager
def shown(demo: gr.Blocks, workspace: Workspace, chromium) -> Iterator[Page]:
    """Serve an app and open it in a browser tab."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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
    page.wait_for("This cannot be undone.")
    page.press("No, leave it")
    page.wait_for("All right, I left it as it is.")
    assert workspace.library.find("images")
    page.say("delete the collection images")
    page.press("Yes, delete it")
    page.wait_for("Deleted collection/images")
    assert workspace.library.cards() == []


def test_the_form_changes_what_waits_says_what_it_would_cost_and_survives_a_reload(trainer: Page, ran: Ran):
    trainer.say("fine-tune clip on talebi")
    trainer.press("Edit …")
    trainer.field("epochs").fill("many")
    trainer.field("batch size").fill("8")
    trainer.form("expected a whole number")
    trainer.press("Launch with these")
    trainer.form("expected a whole number")
    trainer.tab.reload()
    trainer.press("Edit …")
    assert trainer.field("epochs").input_value() == "2", "nothing was decided"
    trainer.field("epochs").fill("1, 5")
    trainer.field("learning rate").fill("3e-5")
    trainer.form("6 minutes")
    trainer.press("Launch with these")
    trainer.wait_for("Approved")
    trainer.wait_for("job-1")
    ((_, args),) = ran.launched
    assert (args["epochs"], args["batch_size"], args["learning_rate"]) == ([1, 5], 16, 3e-5)
    trainer.tab.wait_for_selector("#approval", state="detached")


def test_a_reason_can_be_given_and_a_stale_question_launches_nothing(trainer: Page, ran: Ran):
    trainer.say("fine-tune clip on talebi")
    trainer.press("Edit …")
    other = trainer.tab.context.new_page()
    other.goto(trainer.url)
    other.get_by_role("button", name="Launch", exact=True).wait_for()
    trainer.field("Or no, because").fill("too costly")
    trainer.press("Reject")
    trainer.wait_for("too costly")
    trainer.wait_for("All right, I left it as it is.")
    other.get_by_role("button", name="Launch", exact=True).click()
    other.get_by_text("Nothing is waiting for a decision any more").wait_for()
    assert ran.launched == []


def test_a_question_is_answered_in_words(trainer: Page, ran: Ran):
    trainer.say("fine-tune clip on talebi")
    trainer.wait_for("2 minutes")
    trainer.say("with 7 epochs")
    trainer.wait_for("7 minutes")
    assert trainer.tab.get_by_role("button", name="Launch", exact=True).count() == 1
    trainer.say("yes")
    trainer.wait_for("Approved")
    trainer.wait_for("job-1")
    assert [args["epochs"] for _, args in ran.launched] == [7]


def test_keys_are_typed_where_nobody_reads_them_and_a_pasted_one_goes_there(trainer: Page, ran: Ran):
    key, token = "AIza" + "x" * 35, "hf_" + "y" * 34
    trainer.tab.locator("#keys").get_by_text("Keys", exact=True).click()
    box = trainer.tab.locator("#youtube-key input")
    assert box.get_attribute("type") == "password"
    box.fill(key)
    trainer.say(f"collect @mkbhd, then fine-tune clip with my token {token}")
    trainer.wait_for("[key removed]")
    trainer.press("Launch")
    trainer.wait_for("job-1")
    assert ran.collected_with == [key] and ran.launched_with == [token]
    assert token not in trainer.tab.locator("#conversation").inner_text()
    trainer.tab.reload()
    trainer.wait_for("[key removed]")
    kept = trainer.tab.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert key not in kept and token not in kept
    trainer.say(f"fine-tune clip with {token}")  # while the place for keys is closed
    trainer.press("Launch")
    trainer.until(lambda: len(ran.launched_with) == 2)
    assert ran.launched_with == [token] * 2


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
