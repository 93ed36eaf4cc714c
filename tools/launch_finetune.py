"""Fine-tune a model as a background job."""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tools.core.encoders import STARTER, model_folder
from tools.core.errors import InputError
from tools.core.jobs.folder import read_json
from tools.core.jobs.job import create_job
from tools.core.library import Card, Kind, suggest_name
from tools.core.pairs.dataset import PairColumns, open_pairs
from tools.core.preview import Preview
from tools.core.training.estimate import Hardware, Work, estimate_minutes, find_hardware
from tools.core.training.trainable import CHOICES, Trainable
from tools.core.workspace import Workspace

if TYPE_CHECKING:
    import datasets

Recipe = Literal["title_thumbnail", "caption_choice", "question_answering"]
AVAILABLE = ("title_thumbnail",)  # recipes of this version
DEFAULTS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-4, "trainable": "projection"}
SETTINGS = ("epochs", "batch_size", "learning_rate")
MAX_EPOCHS, MAX_BATCH, MAX_TRIES = 1000, 8192, 200
SEED = 42
EDITABLE = ("dataset", "base_model", "epochs", "batch_size", "learning_rate", "trainable", "hardware")
IMAGENET_TERMS = (
    "starter-clip was trained on Tiny ImageNet: ImageNet's terms (non-commercial research and education) apply to that "
    "data."
)
CREATORS = "The thumbnails and titles belong to their creators; ask before you use the model for more than research."


@dataclasses.dataclass(frozen=True)
class Launched:
    """A job that was started."""

    job: str
    recipe: str
    dataset: str
    base_model: str
    model: str  # the name that the result will have
    hardware: str
    minutes: float | None  # estimated; None when nothing is known of the model's size
    again: bool  # this very call had launched it before

    def __str__(self) -> str:
        """Say it in two lines."""
        time = "an unknown time" if self.minutes is None else about(self.minutes)
        first = "This was launched before, as" if self.again else "Launched"
        return (
            f"{first} the job {self.job!r}: fine-tune {self.base_model} on {self.dataset} ({self.recipe}, "
            f"{self.hardware}, {time}).\nIts result will be the model {self.model!r}; ask how the training is going, "
            "or watch it in the Jobs tab."
        )


@dataclasses.dataclass(frozen=True)
class _Plan:
    """A checked fine-tune."""

    args: dict[str, Any]  # with every default filled in
    card: Card  # of the dataset
    columns: PairColumns
    rows: dict[str, int]  # split → pairs
    hardware: Hardware
    minutes: float | None
    tries: int


def launch_finetune(
    workspace: Workspace,
    recipe: Recipe,
    dataset: str,
    base_model: str | None = None,
    epochs: int | list[int] | None = None,
    batch_size: int | list[int] | None = None,
    learning_rate: float | list[float] | None = None,
    trainable: Trainable | None = None,
    hardware: str = "auto",
) -> Launched:
    """Fine-tune a model on a dataset, as a job in the background. The person is asked before it starts.

    Lists of epochs, batch sizes or learning rates are tried in every combination on the validation split, and the best
    is kept.

    Args:
        workspace: Where the state is.
        recipe: What is learned; title_thumbnail teaches which title belongs to which thumbnail.
        dataset: Name of the dataset to train on.
        base_model: Model to start from: starter-clip, a model of the library, a folder or a hub id; the configured
            image-text model when omitted.
        epochs: Passes over the training split, 1 to 1000; 2 when omitted.
        batch_size: Rows a step, 2 to 8192; 16 when omitted.
        learning_rate: Size of the first steps, between 0 and 1; 0.0001 when omitted.
        trainable: Which weights change: projection, last_layers, lora or all; projection when omitted.
        hardware: What it runs on: auto, cpu or gpu.

    Raises:
        InputError: A setting is out of range, or this version has no such recipe or hardware.
        NotInLibraryError: There is no such dataset.
        DataError: The dataset holds no pairs, or too few.
        ModelError: There is no such base model.
        JobError: The job cannot be started.
    """
    plan = _checked(workspace, recipe, dataset, base_model, epochs, batch_size, learning_rate, trainable, hardware)
    config = _config(workspace, plan)
    job, new = create_job(
        workspace.library,
        recipe,
        f"train-{plan.card.name}",
        config,
        parents=(plan.card.reference, *_base_reference(workspace, plan)),
        parameters={**plan.args, "model": config["model_name"]},
        key=workspace.call_id or uuid.uuid4().hex,
    )
    job.start()
    told = read_json(job.paths.config) or config  # of the first launch, if this is another
    return Launched(
        job=job.name,
        recipe=recipe,
        dataset=plan.card.name,
        base_model=plan.args["base_model"],
        model=told["model_name"],
        hardware=str(plan.hardware),
        minutes=plan.minutes,
        again=not new,
    )


