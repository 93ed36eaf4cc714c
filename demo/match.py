"""The match tab: thumbnails and titles, or a dataset of pairs; and how a match is drawn, here and in the chat."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo.render import draw, markdown_table, no_links
from demo.thumbnails import cache_folder, shown
from tools.core.encoders import STARTER
from tools.core.errors import PairwrightError
from tools.core.files import replacing
from tools.core.library import Kind
from tools.core.pairs.dataset import PAIRS
from tools.core.plots import draw_scores
from tools.core.workspace import Workspace
from tools.match_thumbnails import Matches, ThumbnailMatch, gap, match_thumbnails, score_text

HEADERS = ("", "thumbnail", "best title", "score", "ahead by", "one to one")
KNOWN_HEADERS = ("own title", "its place")  # further columns when the true titles are known
TITLE_HEADERS = ("", "title", "best thumbnail", "score", "ahead by")
MAX_SHOWN, IN_CHAT = 200, 12  # pictures of a gallery; pictures and rows in the chat
NONE, CHOOSE = "no dataset", "choose for me"
START = "Drop thumbnails and type titles, or pick a dataset; one of them with a dataset takes the other side from it."


def build_match(workspace: Workspace, page: gr.Blocks) -> None:
    """Lay out the match tab inside `page` and wire it."""
    home = workspace.settings.home

    def datasets() -> list[str]:
        cards = reversed(workspace.library.cards(Kind.DATASET))
        return [NONE, *(card.name for card in cards if card.parameters.get("kind") == PAIRS)]

    def models() -> list[str]:
        trained = [card.name for card in reversed(workspace.library.cards(Kind.MODEL))]
        return list(dict.fromkeys([CHOOSE, workspace.encoder_choice().name, STARTER, *trained]))

    def match(pictures: list[tuple[str, str | None]] | None, titles: str, dataset: str, model: str) -> tuple[Any, ...]:
        try:
            result = match_thumbnails(
                workspace,
                [file for file, _ in pictures or []],
                [line for line in titles.splitlines() if line.strip()],
                None if dataset == NONE else dataset,
                None if model == CHOOSE else model,
            )
        except PairwrightError as error:
            raise gr.Error(str(error), print_exception=False) from error
        heatmap = heatmap_file(result, home)
        return (
            said(result),
            gr.Column(visible=True),
            gr.Gallery(gallery(result, home), selected_index=None),
            gr.Dataframe(thumbnail_rows(result), headers=list(headers(result)), column_widths=widths(result)),
            gr.Dataframe(title_rows(result)),
            gr.Column(visible=bool(heatmap)),
            str(heatmap) if heatmap else None,
        )

    # layout
    with gr.Row():
        thumbnails = gr.Gallery(
            label="Thumbnails",
            interactive=True,
            file_types=["image"],
            sources=["upload", "clipboard"],
            type="filepath",
            columns=4,
            height=250,
            min_width=300,
            object_fit="contain",
            elem_id="match-thumbnails",
        )
        titles = gr.Textbox(
            label="Titles, one a line",
            placeholder="How I quit my job\nFine-tuning CLIP\n5 AI projects",
            lines=9,
            max_lines=9,
            min_width=300,
            elem_id="match-titles",
        )
    with gr.Row(equal_height=True):
        dataset = gr.Dropdown([NONE], value=NONE, label="Dataset of pairs", elem_id="match-dataset", min_width=200)
        model = gr.Dropdown([CHOOSE], value=CHOOSE, label="Model", elem_id="match-model", min_width=200)
        go = gr.Button("Match", variant="primary", elem_id="match", min_width=120)
    about = gr.Markdown(START, elem_id="match-said")
    with gr.Column(visible=False) as result_part:
        found = gr.Gallery(
            columns=4,
            height="auto",
            object_fit="contain",
            show_label=False,
            interactive=False,
            buttons=["download", "fullscreen"],
            elem_id="match-found",
        )
        by_thumbnail = gr.Dataframe(
            headers=list(HEADERS), label="Every thumbnail", interactive=False, wrap=True, elem_id="match-table"
        )
        by_title = gr.Dataframe(
            headers=list(TITLE_HEADERS),
            label="Every title",
            interactive=False,
            wrap=True,
            column_widths=[48, 580, 306, 80, 100],
            elem_id="match-by-title",
        )
        with gr.Column(visible=False) as heatmap_part:
            gr.Markdown("Cosine of every thumbnail (row) with every title (column):")
            heatmap = gr.Image(
                show_label=False,
                interactive=False,
                height=520,
                buttons=["download", "fullscreen"],
                elem_id="match-heatmap",
            )

    # wiring
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(lambda: gr.Dropdown(datasets()), None, dataset, **quiet)
    page.load(lambda: gr.Dropdown(models()), None, model, **quiet)
    dataset.focus(lambda: gr.Dropdown(datasets()), None, dataset, **quiet)
    model.focus(lambda: gr.Dropdown(models()), None, model, **quiet)
    go.click(
        match,
        [thumbnails, titles, dataset, model],
        [about, result_part, found, by_thumbnail, by_title, heatmap_part, heatmap],
        api_visibility="private",
    )


@draw.register
def match_contents(result: Matches, home: Path) -> list[Any]:
    """Return the contents of chat messages that show a match: pictures with their best titles, a table, a heatmap."""
    pictures = gr.Gallery(
        value=gallery(result, home)[:IN_CHAT],
        columns=4,
        height="auto",
        object_fit="contain",
        show_label=False,
        buttons=["download", "fullscreen"],
    )
    heatmap = heatmap_file(result, home)
    drawn = [gr.Image(str(heatmap), show_label=False, buttons=["download", "fullscreen"])] if heatmap else []
    return [pictures, _chat_table(result), *drawn]


def _chat_table(result: Matches) -> str:
    """Return the first rows with the columns that matter most; a chat message is narrow."""
    rows = thumbnail_rows(result)
    if len(rows) == 1:
        rows = title_rows(result)
        table = markdown_table(("title", "score"), [(row[1], row[3]) for row in rows[:IN_CHAT]])
    else:
        chosen = (0, 2, 3, 6, 7) if result.found else (0, 1, 2, 3, 5)
        names = [headers(result)[index] for index in chosen]
        table = markdown_table(names, [[row[index] for index in chosen] for row in rows[:IN_CHAT]])
    return table if len(rows) <= IN_CHAT else f"{table}\n\nThe first {IN_CHAT} of {len(rows)}; the Match tab shows all."


def said(result: Matches) -> str:
    """Return what is said of a match above its pictures."""
    notes = [f"Left out: {item.key}, {item.reason}." for item in result.unreadable[:10]]
    notes += [f"{note[:1].upper()}{note[1:]}." for note in result.notes]
    by = f"By {result.encoder}, {result.reason} ({result.seconds:.1f} s)."
    return "\n\n".join(map(_plain, [result.answer(), *notes, by]))


def _plain(text: str) -> str:
    """Keep signs that mean something in Markdown from meaning it: titles and file names are in the text."""
    escaped = no_links(" ".join(text.split()))
    for sign in ("*", "_", "`", "~", "$"):
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped


def gallery(result: Matches, home: Path) -> list[tuple[str, str]]:
    """Return (file, caption) of the first thumbnails with the titles that fit them best."""
    return [
        (shown(Path(one.file), home), f"{number}. {_mark(one)}{one.title} · {score_text(one.score)}")
        for number, one in enumerate(result.thumbnails[:MAX_SHOWN], 1)
    ]


def _mark(one: ThumbnailMatch) -> str:
    """Return a tick where the best title is the true one, a cross where it is not, nothing where it is not known."""
    return "" if one.rank is None else "✓ " if one.rank == 1 else "✗ "


def headers(result: Matches) -> tuple[str, ...]:
    """Return the headers that go with `thumbnail_rows`."""
    return HEADERS + (KNOWN_HEADERS if result.found else ())


def widths(result: Matches) -> list[str | int]:
    """Return the widths of those columns in pixels: together the page's; on a telephone the table scrolls."""
    return [48, 120, 240, 70, 80, 240, 240, 76] if result.found else [48, 180, 390, 76, 90, 330]


