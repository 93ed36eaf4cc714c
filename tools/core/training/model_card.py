"""Saves a trained model as a folder that explains itself: weights, card, plots."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tools.core.files import replacing
from tools.core.jobs.folder import read_events

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from tools.core.jobs.worker import Run


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the card."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Write it as Markdown."""
        lines = [self.headers, ["---"] * len(self.headers), *self.rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What the card of a model says."""

    name: str
    purpose: str
    base_model: str
    data: Sequence[str]  # one fact a line
    settings: dict[str, str]
    summary: str
    tables: Sequence[Table]
    licence: Sequence[str]  # notes on what the data and the base model allow


def save_model(model: SentenceTransformer, facts: ModelFacts, run: Run) -> None:
    """Write the model to the run's result folder, in one step; plain `SentenceTransformer(path)` loads it.

    The plots need matplotlib; where it is absent, as on a bare GPU machine, the log and the card say so.
    """
    events = read_events(run.folder.metrics)
    with replacing(run.folder.result) as folder:
        model.save_pretrained(str(folder), create_model_card=False)
        plots = _save_plot(events, folder / "curves.png")
        (folder / "curves.json").write_text(json.dumps(events, indent=1), encoding="utf-8")
        (folder / "README.md").write_text(write_card(facts, plots), encoding="utf-8")
    if not plots:
        run.tell("note", text="no plots were drawn, since matplotlib is not installed; the numbers are in curves.json")


def write_card(facts: ModelFacts, plots: bool) -> str:
    """Return the card as Markdown with the hub's front matter."""
    parts = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        "license: other",
        "tags: [sentence-transformers, image-text, pairwright]",
        "---",
        "",
        f"# {facts.name}",
        "",
        facts.purpose,
        "",
        f"**{facts.summary}.**",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        f'model = SentenceTransformer("{facts.name}")  # the folder, or its name on the hub',
        'model.encode(["a title"]), model.encode([picture])  # picture: a PIL image',
        "```",
        "",
        "## Data",
        "",
        *(f"- {line}" for line in facts.data),
        "",
        "## Settings",
        "",
        f"- base model: {facts.base_model}",
        *(f"- {name}: {value}" for name, value in facts.settings.items()),
    ]
    for table in facts.tables:
        parts += ["", f"## {table.title}", "", str(table)]
    parts += [
        "",
        "![loss and recall](curves.png)" if plots else "No plots: matplotlib was not at hand. See curves.json.",
    ]
    if facts.licence:
        parts += ["", "## Licence notes", "", *(f"- {line}" for line in facts.licence)]
    return "\n".join(parts) + "\n"


def _save_plot(events: list[dict[str, Any]], file: Any) -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    from tools.core.plots import draw_curves

    draw_curves(events).savefig(file, dpi=120)
    return True