def preview_finetune(
    workspace: Workspace,
    recipe: Recipe,
    dataset: str,
    base_model: str | None = None,
    epochs: int | list[int] | None = None,
    batch_size: int | list[int] | None = None,
    learning_rate: float | list[float] | None = None,
    trainable: Trainable | None = None,
    hardware: str = "auto",
) -> Preview:
    """Say what `launch_finetune` would run; it takes the same arguments and raises the same errors."""
    plan = _checked(workspace, recipe, dataset, base_model, epochs, batch_size, learning_rate, trainable, hardware)
    mined = len(plan.columns.negatives)
    negatives = f"{mined} mined negative{'s' if mined > 1 else ''} a pair" if mined else "no mined negatives"
    facts = [
        ("data", f"{plan.card.name}: {_sizes(plan.rows)}; {negatives}"),
        ("learns", "which title belongs to which thumbnail (MultipleNegativesRankingLoss)"),
        ("starts from", f"{plan.args['base_model']}, training {plan.args['trainable'].replace('_', ' ')}"),
        ("settings", _settings_text(plan)),
        ("scores", _scores_text(plan)),
        ("hardware", str(plan.hardware)),
        ("takes", "unknown for this model" if plan.minutes is None else f"{about(plan.minutes)} (estimated)"),
        ("gives", f"the model {_model_name(workspace, plan.card)}"),
    ]
    return Preview(
        title=f"Fine-tune {plan.args['base_model']} on {plan.card.name}",
        facts=tuple(facts),
        args=plan.args,
        editable=EDITABLE,
        confirm="Launch",
    )


def about(minutes: float) -> str:
    """Write a rough duration."""
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"about {math.ceil(minutes)} minute{'s' if math.ceil(minutes) > 1 else ''}"
    return f"about {minutes / 60:.1f} hours"


def _checked(
    workspace: Workspace,
    recipe: str,
    dataset: str,
    base_model: str | None,
    epochs: int | list[int] | None,
    batch_size: int | list[int] | None,
    learning_rate: float | list[float] | None,
    trainable: str | None,
    hardware: str,
) -> _Plan:
    """Check every argument and fill in the defaults."""
    if recipe not in AVAILABLE:
        raise InputError(f"recipe is {recipe!r}; this version has {', '.join(AVAILABLE)}")
    trainable = trainable or DEFAULTS["trainable"]
    if trainable not in CHOICES:
        raise InputError(f"trainable is {trainable!r}; expected one of {', '.join(CHOICES)}")
    args = {
        "recipe": recipe,
        "dataset": dataset,
        "base_model": base_model or workspace.encoder_choice().name,
        "epochs": _values("epochs", epochs, 1, MAX_EPOCHS),
        "batch_size": _values("batch_size", batch_size, 2, MAX_BATCH),
        "learning_rate": _values("learning_rate", learning_rate, 1e-9, 1.0),
        "trainable": trainable,
        "hardware": _hardware_name(hardware),
    }
    tries = math.prod(len(_listed(args[name])) for name in SETTINGS)
    if tries > MAX_TRIES:
        raise InputError(f"That makes {tries} combinations of settings; try at most {MAX_TRIES} at a time")
    folder = STARTER if args["base_model"] == STARTER else model_folder(args["base_model"], workspace.library)
    card, splits, columns = open_pairs(workspace, dataset)
    args["dataset"] = card.name
    found = find_hardware(args["hardware"])
    if args["hardware"] == "gpu" and not found.gpus:
        raise InputError("hardware is 'gpu', and this machine has none that torch can use; say auto or cpu")
    rows = {str(name): len(table) for name, table in splits.items() if len(table)}
    _check_size(card.name, rows, args, tries)
    work = _work(splits, columns, rows, args)
    place = folder if isinstance(folder, Path) else None
    minutes = estimate_minutes(args["base_model"], place, work, trainable == "projection", found)
    return _Plan(args, card, columns, rows, found, minutes, tries)


def _check_size(name: str, rows: dict[str, int], args: dict[str, Any], tries: int) -> None:
    count = sum(rows.values())
    if rows.get("train", 0) < 3:
        raise InputError(f"{name} has {_sizes(rows)}; at least 3 pairs to train on are needed: collect more")
    if set(rows) == {"train"} and (tries > 1 or args["trainable"] != "projection" or count > 100):
        raise InputError(
            f"{name} has {count} pairs in one split, so it is scored by leave-one-out, which works with up to 100 "
            "pairs, trainable projection, and a single value of each setting; change that, or use a dataset with splits"
        )


