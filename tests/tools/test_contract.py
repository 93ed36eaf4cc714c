"""One body of checks that every tool in TOOLS has to pass; a new tool is covered the moment it enters TOOLS."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from pathlib import Path

import pytest

from tools import NEED_APPROVAL, PREVIEWS, TOOLS, Tool
from tools.core import errors
from tools.core.errors import PairwrightError
from tools.core.preview import Preview
from tools.core.workspace import Workspace

PUBLIC = {  # the table of the design: names and arguments as the agent, MCP and the terminal use them
    "collect_youtube": ("channel", "min_minutes", "limit", "name"),
    "load_dataset": ("source", "kind", "name"),
    "list_library": ("kind",),
    "show_dataset": ("dataset", "split", "rows"),
    "mine_negatives": ("dataset", "strategy", "per_anchor"),
    "launch_finetune": (
        "recipe",
        "dataset",
        "base_model",
        "epochs",
        "batch_size",
        "learning_rate",
        "trainable",
        "hardware",
    ),
    "job_status": ("job",),
    "cancel_job": ("job",),
    "evaluate_model": ("model", "dataset", "split"),
    "match_thumbnails": ("thumbnails", "titles", "dataset", "model"),
    "rank_captions": ("image", "captions", "model"),
    "answer_question": ("question", "context", "document", "model"),
    "index_images": ("source", "collection", "model"),
    "search_images": ("query", "image", "k", "collection"),
    "teach_concept": ("concept", "collection", "batch"),
    "rate_images": ("ratings", "rest", "concept"),
    "classify_images": ("concept", "source"),
    "reset_ratings": ("concept",),
    "publish": ("item", "repo_id", "private"),
    "delete_item": ("item",),
}
APPROVAL = {"launch_finetune", "publish", "delete_item"}
PHOTOS = "a folder of pictures"
BAD_CALLS: dict[str, list[dict[str, object]]] = {  # each in an empty library; between them they cover every argument
    "load_dataset": [
        {"source": "/no/such/folder"},
        {"source": ""},
        {"source": "x" * 5000},
        {"source": "~no-such-user/pictures"},
        {"source": PHOTOS, "kind": "squad2"},
        {"source": PHOTOS, "kind": "title_thumbnail"},
        {"source": PHOTOS, "kind": ""},
        {"source": PHOTOS, "name": "Bad Name"},
    ],
    "collect_youtube": [
        {"channel": ""},
        {"channel": "two words"},
        {"channel": "https://example.com/a"},
        {"channel": "x" * 5000},
        {"channel": "@achannel"},  # without a key
        {"channel": "@achannel", "min_minutes": -1},
        {"channel": "@achannel", "min_minutes": float("nan")},
        {"channel": "@achannel", "limit": 0},
        {"channel": "@achannel", "name": "Bad Name"},
    ],
    "mine_negatives": [
        {"dataset": "none"},
        {"dataset": ""},
        {"dataset": "none", "strategy": "easy"},
        {"dataset": "none", "per_anchor": 0},
        {"dataset": "none", "per_anchor": 21},
    ],
    "launch_finetune": [
        {"recipe": "title_thumbnail", "dataset": "none"},
        {"recipe": "title_guessing", "dataset": "none"},
        *(
            {"recipe": "title_thumbnail", "dataset": "none", name: value}
            for name, value in (
                ("base_model", "no such model"),
                ("epochs", 0),
                ("batch_size", [16, "many"]),
                ("learning_rate", float("nan")),
                ("trainable", "nothing"),
                ("hardware", "abacus"),
            )
        ),
    ],
    "job_status": [{}, {"job": "none"}, {"job": ""}, {"job": "../up"}, {"job": "dataset/none"}],
    "cancel_job": [{}, {"job": "none"}, {"job": ""}, {"job": "../up"}, {"job": "dataset/none"}],
    "evaluate_model": [
        {"model": "starter-clip", "dataset": "none"},
        {"model": "", "dataset": "none"},
        {"model": "starter-clip", "dataset": "none", "split": "dev"},
    ],
    "match_thumbnails": [
        {},
        {"thumbnails": ["none.jpg"]},
        {"titles": ["a title"]},
        {"thumbnails": ["none.jpg"], "titles": ["a title", " "]},
        {"thumbnails": ["none.jpg"], "titles": ["a title"]},
        {"thumbnails": ["none.jpg"], "titles": ["a title"], "dataset": "none"},
        {"thumbnails": ["none.jpg"], "titles": ["a title"] * 1001},
        {"dataset": "none"},
        {"thumbnails": ["none.jpg"], "titles": ["a title"], "model": "no such model"},
    ],
    "publish": [
        {"item": "none", "repo_id": "me/none"},
        {"item": "", "repo_id": "me/none"},
        {"item": "none", "repo_id": "no-slash"},
        {"item": "none", "repo_id": "../../etc"},
        {"item": "none", "repo_id": "me/none", "private": False},
    ],
    "list_library": [{"kind": "everything"}, {"kind": ""}],
    "show_dataset": [
        {"dataset": "none"},
        {"dataset": ""},
        {"dataset": "none", "split": "training"},
        {"dataset": "none", "rows": 0},
        {"dataset": "none", "rows": 101},
    ],
    "index_images": [
        {"source": "/no/such/folder"},
        {"source": " "},
        {"source": "nul\0"},
        {"source": PHOTOS, "collection": "../up"},
        {"source": PHOTOS, "collection": "x", "model": "no such model"},
    ],
    "search_images": [
        {},
        {"query": "cat", "image": "cat.jpg"},
        {"query": "  "},
        {"query": "cat"},
        {"query": "x" * 1001},
        {"image": "none.jpg"},
        {"query": "cat", "k": 0},
        {"query": "cat", "k": 101},
        {"query": "cat", "collection": "none"},
    ],
    "delete_item": [{"item": "none"}, {"item": ""}, {"item": "../../etc"}],
}

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)


def documented(tool: Tool, section: str) -> dict[str, str]:
    """Return the entries of a section of a Google docstring: name → text."""
    match = re.search(rf"^{section}:\n((?:    .*\n?|\n)+)", inspect.cleandoc(str(tool.__doc__)), re.MULTILINE)
    entries = re.findall(r"^    (\w+): ((?:.+\n?(?:     +.+\n?)*))", match[1] if match else "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


@every_tool
def test_its_name_and_arguments_are_the_public_ones(tool: Tool):
    first, *arguments = inspect.signature(tool).parameters
    assert first == "workspace"
    assert tuple(arguments) == PUBLIC[tool.__name__]


@every_tool
def test_its_docstring_says_what_it_does_and_what_each_argument_means(tool: Tool):
    summary = str(tool.__doc__).splitlines()[0]
    assert summary.endswith(".") and len(summary) > 15
    described = documented(tool, "Args")
    assert list(described) == list(inspect.signature(tool).parameters)
    assert all(len(text) > 10 and text.endswith(".") for text in described.values())


@every_tool
def test_the_errors_it_names_are_ours(tool: Tool):
    for name in documented(tool, "Raises"):
        assert issubclass(getattr(errors, name), PairwrightError)


@every_tool
def test_every_argument_has_a_plain_type_that_resolves(tool: Tool):
    hints = typing.get_type_hints(tool)
    assert set(hints) == {*inspect.signature(tool).parameters, "return"}
    assert hints["workspace"] is Workspace
    for name in PUBLIC[tool.__name__]:
        default = inspect.signature(tool).parameters[name].default
        optional = type(None) in typing.get_args(hints[name])
        assert optional or default is not None, f"{name} may be None and does not say so"


@every_tool
def test_its_result_is_a_frozen_dataclass_that_says_itself_in_words(tool: Tool):
    result = typing.get_type_hints(tool)["return"]
    assert dataclasses.is_dataclass(result)
    assert result.__dataclass_params__.frozen
    assert "__str__" in vars(result)


@every_tool
def test_a_bad_argument_gives_our_error_with_a_helpful_message(tool: Tool, workspace: Workspace, photos: Path):
    calls = [
        {name: str(photos) if value == PHOTOS else value for name, value in call.items()}
        for call in BAD_CALLS[tool.__name__]
    ]
    assert {name for call in calls for name in call} >= set(PUBLIC[tool.__name__]), "every argument has a bad value"
    for call in calls:
        with pytest.raises(PairwrightError) as caught:
            tool(workspace, **call)
        assert len(str(caught.value)) > 20, call
        assert not list(workspace.settings.home.glob("*s/*/card.json")), f"{call} left something in the library"


def test_what_cannot_be_undone_waits_for_the_person():
    assert NEED_APPROVAL == APPROVAL & {tool.__name__ for tool in TOOLS}


def test_what_waits_for_the_person_has_a_preview_with_the_same_arguments():
    tools = {tool.__name__: tool for tool in TOOLS}
    assert PREVIEWS.keys() == NEED_APPROVAL
    for name, preview in PREVIEWS.items():
        assert inspect.signature(preview).parameters == inspect.signature(tools[name]).parameters
        assert typing.get_type_hints(preview)["return"] is Preview


def test_no_tool_is_registered_twice():
    assert len({tool.__name__ for tool in TOOLS}) == len(TOOLS) >= 6
