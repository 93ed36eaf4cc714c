import itertools

import numpy as np
import pytest

from tools.core.errors import DataError, InputError
from tools.core.pairs import mining, one_to_one
from tools.core.pairs.mining import MiningKnobs, hard, least_similar, random_negatives

KNOBS = MiningKnobs()
OPTIMAL = MiningKnobs(one_to_one="optimal")


def unit(rows: int, seed: int, dimension: int = 8) -> np.ndarray:
    """Return random embeddings: (rows, dimension) float32, of length 1."""
    found = np.random.default_rng(seed).normal(size=(rows, dimension))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def alone(rows: int) -> np.ndarray:
    return np.arange(rows)


def similarities(embeddings: np.ndarray) -> np.ndarray:
    wide = embeddings.astype(np.float64)
    return np.stack([(wide * row).sum(axis=1) for row in wide])


def published(embeddings: np.ndarray) -> list[int]:
    """The published loop, with its list look-ups, on exact similarities; equal ones go by row."""
    order = np.argsort(similarities(embeddings), axis=1, kind="stable")
    found: list[int] = []
    for row in range(len(embeddings)):
        place = 0
        while int(order[row][place]) in found:
            place += 1
        found.append(int(order[row][place]))
    return found


def column(embeddings: np.ndarray, groups: np.ndarray | None = None, knobs: MiningKnobs = KNOBS) -> list[int]:
    groups = alone(len(embeddings)) if groups is None else groups
    return least_similar(embeddings, groups, 1, knobs).negatives[:, 0].tolist()


def cost(embeddings: np.ndarray, negatives: list[int]) -> float:
    return float(sum(similarities(embeddings)[row, other] for row, other in enumerate(negatives)))


# least_similar


def check_published(embeddings: np.ndarray) -> None:
    """Check that the result is the published one; where that gives the last row itself, it changed with one other."""
    expected, found = published(embeddings), column(embeddings)
    last = len(expected) - 1
    if expected[last] != last:
        assert found == expected
    else:
        assert found[last] == expected[found.index(last)]
        assert sum(one != other for one, other in zip(found, expected, strict=True)) == 2


@pytest.mark.parametrize("seed", range(60))
def test_the_greedy_rule_is_the_published_one(seed: int):
    check_published(unit(2 + 7 * seed % 90, seed))


def test_the_last_row_does_get_itself_by_the_published_loop():
    cases = [published(unit(rows, seed)) for rows in (3, 5, 9) for seed in range(30)]
    assert any(case[-1] == len(case) - 1 for case in cases)  # so the test above covers it


@pytest.mark.parametrize("seed", range(10))
def test_equal_similarities_go_to_the_first_title(seed: int):
    dice = np.random.default_rng(seed)
    embeddings = unit(9, seed)[dice.integers(0, 9, 40)]  # many titles with the very same embedding
    check_published(embeddings)


def test_similarities_nearer_than_the_rounding_of_float32_are_told_apart():
    embeddings = unit(60, 1, 384)
    embeddings[20:40] = embeddings[:20]
    embeddings[20:40, 0] += np.float32(3e-7)  # not told apart by a float32 product
    check_published(embeddings)


@pytest.mark.parametrize("block", [1, 3, 64])
def test_the_result_does_not_depend_on_the_block(block: int, monkeypatch: pytest.MonkeyPatch):
    embeddings = unit(150, 3, 384)
    expected = [column(embeddings), hard(embeddings, embeddings, alone(150), 2, KNOBS).negatives.tolist()]
    monkeypatch.setattr(one_to_one, "BLOCK", block)
    assert [column(embeddings), hard(embeddings, embeddings, alone(150), 2, KNOBS).negatives.tolist()] == expected


@pytest.mark.parametrize("knobs", [KNOBS, OPTIMAL], ids=["greedy", "optimal"])
@pytest.mark.parametrize("rows", [2, 3, 4, 5, 8, 40])
def test_no_title_is_used_twice_nor_its_own(rows: int, knobs: MiningKnobs):
    for seed in range(20):
        found = column(unit(rows, seed), knobs=knobs)
        assert sorted(found) == list(range(rows))
        assert all(row != other for row, other in enumerate(found))


