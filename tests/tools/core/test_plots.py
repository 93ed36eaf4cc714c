import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tools.core.errors import InputError
from tools.core.plots import _smoothed, draw_curves, draw_scores, drawable


def step(number: int, loss: float = 1.0) -> dict:
    return {"event": "step", "step": number, "steps": 100, "epoch": number / 10, "loss": loss}


def evaluation(when: str, epoch: int, split: str, recall: float) -> dict:
    return {"event": "evaluation", "when": when, "epoch": epoch, "split": split, "scores": {"recall_at_1": recall}}


def rendered(figure) -> np.ndarray:
    """Return the pixels of a figure; anything that matplotlib would warn of is an error."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(stream)
    return np.asarray(Image.open(stream).convert("RGB"))


def points(axes) -> list[list[tuple[float, float]]]:
    return [[(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)] for line in axes.get_lines()]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [step(1)],
        [step(1), step(2)],
        [{"event": "step"}, {"event": "evaluation"}, {"event": "try"}, {"event": "unheard of"}],
        [step(1, float("nan")), step(2, float("inf")), step(3, -1.0)],
        [evaluation("before", 0, "validation", 0.5)],
        [evaluation("before", 0, "leave-one-out", 0.5), evaluation("after", 2, "of my own", 0.7)],
        [{"event": "try", "number": 1, "of": 3, "scores": {}, "best": True}],
    ],
    ids=lambda events: f"{len(events)} events",
)
def test_curves_can_be_drawn_of_whatever_there_is_so_far(events: list[dict]):
    pixels = rendered(draw_curves(events, "Title with $dollars$ and 猫"[:22]))
    assert pixels.shape[1] > 2 * pixels.shape[0] and pixels.std() > 0


def test_curves_show_every_loss_and_score():
    events = [evaluation("before", 0, "validation", 0.5), step(1, 3.0), step(2, 2.0)]
    events += [evaluation("epoch 1", 1, "validation", 0.75), evaluation("before", 0, "train", 0.25)]
    left, right = draw_curves(events).axes
    assert points(left) == [[(1, 3.0), (2, 2.0)]]
    assert points(right) == [[(0, 0.25)], [(0, 0.5), (1, 0.75)]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["train", "validation"]


def test_a_grid_shows_each_setting_and_marks_the_best():
    events = []
    for number, recall, best in ((1, 0.5, True), (2, 0.8, True), (3, 0.6, False)):
        events += [step(2 * number - 1), step(2 * number)]
        scores = {"recall_at_1": recall}
        events.append({"event": "try", "number": number, "of": 20, "scores": scores, "best": best})
    left, right = draw_curves(events).axes
    assert [len(line) for line in points(left)] == [2, 2, 2], "the line does not go on from one setting to the next"
    assert points(right) == [[(1, 0.5), (2, 0.8), (3, 0.6)], [(2, 0.8)]]
    assert right.get_legend().get_texts()[0].get_text() == "best: 2"


def test_smoothing_is_a_mean_of_neighbours():
    values = np.random.default_rng(0).normal(size=100)
    expected = [values[max(0, index - 2) : index + 3].mean() for index in range(100)]
    np.testing.assert_allclose(_smoothed(values), expected)
    np.testing.assert_allclose(_smoothed(np.full(90, 3.0)), 3.0)


NAMES = [
    "A very long title that goes on and on for ever",
    "Emoji 🔴🎉!",
    "日本語",
    "العنوان",
    "हिन्दी",
    "$x^2$ for $5",
    "",
]


def test_a_heatmap_has_a_number_for_every_row_and_column_and_no_warning_for_any_script():
    matrix = np.arange(49.0).reshape(7, 7)
    figure = draw_scores(matrix, NAMES, NAMES)
    rendered(figure)
    axes = figure.axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        told = [label.get_text() for label in labels]
        assert [label.split()[0] for label in told] == list("1234567")
        assert told[1] == "2  Emoji !" and told[2] == "3" and told[5] == "6  $x^2$ for $5"
    np.testing.assert_array_equal(axes.get_images()[0].get_array(), matrix)
    assert [text.get_text() for text in axes.texts][:3] == ["0.00", "1.00", "2.00"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (39, 2), (300, 260)])
def test_heatmaps_of_any_size_stay_a_picture(shape: tuple[int, int]):
    figure = draw_scores(np.random.default_rng(0).normal(size=shape), ["row"] * shape[0], ["column"] * shape[1])
    height, width, _ = rendered(figure).shape
    assert 200 <= height <= 2000 and 300 <= width <= 2500
    assert max(figure.axes[0].get_images()[0].get_array().shape) <= 200
    assert len(figure.axes[0].get_yticklabels()) <= 40


def test_equal_scores_can_be_drawn():
    rendered(draw_scores(np.full((2, 2), 0.5), ["a", "b"], ["c", "d"]))


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b", "c"]])
def test_names_that_do_not_fit_the_matrix_are_refused(rows: list[str]):
    with pytest.raises(InputError, match="one name for each row and column"):
        draw_scores(np.zeros((2, 1)), rows, ["c"])
    with pytest.raises(InputError, match="at least one"):
        draw_scores(np.zeros((0, 1)), [], ["c"])


def test_a_name_is_short_and_has_only_what_the_font_can_draw():
    assert drawable("x" * 100) == "x" * 29 + "…"
    assert drawable("Über\nmich") == "Über mich"
    assert drawable("猫 cat") == ""
    assert drawable("🔥") == ""


def test_several_threads_may_draw_at_once():
    def draw(number: int) -> np.ndarray:
        return rendered(draw_curves([step(1, 1.0 + number), step(2, 2.0)]))

    expected = [draw(number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(draw, [0, 1, 2, 3] * 2), expected * 2, strict=True):
            np.testing.assert_array_equal(one, other)
