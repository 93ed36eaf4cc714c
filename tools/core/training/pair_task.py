"""Titles and thumbnails as a task for `fit`: embeddings, loss and ranks, with or without frozen towers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.core import metrics
from tools.core.encoders import plain_texts
from tools.core.jobs.worker import Run
from tools.core.pairs.rows import PairData
from tools.core.training import fit, parallel
from tools.core.training.features import Cut, decode, embed_with_gradient, tower_features
from tools.core.training.trainable import set_training_mode, trained

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

SCALE = 20.0  # of the cosine in the loss: sentence-transformers' default
EVALUATION_BATCH = 64
REMEMBERED = 2000  # training pairs up to which every epoch also tells how many of them are known by heart


class PairTask:
    """Titles and thumbnails to be trained on, with the weights that change."""

    def __init__(self, model: SentenceTransformer, data: dict[str, PairData], device: str) -> None:
        """Train `model` on the split `train` of `data`, judged by `validation` where there is one."""
        self.model, self.data, self.device = model, data, device
        self.size = len(data["train"])
        self._weights = trained(model)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are trained."""
        return dict(self._weights)

    def columns(self, rows: Sequence[int]) -> list[torch.Tensor]:
        """Return embeddings (rows, dimension) of the training rows' pictures, titles, and each column of negatives."""
        train = self.data["train"]
        set_training_mode(self.model)
        texts = [[column[row] for row in rows] for column in (train.titles, *train.negatives)]
        with self._autocast():
            pictures = self._embed(list(decode([train.pictures[row] for row in rows])))
            return [pictures, *(self._embed(plain_texts(column)) for column in texts)]

    def embeddings(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings (items, dimension) of a split's pictures and titles."""
        import torch

        data = self.data[split]
        self.model.eval()
        with torch.no_grad(), self._autocast():
            pictures = [self._embed(list(decode(batch))) for batch in _batches(data.pictures)]
            titles = [self._embed(plain_texts(batch)) for batch in _batches(data.titles)]
        return torch.cat(pictures).float(), torch.cat(titles).float()

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the MultipleNegativesRankingLoss of a batch."""
        rows = parallel.mine(rows)
        pictures, *texts = self.columns(rows)
        candidates = [parallel.gather(column.float()) for column in texts]  # each (batch, dimension)
        return ranking_loss(pictures.float(), candidates, first=parallel.world()[0] * len(rows))

    def ranks(self, split: str) -> metrics.Ranks:
        """Rank the titles and pictures of a split."""
        pictures, titles = (rows.cpu().numpy() for rows in self.embeddings(split))
        data = self.data[split]
        return metrics.rank_pairs(pictures, titles, metrics.same(data.pictures), metrics.same(data.titles))

    def validate(self) -> fit.Validation | None:
        """Judge by Recall@1 of pictures among the titles of the validation split."""
        if "validation" not in self.data:
            return None
        ranks = self.ranks("validation")
        recall = float((ranks.to_title <= 1).mean())
        loss = self.split_loss("validation")
        scores = {
            "recall_at_1": recall,
            "title_to_picture_recall_at_1": float((ranks.to_picture <= 1).mean()),
            "mrr": float((1 / ranks.to_title).mean()),
            "loss": loss,
        }
        return fit.Validation(recall, loss, scores)

    def split_loss(self, split: str) -> float:
        """Return the loss with all titles of a split as candidates: it does not depend on the batch size."""
        import torch

        with torch.no_grad():
            pictures, titles = self.embeddings(split)
            return float(ranking_loss(pictures, [titles]))

    def _embed(self, inputs: Sequence[Any]) -> torch.Tensor:
        from torch.nn.functional import normalize

        return normalize(embed_with_gradient(self.model, inputs), dim=-1)

    def _autocast(self) -> Any:
        import torch

        return torch.autocast("cuda", torch.bfloat16, enabled=self.device.startswith("cuda"))


class ProjectionTask(PairTask):
    """The same when only projections train: the towers' output is computed before, and there is little left to do."""

    def __init__(self, part: Cut, data: dict[str, PairData], device: str, features: Path | None, run: Run) -> None:
        """Compute, or read, what the towers of `part` make of `data`."""
        super().__init__(part.model, data, device)
        self.part = part
        self.pictures: dict[str, torch.Tensor] = {}  # split → (items, width)
        self.texts: dict[str, list[torch.Tensor]] = {}  # split → titles and each column of negatives, (items, width)
        for split, pairs in data.items():
            told = _Teller(run, f"looking at the pictures of {split}")
            self.pictures[split] = tower_features(part, "image", pairs.pictures, features, told).to(device)
            told = _Teller(run, f"reading the titles of {split}")
            columns = (pairs.titles, *pairs.negatives)
            joined = tower_features(part, "text", [text for column in columns for text in column], features, told)
            self.texts[split] = list(joined.to(device).chunk(len(columns)))
        self.same = {s: (metrics.same(pairs.pictures), metrics.same(pairs.titles)) for s, pairs in data.items()}

    def columns(self, rows: Sequence[int]) -> list[torch.Tensor]:
        """See `PairTask.columns`."""
        import torch

        index = torch.tensor(rows, device=self.device)
        pictures = self.part.embed(self.pictures["train"][index], "image")
        texts = self.part.embed(torch.cat([column[index] for column in self.texts["train"]]), "text")
        return [pictures, *texts.chunk(len(self.texts["train"]))]

    def embeddings(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """See `PairTask.embeddings`."""
        import torch

        with torch.no_grad():
            return self.part.embed(self.pictures[split], "image"), self.part.embed(self.texts[split][0], "text")

    def validate(self) -> fit.Validation | None:
        """See `PairTask.validate`; with features at hand the training pairs cost next to nothing."""
        judged = super().validate()
        if judged is not None and self.size <= REMEMBERED:
            judged.scores["train_recall_at_1"] = float((self.ranks("train").to_title <= 1).mean())
        return judged

    def ranks(self, split: str) -> metrics.Ranks:
        """See `PairTask.ranks`; which items are the same is known already."""
        pictures, titles = (rows.cpu().numpy() for rows in self.embeddings(split))
        return metrics.rank_pairs(pictures, titles, *self.same[split])


def ranking_loss(pictures: torch.Tensor, columns: list[torch.Tensor], first: int = 0) -> torch.Tensor:
    """Return the cross-entropy of every picture's own title among all texts.

    Args:
        pictures: (batch, dimension), of length 1.
        columns: Titles, then each column of negatives: (candidates, dimension), of length 1.
        first: Which title belongs to the first picture.
    """
    import torch

    scores = SCALE * pictures @ torch.cat(columns).T  # (batch, columns * candidates)
    own = torch.arange(first, first + len(pictures), device=scores.device)
    return torch.nn.functional.cross_entropy(scores, own)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + EVALUATION_BATCH] for start in range(0, len(items), EVALUATION_BATCH))


class _Teller:
    """Tells a phase's progress, at most a hundred times."""

    def __init__(self, run: Run, what: str) -> None:
        self._run, self._what, self._last = run, what, -1

    def __call__(self, done: int, total: int) -> None:
        self._run.check_stop()
        if done == total or done * 100 // total > self._last:
            self._last = done * 100 // total
            self._run.tell("phase", what=self._what, done=done, total=total)
