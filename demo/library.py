"""The library tab: what there is, where it came from, and deleting it after asking twice."""

from __future__ import annotations

import gradio as gr

from demo.render import LIBRARY_HEADERS, library_rows
from tools import delete_item, list_library
from tools.core.errors import PairwrightError
from tools.core.library import Card
from tools.core.workspace import Workspace


def build_library(workspace: Workspace, page: gr.Blocks, tab: gr.Tab) -> None:
    """Lay out the library tab `tab` of `page` and wire it."""

    def rows() -> list[list[str]]:
        return library_rows(list_library(workspace))

    def choose(table: list[list[str]], chosen: gr.SelectData) -> tuple[str, str, gr.Button, gr.Button]:
        kind, name = table[chosen.index[0]][:2]
        try:
            card = workspace.library.find(f"{kind}/{name}")
        except PairwrightError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return (
            card.reference,
            _described(card),
            gr.Button(f"Delete {card.reference} …", visible=True),
            gr.Button(visible=False),
        )

    def ask(item: str) -> tuple[gr.Button, gr.Button]:
        return gr.Button(visible=False), gr.Button(f"Really delete {item} for good", visible=True)

    def remove(item: str) -> tuple[str, str, gr.Button, list[list[str]]]:
        try:
            deleted = delete_item(workspace, item)
        except PairwrightError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return "", str(deleted), gr.Button(visible=False), rows()

    # layout
    table = gr.Dataframe(
        headers=list(LIBRARY_HEADERS), interactive=False, wrap=True, type="array", elem_id="library", show_label=False
    )
    about = gr.Markdown("Choose a row to see where it came from.")
    with gr.Row():
        delete = gr.Button(visible=False, elem_id="delete")
        really = gr.Button(visible=False, variant="stop", elem_id="really-delete")
    item = gr.State("")

    # wiring
    page.load(rows, None, table, show_progress="hidden", api_visibility="private")
    tab.select(rows, None, table, show_progress="hidden", queue=False, api_visibility="private")
    gr.Timer(5.0).tick(rows, None, table, show_progress="hidden", queue=False, api_visibility="private")
    table.select(choose, table, [item, about, delete, really], show_progress="hidden", api_visibility="private")
    delete.click(ask, item, [delete, really], show_progress="hidden", api_visibility="private")
    really.click(remove, item, [item, about, really, table], api_visibility="private")


def _described(card: Card) -> str:
    """Return a card as a list, values in code so that they stay text."""
    fields = {
        "made": card.created[:19].replace("T", " ") + " UTC",
        "from": card.source,
        "made from": ", ".join(card.parents),
        "content hash": card.content_hash,
        "seed": card.seed,
        **card.parameters,
        **card.counts,
        **card.metrics,
    }
    lines = [
        f"- {name}: `{str(value).replace('`', chr(39))}`" for name, value in fields.items() if value not in ("", None)
    ]
    return f"**{card.reference}**\n\n" + "\n".join(lines)