@pytest.mark.parametrize("knobs", [KNOBS, OPTIMAL], ids=["greedy", "optimal"])
@pytest.mark.parametrize(("rows", "per_anchor"), [(4, 2), (4, 3), (5, 4), (6, 5), (7, 5), (30, 6)])
def test_several_negatives_are_one_to_one_in_every_column_and_never_repeat(
    rows: int, per_anchor: int, knobs: MiningKnobs
):
    for seed in range(20):
        found = least_similar(unit(rows, seed), alone(rows), per_anchor, knobs).negatives
        assert all(sorted(part) == list(range(rows)) for part in found.T.tolist())
        assert all(len({row, *others}) == per_anchor + 1 for row, others in enumerate(found.tolist()))


def test_the_first_of_several_is_the_same_as_one_alone():
    embeddings = unit(40, 2)
    assert least_similar(embeddings, alone(40), 3, KNOBS).negatives[:, 0].tolist() == column(embeddings)


def test_the_optimal_assignment_has_the_least_sum_of_all():
    for seed in range(10):
        embeddings = unit(6, seed)
        derangements = [p for p in itertools.permutations(range(6)) if all(i != j for i, j in enumerate(p))]
        least = min(cost(embeddings, list(p)) for p in derangements)
        assert cost(embeddings, column(embeddings, knobs=OPTIMAL)) == pytest.approx(least, abs=1e-5)


def test_the_greedy_rule_is_never_better_than_the_optimal_assignment():
    for seed in range(10):
        embeddings = unit(60, seed)
        best, greedy = cost(embeddings, column(embeddings, knobs=OPTIMAL)), cost(embeddings, column(embeddings))
        assert best <= greedy + 1e-5


def test_too_many_rows_for_the_optimal_assignment_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mining, "MAX_OPTIMAL_ROWS", 10)
    with pytest.raises(DataError, match=r"11 × 11; it is made for at most 10: use one_to_one='greedy'"):
        column(unit(11, 0), knobs=OPTIMAL)


@pytest.mark.parametrize("knobs", [KNOBS, OPTIMAL], ids=["greedy", "optimal"])
@pytest.mark.parametrize("seed", range(20))
def test_as_many_rows_as_possible_get_a_title_of_another_group(seed: int, knobs: MiningKnobs):
    dice = np.random.default_rng(seed)
    rows = int(dice.integers(2, 40))
    groups = np.where(dice.random(rows) < dice.random(), 0, np.arange(rows))  # one group of any size
    embeddings = unit(rows, seed)[groups]
    found = np.array(column(embeddings, groups, knobs))
    got = found >= 0
    largest = int((groups == 0).sum())
    assert got.sum() == rows - max(0, 2 * largest - rows)  # a group has only the titles of all others
    assert (groups[found[got]] != groups[got]).all()
    assert len(set(found[got].tolist())) == got.sum()


def test_rows_that_get_too_little_in_one_column_get_nothing_later():
    found = least_similar(unit(5, 0), np.array([0, 0, 0, 0, 1]), 2, KNOBS).negatives.tolist()
    assert found[:4] == [[4, -1], [-1, -1], [-1, -1], [-1, -1]]
    assert len({4, *found[4]}) == 3 and -1 not in found[4]


def test_one_row_gets_nothing():
    assert column(unit(1, 0)) == [-1] == column(unit(1, 0), knobs=OPTIMAL)
    assert hard(unit(1, 0), unit(1, 0), alone(1), 1, KNOBS).negatives.tolist() == [[-1]]
    assert random_negatives(alone(1), 2, KNOBS).negatives.tolist() == [[-1, -1]]


# hard


def plain_hard(
    anchors: np.ndarray, embeddings: np.ndarray, groups: np.ndarray, per_anchor: int, knobs: MiningKnobs
) -> list[list[int]]:
    """Mine by sorting everything."""
    window = knobs.window(per_anchor)
    found = []
    for row, anchor in enumerate(anchors.astype(np.float64)):
        scores = (embeddings.astype(np.float64) * anchor).sum(axis=1)
        allowed = [other for other in range(len(scores)) if other == row or groups[other] != groups[row]]
        best = sorted(allowed, key=lambda other: (-scores[other], other))[:window]
        own = scores[row]
        left = [
            other
            for other in best
            if other != row
            and (knobs.absolute_margin is None or scores[other] + knobs.absolute_margin <= own)
            and (knobs.relative_margin is None or scores[other] <= own - abs(own) * knobs.relative_margin)
            and (knobs.max_score is None or scores[other] <= knobs.max_score)
            and (knobs.min_score is None or scores[other] >= knobs.min_score)
        ]
        taken = left[: window - 1][knobs.range_min :][:per_anchor]
        found.append(taken + [-1] * (per_anchor - len(taken)))
    return found


