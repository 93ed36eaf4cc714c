"""Match thumbnails with titles: who fits whom best, by how much, and one to one."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Sequence

import numpy as np

from tools.core.encoders import Encoder, Unreadable
from tools.core.errors import DataError, ModelError
from tools.core.metrics import Interval, rank_pairs, same, score_ranks
from tools.core.pairs.matching import Pick, assign, pick
from tools.core.pairs.sides import Sides, Thumbnail, gather
from tools.core.workspace import Workspace

BATCH, TITLE_BATCH = 16, 128  # thumbnails and titles at a time, between two looks at the stop button
SAID = 10  # lines of each list in the text of a result


@dataclasses.dataclass(frozen=True)
class ThumbnailMatch:
    """What fits a thumbnail."""

    thumbnail: str  # its name
    file: str  # shows it
    title: str  # fits it best
    score: float  # cosine with that title, −1…1
    runner_up: str | None  # the best title that says something else; None when there is none
    margin: float | None  # how far the best is ahead of it; None likewise
    assigned: str | None  # its title when every title is used at most once; None when the titles ran out
    assigned_score: float | None  # cosine with that one; None likewise
    true_title: str | None  # None when it is not known
    rank: int | None  # of the true title among the different titles, 1 is best, ties count against it; None likewise


@dataclasses.dataclass(frozen=True)
class TitleMatch:
    """What fits a title."""

    title: str
    thumbnail: str  # fits it best
    score: float  # cosine with that thumbnail, −1…1
    runner_up: str | None  # the next thumbnail; None when there is none
    margin: float | None  # how far the best is ahead of it; None likewise


@dataclasses.dataclass(frozen=True)
class Found:
    """How often a thumbnail finds its own title; each with a bootstrap 95 % interval over the thumbnails."""

    candidates: int  # different titles to choose from
    recall_at_1: Interval
    recall_at_5: Interval
    mrr: Interval  # mean reciprocal rank


@dataclasses.dataclass(frozen=True)
class Matches:
    """How well thumbnails and titles fit each other."""

    about: str  # what was matched, as a person would say it
    encoder: str
    reason: str  # why that one
    thumbnails: tuple[ThumbnailMatch, ...]
    titles: tuple[TitleMatch, ...]  # every different one
    columns: tuple[str, ...]  # the titles as given; one that was given twice stands here twice
    scores: tuple[tuple[float, ...], ...]  # scores[i][j]: cosine of thumbnail i and title j of the columns
    found: Found | None  # None when the true titles are not known
    unreadable: tuple[Unreadable, ...]
    notes: tuple[str, ...]  # what was cut or left out
    seconds: float

    def __str__(self) -> str:
        """Say it in a few lines, the answer first; titles are quoted, being data."""
        lines = [self.answer()]
        if len(self.thumbnails) == 1:
            lines += self._ranking()
        else:
            if len(self.titles) < len(self.thumbnails) and not self.found and len(self.titles) > 1:
                lines += [f"- {_title_answer(one)}" for one in self.titles[:SAID]] + _more(len(self.titles) - SAID)
            lines += self._thumbnail_lines()
        lines += [f"- left out {named(item.key)}: {item.reason}" for item in self.unreadable[:SAID]]
        lines += _more(len(self.unreadable) - SAID)
        lines += [f"Note: {note}." for note in self.notes]
        return "\n".join([*lines, f"By {self.encoder} ({self.reason}), in {self.seconds:.1f} s."])

    def answer(self) -> str:
        """Say the answer in a line."""
        if self.found:
            hits = sum(one.rank == 1 for one in self.thumbnails)
            return (
                f"{hits} of {self.about} fit their own title best: Recall@1 {self.found.recall_at_1}, Recall@5 "
                f"{self.found.recall_at_5}, MRR {self.found.mrr}, among {self.found.candidates} different titles."
            )
        if len(self.thumbnails) == 1:
            return _thumbnail_answer(self.thumbnails[0])
        if len(self.titles) == 1:
            return _title_answer(self.titles[0])
        return f"{self.about}: the best title of each thumbnail, and each title used at most once."

    def _thumbnail_lines(self) -> list[str]:
        lines = []
        for one in self.thumbnails[:SAID]:
            ahead = f", {gap(one.margin)} ahead" if one.margin is not None else ""
            alone = f"; one to one: {one.assigned!r}" if one.assigned not in (one.title, None) else ""
            known = f"; its own is number {one.rank}" if one.rank not in (1, None) else ""
            lines.append(f"- {named(one.thumbnail)}: {one.title!r} ({score_text(one.score)}{ahead}){alone}{known}")
        return lines + _more(len(self.thumbnails) - SAID)

    def _ranking(self) -> list[str]:
        """List the titles by how well they fit the only thumbnail."""
        ranked = sorted(self.titles, key=lambda one: -one.score)
        lines = [f"{place}. {one.title!r} {score_text(one.score)}" for place, one in enumerate(ranked[:SAID], 1)]
        return lines + _more(len(ranked) - SAID) if len(ranked) > 1 else []


def match_thumbnails(
    workspace: Workspace,
    thumbnails: list[str] | None = None,
    titles: list[str] | None = None,
    dataset: str | None = None,
    model: str | None = None,
) -> Matches:
    """Say which title fits a thumbnail best, and which thumbnail a title; with a dataset, how often that is right.

    Give thumbnails and titles; or a dataset of title-thumbnail pairs, to match its own; or a dataset and one of the
    lists, to match that list with the other side of the dataset.

    Args:
        workspace: Where the state is.
        thumbnails: Picture files, or folders of them; up to 200.
        titles: Titles, in any language the model knows; up to 1000.
        dataset: Dataset of title-thumbnail pairs; of its own pairs the test split is matched, or all where there is
            none, up to 100.
        model: Image-text model; the newest fine-tuned one, or else the configured one, when omitted.

    Raises:
        InputError: Too little or too much is given, or a title is empty.
        NotInLibraryError: There is no such dataset.
        DataError: None of the thumbnails can be read, or the dataset holds no pairs.
        ModelError: The model cannot be loaded.
    """
    began = time.monotonic()
    sides = gather(workspace, thumbnails, titles, dataset)
    encoder = workspace.matcher(model)
    pictures, unreadable = _embed_thumbnails(workspace, encoder, sides.thumbnails)
    if unreadable:
        sides = sides.without({item.key for item in unreadable})
    number = same(sides.titles)  # (titles,) equal numbers for equal titles
    first = np.unique(number, return_index=True)[1]  # where every different title stands first
    texts = _embed_titles(workspace, encoder, [sides.titles[index] for index in first])[number]  # (titles, dimension)
    scores = pictures @ texts.T  # (thumbnails, titles)
    if not np.isfinite(scores).all():
        raise ModelError(f"The model {encoder.name!r} gives scores that are no numbers; choose another model")
    ranks, found = _compare_with_truth(sides, pictures, texts)
    matched = _thumbnail_matches(workspace, sides, scores, pick(scores, number), ranks)
    return Matches(
        about=sides.about,
        encoder=encoder.name,
        reason=workspace.matcher_choice(model).reason,
        thumbnails=tuple(matched),
        titles=tuple(_title_matches(sides, scores, first)),
        columns=sides.titles,
        scores=tuple(tuple(round(float(score), 6) for score in row) for row in scores),
        found=found,
        unreadable=tuple(unreadable),
        notes=sides.notes,
        seconds=round(time.monotonic() - began, 2),
    )


def _embed_thumbnails(
    workspace: Workspace, encoder: Encoder, thumbnails: Sequence[Thumbnail]
) -> tuple[np.ndarray, list[Unreadable]]:
    """Return the embeddings of the readable thumbnails in their order, and the others with the reason."""
    rows: list[np.ndarray] = []
    unreadable: list[Unreadable] = []
    seen = 0
    for batch in encoder.stream_pictures(((one.name, one.read) for one in thumbnails), BATCH):
        rows += list(batch.embeddings)
        unreadable += batch.unreadable
        seen += len(batch.keys) + len(batch.unreadable)
        workspace.watch.tell("looking at thumbnails", seen, len(thumbnails))
    if not rows:
        many = f"None of the {len(thumbnails)} thumbnails" if len(thumbnails) > 1 else "The thumbnail"
        cannot = "can" if len(thumbnails) > 1 else "cannot"
        raise DataError(f"{many} {cannot} be read: {unreadable[0].key}: {unreadable[0].reason}")
    return np.stack(rows), unreadable


def _embed_titles(workspace: Workspace, encoder: Encoder, titles: Sequence[str]) -> np.ndarray:
    """Return the embeddings of different titles: (len(titles), dimension)."""
    rows = []
    for start in range(0, len(titles), TITLE_BATCH):
        rows.append(encoder.encode_texts(titles[start : start + TITLE_BATCH]))
        workspace.watch.tell("reading titles", min(start + TITLE_BATCH, len(titles)), len(titles))
    return np.concatenate(rows)


def _compare_with_truth(sides: Sides, pictures: np.ndarray, texts: np.ndarray) -> tuple[list[int | None], Found | None]:
    """Return the rank of every thumbnail's own title and their summary; None where it is not known."""
    if not sides.paired:
        return [None] * len(pictures), None
    ranks = rank_pairs(pictures, texts, sides.picture_numbers(), same(sides.titles))
    scored = score_ranks(ranks).to_title
    found = Found(scored.candidates, scored.recall[1], scored.recall[5], scored.mrr)
    return [int(rank) for rank in ranks.to_title], found


