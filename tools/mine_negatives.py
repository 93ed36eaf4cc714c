"""Give every pair of a dataset wrong titles to learn from."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tools.core.encoders import Encoder
from tools.core.errors import DataError, InputError
from tools.core.library import Card, Kind, new_card, write_card
from tools.core.pairs.dataset import (
    PAIRS,
    PairColumns,
    content_hash,
    open_pairs,
    read_groups,
    write_groups,
    write_pairs,
)
from tools.core.pairs.mining import MiningKnobs, Strategy, hard, least_similar, random_negatives
from tools.core.pairs.near_duplicates import group_titles
from tools.core.pairs.one_to_one import Tell
from tools.core.workspace import Workspace

if TYPE_CHECKING:
    import datasets

MAX_PER_ANCHOR = 20
TRAIN = "train"
BATCH = 1024  # titles embedded between two looks at the Stop button
EXAMPLES = 3
WHY = {  # what took candidates away → what to turn
    "near_duplicate": "near-duplicates of the pair's own title or picture, which would be false negatives",
    "absolute_margin": "nearer to the score of the own title than absolute_margin; a smaller one keeps more",
    "relative_margin": "nearer to the score of the own title than relative_margin; a smaller one keeps more",
    "max_score": "above max_score; a larger one keeps more",
    "min_score": "below min_score; a smaller one keeps more",
    "range_min": "skipped as the most similar by range_min; a smaller one keeps more",
}


@dataclasses.dataclass(frozen=True)
class Example:
    """A title and a negative it got."""

    title: str
    negative: str
    similarity: float | None  # cosine; None when no model was needed


@dataclasses.dataclass(frozen=True)
class Mined:
    """A dataset with negatives."""

    dataset: str
    parent: str
    strategy: Strategy
    per_anchor: int
    encoder: str | None  # whose text route told how similar titles are; None for random
    splits: dict[str, int]  # rows of every split
    columns: tuple[str, ...]  # those of the negatives
    removed: dict[str, int]  # candidates taken out, by the rule that did
    left_out: int  # training pairs for which there were too few negatives
    without: dict[str, int]  # pairs of the other splits that have fewer negatives; those cells are empty
    similarity: float | None  # mean cosine of titles and negatives; None for random
    examples: tuple[Example, ...]

    def __str__(self) -> str:
        """Say it in a few lines; titles are quoted, being data."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        how = "" if self.encoder is None else f" by the text route of {self.encoder}, mean similarity"
        how += "" if self.similarity is None else f" {self.similarity:.2f}"
        lines = [
            f"Mined {self.per_anchor} {self.strategy} negative{'s' if self.per_anchor > 1 else ''} a pair of "
            f"{self.parent}{how}: dataset {self.dataset!r} ({sizes}), columns {', '.join(self.columns)}."
        ]
        lines += [f"- {number} candidates: {WHY[rule]}" for rule, number in self.removed.items()]
        if self.left_out:
            lines.append(f"- {self.left_out} training pairs left out: too few negatives; {self._turn()}")
        lines += [
            f"- {number} {split} pairs have fewer negatives (empty cells; scores do not need them)"
            for split, number in self.without.items()
        ]
        lines += [f"- {one.title!r} got {one.negative!r}{_cosine(one.similarity)}" for one in self.examples]
        return "\n".join(lines)

    def _turn(self) -> str:
        if self.strategy != "hard":
            return "ask for fewer per_anchor, or collect more pairs with other titles"
        rules = [rule for rule in self.removed if rule != "near_duplicate"]
        return f"raise range_max{' or loosen ' + ', '.join(rules) if rules else ''}, or ask for fewer per_anchor"


def mine_negatives(
    workspace: Workspace, dataset: str, strategy: Strategy = "least_similar", per_anchor: int = 1
) -> Mined:
    """Give every pair of a dataset wrong titles, as negatives for training; makes a new dataset.

    Negatives are other titles of the same split. Near-duplicates of a pair are never its negatives.

    Args:
        workspace: Where the state is.
        dataset: Name of a dataset of pairs of pictures and titles.
        strategy: least_similar gives each the least similar title, none twice; hard similar ones; random any.
        per_anchor: How many negatives each pair gets, 1 to 20.

    Raises:
        NotInLibraryError: There is no such dataset.
        DataError: It holds no pairs, or its titles are too few or too alike.
        InputError: The strategy is unknown, or `per_anchor` out of range.
    """
    return mine_with(workspace, dataset, strategy, per_anchor, MiningKnobs())