RULES = {
    "default": KNOBS,
    "none": MiningKnobs(relative_margin=None),
    "ranks": MiningKnobs(relative_margin=None, range_min=2, range_max=9),
    "scores": MiningKnobs(relative_margin=None, max_score=0.6, min_score=0.2),
    "margins": MiningKnobs(absolute_margin=0.3, relative_margin=0.4, range_max=40),
    "all": MiningKnobs(range_min=1, range_max=30, max_score=0.7, min_score=-0.5, absolute_margin=0.1),
}


@pytest.mark.parametrize("knobs", RULES.values(), ids=RULES)
@pytest.mark.parametrize("per_anchor", [1, 3])
def test_hard_negatives_are_those_of_sorting_everything(knobs: MiningKnobs, per_anchor: int):
    for seed, rows in enumerate((2, 5, 30, 200)):
        embeddings, groups = unit(rows, seed), np.random.default_rng(seed).integers(0, rows, rows)
        for anchors in (embeddings, unit(rows, seed + 50)):
            found = hard(anchors, embeddings, groups, per_anchor, knobs).negatives.tolist()
            assert found == plain_hard(anchors, embeddings, groups, per_anchor, knobs)


class Known:
    """A model for sentence-transformers' miner that looks embeddings up."""

    def __init__(self, embeddings: dict[str, np.ndarray]) -> None:
        import torch

        self.embeddings, self.device = embeddings, torch.device("cpu")

    def encode_query(self, texts: list[str], **_: object) -> np.ndarray:
        return np.stack([self.embeddings[text] for text in texts])

    encode_document = encode_query

    def similarity(self, left: object, right: object) -> object:
        from sentence_transformers.util import cos_sim

        return cos_sim(left, right)

    def similarity_pairwise(self, left: object, right: object) -> object:
        from sentence_transformers.util import pairwise_cos_sim

        return pairwise_cos_sim(left, right)


@pytest.mark.parametrize("knobs", RULES.values(), ids=RULES)
@pytest.mark.parametrize("per_anchor", [1, 2])
def test_hard_negatives_are_those_of_sentence_transformers(knobs: MiningKnobs, per_anchor: int):
    import datasets
    from sentence_transformers.util import mine_hard_negatives

    anchors, titles = unit(60, 1), unit(60, 2)
    known = {f"anchor {row}": anchors[row] for row in range(60)} | {f"title {row}": titles[row] for row in range(60)}
    names = {"anchor": [f"anchor {row}" for row in range(60)], "positive": [f"title {row}" for row in range(60)]}
    theirs = mine_hard_negatives(
        datasets.Dataset.from_dict(names),
        Known(known),  # type: ignore[arg-type]
        num_negatives=per_anchor,
        range_min=knobs.range_min,
        range_max=knobs.range_max,
        max_score=knobs.max_score,
        min_score=knobs.min_score,
        absolute_margin=knobs.absolute_margin,
        relative_margin=knobs.relative_margin,
        output_format="n-tuple",
        verbose=False,
    )
    columns = [name for name in theirs.column_names if name.startswith("negative")]
    expected = {row["anchor"]: [row[name] for name in columns] for row in theirs}
    ours = hard(anchors, titles, alone(60), per_anchor, knobs).negatives
    found = {
        f"anchor {row}": [f"title {other}" for other in others]
        for row, others in enumerate(ours.tolist())
        if -1 not in others
    }
    assert found == expected


def test_near_duplicates_are_never_hard_negatives():
    embeddings = unit(30, 1)
    embeddings[1], embeddings[2] = embeddings[0], embeddings[0]
    groups = np.array([0, 0, 0, *range(3, 30)])
    mined = hard(embeddings, embeddings, groups, 5, MiningKnobs(relative_margin=None))
    assert not set(mined.negatives[:3].ravel().tolist()) & {0, 1, 2}
    assert mined.removed == {"near_duplicate": 6}