def _thumbnail_matches(
    workspace: Workspace, sides: Sides, scores: np.ndarray, picks: list[Pick], ranks: list[int | None]
) -> list[ThumbnailMatch]:
    matched = []
    for row, (one, chosen, own, rank) in enumerate(zip(sides.thumbnails, picks, assign(scores), ranks, strict=True)):
        matched.append(
            ThumbnailMatch(
                thumbnail=one.name,
                file=str(one.shown(workspace)),
                title=sides.titles[chosen.best],
                score=round(float(scores[row, chosen.best]), 6),
                runner_up=None if chosen.second is None else sides.titles[chosen.second],
                margin=None if chosen.margin is None else round(chosen.margin, 6),
                assigned=None if own is None else sides.titles[own],
                assigned_score=None if own is None else round(float(scores[row, own]), 6),
                true_title=sides.titles[row] if sides.paired else None,
                rank=rank,
            )
        )
    return matched


def _title_matches(sides: Sides, scores: np.ndarray, columns: np.ndarray) -> list[TitleMatch]:
    """Return what fits every different title, in the order given."""
    matched = []
    picks = pick(scores.T[columns], sides.picture_numbers())
    for column, chosen in zip(columns.tolist(), picks, strict=True):
        matched.append(
            TitleMatch(
                title=sides.titles[column],
                thumbnail=sides.thumbnails[chosen.best].name,
                score=round(float(scores[chosen.best, column]), 6),
                runner_up=None if chosen.second is None else sides.thumbnails[chosen.second].name,
                margin=None if chosen.margin is None else round(chosen.margin, 6),
            )
        )
    return matched


