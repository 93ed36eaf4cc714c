"""Teaches an image-text model which title belongs to which thumbnail.

    python -m tools.recipes.title_thumbnail --config FILE

Learned: (anchor picture, positive title, negative titles…) by MultipleNegativesRankingLoss (Henderson et al. 2017, as
in sentence-transformers): of all titles of a batch, positives and negatives, each picture's own should be the nearest.
Data: a saved dataset of pairs with the splits train, validation and test.

What differs from the published notebook (CLIP, projections only, 2 epochs, batch 16, learning rate 1e-4):
1. When only projections train, the frozen towers run once and their output is kept: see `tools.core.training.features`.
2. Scores carry bootstrap intervals, the number of candidates, and a verdict on whether the change is more than noise.
3. Several epochs, batch sizes or learning rates are tried on the validation split; the test split is scored once, at
   the end, with the chosen one.
4. The best epoch by validation Recall@1 (loss between equals) is kept, not the last.

A good result: Recall@1 on the test split rises and the verdict is "better". Sets too small to split are scored by
leave-one-out instead. Not covered: training the text and picture towers at different rates.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tools.core import metrics
from tools.core.arrow import splits_of
from tools.core.encoders import load_base
from tools.core.errors import DataError
from tools.core.jobs import worker
from tools.core.jobs.folder import read_json
from tools.core.library import Library
from tools.core.pairs.dataset import PairColumns
from tools.core.pairs.rows import PairData, read_pairs
from tools.core.settings import Settings
from tools.core.training import fit, parallel
from tools.core.training.features import cut
from tools.core.training.model_card import ModelFacts, Table, save_model
from tools.core.training.pair_task import PairTask, ProjectionTask
from tools.core.training.trainable import ParameterCount, Trainable, choose_trainable, merge_adapters

LEAVE_ONE_OUT_LIMIT = 100  # pairs


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run is told; written as JSON by `launch_finetune`."""

    data: Path  # folder of the saved dataset
    columns: PairColumns  # anchor, positive, negatives
    base_model: str
    epochs: tuple[int, ...] = (2,)
    batch_size: tuple[int, ...] = (16,)
    learning_rate: tuple[float, ...] = (1e-4,)
    trainable: Trainable = "projection"
    seed: int = 42
    content_hash: str | None = None  # of the dataset when it was launched; None is not checked
    features: Path | None = None  # where the towers' output is kept; None keeps nothing
    about: dict[str, Any] = dataclasses.field(default_factory=dict)  # for the model's card: names, licence notes

    @classmethod
    def of(cls, given: dict[str, Any]) -> Config:
        """Read the fields of this recipe from a job's configuration."""
        known = {field.name: given[field.name] for field in dataclasses.fields(cls) if field.name in given}
        columns = known["columns"]
        known["columns"] = PairColumns(columns["picture"], columns["title"], tuple(columns.get("negatives", ())))
        known["data"] = Path(known["data"])
        known["features"] = Path(known["features"]) if known.get("features") else None
        for name in ("epochs", "batch_size", "learning_rate"):
            if name in known:
                known[name] = tuple(known[name]) if isinstance(known[name], list) else (known[name],)
        return cls(**known)