def _work(splits: datasets.DatasetDict, columns: PairColumns, rows: dict[str, int], args: dict[str, Any]) -> Work:
    everything = sum(rows.values())
    passes = sum(_listed(args["epochs"])) * len(_listed(args["batch_size"])) * len(_listed(args["learning_rate"]))
    per_epoch = sum(-(-rows["train"] // size) for size in _listed(args["batch_size"]))
    steps = per_epoch * sum(_listed(args["epochs"])) * len(_listed(args["learning_rate"]))
    alone = set(rows) == {"train"}  # leave-one-out: as many trainings as pairs
    return Work(
        pictures=everything,
        titles=everything,  # negatives are titles of other pairs
        train=rows["train"],
        judged=rows.get("validation", 0),
        columns=1 + len(columns.negatives),
        passes=passes,
        steps=steps * (everything + 1 if alone else 1),
    )


def _values(name: str, given: Any, low: float, high: float) -> Any:
    """Return one value, or a list of different ones, each checked."""
    if given is None:
        return DEFAULTS[name]
    values = _listed(given)
    kinds = (int,) if isinstance(DEFAULTS[name], int) else (int, float)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            whole = "a whole number" if kinds == (int,) else "a number"
            raise InputError(f"{name} is {value!r}; expected {whole} from {low:g} to {high:g}, or a list of such")
    if not values:
        raise InputError(f"{name} is an empty list; give at least one value, or leave it out")
    different = list(dict.fromkeys(values))
    return different if len(different) > 1 else different[0]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _hardware_name(given: str) -> str:
    name = given.strip().lower()
    if name == "ray" or name.startswith("hf-jobs:"):
        raise InputError(f"hardware is {given!r}; this version runs jobs on this machine: say auto, cpu or gpu")
    if name not in ("auto", "cpu", "gpu"):
        raise InputError(f"hardware is {given!r}; expected auto, cpu or gpu")
    return name


def _config(workspace: Workspace, plan: _Plan) -> dict[str, Any]:
    """Return what the recipe is told."""
    home = workspace.settings.home.absolute()
    name = _model_name(workspace, plan.card)
    args = plan.args
    on_gpus = plan.hardware.gpus if args["trainable"] != "projection" else min(1, plan.hardware.gpus)
    licence = [CREATORS, *([IMAGENET_TERMS] if args["base_model"] == STARTER else [])]
    return {
        "recipe": args["recipe"],
        "library": str(home),
        "model_name": name,
        "data": str(workspace.library.folder(Kind.DATASET, plan.card.name) / "data"),
        "content_hash": plan.card.content_hash,
        "columns": dataclasses.asdict(plan.columns),
        "base_model": args["base_model"],
        **{setting: _listed(args[setting]) for setting in SETTINGS},
        "trainable": args["trainable"],
        "seed": SEED,
        "features": str(home / "cache" / "features"),
        "device": "cuda" if on_gpus else "cpu",
        "devices": max(1, on_gpus),
        "about": {"model": name, "data": _data_lines(plan), "licence": licence},
    }


def _data_lines(plan: _Plan) -> list[str]:
    card = plan.card
    negatives = ", ".join(plan.columns.negatives) or "none: the other titles of each batch are the negatives"
    return [
        f"dataset {card.name}: {_sizes(plan.rows)}; content hash {card.content_hash}",
        f"mined negatives: {negatives}",
        *(f"made from {parent}" for parent in card.parents),
    ]


def _model_name(workspace: Workspace, card: Card) -> str:
    """Return `clip-` and the name of the dataset that the pairs were collected as."""
    root = card
    while parents := [one for one in root.parents if one.startswith(f"{Kind.DATASET.value}/")]:
        there = {one.reference: one for one in workspace.library.cards(Kind.DATASET)}
        if parents[0] not in there:
            break
        root = there[parents[0]]
    return workspace.library.free_name(Kind.MODEL, suggest_name(f"clip-{root.name}"))


def _base_reference(workspace: Workspace, plan: _Plan) -> list[str]:
    name = plan.args["base_model"]
    return [card.reference for card in workspace.library.cards(Kind.MODEL) if name in (card.name, card.reference)]


def _sizes(rows: dict[str, int]) -> str:
    return ", ".join(f"{count} {split}" for split, count in rows.items()) + " pairs"


def _settings_text(plan: _Plan) -> str:
    def told(name: str) -> str:
        return " or ".join(f"{value:g}" for value in _listed(plan.args[name]))

    text = f"{told('epochs')} epochs, batch size {told('batch_size')}, learning rate {told('learning_rate')}"
    return text if plan.tries == 1 else f"{text}: {plan.tries} combinations, judged on validation"


def _scores_text(plan: _Plan) -> str:
    if set(plan.rows) == {"train"}:
        return f"too few pairs to split: leave-one-out, {plan.rows['train']} short trainings"
    return "Recall@1/5/10 and MRR both ways, before and after, with 95 % intervals"
