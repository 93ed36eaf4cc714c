"""A recipe for tests: number crunching whose result shows every step that was lost, done twice or done otherwise.

Its config's `trouble` says what goes wrong, at the step `at`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tools.core.errors import DataError
from tools.core.files import write_json
from tools.core.jobs.worker import Outcome, Run, main

STEPS_PER_EPOCH = 10


class Toy:
    """A vector that wanders about: each step depends on all before and on the state of a random generator."""

    def __init__(self, seed: int) -> None:
        self.step, self.random = 0, np.random.default_rng(seed)
        self.weights = np.zeros(64)

    def train(self) -> float:
        self.weights = np.tanh(1.1 * self.weights + self.random.normal(size=64))
        self.step += 1
        return float(np.square(self.weights).mean())

    def save(self, folder: Path) -> None:
        np.save(folder / "weights.npy", self.weights)
        write_json(folder / "state.json", {"step": self.step, "random": self.random.bit_generator.state})

    def load(self, folder: Path) -> None:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        self.weights = np.load(folder / "weights.npy")
        self.step, self.random.bit_generator.state = state["step"], state["random"]


def train(run: Run) -> Outcome:
    config = {"steps": 30, "every": 5, "pace": 0.0, "seed": 42, "trouble": None, "at": 7, **run.config}
    toy = Toy(config["seed"])
    if checkpoint := run.checkpoint():
        toy.load(checkpoint)
    else:
        run.tell("evaluation", when="before", epoch=0, step=0, split="validation", items=8, scores=_scores(toy))
    while toy.step < config["steps"]:
        if config["trouble"] != "deaf":
            run.check_stop()
        loss = toy.train()
        epoch = toy.step / STEPS_PER_EPOCH
        run.tell("step", step=toy.step, steps=config["steps"], epoch=epoch, loss=loss)
        if toy.step == config["at"] and config["trouble"]:
            TROUBLES[config["trouble"]]()
        if toy.step % config["every"] == 0:
            run.save_checkpoint(toy.save, toy.step)
        time.sleep(config["pace"])
    run.tell("evaluation", when="after", epoch=epoch, step=toy.step, split="validation", items=8, scores=_scores(toy))
    model = run.folder.result / "model"
    model.mkdir(parents=True, exist_ok=True)
    np.save(model / "weights.npy", toy.weights)
    return Outcome(model, {"recall_at_1": _scores(toy)["recall_at_1"]}, {"steps": toy.step}, "The toy wandered about")


def weights_after(steps: int, seed: int = 42) -> np.ndarray:
    """Return the weights that a run without any trouble ends with."""
    toy = Toy(seed)
    for _ in range(steps):
        toy.train()
    return toy.weights


def _scores(toy: Toy) -> dict[str, float]:
    return {"recall_at_1": float((toy.weights > 0.5).mean()), "loss": float(np.square(toy.weights).mean())}


def _raise(error: BaseException) -> Callable[[], None]:
    def trouble() -> None:
        raise error

    return trouble


def _deaf() -> None:
    """Ignore every request to end, with a child that does so too and has left the group."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(40)"
    )
    subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
    subprocess.run([sys.executable, "-c", sleep], env={}, check=False)


TROUBLES: dict[str, Callable[[], None]] = {
    "deaf": _deaf,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "memory": _raise(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore lines")),
    "data": _raise(DataError("The dataset is gone; load it again")),
    "bug": _raise(ZeroDivisionError("division by zero")),
    "disk": _raise(OSError(28, "No space left on device")),
}

if __name__ == "__main__":
    sys.exit(main(train))