def train(run: worker.Run) -> worker.Outcome:
    """Carry out a run; see the module."""
    config = Config.of(run.config)
    # 1. data
    _check_unchanged(config)
    judged = dataclasses.replace(config.columns, negatives=())  # scores look at all titles, mined ones or not
    data = {
        split: read_pairs(config.data, split, config.columns if split == "train" else judged)
        for split in splits_of(config.data)
    }
    data = {split: pairs for split, pairs in data.items() if len(pairs)}
    _check(data, config)
    # 2. model
    device = parallel.start()
    task, count = _prepare(config, data, device, run)
    run.tell("note", text=f"training {count} of {config.base_model} on {device}")
    # 3. scores before
    before = {split: task.ranks(split) for split in data}
    alone = set(data) == {"train"}
    for split, ranks in before.items():
        scored = "leave-one-out" if alone else split
        run.tell("evaluation", when="before", epoch=0, split=scored, items=len(data[split]), scores=_scores(ranks))
    # 4. training, on the train split, judged on validation
    grid = fit.grid_of(config.epochs, config.batch_size, config.learning_rate, seed=config.seed)
    held_out = _leave_one_out(task, grid[0], run) if alone else None
    winner, tried = fit.search(task, grid, run)
    # 5. scores after
    after = {split: task.ranks(split) for split in data}
    if held_out is not None:
        before, after = {"leave-one-out": before["train"]}, {"leave-one-out": held_out}
    for split, ranks in after.items():
        run.tell(
            "evaluation",
            when="after",
            epoch=winner.epoch,
            split=split,
            items=len(ranks.to_title),
            scores=_scores(ranks),
        )
    # 6. the model and its card
    merge_adapters(task.model)
    report = Report(config, winner, tried, count, before, after)
    if run.rank == 0:
        save_model(task.model, report.facts(), run)
    return worker.Outcome(run.folder.result, report.numbers(), report.parameters(), report.summary())


@dataclasses.dataclass(frozen=True)
class Report:
    """What came out of a run, for the card, the library and a line of text."""

    config: Config
    winner: fit.Tried
    tried: list[fit.Tried]
    count: ParameterCount
    before: dict[str, metrics.Ranks]  # split → ranks
    after: dict[str, metrics.Ranks]

    @property
    def judged(self) -> str:
        """The split that says how good the model is: the one that nothing was chosen on."""
        return next(split for split in ("test", "leave-one-out", "validation", "train") if split in self.after)

    def change(self, split: str) -> metrics.Change:
        """Return how Recall@1 of pictures among titles changed."""
        return metrics.compare_recall_at_1(self.before[split], self.after[split])

    def summary(self) -> str:
        """Say it in a line."""
        change, ranks = self.change(self.judged), self.after[self.judged]
        return (
            f"Recall@1 on {self.judged} ({len(ranks.to_title)} pictures, {ranks.titles} titles): "
            f"{change.before:.3f} before, {change.after:.3f} after: {change.verdict}"
        )

    def numbers(self) -> dict[str, float]:
        """Return the scores for the library's card, by split."""
        told: dict[str, float] = {}
        for split in self.after:
            change, scores = self.change(split), _scores(self.after[split])
            told |= {f"{split}_{name}": scores[name] for name in ("recall_at_1", "recall_at_5", "mrr")}
            told |= {f"{split}_recall_at_1_before": change.before}
        return {name: round(value, 4) for name, value in told.items()}

    def parameters(self) -> dict[str, Any]:
        """Return the settings for the library's card."""
        chosen = self.winner.settings
        return {
            "recipe": "title_thumbnail",
            "base_model": self.config.base_model,
            "trainable": self.config.trainable,
            "epochs": chosen.epochs,
            "best_epoch": self.winner.epoch,
            "batch_size": chosen.batch_size,
            "learning_rate": chosen.learning_rate,
            "tried": len(self.tried),
            "verdict": self.change(self.judged).verdict,
        }

    def facts(self) -> ModelFacts:
        """Return what the model's card says."""
        about, chosen = self.config.about, self.winner.settings
        settings = {
            "loss": "MultipleNegativesRankingLoss, scale 20",
            "trained": f"{self.config.trainable}: {self.count}",
            "epochs": f"{chosen.epochs}, the best by validation Recall@1 was {self.winner.epoch}",
            "batch size": str(chosen.batch_size),
            "learning rate": f"{chosen.learning_rate:g}, linear to 0, AdamW, gradients clipped to 1",
            "seed": str(chosen.seed),
            "settings tried on validation": str(len(self.tried)),
        }
        return ModelFacts(
            name=about.get("model", "clip-titles"),
            purpose="Which title belongs to which thumbnail: pictures and titles as vectors of one space.",
            base_model=self.config.base_model,
            data=about.get("data", []),
            settings=settings,
            summary=self.summary(),
            tables=[self._scores_table(), *self._tries_table()],
            licence=about.get("licence", []),
        )

    def _scores_table(self) -> Table:
        rows = []
        for split in self.after:
            before, after = self.before[split], self.after[split]
            for name, among, was, now in (
                ("title for a picture", before.titles, before.to_title, after.to_title),
                ("picture for a title", before.pictures, before.to_picture, after.to_picture),
            ):
                for score, old, new in (
                    *((f"Recall@{k}", was <= k, now <= k) for k in metrics.RECALL_AT),
                    ("MRR", 1 / was, 1 / now),
                ):
                    change = metrics.compare(old, new)
                    intervals = str(metrics.bootstrap(old)), str(metrics.bootstrap(new))
                    verdict = f"{change.difference}, {change.verdict}"
                    rows.append((split, name, str(among), score, *intervals, verdict))
        headers = ("split", "looks for", "among", "score", "before", "after", "difference")
        return Table("Scores with 95 % bootstrap intervals over the items", headers, rows)

    def _tries_table(self) -> list[Table]:
        if len(self.tried) < 2:
            return []
        rows = [
            (
                str(one.settings.epochs),
                str(one.settings.batch_size),
                f"{one.settings.learning_rate:g}",
                f"{one.validation.score:.3f}" if one.validation else "",
                f"{one.validation.loss:.4f}" if one.validation else "",
            )
            for one in self.tried
        ]
        headers = ("epochs", "batch size", "learning rate", "validation Recall@1", "validation loss")
        return [Table("Settings tried, judged on validation only", headers, rows)]


