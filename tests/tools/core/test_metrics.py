import numpy as np
import pytest

from tools.core.metrics import (
    RECALL_AT,
    TOO_FEW,
    Ranks,
    bootstrap,
    compare,
    compare_recall_at_1,
    rank_pairs,
    same,
    score_ranks,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pairs(items: int, seed: int = 0, dimension: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    pictures = generator.normal(size=(items, dimension))
    return unit(pictures), unit(pictures + generator.normal(size=(items, dimension)))


def brute_force(queries: np.ndarray, others: np.ndarray, query_of: np.ndarray, other_of: np.ndarray) -> list[int]:
    """Rank the candidates one by one, as one would by hand."""
    ranks = []
    for row, query in enumerate(query_of):
        right = {other_of[i] for i in range(len(query_of)) if query_of[i] == query}
        scores = {o: float(queries[row] @ others[list(other_of).index(o)]) for o in set(other_of)}
        best = max(scores[o] for o in right)
        ranks.append(1 + sum(scores[o] >= best for o in scores if o not in right))
    return ranks


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_ranks_are_those_of_counting_by_hand(block: int):
    pictures, titles = pairs(40)
    titles[5], titles[9] = titles[2], titles[2]  # the same title three times
    pictures[11] = pictures[30]  # the same picture twice
    title_of = same([f"title {2 if i in (5, 9) else i}" for i in range(40)])
    picture_of = same([b"%d" % (30 if i == 11 else i) for i in range(40)])
    ranks = rank_pairs(pictures, titles, picture_of, title_of, block)
    assert ranks.to_title.tolist() == brute_force(pictures, titles, picture_of, title_of)
    assert ranks.to_picture.tolist() == brute_force(titles, pictures, title_of, picture_of)
    assert (ranks.titles, ranks.pictures) == (38, 39)


def test_a_model_that_gives_everything_the_same_finds_nothing():
    flat = np.ones((10, 3)) / np.sqrt(3)
    numbers = np.arange(10)
    scores = score_ranks(rank_pairs(flat, flat, numbers, numbers))
    assert scores.to_title.recall[1].value == 0
    assert scores.to_title.mrr.value == pytest.approx(0.1)


def test_a_perfect_model_finds_everything_and_says_of_how_many():
    numbers = np.arange(5)
    scores = score_ranks(rank_pairs(np.eye(5), np.eye(5), numbers, numbers))
    assert scores.to_title.recall[1].value == scores.to_picture.mrr.value == 1
    assert scores.items == scores.to_title.candidates == 5


def test_recalls_and_mrr_are_those_of_an_example_worked_by_hand():
    scores = score_ranks(Ranks(np.array([1, 2, 6, 11]), np.array([1, 1, 1, 2]), titles=20, pictures=20))
    assert [scores.to_title.recall[k].value for k in RECALL_AT] == [0.25, 0.5, 0.75]
    assert scores.to_title.mrr.value == pytest.approx((1 + 1 / 2 + 1 / 6 + 1 / 11) / 4)
    flat = scores.flat()
    assert flat["recall_at_1"] == 0.25 and flat["title_to_picture_recall_at_1"] == 0.75
    assert flat["recall_at_1_low"] <= 0.25 <= flat["recall_at_1_high"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        interval = bootstrap((generator.random(120) < 0.4).astype(float), draws=400, seed=seed)
        covered += interval.low <= 0.4 <= interval.high
    assert 0.89 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval_whatever_the_memory():
    values = np.random.default_rng(2).random(3000)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, draws=50).low < values.mean() < bootstrap(values, draws=50).high


def test_a_difference_within_noise_is_called_so():
    generator = np.random.default_rng(3)
    before = (generator.random(40) < 0.5).astype(float)
    after = before.copy()
    after[:2] = 1 - after[:2]
    assert compare(before, after).verdict == TOO_FEW
    assert compare(before, before).verdict == TOO_FEW
    assert compare(np.zeros(200), (generator.random(200) < 0.3).astype(float)).verdict == "better"
    assert compare(np.ones(200), (generator.random(200) < 0.3).astype(float)).verdict == "worse"


def test_paired_draws_see_what_separate_intervals_would_hide():
    generator = np.random.default_rng(4)
    before = (generator.random(300) < 0.5).astype(float)
    after = np.where((before == 0) & (generator.random(300) < 0.1), 1.0, before)  # a few mended, none lost
    change = compare(before, after)
    assert change.verdict == "better"
    assert bootstrap(before).high > bootstrap(after).low


def test_recall_at_1_is_compared_on_the_same_items():
    before = Ranks(np.full(50, 2), np.ones(50, int), 50, 50)
    after = Ranks(np.ones(50, int), np.ones(50, int), 50, 50)
    change = compare_recall_at_1(before, after)
    assert (change.before, change.after, change.difference.value) == (0, 1, 1)
