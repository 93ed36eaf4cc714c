"""The search tab: by words or by picture, and more like any picture found."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from demo.render import gallery_items
from tools import list_library, search_images
from tools.core.errors import PairwrightError
from tools.core.workspace import Workspace
from tools.search_images import SearchResult

Ids = tuple[str | None, list[str], str | None]  # where the pictures were found, their ids, the id of the chosen one
Found = tuple[gr.Gallery, str, Ids]  # the pictures, what is said of them


def build_search(workspace: Workspace, page: gr.Blocks) -> None:
    """Lay out the search tab inside `page` and wire it."""
    home = workspace.settings.home

    def names() -> list[str]:
        return [entry.name for entry in reversed(list_library(workspace, "collections").entries)]

    def search(query: str, image: str | None, k: int, collection: str | None) -> Found:
        # With both given the words count: a picture often stays from the search before.
        try:
            found = search_images(workspace, query or None, None if query else image, int(k), collection)
        except PairwrightError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return _shown(found, home)

    def choose(found: Ids, chosen: gr.SelectData) -> Ids:
        collection, ids, _ = found
        return collection, ids, ids[int(chosen.index)] if int(chosen.index) < len(ids) else None

    def more_like(found: Ids, k: int) -> tuple[str, gr.Gallery, str, Ids]:
        collection, _, chosen = found
        if not chosen:
            raise gr.Error("Click a picture first", print_exception=False)
        return "", *search("", chosen, k, collection)

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
    ids = gr.State((None, [], None))

    # wiring
    found = [gallery, said, ids]
    page.load(
        lambda: gr.Dropdown(choices=names(), value=next(iter(names()), None)),
        None,
        collection,
        show_progress="hidden",
        api_visibility="private",
    )
    collection.focus(
        lambda: gr.Dropdown(choices=names()), None, collection, show_progress="hidden", api_visibility="private"
    )
    query.submit(search, [query, image, k, collection], found, api_visibility="private")
    image.upload(
        lambda image, k, collection: search("", image, k, collection),
        [image, k, collection],
        found,
        api_visibility="private",
    )
    gallery.select(choose, ids, ids, show_progress="hidden", api_visibility="private")
    like.click(more_like, [ids, k], [query, *found], api_visibility="private")


def _shown(found: SearchResult, home: Path) -> Found:
    said = (
        f"{len(found.hits)} of {found.searched} pictures in **{found.collection}** ({found.encoder}), "
        f"{found.seconds * 1000:.0f} ms. {found.how[:1].upper()}{found.how[1:]}."
    )
    # Nothing selected: a gallery that was enlarged goes back to the grid.
    return (
        gr.Gallery(gallery_items(found.hits, home), selected_index=None),
        said,
        (found.collection, [hit.id for hit in found.hits], None),
    )
