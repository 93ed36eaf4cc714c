"""What is known of a job at a moment, in data and in a line."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from tools.core.jobs.folder import TERMINAL, JobStage

Event = dict[str, Any]
RECENT = 50  # steps whose pace is taken for that of the rest
PAUSE = 20  # times the usual pace: a pause, such as the time between two attempts, and no part of the pace


@dataclasses.dataclass(frozen=True)
class JobInfo:
    """A job at a moment."""

    name: str
    stage: str  # a JobStage; a plain string, since results of tools are kept as plain data
    recipe: str
    dataset: str | None  # None when it was made from no dataset of the library
    model: str | None  # its name in the library; None until the job succeeded
    step: int
    steps: int | None  # None until the recipe has said how many there are
    epoch: float  # epochs done
    epochs: int | None  # likewise
    loss: float | None  # of the last step; None before the first
    recall: float | None  # Recall@1 of the last evaluation, on validation where there is one
    minutes_left: float | None  # at the pace of the last steps; None when that is not known
    attempt: int  # how often its worker was started
    message: str  # what it does, or how it ended
    log: str  # path of the log file
    created: str  # ISO 8601, UTC
    finished: str | None  # None while it goes on
    setting: int | None = None  # which of several settings is tried; None when there is one
    settings: int | None = None  # of how many; likewise

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.stage in TERMINAL

    def __str__(self) -> str:
        """Say it in a line."""
        head = f"{self.name}: {self.stage}"
        if self.stage == JobStage.SUCCEEDED:
            made = f", the model is {self.model}" if self.model else ""
            return f"{head}{made}.{f' {self.message}' if self.message else ''}"
        if self.stage == JobStage.FAILED:
            return f"{head}. {_sentence(self.message)} The log: {self.log}"
        if self.stage == JobStage.CANCELLED:
            reached = f" at step {self.step} of {self.steps}" if self.step else ""
            return f"{head}{reached}. {self.message}".rstrip()
        return ", ".join([head, *self._progress()]) + "."

    def _progress(self) -> list[str]:
        parts = [self.message] if self.message else []
        if self.step and self.settings:
            parts.append(f"setting {self.setting} of {self.settings}")
        if self.step:
            parts.append(f"epoch {self.epoch:.1f}{f' of {self.epochs}' if self.epochs else ''}")
            parts.append(f"step {self.step}{f' of {self.steps}' if self.steps else ''}")
        if self.loss is not None:
            parts.append(f"loss {self.loss:.3g}")
        if self.recall is not None:
            parts.append(f"recall@1 {self.recall:.2f}")
        if self.minutes_left is not None:
            parts.append(_about(self.minutes_left))
        if self.attempt > 1:
            parts.append(f"attempt {self.attempt}")
        return parts


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run came."""

    step: int = 0
    steps: int | None = None
    epoch: float = 0.0
    epochs: int | None = None
    setting: int | None = None
    settings: int | None = None
    loss: float | None = None
    recall: float | None = None
    minutes_left: float | None = None
    doing: str = ""  # what it does beside steps, such as "computing features, 5 of 100"; empty during steps


def progress(events: Sequence[Event]) -> Progress:
    """Read from what a recipe told how far it came."""
    steps = [event for event in events if event["event"] == "step" and "step" in event]
    last: Event = steps[-1] if steps else {}
    step, total, epoch = int(last.get("step", 0)), last.get("steps"), float(last.get("epoch") or 0)
    evaluations = [event for event in events if event["event"] == "evaluation"]
    return Progress(
        step=step,
        steps=total,
        epoch=epoch,
        epochs=last.get("epochs") or (max(1, round(epoch * total / step)) if step and total and epoch else None),
        setting=last.get("setting"),
        settings=last.get("settings"),
        loss=last.get("loss"),
        recall=_recall(evaluations),
        minutes_left=_minutes_left(steps),
        doing=_doing(events),
    )


def scores(events: Sequence[Event], when: str) -> dict[str, dict[str, float]]:
    """Return the scores of the evaluations "before" or "after", by split."""
    return {
        event["split"]: event["scores"]
        for event in events
        if event["event"] == "evaluation" and event.get("when") == when and "split" in event and "scores" in event
    }


def recall_of(scores: dict[str, float]) -> float | None:
    """Return Recall@1 from the scores of an evaluation."""
    return scores.get("recall_at_1")


def _recall(evaluations: Sequence[Event]) -> float | None:
    for split in ("validation", None):
        for event in reversed(evaluations):
            if split in (None, event.get("split")) and (found := recall_of(event.get("scores", {}))) is not None:
                return found
    return None


def _minutes_left(steps: Sequence[Event]) -> float | None:
    recent = [event for event in steps[-RECENT:] if "time" in event]
    paces = [
        (after["time"] - before["time"], after["step"] - before["step"])
        for before, after in zip(recent, recent[1:], strict=False)
        if after["step"] > before["step"] and after["time"] >= before["time"]
    ]
    if not paces or not steps[-1].get("steps"):
        return None
    usual = statistics.median(seconds / count for seconds, count in paces)
    kept = [(seconds, count) for seconds, count in paces if seconds / count <= PAUSE * usual]
    pace = sum(seconds for seconds, _ in kept) / sum(count for _, count in kept)
    return max(0.0, float(pace * (steps[-1]["steps"] - steps[-1]["step"]) / 60))


def _doing(events: Sequence[Event]) -> str:
    last = next((event for event in reversed(events) if event["event"] in ("step", "phase")), None)
    if last is None or last["event"] == "step":
        return ""
    share = f", {last.get('done', 0)} of {last['total']}" if last.get("total") else ""
    return f"{last.get('what', '')}{share}"


def _about(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute left"
    if minutes < 90:
        return f"about {minutes:.0f} minute{'s' if minutes >= 1.5 else ''} left"
    return f"about {minutes / 60:.1f} hours left"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
