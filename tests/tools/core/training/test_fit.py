"""The training loop on a line to be fitted: small enough to know what should come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tools.core.errors import DataError, StoppedError
from tools.core.jobs.folder import JobPaths, read_events
from tools.core.jobs.worker import Run
from tools.core.training import fit
from tools.core.training.fit import Settings, Validation, batches, grid_of, search, trained_without


class Line:
    """Fits y = 2 x by one weight."""

    def __init__(self, validated: bool = True, broken: bool = False) -> None:
        self.size = 20
        self.x = torch.linspace(-1, 1, 20)
        self.weight = torch.zeros(1, requires_grad=True)
        self.validated, self.broken = validated, broken
        self.seen: list[list[int]] = []

    def weights(self) -> dict[str, torch.Tensor]:
        return {"weight": self.weight}

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        self.seen.append(list(rows))
        x = self.x[list(rows)]
        return ((self.weight * x - 2 * x) ** 2).mean() / (0 if self.broken else 1)

    def validate(self) -> Validation | None:
        loss = float((self.weight.detach() - 2).abs())
        return Validation(float(loss < 0.5), loss, {"recall_at_1": float(loss < 0.5)}) if self.validated else None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(JobPaths(tmp_path), {})


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own():
    settings = Settings(epochs=3, batch_size=6, learning_rate=1)
    made = list(batches(20, settings))
    assert [len(batch) for batch in made] == [6, 6, 6, 2] * 3
    epochs = [sum(made[i : i + 4], []) for i in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert made == list(batches(20, settings))
    assert made != list(batches(20, Settings(3, 6, 1, seed=43)))


def test_it_learns_and_keeps_the_best_setting(run: Run):
    task = Line()
    winner, tried = search(task, grid_of([5], [10], [1e-4, 0.5, 1e-3]), run)
    assert winner.settings.learning_rate == 0.5 and len(tried) == 3
    assert task.weight.item() == pytest.approx(2, abs=0.5)
    assert [event["best"] for event in read_events(run.folder.metrics) if event["event"] == "try"] == [
        True,
        True,
        False,
    ]


def test_equal_scores_are_decided_by_the_loss():
    assert Validation(0.5, 1.0, {}).beats(Validation(0.5, 1.1, {}))
    assert not Validation(0.5, 1.1, {}).beats(Validation(0.5, 1.0, {}))
    assert Validation(0.6, 9.0, {}).beats(Validation(0.5, 0.1, {}))
    assert Validation(0.0, 9.0, {}).beats(None)


def test_steps_count_through_the_whole_grid(run: Run):
    search(Line(), grid_of([1, 2], [10], [0.1]), run)
    steps = [event for event in read_events(run.folder.metrics) if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5, 6]
    assert {event["steps"] for event in steps} == {6}


def test_without_validation_the_last_epoch_is_kept(run: Run):
    task = Line(validated=False)
    winner, _ = search(task, grid_of([4], [10], [0.5]), run)
    assert winner.validation is None and winner.epoch == 4
    assert task.weight.item() != 0


def test_it_stops_early_and_goes_back_to_the_best_epoch(run: Run):
    task = Line()
    winner, _ = search(task, [Settings(50, 10, 0.9, patience=2)], run)
    notes = [event["text"] for event in read_events(run.folder.metrics) if event["event"] == "note"]
    assert notes == [f"stopped early after epoch {winner.epoch + 2}: epoch {winner.epoch} stayed the best"]


def test_a_loss_that_is_no_number_names_the_learning_rate(run: Run):
    with pytest.raises(DataError, match="0.3 is too high"):
        search(Line(broken=True), grid_of([1], [10], [0.3]), run)


def test_an_interrupted_search_goes_on_where_it_was(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fit, "CHECKPOINT_SECONDS", 0.0)
    grid = grid_of([3], [5], [0.1, 0.4, 0.2])
    (tmp_path / "whole").mkdir()
    whole = Line()
    expected = search(whole, grid, Run(JobPaths(tmp_path / "whole"), {}))

    class Stopping(Run):
        left = 0

        def check_stop(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise StoppedError("now")

    task = Line()
    stopping = Stopping(run.folder, {})
    for steps in (1, 12, 0, 7, 30):
        stopping.left = steps
        stopping.rewind()
        try:
            found: Any = search(task, grid, stopping)
        except StoppedError:
            task = Line()
    assert found == expected
    assert task.weight.item() == whole.weight.item()


def test_a_row_left_out_is_not_seen_and_the_weights_come_back(run: Run):
    task = Line()
    with trained_without(task, 7, Settings(3, 5, 0.5), run):
        assert task.weight.item() > 0.5
    assert task.weight.item() == 0
    assert {row for batch in task.seen for row in batch} == set(range(20)) - {7}