def test_the_report_counts_what_each_rule_took():
    embeddings = np.array([[1, 0], [0.99, 0.14], [0.8, 0.6], [0, 1]], dtype=np.float32)
    mined = hard(embeddings, embeddings, alone(4), 1, MiningKnobs(max_score=0.7))
    assert mined.negatives[:, 0].tolist() == [3, 3, 3, 2]
    assert mined.removed == {"relative_margin": 2, "max_score": 4}
    skipping = hard(embeddings, embeddings, alone(4), 1, MiningKnobs(relative_margin=None, range_min=1))
    assert skipping.removed == {"range_min": 4}


def test_random_sampling_takes_what_the_rules_let_through_and_is_reproducible():
    embeddings = unit(100, 4)
    knobs = MiningKnobs(sampling_strategy="random", range_max=20)
    found = [hard(embeddings, embeddings, alone(100), 3, knobs).negatives for _ in range(2)]
    assert (found[0] == found[1]).all()
    everything = plain_hard(embeddings, embeddings, alone(100), 20, MiningKnobs(range_max=20))
    assert all(set(few) <= set(many) for few, many in zip(found[0].tolist(), everything, strict=True))
    top = hard(embeddings, embeddings, alone(100), 3, MiningKnobs(range_max=20)).negatives
    assert (found[0] != top).any()


@pytest.mark.parametrize("ranks", [{"range_min": -1}, {"range_min": 5, "range_max": 6}, {"range_max": 1}])
def test_ranks_that_leave_too_few_are_refused(ranks: dict[str, int]):
    with pytest.raises(
        InputError, match=r"range_min is .* and range_max .*; expected 0 or more, and at least per_anchor"
    ):
        hard(unit(9, 0), unit(9, 0), alone(9), 2, MiningKnobs(**ranks))


# random


@pytest.mark.parametrize("seed", range(10))
def test_random_negatives_are_of_other_groups_and_never_repeat(seed: int):
    dice = np.random.default_rng(seed)
    groups = dice.integers(0, 12, 40)
    found = random_negatives(groups, 6, MiningKnobs(seed=seed)).negatives
    for row, others in enumerate(found.tolist()):
        assert len(set(others)) == 6 and all(groups[other] != groups[row] for other in others)


def test_random_negatives_are_drawn_evenly():
    groups = np.array([0, 0, 1, 2, 3])
    drawn = [random_negatives(groups, 1, MiningKnobs(seed=seed)).negatives[:, 0] for seed in range(3000)]
    counts = np.stack([np.bincount(column, minlength=5) for column in np.array(drawn).T])
    assert counts[0].tolist()[:2] == [0, 0] and counts[1].tolist()[:2] == [0, 0]
    for row, others in enumerate(counts):
        allowed = others[others > 0]
        assert len(allowed) == (3 if row < 2 else 4)
        assert np.abs(allowed - 3000 / len(allowed)).max() < 150  # five standard deviations


def test_the_same_seed_draws_the_same_and_another_other_negatives():
    one, same, other = (random_negatives(alone(50), 2, MiningKnobs(seed=seed)).negatives for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()


def test_what_is_missing_of_random_negatives_is_left_open():
    assert (
        random_negatives(np.array([0, 0, 1]), 2, KNOBS).negatives.tolist() == [[2, -1], [2, -1], [0, 1]]
        or (random_negatives(np.array([0, 0, 1]), 2, KNOBS).negatives[:2, 1] == -1).all()
    )
    assert random_negatives(np.zeros(4), 1, KNOBS).negatives.tolist() == [[-1]] * 4


# all


def test_progress_is_told_and_a_stop_ends_the_work():
    told: list[tuple[int, int]] = []
    least_similar(unit(600, 0), alone(600), 2, KNOBS, lambda done, total: told.append((done, total)))
    assert told == [(0, 1200), (256, 1200), (512, 1200), (600, 1200), (856, 1200), (1112, 1200)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for mine in (
        lambda: least_similar(unit(9, 0), alone(9), 1, KNOBS, stop),
        lambda: hard(unit(9, 0), unit(9, 0), alone(9), 1, KNOBS, stop),
        lambda: random_negatives(alone(2000), 1, KNOBS, stop),
    ):
        with pytest.raises(KeyboardInterrupt):
            mine()