def _thumbnail_answer(one: ThumbnailMatch) -> str:
    name = named(one.thumbnail)
    if one.margin is None:
        return (
            f"{name} and {one.title!r} score {score_text(one.score)}; with one title there is nothing to choose from."
        )
    if one.margin == 0:
        return f"{name} fits {one.title!r} and {one.runner_up!r} equally ({score_text(one.score)})."
    return f"{name} fits {one.title!r} best ({score_text(one.score)}, {gap(one.margin)} ahead of {one.runner_up!r})."


def _title_answer(one: TitleMatch) -> str:
    best, second = named(one.thumbnail), named(one.runner_up or "")
    if one.margin is None:
        return f"{best} and {one.title!r} score {score_text(one.score)}."
    if one.margin == 0:
        return f"{one.title!r} fits {best} and {second} equally ({score_text(one.score)})."
    return f"{one.title!r} fits {best} best ({score_text(one.score)}, {gap(one.margin)} ahead of {second})."


def named(name: str) -> str:
    """Return a file's name as it stands when it is plain, else quoted."""
    return name if re.fullmatch(r"[\w.() /-]{1,80}", name) else repr(name)


def score_text(score: float) -> str:
    """Write a score with two digits; never as minus nothing."""
    return f"{round(score, 2) + 0.0:.2f}"


def gap(margin: float) -> str:
    """Write a margin with enough digits to be seen."""
    if margin >= 0.01 or margin == 0:
        return f"{margin:.2f}"
    return f"{margin:.4f}" if margin >= 0.0001 else "less than 0.0001"


def _more(count: int) -> list[str]:
    return [f"- and {count} more"] if count > 0 else []
