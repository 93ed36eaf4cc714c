"""The pictures that starter-clip learns from: read from parquet, kept in memory, varied while training."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tools.core.errors import DataError
from tools.core.starter import LARGE_VIEW, SMALL_VIEW

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, by channel


class Augmentation(Protocol):
    """How much pictures are varied."""

    @property
    def zoom(self) -> tuple[float, float]:
        """Side of the crop over the side of the picture, from and to."""

    @property
    def light(self) -> float:
        """Largest relative change of brightness and contrast."""

    @property
    def grey(self) -> float:
        """Share of pictures shown without colour."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A labelled set of pictures of one size, in memory."""

    pixels: torch.Tensor  # (pictures, 3, side, side) uint8
    labels: torch.Tensor  # (pictures,) int64
    classes: list[list[str]]  # synonyms of each label


def read_rows(files: list[Path], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of parquet files.

    Raises:
        DataError: A file is missing, is not parquet, or lacks a column.
    """
    import pyarrow.parquet as pq

    for file in files:
        try:
            table = pq.ParquetFile(file)
        except (OSError, ValueError) as error:
            raise DataError(f"Cannot read {file} as parquet: {error}") from error
        missing = set(columns) - set(table.schema_arrow.names)
        if missing:
            raise DataError(f"{file} lacks the column(s) {', '.join(sorted(missing))}; expected {', '.join(columns)}")
        for batch in table.iter_batches(2000, columns=columns):
            yield from batch.to_pylist()


def read_pictures(files: list[Path]) -> Pictures:
    """Decode all pictures of parquet files with the columns image, label and synonyms."""
    pixels: list[np.ndarray] = []
    labels: list[int] = []
    classes: dict[int, list[str]] = {}
    for row in read_rows(files, ["image", "label", "synonyms"]):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            pixels.append(np.asarray(picture.convert("RGB")))
        labels.append(row["label"])
        classes.setdefault(row["label"], row["synonyms"])
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, torch.tensor(labels), [classes[label] for label in sorted(classes)])


def augment(pixels: torch.Tensor, side: int, how: Augmentation, random: torch.Generator) -> torch.Tensor:
    """Vary crop, zoom, aspect, flip and light: uint8 (batch, 3, h, w) → normalised float (batch, 3, side, side)."""
    count = len(pixels)

    def draw(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=random)

    zoom, aspect = draw(*how.zoom), draw(0.85, 1.18).sqrt()
    width, height = zoom * aspect, zoom / aspect
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = width * draw(0, 2).floor().mul(2).sub(1)  # half of them mirrored
    theta[:, 1, 1] = height
    theta[:, 0, 2] = draw(-1, 1) * (1 - width).clamp(min=0.05)
    theta[:, 1, 2] = draw(-1, 1) * (1 - height).clamp(min=0.05)
    theta = theta.to(pixels.device)
    grid = F.affine_grid(theta, [count, 3, side, side], align_corners=False)
    varied = F.grid_sample(pixels.float() / 255, grid, padding_mode="reflection", align_corners=False)
    bright, contrast = (draw(1 - how.light, 1 + how.light, 1, 1, 1).to(pixels.device) for _ in range(2))
    centre = varied.mean((1, 2, 3), keepdim=True)
    varied = ((varied - centre) * contrast + centre) * bright
    grey = (draw(0, 1, 1, 1, 1) < how.grey).to(pixels.device)
    varied = torch.where(grey, varied.mean(1, keepdim=True), varied)
    return normalise(varied.clamp(0, 1))


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Shift and scale pixels in 0…1 as the image processor does: (batch, 3, h, w), channels last in memory."""
    mean, std = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def as_seen(pixels: torch.Tensor) -> torch.Tensor:
    """Prepare uint8 pictures (batch, 3, h, w) as the small view of the model in use: (batch, 3, side, side)."""
    large = F.interpolate(normalise(pixels.float() / 255), LARGE_VIEW, mode="bicubic")
    small = F.interpolate(large, SMALL_VIEW, mode="bicubic", antialias=True)
    return small.contiguous(memory_format=torch.channels_last)
