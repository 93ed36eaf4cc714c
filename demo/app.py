"""Assembles the app. `python -m demo` starts it; so does `python demo/app.py`, as a Gradio Space does."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: the packages lie one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.core.settings import Settings, quieten_libraries

quieten_libraries()  # before gradio is imported, which looks at the environment once

import gradio as gr  # noqa: E402

import demo.scores  # noqa: E402, F401  # registers how negatives, jobs and scores are drawn
from agent.loop import Agent  # noqa: E402
from agent.models import describe_chat_model  # noqa: E402
from demo.chat import build_chat  # noqa: E402
from demo.jobs import build_jobs  # noqa: E402
from demo.library import build_library  # noqa: E402
from demo.match import build_match  # noqa: E402
from demo.search import build_search  # noqa: E402
from demo.thumbnails import cache_folder, prune  # noqa: E402
from tools import index_images  # noqa: E402
from tools.core.encoders import STARTER  # noqa: E402
from tools.core.errors import PairwrightError, SettingsError  # noqa: E402
from tools.core.files import write_text  # noqa: E402
from tools.core.jobs.job import JobKeeper  # noqa: E402
from tools.core.library import Kind  # noqa: E402
from tools.core.starter import starter_digest  # noqa: E402
from tools.core.workspace import Workspace  # noqa: E402

SAMPLES = "samples"
SYSTEM_FONTS = ("system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MAX_UPLOAD = "50mb"
DAY = 86_400  # seconds; copies made for the browser are removed when they are older


def build_demo(workspace: Workspace, prepared: threading.Event | None = None) -> gr.Blocks:
    """Build the page; nothing is loaded and no model is needed yet.

    Args:
        workspace: Whose pictures are shown.
        prepared: Set when the sample pictures can be searched; the chat waits for it. None: nothing to wait for.
    """
    if prepared is None:
        prepared = threading.Event()
        prepared.set()
    agent = Agent(workspace)

    def badge() -> str:
        choice = workspace.encoder_choice()
        pictures = f"New collections: **{choice.name}**, {choice.reason} (PAIRWRIGHT_ENCODER switches)"
        return f"{pictures}  \nChat: {describe_chat_model(workspace.settings)}"

    page: gr.Blocks
    with gr.Blocks(title="Pairwright", analytics_enabled=False, delete_cache=(DAY, DAY)) as page:
        with gr.Row(elem_id="masthead"):
            with gr.Column(scale=1, min_width=160):
                gr.Markdown("# Pairwright")
            with gr.Column(scale=4):
                about = gr.Markdown("…", elem_id="badge")
        with gr.Tab("Chat"):
            build_chat(agent, page, prepared)
        with gr.Tab("Search"):
            build_search(workspace, page)
        with gr.Tab("Match"):
            build_match(workspace, page)
        with gr.Tab("Jobs"):
            build_jobs(workspace, page)
        with gr.Tab("Library") as tab:
            build_library(workspace, page, tab)
        page.load(badge, None, about, show_progress="hidden", api_visibility="private")
    return page


def prepare_samples(workspace: Workspace, prepared: threading.Event) -> None:
    """Make the pictures that come with the project searchable by the starter model, then load it.

    A file in the home folder remembers with which weights this was done: with others it is done again, and a collection
    that the person deleted stays deleted.
    """
    library, marker = workspace.library, workspace.settings.home / ".samples"
    try:
        weights = starter_digest()
        done = marker.exists() and marker.read_text(encoding="utf-8") == weights
        if not done:
            if library.folder(Kind.COLLECTION, SAMPLES).exists():
                workspace.forget_collection(SAMPLES)
                library.delete(library.find(f"collection/{SAMPLES}"))
            index_images(workspace, SAMPLES, SAMPLES, STARTER)
            write_text(marker, weights)
        prepared.set()
        workspace.encoder(STARTER)  # so that the first search does not wait for it
    except (PairwrightError, OSError) as error:
        print(f"The sample pictures could not be prepared: {error}", file=sys.stderr)
    finally:
        prepared.set()


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return how the page is served: local fonts, no telemetry, no file but what is shown."""
    return {
        "theme": gr.themes.Soft(font=SYSTEM_FONTS, font_mono=("ui-monospace", "monospace")),
        "css_paths": Path(__file__).parent / "style.css",
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "enable_monitoring": False,
        "max_file_size": MAX_UPLOAD,
        "allowed_paths": [str(cache_folder(settings.home))],
    }


def serve(settings: Settings) -> None:
    """Serve the page until the process is ended.

    Raises:
        SettingsError: The port is taken, or the home folder cannot be written.
    """
    with socket.socket() as probe:
        if os.name == "posix":  # elsewhere it would let two programs share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"Port {settings.port} of {settings.host} cannot be used ({error.strerror}); choose another: PORT=7861"
            ) from error
    check_home(settings.home)
    prune(settings.home)
    workspace, prepared = Workspace(settings), threading.Event()
    page = build_demo(workspace, prepared)
    page.queue(default_concurrency_limit=4, max_size=32)
    threading.Thread(target=prepare_samples, args=(workspace, prepared), daemon=True, name="samples").start()
    JobKeeper(workspace.library).start()  # jobs whose worker died, perhaps with the app before this one, go on
    page.launch(server_name=settings.host, server_port=settings.port, **launch_options(settings))


def check_home(home: Path) -> None:
    """Make the home folder and prove that it can be written.

    Raises:
        SettingsError: It cannot.
    """
    try:
        write_text(home / ".writable", "")
    except OSError as error:
        raise SettingsError(
            f"The home folder {home} cannot be written ({error.strerror}): make it writable for this user, or set "
            "PAIRWRIGHT_HOME to another folder"
        ) from error


def main() -> None:
    """Serve with the settings of the environment; a bad setting is one line."""
    try:
        serve(Settings.from_env())
    except SettingsError as error:
        sys.exit(f"pairwright: {error}")


if __name__ == "__main__":
    main()
