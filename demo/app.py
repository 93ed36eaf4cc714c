"""Assembles the app. `python -m demo` starts it; so does `python demo/app.py`, as a Gradio Space does."""

from __future__ import annotations

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

from agent.loop import Agent  # noqa: E402
from agent.models import describe_chat_model  # noqa: E402
from demo.chat import build_chat  # noqa: E402
from demo.library import build_library  # noqa: E402
from demo.search import build_search  # noqa: E402
from demo.thumbnails import cache_folder  # noqa: E402
from tools import index_images  # noqa: E402
from tools.core.encoders import STARTER  # noqa: E402
from tools.core.errors import PairwrightError, SettingsError  # noqa: E402
from tools.core.library import Kind  # noqa: E402
from tools.core.workspace import Workspace  # noqa: E402

SAMPLES = "samples"
SYSTEM_FONTS = ("system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MAX_UPLOAD = "50mb"


def build_demo(workspace: Workspace) -> gr.Blocks:
    """Build the page; nothing is loaded and no model is needed yet."""
    agent = Agent(workspace)

    def badge() -> str:
        choice = workspace.encoder_choice()
        pictures = f"Pictures: **{choice.name}**, {choice.reason} (PAIRWRIGHT_ENCODER switches)"
        return f"{pictures}  \nChat: {describe_chat_model(workspace.settings)}"

    page: gr.Blocks
    with gr.Blocks(title="Pairwright", analytics_enabled=False) as page:
        with gr.Row(elem_id="masthead"):
            with gr.Column(scale=1, min_width=160):
                gr.Markdown("# Pairwright")
            with gr.Column(scale=4):
                about = gr.Markdown("…", elem_id="badge")
        with gr.Tab("Chat"):
            build_chat(agent, page)
        with gr.Tab("Search"):
            build_search(workspace, page)
        with gr.Tab("Library"):
            build_library(workspace, page)
        page.load(badge, None, about, show_progress="hidden", api_visibility="private")
    return page


def prepare_samples(workspace: Workspace) -> None:
    """Index the pictures that come with the project, with the starter model, unless that was done before."""
    try:
        if not workspace.library.folder(Kind.COLLECTION, SAMPLES).exists():
            index_images(workspace, SAMPLES, SAMPLES, STARTER)
        else:
            workspace.encoder(STARTER)  # so that the first search does not wait for it
    except PairwrightError as error:
        print(f"The sample pictures could not be prepared: {error}", file=sys.stderr)


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
        SettingsError: The port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"Port {settings.port} of {settings.host} cannot be used ({error.strerror}); choose another: PORT=7861"
            ) from error
    workspace = Workspace(settings)
    page = build_demo(workspace)
    page.queue(default_concurrency_limit=4, max_size=32)
    threading.Thread(target=prepare_samples, args=(workspace,), daemon=True, name="samples").start()
    page.launch(server_name=settings.host, server_port=settings.port, **launch_options(settings))


def main() -> None:
    """Serve with the settings of the environment; a bad setting is one line."""
    try:
        serve(Settings.from_env())
    except SettingsError as error:
        sys.exit(f"pairwright: {error}")


if __name__ == "__main__":
    main()
