"""Stand-ins for the tools of a training flow: they remember what they ran with, and make empty datasets.

And agents that have them: on the planner, or following a script.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from typing import Any, Literal

from langchain_core.messages import AIMessage

from agent.events import ApprovalNeeded, Call, Decision, Event
from agent.loop import Agent
from agent.planner import Planner
from agent.planner_model import PlannerModel
from agent.toolbox import Toolbox
from tests.agent.scripted import ScriptedModel, calling
from tools import PREVIEWS, TOOLS
from tools.core.errors import InputError, RemoteError
from tools.core.library import Kind, new_card, write_card
from tools.core.preview import Preview
from tools.core.workspace import Workspace
from tools.load_dataset import Loaded

TUNE = "fine-tune clip on talebi"
ID = "call-number-one"
EDITABLE = ("epochs", "batch_size", "learning_rate", "trainable")


@dataclasses.dataclass
class Ran:
    """What the stand-ins did, for the tests to look at."""

    launched: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list)  # (call id, arguments)
    collected_with: list[str | None] = dataclasses.field(default_factory=list)  # YouTube keys
    launched_with: list[str | None] = dataclasses.field(default_factory=list)  # hub tokens
    hold: threading.Event | None = None  # launching waits for it


def planned_agent(workspace: Workspace, ran: Ran) -> Agent:
    """Return an agent on the planner that can collect, mine and fine-tune."""
    toolbox = training_toolbox(ran)
    model = PlannerModel(library=workspace.library, planner=Planner(toolbox.tools))
    return Agent(workspace, model, toolbox)


def scripted_agent(workspace: Workspace, ran: Ran, *script: object) -> Agent:
    """Return an agent whose model follows a script."""
    return Agent(workspace, ScriptedModel(script=list(script), seen=[]), training_toolbox(ran))


def tune(**args: object) -> AIMessage:
    """Return a reply that asks to fine-tune on the dataset talebi."""
    return calling("launch_finetune", ID, recipe="title_thumbnail", dataset="talebi", **args)


def make_dataset(workspace: Workspace, name: str) -> None:
    """Make an empty dataset."""
    with workspace.library.making(Kind.DATASET, name) as folder:
        write_card(folder, new_card(Kind.DATASET, name, "the test"))


def of_type(events: Iterable[Event], kind: type) -> list[Any]:
    """Return the events of a kind."""
    return [event for event in events if isinstance(event, kind)]


def asked(events: Iterable[Event]) -> Call:
    """Return the one call that the last event asks about."""
    *_, last = events
    assert isinstance(last, ApprovalNeeded), last
    (call,) = last.calls
    return call


def answer(agent: Agent, decision: Decision) -> list[Event]:
    """Decide the same about everything that waits."""
    waiting = agent.waiting("t")
    assert waiting
    return list(agent.decide({call.id: decision for call in waiting.calls}, "t"))


def training_toolbox(ran: Ran) -> Toolbox:
    """Return a toolbox whose collecting, mining and fine-tuning are stand-ins; the other tools are the real ones."""

    def collect_youtube(workspace: Workspace, channel: str, name: str | None = None) -> Loaded:
        """Collect the videos of a channel.

        Args:
            workspace: Where the state is.
            channel: Handle of the channel.
            name: Name of the dataset; made from the channel when omitted.
        """
        key = workspace.secrets.youtube_api_key
        ran.collected_with.append(key)
        if "revoked" in channel:
            raise RemoteError(f"https://youtube.example/channels?key={key} says: this key was revoked")
        if "broken" in channel:
            raise ValueError(f"GET /channels?key={key}")
        workspace.watch.tell(f"asking for the videos with {key}", 0)
        loaded = _made(workspace, name or f"{channel.removeprefix('@')}-channel", f"the channel {channel}")
        return dataclasses.replace(loaded, source=f"the channel {channel}, by {key}")

    def mine_negatives(workspace: Workspace, dataset: str | None = None, per_anchor: int = 1) -> Loaded:
        """Give every row of a dataset titles that do not fit.

        Args:
            workspace: Where the state is.
            dataset: Name of the dataset; the most recent when omitted.
            per_anchor: Negatives a row.
        """
        card = workspace.library.find(dataset, Kind.DATASET) if dataset else workspace.library.latest(Kind.DATASET)
        return _made(workspace, f"{card.name}-negatives", card.name)

    tools = tuple(tool for tool in TOOLS if tool.__name__ not in REPLACED)
    return Toolbox(
        (*tools, collect_youtube, mine_negatives, _launcher(ran)), {**PREVIEWS, "launch_finetune": preview_finetune}
    )


def _launcher(ran: Ran) -> Any:
    def launch_finetune(
        workspace: Workspace,
        recipe: Literal["title_thumbnail", "caption_choice"],
        dataset: str,
        epochs: int | list[int] | None = None,
        batch_size: int | list[int] | None = None,
        learning_rate: float | list[float] | None = None,
        trainable: Literal["projection", "last_layers", "lora", "all"] | None = None,
    ) -> Loaded:
        """Fine-tune a model on a dataset.

        Args:
            workspace: Where the state is.
            recipe: What is learned.
            dataset: Name of the dataset.
            epochs: Passes over the data; several with commas are all tried.
            batch_size: Rows a step.
            learning_rate: Size of the first steps.
            trainable: Which weights change.
        """
        if ran.hold:
            ran.hold.wait(30)
        ran.launched_with.append(workspace.secrets.hub_token)
        args = {name: value for name, value in locals().items() if name not in ("workspace", "ran")}
        if str(workspace.call_id) not in [id for id, _ in ran.launched]:  # the call's id is the job's key
            ran.launched.append((str(workspace.call_id), args))
        return Loaded("job-1", "job", dataset, {}, (), ())

    return launch_finetune


def preview_finetune(
    workspace: Workspace,
    recipe: str,
    dataset: str,
    epochs: int | list[int] | None = None,
    batch_size: int | list[int] | None = None,
    learning_rate: float | list[float] | None = None,
    trainable: str | None = None,
) -> Preview:
    """Say what fine-tuning would do: it takes a minute an epoch."""
    card = workspace.library.find(dataset, Kind.DATASET)
    epochs = 2 if epochs is None else epochs
    several = epochs if isinstance(epochs, list) else [epochs]
    if not all(0 < one <= 100 for one in several):
        raise InputError(f"epochs is {epochs!r}; expected 1 to 100")
    args = {
        "recipe": recipe,
        "dataset": card.name,
        "epochs": epochs,
        "batch_size": batch_size or 16,
        "learning_rate": learning_rate or 1e-4,
        "trainable": trainable or "projection",
    }
    facts = (("data", f"{card.name}, made from {card.source}"), ("takes", f"{sum(several)} minutes"))
    return Preview(f"Fine-tune starter-clip on {card.name}", facts, args, EDITABLE, "", "Launch")


def _made(workspace: Workspace, wanted: str, source: str) -> Loaded:
    """Make an empty dataset; the library may give it another name."""
    name = workspace.library.free_name(Kind.DATASET, wanted)
    with workspace.library.making(Kind.DATASET, name) as folder:
        write_card(folder, new_card(Kind.DATASET, name, source))
    return Loaded(name, "title_thumbnail", source, {}, (), ())


REPLACED = ("collect_youtube", "mine_negatives", "launch_finetune")