def thumbnail_rows(result: Matches) -> list[list[str]]:
    """Return a row for every thumbnail: its best title, by how much, and what is its own."""
    return [
        [
            str(number),
            one.thumbnail,
            one.title,
            score_text(one.score),
            "" if one.margin is None else gap(one.margin),
            "none left" if one.assigned is None else one.assigned,
            *((one.true_title or "", str(one.rank)) if result.found else ()),
        ]
        for number, one in enumerate(result.thumbnails, 1)
    ]


def title_rows(result: Matches) -> list[list[str]]:
    """Return a row for every different title: the thumbnail that fits it best, and by how much.

    They stand in the order given, with their column in the heatmap; of a single thumbnail, the best comes first.
    """
    ordered = sorted(result.titles, key=lambda one: -one.score) if len(result.thumbnails) == 1 else result.titles
    return [
        [
            str(result.columns.index(one.title) + 1),
            one.title,
            one.thumbnail,
            score_text(one.score),
            "" if one.margin is None else gap(one.margin),
        ]
        for one in ordered
    ]


def heatmap_file(result: Matches, home: Path) -> Path | None:
    """Draw the scores into a file that the app may serve; None for one row or column, which a table says better."""
    if len(result.thumbnails) < 2 or len(result.scores[0]) < 2:
        return None
    names = [one.thumbnail for one in result.thumbnails]
    key = hashlib.sha256(repr((result.scores, names, result.columns)).encode("utf-8", "replace")).hexdigest()[:24]
    file = cache_folder(home) / f"{key}.png"
    if not file.exists():
        with replacing(file, durable=False) as aside:
            draw_scores(np.array(result.scores), names, result.columns).savefig(aside, format="png")
    return file
