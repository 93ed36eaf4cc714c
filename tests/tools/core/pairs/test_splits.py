import numpy as np
import pytest

from tools.core.pairs.splits import MIN_GROUPS, SHARES, split_groups, split_sizes


def some_groups(rows: int, seed: int, largest: int = 6) -> np.ndarray:
    """Return groups of 1 to `largest` rows, mixed."""
    dice = np.random.default_rng(seed)
    groups = np.repeat(np.arange(rows), dice.integers(1, largest + 1, rows))[:rows]
    return dice.permutation(groups)


@pytest.mark.parametrize("rows", [10, 11, 12, 13, 17, 20, 76, 100, 296, 1000])
def test_single_rows_are_shared_out_exactly(rows: int):
    splits = split_groups(np.arange(rows))
    assert {name: len(part) for name, part in splits.items()} == split_sizes(rows)
    assert sum(split_sizes(rows).values()) == rows
    assert all(abs(size - SHARES[name] * rows) < 1 for name, size in split_sizes(rows).items())
    assert all(len(part) for part in splits.values())


def test_the_article_s_76_videos_are_shared_out_as_in_the_article():
    assert split_sizes(76) == {"train": 53, "validation": 12, "test": 11}  # there 53, 11 and 12


@pytest.mark.parametrize("seed", range(20))
def test_every_row_is_in_one_split_and_no_group_in_two(seed: int):
    groups = some_groups(50 + 10 * seed, seed)
    splits = split_groups(groups)
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(len(groups)))
    parts = [set(groups[rows].tolist()) for rows in splits.values()]
    assert sum(map(len, parts)) == len(set(groups.tolist()))
    assert all(rows.tolist() == sorted(rows.tolist()) for rows in splits.values())


@pytest.mark.parametrize("seed", range(20))
def test_sizes_are_as_near_to_the_shares_as_the_largest_groups_allow(seed: int):
    groups = some_groups(200, seed)
    for name, rows in split_groups(groups).items():
        assert abs(len(rows) - split_sizes(len(groups))[name]) <= 1  # the single rows make up for the groups


@pytest.mark.parametrize("seed", range(30))
def test_with_ten_groups_or_more_no_split_is_empty(seed: int):
    dice = np.random.default_rng(seed)
    sizes = dice.integers(1, 200, dice.integers(MIN_GROUPS, 14)) ** dice.integers(1, 3)
    splits = split_groups(np.repeat(np.arange(len(sizes)), sizes))
    assert list(splits) == ["train", "validation", "test"] and all(len(rows) for rows in splits.values())


def test_a_group_larger_than_all_others_goes_to_train():
    groups = np.array([0] * 500 + list(range(1, 13)))
    splits = split_groups(groups)
    assert set(range(500)) <= set(splits["train"].tolist())
    assert len(splits["validation"]) and len(splits["test"])


def test_the_same_seed_gives_the_same_splits_and_another_others():
    groups = np.arange(100)
    one, same, other = (split_groups(groups, seed)["test"].tolist() for seed in (42, 42, 43))
    assert one == same != other


def test_the_splits_of_seed_42_never_change():
    # drawn from the raw stream of PCG64, which numpy promises never to change
    assert split_groups(np.arange(20))["test"].tolist() == [0, 5, 18]


def test_names_of_groups_do_not_matter():
    groups = some_groups(60, 1)
    renamed = split_groups(groups * 7 + 3)
    assert all((renamed[name] == rows).all() for name, rows in split_groups(groups).items())


@pytest.mark.parametrize("groups", [[], [0], [0, 1, 2], list(range(9)), [0] * 50, [0] * 50 + [1, 2, 3]])
def test_fewer_than_ten_groups_are_not_split(groups: list[int]):
    splits = split_groups(np.array(groups, dtype=np.int64))
    assert list(splits) == ["train"] and splits["train"].tolist() == list(range(len(groups)))
