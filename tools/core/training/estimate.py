"""How long a fine-tune will roughly take, before any model is loaded.

Counted are the operations of the towers (two a weight and token) at a cautious rate of the hardware. It is meant to
tell a minute from an hour: a job itself says how long it still takes as soon as it has made a few steps.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CPU_RATE = 15e9  # operations a second and core, float32
GPU_RATE = 10e12
START_SECONDS = 15.0  # imports and loading
STEP_SECONDS = 0.003  # of a step on cached features
TEXT_TOKENS = 20  # of a title
TRAINING_FACTOR = 3.0  # forward and backward, against forward alone
KNOWN = {  # operations for a picture and for a title
    "starter-clip": (3.0e8, 4.0e8),
    "sentence-transformers/clip-ViT-L-14": (1.6e11, 3.4e9),
    "sentence-transformers/clip-ViT-B-32": (8.7e9, 1.5e9),
}


@dataclasses.dataclass(frozen=True)
class Hardware:
    """What a job would run on."""

    gpus: int
    cores: int
    name: str

    @property
    def rate(self) -> float:
        """Operations a second."""
        return GPU_RATE * self.gpus if self.gpus else CPU_RATE * self.cores

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.gpus:
            return f"{self.gpus} × {self.name}" if self.gpus > 1 else self.name
        return f"{self.cores} CPU cores, no GPU"


@dataclasses.dataclass(frozen=True)
class Work:
    """How much a fine-tune does."""

    pictures: int  # different ones, all splits
    titles: int  # different ones, all splits, negatives too
    train: int  # rows
    judged: int  # rows of the validation split
    columns: int  # texts a training row: title and negatives
    passes: int  # epochs, added up over the settings tried
    steps: int  # likewise


def find_hardware(wish: str) -> Hardware:
    """Return what this machine has for a job that wants `auto`, `cpu` or `gpu`."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = torch.cuda.device_count() if wish != "cpu" and torch.cuda.is_available() else 0
    return Hardware(gpus, cores, torch.cuda.get_device_name(0) if gpus else "CPU")


def estimate_minutes(
    base_model: str, folder: Path | None, work: Work, projection: bool, hardware: Hardware
) -> float | None:
    """Return about how many minutes a fine-tune takes; None when nothing is known of the model.

    Args:
        base_model: Its name.
        folder: Where it lies, if it lies here.
        work: How much is to be done.
        projection: Only projections train, so the towers run once.
        hardware: What it runs on.
    """
    known = KNOWN.get(base_model) or (operations(folder) if folder else None)
    if known is None:
        return None
    picture, title = known
    once = work.pictures * picture + work.titles * title
    if projection:
        return (START_SECONDS + once / hardware.rate + work.steps * STEP_SECONDS) / 60
    training = work.passes * work.train * (picture + work.columns * title) * TRAINING_FACTOR
    judging = work.passes * work.judged * (picture + title) + 2 * once
    return (START_SECONDS + (training + judging) / hardware.rate) / 60


def operations(folder: Path) -> tuple[float, float] | None:
    """Return the operations for a picture and a title by a CLIP-like model's configuration; None without one."""
    for place in (folder, folder / "0_CLIPModel", folder / "0_Transformer"):
        try:
            config: Mapping[str, Any] = json.loads((place / "config.json").read_text(encoding="utf-8"))
            vision, text = config["vision_config"], config["text_config"]
            tokens = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
            return _tower(vision, tokens), _tower(text, TEXT_TOKENS)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _tower(config: Mapping[str, Any], tokens: int) -> float:
    hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    wide = int(config.get("intermediate_size") or 4 * hidden)
    return 2.0 * layers * (4 * hidden * hidden + 2 * hidden * wide) * tokens
