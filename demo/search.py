"""The search tab: by words or by picture, and more like any picture found."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from demo.render import gallery_items
from tools import list_library, search_images
from tools.core.errors import PairwrightError
from tools.core.workspace import Workspace
from tools.search_images import SearchResult

Found = tuple[gr.Gallery, str, list[str]]  # the pictures, what is said of them, their ids


def build_search(workspace: Workspace, page: gr.Blocks) -> None:
    """Lay out the search tab inside `page` and wire it."""
    home = workspace.settings.home

    def collections() -> gr.Dropdown:
        names = [entry.name for entry in reversed(list_library(workspace, "collections").entries)]
        return gr.Dropdown(choices=names, value=names[0] if names else None)

    def search(query: str, image: str | None, k: int, collection: str | None) -> Found:
        # With both given the words count: a picture often stays from the search before.
        try:
            found = search_images(workspace, query or None, None if query else image, int(k), collection)
        except PairwrightError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return _shown(found, home)

    def more(ids: list[str], k: int, collection: str | None, chosen: gr.SelectData) -> tuple[str, str | None]:
        return "", ids[int(chosen.index)] if int(chosen.index) < len(ids) else None

    def more_like(chosen: str | None, k: int, collection: str | None) -> Found:
        if not chosen:
            raise gr.Error("Click a picture first", print_exception=False)
        return search("", chosen, k, collection)

    # layout
    with gr.Row(equal_height=True):
        query = gr.Textbox(
            label="Words", placeholder="dogs in the snow", elem_id="query", scale=5, max_length=1000, submit_btn=True
        )
        collection = gr.Dropdown(label="Collection", scale=2)
        k = gr.Slider(1, 100, value=12, step=1, label="How many", scale=2)
    with gr.Row():
        with gr.Column(scale=1, min_width=180):
            image = gr.Image(label="or a picture", type="filepath", height=230, sources=["upload", "clipboard"])
            like = gr.Button("More like the chosen one", elem_id="more-like")
        with gr.Column(scale=5):
            said = gr.Markdown("Search by words, or drop a picture.")
            gallery = gr.Gallery(
                columns=4,
                height="auto",
                object_fit="contain",
                show_label=False,
                buttons=["download", "fullscreen"],
                elem_id="found",
            )
    ids, chosen = gr.State([]), gr.State(None)

    # wiring
    found = [gallery, said, ids]
    page.load(collections, None, collection, show_progress="hidden", api_visibility="private")
    query.submit(search, [query, image, k, collection], found, api_visibility="private")
    image.upload(
        lambda image, k, collection: search("", image, k, collection),
        [image, k, collection],
        found,
        api_visibility="private",
    )
    gallery.select(more, [ids, k, collection], [query, chosen], show_progress="hidden", api_visibility="private")
    like.click(more_like, [chosen, k, collection], found, api_visibility="private")
    collection.focus(collections, None, collection, show_progress="hidden", api_visibility="private")


def _shown(found: SearchResult, home: Path) -> Found:
    said = (
        f"{len(found.hits)} of {found.searched} pictures in **{found.collection}** ({found.encoder}), "
        f"{found.seconds * 1000:.0f} ms. {found.how[:1].upper()}{found.how[1:]}."
    )
    # Nothing selected: a gallery that was enlarged goes back to the grid.
    return gr.Gallery(gallery_items(found.hits, home), selected_index=None), said, [hit.id for hit in found.hits]
