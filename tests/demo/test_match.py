"""How a match is drawn; the match tab in headless Chromium, on the colour model, so that the right titles are known."""

from __future__ import annotations

import io
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from demo.app import launch_options
from demo.match import build_match, gallery, heatmap_file, match_contents, said, thumbnail_rows, title_rows
from demo.render import draw
from demo.thumbnails import cache_folder
from tests.conftest import MakePicture
from tests.doubles import COLOURS
from tools.core.pairs.dataset import Pair, save_pairs
from tools.core.workspace import Workspace
from tools.match_thumbnails import match_thumbnails

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PATIENCE = 60_000  # milliseconds; the machine may be busy


def make_pairs(workspace: Workspace) -> None:
    pairs = []
    for colour in COLOURS:
        content = io.BytesIO()
        Image.new("RGB", (32, 24), COLOURS[colour]).save(content, "PNG")
        pairs.append(Pair(content.getvalue(), f"a {colour} thing"))
    save_pairs(workspace, "colours", iter(pairs), source="a test")


def test_a_match_is_drawn_in_the_chat_as_pictures_a_table_and_a_heatmap(workspace: Workspace, photos: Path):
    home = workspace.settings.home
    result = match_thumbnails(workspace, [str(photos)], ["red", "blue", "[click](http://x) <b>"])
    pictures, table, heatmap = draw(result, home)
    assert isinstance(pictures, gr.Gallery) and isinstance(heatmap, gr.Image)
    assert [caption for _, caption in gallery(result, home)][0] == "1. red · 1.00"
    lines = table.splitlines()
    assert lines[0] == "|  | thumbnail | best title | score | one to one |" and len(lines) == 7
    assert "](" not in table.replace("\\[click](", "") and "<b>" not in table
    assert all(Path(file).is_relative_to(cache_folder(home)) for file, _ in gallery(result, home))


def test_a_long_match_is_cut_in_the_chat_and_says_so(workspace: Workspace, make_picture: MakePicture):
    for number in range(13):
        folder = make_picture(f"many/{number:02}.png", "red").parent
    result = match_thumbnails(workspace, [str(folder)], ["red", "blue"])
    pictures, table, _ = draw(result, workspace.settings.home)
    assert len(pictures.value) == 12 and len(gallery(result, workspace.settings.home)) == 13
    assert table.endswith("The first 12 of 13; the Match tab shows all.")


def test_a_heatmap_lies_where_the_app_may_serve_it_and_is_drawn_once(workspace: Workspace, photos: Path):
    home = workspace.settings.home
    result = match_thumbnails(workspace, [str(photos)], ["red", "blue"])
    file = heatmap_file(result, home)
    assert file and file.parent == cache_folder(home)
    stamp = file.stat().st_mtime_ns
    with Image.open(file) as picture:
        assert picture.format == "PNG" and min(picture.size) > 100
    assert heatmap_file(result, home) == file and file.stat().st_mtime_ns == stamp


def test_a_single_thumbnail_is_drawn_as_its_titles_the_best_first(workspace: Workspace, make_picture: MakePicture):
    file = str(make_picture("red.png", "red"))
    result = match_thumbnails(workspace, [file], ["blue", "purple", "red"])
    _, table = match_contents(result, workspace.settings.home)
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| red", "| purple", "| blue"]
    assert [row[0] for row in title_rows(result)] == ["3", "2", "1"], "the number is the column of the scores"
    assert heatmap_file(result, workspace.settings.home) is None


def test_known_titles_are_ticked_and_their_place_stands_in_the_table(workspace: Workspace):
    make_pairs(workspace)
    result = match_thumbnails(workspace, dataset="colours")
    captions = [caption for _, caption in gallery(result, workspace.settings.home)]
    assert all(("✓" in caption) == (one.rank == 1) for caption, one in zip(captions, result.thumbnails, strict=True))
    assert "✓" in captions[0]
    assert [row[-1] for row in thumbnail_rows(result)] == [str(one.rank) for one in result.thumbnails]


