"""Pictures of numbers: how a training went, and which title fits which thumbnail.

Only `Figure` objects are made, without pyplot's state, so that several threads may draw at once. Without matplotlib, as
on a bare GPU machine, drawing raises MissingPackageError.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.core.errors import InputError, MissingPackageError
from tools.core.jobs.info import Event, recall_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "#3b3f46", "#d9dce1"
COLOURS = {"train": "#8a93a3", "validation": "#5b5bd6", "test": "#d9622b", "leave-one-out": "#d9622b"}
SMOOTH_FROM = 60  # steps from which a smoothed line is drawn over the single losses
SHOWN = 200  # rows and columns of a heatmap; the rest is left out, and the picture says so
LABELLED, NUMBERED = 40, 14  # rows or columns up to which each has its name, and each cell its number
NAME_LENGTH = 30  # characters of a name


def draw_curves(metrics: Sequence[Event], title: str = "") -> Figure:
    """Draw how a training went: the loss by step, and Recall@1 by epoch, or by setting where several are tried.

    Args:
        metrics: Events of metrics.jsonl; any number of them, also none.
        title: Written above.
    """
    figure = _figure(9.0, 3.3)
    left, right = figure.subplots(1, 2)
    _draw_loss(left, metrics)
    tries = [event for event in metrics if event["event"] == "try" and "number" in event]
    if any(event.get("of", 1) > 1 for event in tries):
        _draw_tries(right, tries)
    else:
        _draw_recall(right, [event for event in metrics if event["event"] == "evaluation"])
    if title:
        figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _draw_loss(axes: Axes, metrics: Sequence[Event]) -> None:
    runs: list[list[tuple[float, float]]] = [[]]  # one for each setting that is tried
    for event in metrics:
        if event["event"] == "step" and "step" in event and isinstance(event.get("loss"), int | float):
            runs[-1].append((event["step"], event["loss"]))
        elif event["event"] == "try":
            runs.append([])
    runs = [points for points in runs if points]
    _frame(axes, "loss", "step", empty=not runs, waiting="no steps yet")
    for points in runs:
        steps, losses = np.array(points, dtype=float).T
        smooth = len(losses) >= SMOOTH_FROM
        axes.plot(
            steps,
            losses,
            color=COLOURS["validation"],
            linewidth=1.6 if len(runs) == 1 and not smooth else 0.9,
            alpha=0.3 if smooth else 1,
            marker="o" if len(losses) == 1 else None,
            markersize=4,
        )
        if smooth:
            axes.plot(steps, _smoothed(losses), color=COLOURS["validation"], linewidth=1.8)
    highest = max((loss for points in runs for _, loss in points if math.isfinite(loss)), default=0)
    if highest > 0 and all(not loss < 0 for points in runs for _, loss in points):
        axes.set_ylim(0, 1.06 * highest)
    if runs:
        _whole_numbers(axes)


def _draw_recall(axes: Axes, evaluations: Sequence[Event]) -> None:
    curves: dict[str, dict[float, float]] = {}
    for event in evaluations:
        value = recall_of(event.get("scores", {}))
        if value is not None:
            curves.setdefault(str(event.get("split") or "all"), {})[float(event.get("epoch") or 0)] = value
    _frame(axes, "Recall@1", "epoch", empty=not curves, waiting="no evaluation yet")
    for split in sorted(curves, key=lambda split: [*COLOURS, split].index(split)):
        epochs = sorted(curves[split])
        axes.plot(
            epochs,
            [curves[split][epoch] for epoch in epochs],
            color=COLOURS.get(split, INK),
            linewidth=1.6,
            marker="o",
            markersize=4,
            clip_on=False,
            label=split,
        )
    if curves:
        axes.set_ylim(0, _top(value for scores in curves.values() for value in scores.values()))
        axes.legend(fontsize=8, frameon=False, labelcolor=INK, loc="best")
        _whole_numbers(axes)


def _draw_tries(axes: Axes, tries: Sequence[Event]) -> None:
    points = [(event["number"], value) for event in tries if (value := recall_of(event.get("scores", {}))) is not None]
    _frame(axes, "Recall@1 on validation", "setting tried", empty=not points, waiting="no setting was tried yet")
    if points:
        numbers, values = zip(*points, strict=True)
        axes.plot(numbers, values, "o", color=COLOURS["train"], markersize=4)
        best = next((event["number"] for event in reversed(tries) if event.get("best")), None)
        for number, value in points:
            if number == best:
                axes.plot([number], [value], "o", color=COLOURS["validation"], markersize=7, label=f"best: {number}")
        axes.set_xlim(0.5, max(max(numbers), int(tries[-1].get("of", 1))) + 0.5)
        axes.set_ylim(0, _top(values))
        if best in numbers:
            axes.legend(fontsize=8, frameon=False, labelcolor=INK)
        _whole_numbers(axes)


def draw_scores(matrix: np.ndarray, row_names: Sequence[str], column_names: Sequence[str]) -> Figure:
    """Draw a matrix of scores as a heatmap whose rows and columns are numbered from 1 and named where a font can do it.

    Raises:
        InputError: There is nothing to draw, or a name too many or too few.
    """
    if matrix.ndim != 2 or matrix.shape != (len(row_names), len(column_names)) or not matrix.size:
        raise InputError(
            f"A matrix of shape {matrix.shape} cannot be drawn with {len(row_names)} row names and {len(column_names)} "
            "column names; expected one name for each row and column, and at least one of each"
        )
    shown = np.asarray(matrix[:SHOWN, :SHOWN], dtype=np.float64)
    rows, columns = shown.shape
    named_rows, named_columns = _labels(row_names[:rows]), _labels(column_names[:columns])
    width = min(0.42 * columns, 9) + 0.075 * max(map(len, named_rows)) + 1.3
    height = min(0.34 * rows, 9) + 0.055 * max(map(len, named_columns)) + 0.6
    figure = _figure(max(width, 3.5), max(height, 2.0))
    axes = figure.subplots()
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    image = axes.imshow(shown, cmap="Purples", aspect="auto", vmin=low, vmax=high if high > low else low + 1)
    axes.set_xticks(_ticks(columns), _pick(named_columns), rotation=35, ha="left", fontsize=8, parse_math=False)
    axes.set_yticks(_ticks(rows), _pick(named_rows), fontsize=8, parse_math=False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False, colors=INK)
    axes.spines[:].set_visible(False)
    if rows <= NUMBERED and columns <= NUMBERED:
        for row, column in np.ndindex(rows, columns):
            dark = high > low and (shown[row, column] - low) / (high - low) > 0.6
            text = f"{shown[row, column]:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else INK)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=0, colors=INK)
    if matrix.shape != shown.shape:
        about = f"the first {rows} × {columns} of {matrix.shape[0]} × {matrix.shape[1]}"
        axes.set_xlabel(about, fontsize=8, color=INK)
    return figure


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("Drawing needs matplotlib; install it: pip install matplotlib") from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


def _frame(axes: Axes, title: str, below: str, empty: bool, waiting: str) -> None:
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel(below, fontsize=8, color=INK)
    axes.tick_params(labelsize=8, length=0, colors=INK)
    axes.grid(True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_color(FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    if empty:
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, waiting, ha="center", va="center", fontsize=9, color="#9aa1ad", transform=axes.transAxes)


def _top(shares: Iterable[float]) -> float:
    """Return where an axis of shares ends: at 1, or before it when all are small."""
    return min(1.03, max(0.1, 1.25 * max(shares)))


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Return running means over about a twentieth of the values; near the ends over those there are."""
    half = max(2, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    means: np.ndarray = (sums[last] - sums[first]) / (last - first)
    return means


def _ticks(count: int) -> list[int]:
    """Return the rows or columns that are labelled."""
    return list(range(0, count, math.ceil(count / LABELLED)))


def _pick(labels: list[str]) -> list[str]:
    return [labels[index] for index in _ticks(len(labels))]


def _labels(names: Sequence[str]) -> list[str]:
    """Return numbers, each with its name if it can be drawn; only numbers when there are too many."""
    if len(names) > LABELLED:
        return [str(number) for number in range(1, len(names) + 1)]
    return [f"{number}  {drawable(name)}".strip() for number, name in enumerate(names, 1)]


def drawable(name: str) -> str:
    """Shorten a name, and leave out signs such as emoji; nothing remains of one whose letters no font here has."""
    known = _known_characters()
    if any(ord(sign) not in known for sign in name if unicodedata.category(sign)[0] in "LMN"):
        return ""
    text = " ".join("".join(sign if ord(sign) in known else " " for sign in name).split())
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1].rstrip()}…"


@functools.cache
def _known_characters() -> frozenset[int]:
    """Return the characters that the default font can draw."""
    from matplotlib import font_manager

    font: Any = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())
