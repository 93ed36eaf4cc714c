"""The training loop that the recipes share: AdamW, linear schedule, best epoch by validation, exact resume, grid.

Order, schedule and step are those of `transformers.Trainer` with its defaults, so that a recipe's losses are those of
sentence-transformers' own trainer on the same seed. A run that was killed goes on at its checkpoint and ends at the
same weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tools.core.errors import DataError
from tools.core.training.parallel import average, share_gradients

if TYPE_CHECKING:
    import torch

    from tools.core.jobs.worker import Run

CHECKPOINT_SECONDS = 10.0
CURVE_POINTS = 1000  # of a training's loss; with more steps the losses in between are told together


@dataclasses.dataclass(frozen=True)
class Settings:
    """How one training goes."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0  # gradients are clipped to this length
    patience: int = 3  # epochs without a better validation score before it stops early
    seed: int = 42

    def steps(self, rows: int) -> int:
        """Return how many steps a training on so many rows takes."""
        return -(-rows // self.batch_size) * self.epochs


@dataclasses.dataclass(frozen=True)
class Validation:
    """What an epoch achieved on the validation split."""

    score: float  # higher is better: it chooses the epoch and the settings
    loss: float  # lower is better: it decides between equal scores
    scores: dict[str, float]  # everything worth telling

    def beats(self, other: Validation | None) -> bool:
        """Tell whether this is better than another."""
        return other is None or (self.score, -self.loss) > (other.score, -other.loss)


class Task(Protocol):
    """What a recipe gives to be trained."""

    size: int  # training rows

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are trained, by name; they are changed in place."""

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the loss of a batch of training rows."""

    def validate(self) -> Validation | None:
        """Judge the weights as they are; None when there is nothing to judge by."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """A training of the grid and what it achieved."""

    settings: Settings
    epoch: int  # the best one
    validation: Validation | None


@dataclasses.dataclass
class _State:
    """Everything that a run needs to go on exactly where it was."""

    attempt: int = 0  # number of the settings in the grid
    step: int = 0  # steps done with these settings
    weights: dict[str, Any] = dataclasses.field(default_factory=dict)
    optimizer: dict[str, Any] = dataclasses.field(default_factory=dict)
    random: Any = None  # torch's random state: dropout
    best: Validation | None = None  # with these settings
    best_epoch: int = 0
    best_weights: dict[str, Any] = dataclasses.field(default_factory=dict)
    waited: int = 0  # epochs since the best one
    tried: list[Tried] = dataclasses.field(default_factory=list)
    winner: Tried | None = None
    winner_weights: dict[str, Any] = dataclasses.field(default_factory=dict)


def grid_of(epochs: Sequence[int], batch_sizes: Sequence[int], rates: Sequence[float], **rest: Any) -> list[Settings]:
    """Return all combinations."""
    return [Settings(e, b, r, **rest) for e, b, r in itertools.product(epochs, batch_sizes, rates)]


def search(task: Task, grid: Sequence[Settings], run: Run) -> tuple[Tried, list[Tried]]:
    """Train with every setting from the same start; leave the best one's best weights in the task.

    Best is what validation says; without validation the last epoch of the last setting is kept.

    Returns:
        The winner, and all that was tried.
    """
    start = _copied(task.weights())
    state = _resume(run) or _State()
    steps = [settings.steps(task.size) for settings in grid]
    while state.attempt < len(grid):
        if state.step == 0 and not state.weights:
            _put(task.weights(), start)
        place = _Place(sum(steps[: state.attempt]), sum(steps), state.attempt + 1, len(grid))
        tried = _train(task, grid[state.attempt], state, run, place)
        state.tried.append(tried)
        won = state.winner is None or tried.validation is None or tried.validation.beats(state.winner.validation)
        if won:
            state.winner, state.winner_weights = tried, state.best_weights
        if len(grid) > 1:
            scores = tried.validation.scores if tried.validation else {}
            told = dataclasses.asdict(tried.settings)
            run.tell("try", number=state.attempt + 1, of=len(grid), settings=told, scores=scores, best=won)
        state = _State(state.attempt + 1, tried=state.tried, winner=state.winner, winner_weights=state.winner_weights)
    if state.winner is None:
        raise DataError("There was nothing to try: the grid of settings is empty")
    _put(task.weights(), state.winner_weights)
    return state.winner, state.tried


@contextlib.contextmanager
def trained_without(task: Task, left_out: int, settings: Settings, run: Run) -> Iterator[None]:
    """Train on all rows but one for the length of a block; the weights are then as they were before."""
    import torch

    start = _copied(task.weights())
    others = [row for row in range(task.size) if row != left_out]
    optimizer = _optimizer(task, settings)
    torch.manual_seed(settings.seed)
    steps = settings.steps(len(others))
    for step, rows in enumerate(batches(len(others), settings)):
        run.check_stop()
        _step(task, [others[row] for row in rows], optimizer, settings, (steps - step) / steps)
    try:
        yield
    finally:
        _put(task.weights(), start)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a training stands in the grid."""

    before: int  # steps of the settings before it
    total: int  # steps of all settings
    number: int  # of its setting, from 1
    of: int

    def tell(self, run: Run, step: int, settings: Settings, **fields: Any) -> None:
        which = {"setting": self.number, "settings": self.of} if self.of > 1 else {}
        steps = {"step": self.before + step, "steps": self.total, "epochs": settings.epochs}
        run.tell("step", **steps, **which, **fields)


def _train(task: Task, settings: Settings, state: _State, run: Run, place: _Place) -> Tried:
    """Train with one setting, from the state's step on."""
    import torch

    weights = task.weights()
    optimizer = _optimizer(task, settings)
    if state.step == 0:
        torch.manual_seed(settings.seed)
    else:
        _put(weights, state.weights)
        optimizer.load_state_dict(state.optimizer)
        torch.set_rng_state(state.random)
    steps = settings.steps(task.size)
    per_epoch = steps // settings.epochs
    every = max(1, steps // CURVE_POINTS)
    saved = time.monotonic()
    losses: list[float] = []
    for step, rows in enumerate(batches(task.size, settings), 1):
        if step <= state.step:
            continue  # done before the run was interrupted
        if state.waited >= settings.patience:
            epoch = state.step // per_epoch
            run.tell("note", text=f"stopped early after epoch {epoch}: epoch {state.best_epoch} stayed the best")
            break
        run.check_stop()
        share = (steps - step + 1) / steps  # of the learning rate: it falls in a line
        losses.append(_step(task, rows, optimizer, settings, share))
        state.step = step
        if step % every == 0 or step % per_epoch == 0:
            mean, epochs = sum(losses) / len(losses), round(step / per_epoch, 3)
            rate = settings.learning_rate * share
            place.tell(run, step, settings, epoch=epochs, loss=mean, learning_rate=rate)
            losses.clear()
        if step % per_epoch == 0:
            _judge(task, state, step // per_epoch, run, told=place.of == 1)
        if not losses and time.monotonic() - saved > CHECKPOINT_SECONDS:
            _save(run, task, state, optimizer)
            saved = time.monotonic()
    return Tried(settings, state.best_epoch, state.best)


def _optimizer(task: Task, settings: Settings) -> torch.optim.Optimizer:
    import torch

    weights = list(task.weights().values())
    return torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _step(task: Task, rows: Sequence[int], optimizer: torch.optim.Optimizer, settings: Settings, share: float) -> float:
    import torch

    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * share
    loss = task.loss(rows)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    share_gradients(task.weights().values())
    torch.nn.utils.clip_grad_norm_(task.weights().values(), settings.max_grad_norm)
    optimizer.step()
    value = average(loss.detach())
    if not math.isfinite(value):
        rate = settings.learning_rate
        raise DataError(f"The loss is not a number: the learning rate {rate:g} is too high; try a tenth of it")
    return value


def _judge(task: Task, state: _State, epoch: int, run: Run, told: bool) -> None:
    """Validate an epoch and remember it if it is the best so far."""
    now = task.validate()
    if now is not None and told:
        run.tell("evaluation", when=f"epoch {epoch}", epoch=epoch, split="validation", scores=now.scores)
    if now is None or now.beats(state.best):
        state.best, state.best_epoch, state.waited = now, epoch, 0
        state.best_weights = _copied(task.weights())
    else:
        state.waited += 1


def batches(size: int, settings: Settings) -> Iterator[list[int]]:
    """Yield the rows of every batch of all epochs, in the order of sentence-transformers' trainer for the same seed."""
    import torch

    for epoch in range(settings.epochs):
        generator = torch.Generator().manual_seed(settings.seed + epoch)  # as accelerate's SeedableRandomSampler
        order = torch.randperm(size, generator=generator).tolist()
        yield from (order[start : start + settings.batch_size] for start in range(0, size, settings.batch_size))


def _save(run: Run, task: Task, state: _State, optimizer: torch.optim.Optimizer) -> None:
    import torch

    state.weights, state.optimizer = _copied(task.weights()), optimizer.state_dict()
    state.random = torch.get_rng_state()
    run.save_checkpoint(lambda folder: torch.save(vars(state), folder / "state.pt"), state.step)


def _resume(run: Run) -> _State | None:
    import torch

    folder = run.checkpoint()
    if folder is None:
        return None
    torch.serialization.add_safe_globals([Settings, Tried, Validation])
    return _State(**torch.load(Path(folder) / "state.pt", weights_only=True, map_location="cpu"))


def _copied(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}


def _put(weights: dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(values[name])
