"""Draws negatives, jobs and scores in the chat."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gradio as gr

from demo.render import draw, markdown_table
from demo.thumbnails import cache_folder
from tools.core.files import replacing
from tools.core.jobs.folder import JobPaths, read_events
from tools.core.jobs.info import recall_of
from tools.core.metrics import RECALL_AT, Direction
from tools.core.plots import draw_curves
from tools.evaluate_model import Evaluation
from tools.job_status import JobReport
from tools.mine_negatives import Mined


@draw.register
def _(result: Mined, home: Path) -> list[Any]:
    """Return some of the negatives, each beside its title."""
    rows = [
        (one.title, one.negative, "" if one.similarity is None else f"{one.similarity:.2f}") for one in result.examples
    ]
    return [markdown_table(("title", "negative, for example", "similarity"), rows)] if rows else []


@draw.register
def _(result: Evaluation, home: Path) -> list[Any]:
    """Return both directions as a table."""
    headers = ("looks for", "among", *(f"Recall@{k}" for k in RECALL_AT), "MRR")
    directions = (
        ("the title of a picture", result.scores.to_title),
        ("the picture of a title", result.scores.to_picture),
    )
    return [markdown_table(headers, [_row(name, direction) for name, direction in directions])]


@draw.register
def _(result: JobReport, home: Path) -> list[Any]:
    """Return how the job stands, with its curves as they are now."""
    events = read_events(JobPaths(Path(result.job.log).parent).metrics)
    if not events:
        return []
    splits = result.after or result.before
    rows = [(split, *(_recall(told.get(split, {})) for told in (result.before, result.after))) for split in splits]
    return [
        *([markdown_table(("Recall@1", "before", "after"), rows)] if rows else []),
        gr.Image(str(_curves(events, home)), show_label=False, buttons=["fullscreen"]),
    ]


def _recall(scores: dict[str, float]) -> str:
    value = recall_of(scores)
    return "" if value is None else f"{value:.3f}"


def _row(name: str, direction: Direction) -> tuple[str, ...]:
    recalls = (str(direction.recall[k]) for k in RECALL_AT)
    return (name, str(direction.candidates), *recalls, str(direction.mrr))


def _curves(events: list[dict[str, Any]], home: Path) -> Path:
    """Return a picture of the curves, drawn once."""
    key = hashlib.sha256(repr(events).encode()).hexdigest()[:24]
    file = cache_folder(home) / key / "curves.png"
    if not file.exists():
        with replacing(file, durable=False) as aside:
            draw_curves(events).savefig(aside, format="png", dpi=100)
    return file