def _check_unchanged(config: Config) -> None:
    """Refuse to go on with other rows than the run was launched for: a channel may have been collected again."""
    now = (read_json(config.data.parent / "card.json") or {}).get("content_hash")
    if config.content_hash and now != config.content_hash:
        raise DataError(
            f"The dataset in {config.data.parent} has changed since this was launched (then {config.content_hash}, now "
            f"{now}); launch it again to train on what it holds now"
        )


def _check(data: dict[str, PairData], config: Config) -> None:
    count = len(data.get("train", ()))
    if count < 3:
        raise DataError(f"There are {count} pairs to train on in {config.data}; at least 3 are needed: collect more")
    if len(set(data["train"].titles)) < 2:
        raise DataError(
            f"All {count} titles to train on are the same, so there is nothing to tell apart; check the data"
        )
    if set(data) == {"train"}:
        several = max(len(config.epochs), len(config.batch_size), len(config.learning_rate)) > 1
        if several or config.trainable != "projection" or count > LEAVE_ONE_OUT_LIMIT:
            raise DataError(
                f"The dataset has no validation split ({count} pairs, all in train): leave-one-out works with up to "
                f"{LEAVE_ONE_OUT_LIMIT} pairs, trainable projection, and single values instead of lists; or load a "
                "larger dataset, which is split"
            )


def _prepare(
    config: Config, data: dict[str, PairData], device: str, run: worker.Run
) -> tuple[PairTask, ParameterCount]:
    settings = Settings.from_env()
    home = Path(run.config["library"]) if run.config.get("library") else settings.home
    run.tell("phase", what=f"loading {config.base_model}", done=0, total=None)
    model = load_base(config.base_model, settings, Library(home))
    count = choose_trainable(model, config.trainable, config.seed)
    model.to(device)
    if config.trainable == "projection":
        return ProjectionTask(cut(model), data, device, config.features, run), count
    return PairTask(model, data, device), count


def _leave_one_out(task: PairTask, settings: fit.Settings, run: worker.Run) -> metrics.Ranks:
    """Train once without every pair, and rank that pair among all of them."""
    ranks = []
    for left_out in range(task.size):
        run.tell("phase", what="leave-one-out", done=left_out, total=task.size)
        with fit.trained_without(task, left_out, settings, run):
            ranks.append(task.ranks("train"))
    to_title = np.array([one.to_title[index] for index, one in enumerate(ranks)])
    to_picture = np.array([one.to_picture[index] for index, one in enumerate(ranks)])
    return metrics.Ranks(to_title, to_picture, ranks[0].titles, ranks[0].pictures)


def _scores(ranks: metrics.Ranks) -> dict[str, float]:
    return metrics.score_ranks(ranks).flat()


if __name__ == "__main__":
    raise SystemExit(worker.main(train))
