"""The jobs tab in headless Chromium: live curves, cancelling, a reload, a restart of the app."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator

import gradio as gr
import pytest

from demo.jobs import build_jobs
from tests.toy_jobs import end_all, processes, toy_job, wait_until
from tools.core.jobs.job import find_job
from tools.core.workspace import Workspace

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PATIENCE = 60_000  # milliseconds; the machine may be busy


class App:
    """An app whose only tab is that of the jobs, which can be ended and started again."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        with gr.Blocks(analytics_enabled=False) as self.page, gr.Tab("Jobs"):
            build_jobs(self.workspace, self.page)
        self.page.launch(server_name="127.0.0.1", server_port=self.port, prevent_thread_lock=True, quiet=True)


@pytest.fixture
def app(workspace: Workspace) -> Iterator[App]:
    running = App(workspace)
    yield running
    running.page.close()
    end_all(workspace.library)


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
def tab(app: App, chromium) -> Iterator[object]:
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(app.url)
    yield tab
    context.close()


def wait_for(tab, line: str) -> None:
    """Wait until this is said of the job that is shown."""
    tab.locator("#job").filter(has_text=line).wait_for()


def picture(tab) -> str:
    """Return what the curves look like now."""
    return str(tab.locator("#curves img").get_attribute("src"))


def test_a_visitor_without_jobs_learns_how_to_launch_one(tab):
    tab.get_by_text("There is no job yet. Ask for one in the chat").wait_for()
    assert tab.locator("#curves img").count() == 0


def test_curves_grow_and_survive_a_reload_and_a_restart_of_the_app(app: App, tab, workspace: Workspace):
    toy_job(workspace.library, "clip-talebi", steps=2000, pace=0.05).start()
    wait_for(tab, "clip-talebi: running, epoch")
    tab.locator("#curves img").wait_for()
    before = picture(tab)
    tab.wait_for_function("before => document.querySelector('#curves img').src !== before", arg=before)
    tab.reload()
    wait_for(tab, "clip-talebi: running, epoch")
    tab.locator("#curves img").wait_for()
    app.page.close()
    app.start()
    tab.goto(app.url)
    wait_for(tab, "clip-talebi: running, epoch")
    assert find_job(workspace.library).info().attempt == 1


def test_a_job_is_chosen_cancelled_after_asking_once_more_and_resumed(tab, workspace: Workspace):
    older = toy_job(workspace.library, "older", steps=2000, pace=0.05)
    older.start()
    wait_until(lambda: older.paths.checkpoints(), "a checkpoint")
    toy_job(workspace.library, "newer", trouble="memory").start()
    wait_for(tab, "newer: failed. Out of memory: try a smaller batch_size")
    assert tab.locator("#job-log textarea").input_value().splitlines()[-1].startswith("failed: Out of memory")
    tab.locator("#jobs").get_by_text("older", exact=True).last.click()
    wait_for(tab, "older: running")
    tab.get_by_role("button", name="Cancel older").click()
    really = tab.get_by_role("button", name="Really cancel older")
    really.wait_for()
    tab.wait_for_timeout(5000)  # two looks at the jobs
    assert processes(older), "the first click only asks"
    really.click()
    wait_for(tab, "older: cancelled at step")
    assert not processes(older)
    tab.get_by_role("button", name="Go on with older").click()
    wait_for(tab, "older: running, epoch")
    assert processes(older)