def test_what_is_said_cannot_act_as_markdown(workspace: Workspace, make_picture: MakePicture):
    file = str(make_picture("red.png", "red"))
    text = said(match_thumbnails(workspace, [file, "/no_such_file.jpg"], ["*red* [a](http://x)"]))
    assert "\\*red\\* \\[a](http://x)" in text and "no\\_such\\_file" in text


class Tab:
    """The match tab in a browser, with what a person does there."""

    def __init__(self, page, url: str) -> None:
        self.page, self.url, self.foreign = page, url, []
        page.set_default_timeout(PATIENCE)
        page.on("request", self._note)
        page.goto(url)
        page.wait_for_selector("#match-titles textarea")

    def _note(self, request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)

    def drop(self, files: list[Path]) -> None:
        self.page.set_input_files("#match-thumbnails input[type=file]", [str(file) for file in files])
        self.page.wait_for_function(
            f"document.querySelectorAll('#match-thumbnails .thumbnail-item img').length == {len(files)}"
        )

    def type_titles(self, *titles: str) -> None:
        self.page.locator("#match-titles textarea").fill("\n".join(titles))
        self.page.locator("#match-titles textarea").blur()

    def choose(self, box: str, option: str) -> None:
        self.page.locator(f"#{box} input").click()
        self.page.get_by_role("option", name=option).click()

    def match(self) -> None:
        self.page.locator("#match").click()

    def captions(self) -> list[str]:
        self.page.wait_for_selector("#match-found .thumbnail-item img")
        shown = "[...document.querySelectorAll('#match-found .thumbnail-item img')].every(one => one.naturalWidth > 0)"
        self.page.wait_for_function(shown)
        return self.page.locator("#match-found .caption-label").all_inner_texts()


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
def tab(workspace: Workspace, chromium) -> Iterator[Tab]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with gr.Blocks(analytics_enabled=False) as demo:
        build_match(workspace, demo)
    options = launch_options(workspace.settings)
    demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options)
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield Tab(context.new_page(), f"http://127.0.0.1:{port}")
    context.close()
    demo.close()


@pytest.mark.browser
def test_dropped_thumbnails_and_typed_titles_are_matched_and_nothing_comes_from_elsewhere(tab: Tab, photos: Path):
    tab.drop([photos / "a-red.png", photos / "c-blue.png"])
    tab.type_titles("green", "", "blue", "red")
    tab.match()
    assert tab.captions() == ["1. red · 1.00", "2. blue · 1.00"]
    tab.page.locator("#match-table").get_by_text("a-red.png").wait_for()
    heatmap = tab.page.locator("#match-heatmap img")
    heatmap.scroll_into_view_if_needed()
    tab.page.wait_for_function("document.querySelector('#match-heatmap img').naturalWidth > 100")
    assert tab.foreign == []


@pytest.mark.browser
def test_a_picked_dataset_is_matched_with_itself_and_says_how_often_that_is_right(tab: Tab, workspace: Workspace):
    make_pairs(workspace)
    tab.choose("match-dataset", "colours")
    tab.match()
    tab.page.locator("#match-said").get_by_text(re.compile(r"\d of the 8 thumbnails of colours fit")).wait_for()
    assert len(tab.captions()) == 8
    tab.page.locator("#match-table").get_by_text("own title").first.wait_for()


@pytest.mark.browser
def test_a_mistake_is_said_and_the_tab_goes_on(tab: Tab, photos: Path):
    tab.type_titles("red")
    tab.match()
    tab.page.get_by_text("there are no thumbnails").wait_for()
    tab.drop([photos / "a-red.png"])
    tab.match()
    assert tab.captions() == ["1. red · 1.00"]


@pytest.mark.browser
def test_a_model_that_cannot_be_had_is_never_offered(tab: Tab, workspace: Workspace):
    tab.page.locator("#match-model input").click()
    tab.page.get_by_role("option").nth(2).wait_for()  # the list is filled once the page has loaded
    offered = tab.page.get_by_role("option").all_inner_texts()
    assert [text.strip("✓ \n") for text in offered] == ["choose for me", "colours", "starter-clip"]
