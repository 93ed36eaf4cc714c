"""The tools of Pairwright: typed functions `verb_noun(workspace, plain arguments) -> frozen dataclass`.

They know nothing of the agent or the screen. A new tool is a file here and a line in `TOOLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tools.delete_item import delete_item
from tools.index_images import index_images
from tools.list_library import list_library
from tools.load_dataset import load_dataset
from tools.search_images import search_images
from tools.show_dataset import show_dataset

__all__ = [
    "NEED_APPROVAL",
    "TOOLS",
    "Tool",
    "delete_item",
    "index_images",
    "list_library",
    "load_dataset",
    "search_images",
    "show_dataset",
]

Tool = Callable[..., Any]

TOOLS: tuple[Tool, ...] = (load_dataset, list_library, show_dataset, index_images, search_images, delete_item)
NEED_APPROVAL: frozenset[str] = frozenset({"delete_item"})  # the person is asked before these run
