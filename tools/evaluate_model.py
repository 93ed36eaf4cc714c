"""Score a model on a dataset."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tools.core.arrow import splits_of
from tools.core.errors import DataError, InputError
from tools.core.library import Kind
from tools.core.metrics import RECALL_AT, Direction, Retrieval, rank_pairs, same, score_ranks
from tools.core.pairs.dataset import PairColumns, open_pairs
from tools.core.pairs.embeddings import embed_pairs
from tools.core.pairs.rows import PairData, read_pairs
from tools.core.workspace import Workspace

Split = Literal["train", "validation", "test"]
FEW = 30  # items under which an interval is so wide that the score says little


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a model finds titles for thumbnails, and thumbnails for titles."""

    model: str
    dataset: str
    split: str
    scores: Retrieval
    trained_on_it: bool  # the model was fine-tuned on this very split
    seconds: float

    def __str__(self) -> str:
        """Say it in a few lines."""
        first, scores = self.scores.to_title.recall[1], self.scores
        lines = [
            f"{self.model} on {self.dataset} ({self.split}): Recall@1 {first} of a picture among "
            f"{scores.to_title.candidates} titles, {scores.items} pairs.",
            _line("title for a picture", scores.to_title),
            _line("picture for a title", scores.to_picture),
            f"Guessing would give Recall@1 {1 / scores.to_title.candidates:.3f}. Brackets: 95 % bootstrap intervals.",
        ]
        if self.trained_on_it:
            lines.append(
                "The model was trained on these pairs, so this says how well it remembers, not how good it is."
            )
        if scores.items < FEW:
            lines.append(f"{scores.items} pairs are few: look at the intervals.")
        return "\n".join(lines)


def _line(name: str, direction: Direction) -> str:
    recalls = ", ".join(f"@{k} {direction.recall[k]}" for k in RECALL_AT)
    return f"- {name}: Recall {recalls}; MRR {direction.mrr}"


def evaluate_model(workspace: Workspace, model: str, dataset: str, split: Split = "test") -> Evaluation:
    """Score a model on a split of a dataset: how often the right title, or the right picture, comes first.

    Args:
        workspace: Where the state is.
        model: starter-clip, a model of the library, a folder, or a hub id.
        dataset: Name of a dataset of titles and thumbnails.
        split: Which split: train, validation or test.

    Raises:
        NotInLibraryError: There is no such dataset.
        InputError: It has no such split, or too few pairs in it.
        DataError: The dataset holds no pairs.
        ModelError: The model cannot be loaded.
    """
    import time

    began = time.monotonic()
    if not model.strip():
        raise InputError("model is empty; name one, such as starter-clip")
    card, _, columns = open_pairs(workspace, dataset)
    data = _pairs(workspace, card.name, split, columns)
    encoder = workspace.encoder(model)
    pictures, titles = embed_pairs(workspace, encoder, data)
    ranks = rank_pairs(pictures, titles, same(data.pictures), same(data.titles))
    made_from = [one.parents for one in workspace.library.cards(Kind.MODEL) if model in (one.name, one.reference)]
    return Evaluation(
        model=encoder.name,
        dataset=card.name,
        split=split,
        scores=score_ranks(ranks),
        trained_on_it=split == "train" and any(card.reference in parents for parents in made_from),
        seconds=round(time.monotonic() - began, 2),
    )


def _pairs(workspace: Workspace, name: str, split: str, columns: PairColumns) -> PairData:
    folder = workspace.library.folder(Kind.DATASET, name) / "data"
    there = splits_of(folder)
    if split not in there:
        raise InputError(f"The dataset {name!r} has no split {split!r}; it has {', '.join(there)}")
    data = read_pairs(folder, split, dataclasses.replace(columns, negatives=()))
    if len(set(data.titles)) < 2:
        raise DataError(
            f"The split {split} of {name!r} has {len(data)} pairs with {len(set(data.titles))} different titles; at "
            "least 2 are needed to choose between"
        )
    return data