def mine_with(workspace: Workspace, dataset: str, strategy: Strategy, per_anchor: int, knobs: MiningKnobs) -> Mined:
    """Mine as `mine_negatives` does, with every knob to turn: margins, ranks, or the optimal assignment."""
    if strategy not in get_args(Strategy):
        raise InputError(f"strategy is {strategy!r}; expected one of {', '.join(get_args(Strategy))}")
    if not 1 <= per_anchor <= MAX_PER_ANCHOR:
        raise InputError(f"per_anchor is {per_anchor}; how many negatives a pair gets must be 1 to {MAX_PER_ANCHOR}")
    card, splits, columns = open_pairs(workspace, dataset)
    return _Mine(workspace, card, splits, columns, strategy, per_anchor, knobs).run()


class _Mine:
    """One run over all splits of a dataset."""

    def __init__(
        self,
        workspace: Workspace,
        card: Card,
        splits: datasets.DatasetDict,
        columns: PairColumns,
        strategy: Strategy,
        per_anchor: int,
        knobs: MiningKnobs,
    ) -> None:
        self.workspace, self.card, self.splits, self.columns = workspace, card, splits, columns
        self.strategy, self.per_anchor, self.knobs = strategy, per_anchor, knobs
        self.groups = read_groups(workspace, card)
        self.encoder: Encoder | None = None if strategy == "random" else workspace.encoder()
        self.removed: Counter[str] = Counter()
        self.names = ["negative"] if per_anchor == 1 else [f"negative_{k}" for k in range(1, per_anchor + 1)]
        self.similarities: list[float] = []
        self.examples: list[Example] = []

    def run(self) -> Mined:
        """Mine every split and write the new dataset."""
        titles = {str(split): list(rows[self.columns.title]) for split, rows in self.splits.items()}
        for split, texts in titles.items():
            self._check(split, texts)
        mined = {split: self._mine(split, texts) for split, texts in titles.items()}
        whole = {split: (rows >= 0).all(axis=1) for split, rows in mined.items()}
        kept = {split: np.flatnonzero(full | (split != TRAIN)) for split, full in whole.items()}
        if TRAIN in kept and not len(kept[TRAIN]):
            raise DataError(
                f"No training pair of {self.card.name!r} can get {self.per_anchor} negatives: its "
                f"{len(titles[TRAIN])} titles are too few or too alike; ask for fewer per_anchor, or collect more pairs"
            )
        left_out = sum(len(rows) - len(kept[split]) for split, rows in mined.items())
        self.workspace.watch.tell("writing the dataset with negatives", 0)
        name = self._write(titles, mined, kept, left_out)
        without = {split: int((~full).sum()) for split, full in whole.items() if split != TRAIN and not full.all()}
        return Mined(
            dataset=name,
            parent=self.card.name,
            strategy=self.strategy,
            per_anchor=self.per_anchor,
            encoder=self.encoder.name if self.encoder else None,
            splits={split: len(rows) for split, rows in kept.items()},
            columns=tuple(self.names),
            removed=dict(self.removed),
            left_out=left_out,
            without=without,
            similarity=float(np.mean(self.similarities)) if self.similarities else None,
            examples=tuple(self.examples[:EXAMPLES]),
        )

    def _check(self, split: str, titles: Sequence[str]) -> None:
        """Refuse a split in which no title can be a negative; single pairs to judge by are no harm."""
        if split == TRAIN and len(set(group_titles(titles).tolist())) < 2:
            what = f"all {len(titles)} titles of the split train are {titles[0]!r}" if len(titles) > 1 else "one title"
            raise DataError(
                f"{self.card.name!r} has {what}, so none can be a negative of another; collect pairs with other titles"
            )

    def _mine(self, split: str, titles: list[str]) -> np.ndarray:
        """Return the negatives of a split's rows: (rows, per_anchor) int64, -1 where there is none."""
        tell = self._tell(f"mining negatives for {split}")
        groups = self.groups[split]
        if self.encoder is None:
            mined, embeddings = random_negatives(groups, self.per_anchor, self._seeded(split), tell), None
        else:
            embeddings = self._embed(self.encoder, titles)
            if self.strategy == "least_similar":  # the published rule knows no groups but equal titles
                mined = least_similar(embeddings, group_titles(titles), self.per_anchor, self.knobs, tell)
            else:
                anchors = embeddings if self.knobs.anchor == "title" else self._embed_pictures(self.encoder, split)
                mined = hard(anchors, embeddings, groups, self.per_anchor, self._seeded(split), tell)
        self.removed.update(mined.removed)
        self._look_at(titles, mined.negatives, embeddings)
        return mined.negatives

    def _seeded(self, split: str) -> MiningKnobs:
        """Return the knobs with a seed of the split's own, so that splits of one size are not drawn alike."""
        return dataclasses.replace(self.knobs, seed=self.knobs.seed + list(self.splits).index(split))

    def _tell(self, what: str) -> Tell:
        return lambda done, total: self.workspace.watch.tell(what, done, total)

    def _embed(self, encoder: Encoder, titles: list[str]) -> np.ndarray:
        """Embed every different title once, so that equal titles have the very same numbers."""
        different = list(dict.fromkeys(titles))
        parts = []
        for start in range(0, len(different), BATCH):
            self.workspace.watch.tell("embedding titles", start, len(different))
            parts.append(encoder.encode_texts(different[start : start + BATCH]))
        place = {title: number for number, title in enumerate(different)}
        embeddings: np.ndarray = np.concatenate(parts)[[place[title] for title in titles]]
        return embeddings

    def _embed_pictures(self, encoder: Encoder, split: str) -> np.ndarray:
        import datasets

        rows = self.splits[split].cast_column(self.columns.picture, datasets.Image(decode=False))
        items = ((str(k), (lambda row=row: row[self.columns.picture]["bytes"])) for k, row in enumerate(rows))
        parts = []
        for batch in encoder.stream_pictures(items):
            if batch.unreadable:
                raise DataError(f"A picture of {self.card.name!r} cannot be read: {batch.unreadable[0].reason}")
            parts.append(batch.embeddings)
            self.workspace.watch.tell("embedding pictures", sum(map(len, parts)), len(rows))
        return np.concatenate(parts)

    def _look_at(self, titles: list[str], negatives: np.ndarray, embeddings: np.ndarray | None) -> None:
        """Remember how similar the negatives are, and a few of them."""
        rows, columns = np.nonzero(negatives >= 0)
        pairs = list(zip(rows.tolist(), negatives[rows, columns].tolist(), strict=True))
        scores: list[float | None] = [None] * len(pairs)
        if embeddings is not None:
            found = [float(embeddings[row] @ embeddings[other]) for row, other in pairs]
            self.similarities += found
            scores = [*found]
        for (row, other), score in list(zip(pairs, scores, strict=True))[:EXAMPLES]:
            self.examples.append(Example(titles[row], titles[other], score))

    def _write(
        self, titles: dict[str, list[str]], mined: dict[str, np.ndarray], kept: dict[str, np.ndarray], left_out: int
    ) -> str:
        import datasets

        name = self.workspace.library.free_name(
            Kind.DATASET, f"{re.sub(r'-negatives(-[0-9]+)?$', '', self.card.name)[:54]}-negatives"
        )
        with self.workspace.library.making(Kind.DATASET, name) as folder:
            parts = {}
            for split, negatives in mined.items():
                texts = [
                    [titles[split][row] if row >= 0 else None for row in column] for column in negatives.T.tolist()
                ]
                features = datasets.Features(dict.fromkeys(self.names, datasets.Value("string")))
                more = datasets.Dataset.from_dict(dict(zip(self.names, texts, strict=True)), features=features)
                old = self.splits[split].remove_columns(list(self.columns.negatives))
                parts[split] = datasets.concatenate_datasets([old, more], axis=1).select(kept[split].tolist())
            write_pairs(folder, parts)
            write_groups(folder, {split: self.groups[split][rows] for split, rows in kept.items()})
            sizes = {split: len(rows) for split, rows in kept.items()}
            card = new_card(
                Kind.DATASET,
                name,
                f"negatives mined for the dataset {self.card.name}",
                parents=(self.card.reference,),
                parameters={**self.card.parameters, **self._parameters()},
                seed=self.knobs.seed,
                counts={"rows": sum(sizes.values()), **sizes, "left_out": left_out},
                content_hash=content_hash(folder / "data"),
            )
            write_card(folder, card)
        return name

    def _parameters(self) -> dict[str, Any]:
        encoder = {"encoder": self.encoder.name, "weights": self.encoder.fingerprint} if self.encoder else {}
        knobs = {} if self.strategy == "random" else {"knobs": dataclasses.asdict(self.knobs)}
        return {"kind": PAIRS, "strategy": self.strategy, "per_anchor": self.per_anchor, **encoder, **knobs}


def _cosine(similarity: float | None) -> str:
    return "" if similarity is None else f" ({similarity:.2f})"
