"""The tools of Pairwright: typed functions `verb_noun(workspace, plain arguments) -> frozen dataclass`.

They know nothing of the agent or the screen. A new tool is a file here and a line in `TOOLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tools.cancel_job import cancel_job
from tools.collect_youtube import collect_youtube
from tools.core.preview import Preview
from tools.delete_item import delete_item, preview_delete
from tools.evaluate_model import evaluate_model
from tools.index_images import index_images
from tools.job_status import job_status
from tools.launch_finetune import launch_finetune, preview_finetune
from tools.list_library import list_library
from tools.load_dataset import load_dataset
from tools.match_thumbnails import match_thumbnails
from tools.mine_negatives import mine_negatives
from tools.publish import preview_publish, publish
from tools.search_images import search_images
from tools.show_dataset import show_dataset

__all__ = [
    "NEED_APPROVAL",
    "PREVIEWS",
    "TOOLS",
    "Tool",
    "cancel_job",
    "collect_youtube",
    "delete_item",
    "evaluate_model",
    "index_images",
    "job_status",
    "launch_finetune",
    "list_library",
    "load_dataset",
    "match_thumbnails",
    "mine_negatives",
    "publish",
    "search_images",
    "show_dataset",
]

Tool = Callable[..., Any]

TOOLS: tuple[Tool, ...] = (
    collect_youtube,
    load_dataset,
    list_library,
    show_dataset,
    mine_negatives,
    launch_finetune,
    job_status,
    cancel_job,
    evaluate_model,
    match_thumbnails,
    index_images,
    search_images,
    publish,
    delete_item,
)
PREVIEWS: dict[str, Callable[..., Preview]] = {  # what the person is shown before these run
    "launch_finetune": preview_finetune,
    "publish": preview_publish,
    "delete_item": preview_delete,
}
NEED_APPROVAL: frozenset[str] = frozenset(PREVIEWS)  # the person is asked before these run
