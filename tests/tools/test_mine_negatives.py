import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scenes import jpeg as picture
from tools.core.encoders import Encoder
from tools.core.errors import DataError, InputError, NotInLibraryError, StoppedError
from tools.core.library import Kind
from tools.core.pairs.dataset import Pair, open_pairs, read_groups, save_pairs
from tools.core.pairs.mining import MiningKnobs
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace
from tools.load_dataset import load_dataset
from tools.mine_negatives import mine_negatives, mine_with

YOUTUBE = Path(__file__).parents[3] / "shared" / "data" / "youtube"
STRATEGIES = ("least_similar", "hard", "random")
MakePairs = Callable[..., None]


class LetterModel:
    """A text model that counts letters: titles of the same letters are similar. Pictures it sees by their mean."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, inputs: list[Any], **_: object) -> np.ndarray:
        self.texts += [one for one in inputs if isinstance(one, str)]
        rows = np.array([self._text(one) if isinstance(one, str) else self._picture(one) for one in inputs])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def modules(self) -> list[object]:
        return []

    def state_dict(self) -> dict[str, object]:
        return {}

    @staticmethod
    def _text(text: str) -> list[float]:
        return [0.01, *(float(text.casefold().count(chr(letter))) for letter in range(ord("a"), ord("z") + 1))]

    @staticmethod
    def _picture(picture: Any) -> list[float]:
        return [float(np.asarray(picture).mean()), *(1.0 for _ in range(26))]


@pytest.fixture
def letters(workspace: Workspace) -> LetterModel:
    """Put a model that counts letters in the place of the workspace's encoder."""
    model = LetterModel()
    workspace._shelf.encoders["colours"] = Encoder("letters", model)  # type: ignore[arg-type]
    return model


@pytest.fixture
def make_pairs(workspace: Workspace, letters: LetterModel) -> MakePairs:
    """Make a dataset of pairs with these titles, in these splits."""

    def make(titles: Sequence[str], splits: Sequence[str | None] = (), name: str = "talks", **extra: Any) -> None:
        given = [*splits, *[None] * (len(titles) - len(splits))]
        pairs = (
            Pair(picture(number), title, extra, split)
            for number, (title, split) in enumerate(zip(titles, given, strict=True))
        )
        save_pairs(workspace, name, pairs, source="a test")

    return make


def words(count: int) -> list[str]:
    """Return titles of their own letters each."""
    dice = np.random.default_rng(3)
    return [" ".join("".join(dice.choice([*"abcdefghijklmnopqrst"], 5)) for _ in range(3)) for _ in range(count)]


def negatives_of(workspace: Workspace, dataset: str) -> dict[str, list[tuple[str, list[str | None]]]]:
    _, splits, columns = open_pairs(workspace, dataset)
    return {
        str(split): [
            (row["title"], [row[name] for name in columns.negatives]) for row in part.remove_columns(["image"])
        ]
        for split, part in splits.items()
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("per_anchor", [1, 3])
def test_every_pair_gets_other_titles_of_its_own_split(
    workspace: Workspace, make_pairs: MakePairs, strategy: Any, per_anchor: int
):
    make_pairs(words(60), channel="Ada")
    mined = mine_negatives(workspace, "talks", strategy, per_anchor)
    assert mined.dataset == "talks-negatives" and mined.splits == {"train": 42, "validation": 9, "test": 9}
    _, splits, columns = open_pairs(workspace, mined.dataset)
    assert columns.negatives == mined.columns and splits["train"].column_names[-per_anchor:] == [*mined.columns]
    assert mined.columns == (("negative",) if per_anchor == 1 else ("negative_1", "negative_2", "negative_3"))
    for rows in negatives_of(workspace, mined.dataset).values():
        titles = {title for title, _ in rows}
        for title, negatives in rows:
            assert len({title, *negatives}) == per_anchor + 1 and set(negatives) <= titles


def test_the_rest_of_the_pairs_is_as_it_was(workspace: Workspace, make_pairs: MakePairs):
    import datasets

    make_pairs(words(20), channel="Ada")
    mine_negatives(workspace, "talks")
    before, after = open_pairs(workspace, "talks"), open_pairs(workspace, "talks-negatives")
    for split, part in before[1].items():
        raw = [one[1][split].cast_column("image", datasets.Image(decode=False)) for one in (before, after)]
        assert raw[1].column_names == ["image", "title", "channel", "negative"]
        assert list(raw[0]) == list(raw[1].remove_columns("negative"))
        assert part.num_rows
    groups = [read_groups(workspace, one[0]) for one in (before, after)]
    assert all((groups[0][split] == groups[1][split]).all() for split in before[1])
    folder = workspace.library.folder(Kind.DATASET, "talks")
    assert sorted(file.name for file in folder.rglob("*.arrow")) == ["data-00000-of-00001.arrow"] * 3  # no cache


def test_the_card_tells_how_the_negatives_were_made(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(words(20))
    mine_negatives(workspace, "talks", "hard", 2)
    card = workspace.library.find("talks-negatives")
    assert card.parents == ("dataset/talks",) and card.seed == 42 and card.content_hash
    told = card.parameters
    assert (told["kind"], told["strategy"], told["per_anchor"]) == ("title_thumbnail", "hard", 2)
    assert (told["encoder"], told["knobs"]["relative_margin"]) == ("letters", 0.05)
    assert told["weights"] == workspace.encoder().fingerprint
    assert card.counts["rows"] == 20 and told["splits"] == "70/15/15, near-duplicates together"


def test_least_similar_gives_titles_of_other_letters(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(["aab", "aac", "zzy", "zzx"])
    mined = mine_negatives(workspace, "talks")
    found = dict(negatives_of(workspace, mined.dataset)["train"])
    assert {found["aab"][0], found["aac"][0]} == {"zzy", "zzx"}
    assert {found["zzy"][0], found["zzx"][0]} == {"aab", "aac"}
    assert mined.similarity is not None and mined.similarity < 0.01
    assert "by the text route of letters, mean similarity 0.00" in str(mined) and "'aab' got 'zz" in str(mined)


def test_hard_gives_similar_titles_but_not_near_duplicates(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(["abcd efg", "ABCD-efg!", "abcd efh", "gfe dcba", "xyz", "xyw"])
    mined = mine_negatives(workspace, "talks", "hard")
    found = dict(negatives_of(workspace, mined.dataset)["train"])
    assert found["abcd efg"] == found["ABCD-efg!"] == ["abcd efh"]  # "gfe dcba" has the very same letters
    assert found["xyz"] == ["xyw"] and found["xyw"] == ["xyz"]
    assert mined.removed["near_duplicate"] == 2 and mined.removed["relative_margin"] == 4
    assert "2 candidates: near-duplicates" in str(mined) and "relative_margin; a smaller one keeps more" in str(mined)


def test_training_pairs_with_too_few_negatives_are_left_out_and_the_knob_is_named(
    workspace: Workspace, make_pairs: MakePairs
):
    titles = ["aa one", "bb one", "cc one", "zz", "dd one", "ee one", "ff one", "yy"]
    make_pairs(titles, ["train"] * 4 + ["validation"] * 2 + ["test"] * 2)
    mined = mine_with(workspace, "talks", "hard", 1, MiningKnobs(min_score=0.2))
    assert mined.splits == {"train": 3, "validation": 2, "test": 2}
    assert (mined.left_out, mined.without) == (1, {"test": 2})
    assert mined.removed == {"min_score": 3 + 3 + 2}
    assert "1 training pairs left out: too few negatives; raise range_max or loosen min_score" in str(mined)
    assert "zz" not in dict(negatives_of(workspace, mined.dataset)["train"])
    card = workspace.library.find(mined.dataset)
    assert card.counts["left_out"] == 1
    assert {name: len(rows) for name, rows in read_groups(workspace, card).items()} == mined.splits


def test_a_pair_to_judge_by_is_never_left_out(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(words(7), ["train"] * 4 + ["validation", "test", "test"])
    mined = mine_negatives(workspace, "talks", "least_similar", 2)
    assert mined.splits == {"train": 4, "validation": 1, "test": 2} and mined.left_out == 0
    assert mined.without == {"validation": 1, "test": 2}
    found = negatives_of(workspace, mined.dataset)
    assert found["validation"][0][1] == [None, None]
    assert [negatives for _, negatives in found["test"]] == [[found["test"][1][0], None], [found["test"][0][0], None]]
    assert "2 test pairs have fewer negatives (empty cells; scores do not need them)" in str(mined)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_titles_that_are_all_the_same_are_refused(workspace: Workspace, make_pairs: MakePairs, strategy: Any):
    make_pairs(["My vlog"] * 5)
    with pytest.raises(DataError, match="all 5 titles of the split train are 'My vlog', so none can be a negative"):
        mine_negatives(workspace, "talks", strategy)
    assert [card.name for card in workspace.library.cards()] == ["talks"]


def test_one_pair_alone_is_refused(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(["My vlog"])
    with pytest.raises(DataError, match="'talks' has one title, so none can be a negative"):
        mine_negatives(workspace, "talks")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_negatives_than_there_are_titles_are_refused(workspace: Workspace, make_pairs: MakePairs, strategy: Any):
    make_pairs(["aa", "bb", "cc"])
    with pytest.raises(DataError, match="No training pair of 'talks' can get 3 negatives: its 3 titles are too few"):
        mine_negatives(workspace, "talks", strategy, 3)
    assert mine_negatives(workspace, "talks", strategy, 2).splits == {"train": 3}


def test_titles_of_any_script_are_mined(workspace: Workspace, make_pairs: MakePairs):
    titles = ["日本語", "مرحبا بالعالم", "हिन्दी", "🔥", "Ünïcödé", "Привет"]
    make_pairs(titles)
    for strategy in STRATEGIES:
        rows = negatives_of(workspace, mine_negatives(workspace, "talks", strategy).dataset)["train"]
        assert {title for title, _ in rows} <= set(titles) and all(title != wrong[0] for title, wrong in rows)


def test_negatives_that_were_there_before_are_replaced(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(words(20), negative="wrong", title_neg="wrong too")
    first = mine_negatives(workspace, "talks", "random", 2)
    again = mine_negatives(workspace, first.dataset, "least_similar")
    assert (first.dataset, again.dataset) == ("talks-negatives", "talks-negatives-2")
    assert open_pairs(workspace, again.dataset)[2].negatives == ("negative",)
    assert workspace.library.find(again.dataset).parents == ("dataset/talks-negatives",)


def test_random_needs_no_model_and_is_the_same_again(workspace: Workspace, make_pairs: MakePairs, letters: LetterModel):
    make_pairs(words(30))
    one, two = (mine_negatives(workspace, "talks", "random", 2) for _ in range(2))
    assert negatives_of(workspace, one.dataset) == negatives_of(workspace, two.dataset)
    assert (one.encoder, one.similarity, letters.texts) == (None, None, [])
    assert "encoder" not in workspace.library.find(one.dataset).parameters


def test_equal_titles_are_embedded_once(workspace: Workspace, make_pairs: MakePairs, letters: LetterModel):
    make_pairs(["same", "same", "other", "third"])
    mine_negatives(workspace, "talks")
    assert sorted(letters.texts) == ["other", "same", "third"]


def test_candidates_can_be_measured_against_the_picture(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(["abcdefghijklm", "aaaa", "bbbb", "cccc"])
    knobs = MiningKnobs(anchor="picture", relative_margin=None)
    found = dict(negatives_of(workspace, mine_with(workspace, "talks", "hard", 1, knobs).dataset)["train"])
    assert [found[title] for title in ("aaaa", "bbbb", "cccc")] == [
        ["abcdefghijklm"]
    ] * 3  # pictures are of all letters


def test_the_optimal_assignment_can_be_asked_for(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(words(40))
    greedy = mine_negatives(workspace, "talks")
    best = mine_with(workspace, "talks", "least_similar", 1, MiningKnobs(one_to_one="optimal"))
    assert best.similarity is not None and greedy.similarity is not None and best.similarity < greedy.similarity
    assert workspace.library.find(best.dataset).parameters["knobs"]["one_to_one"] == "optimal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "easy"}, "strategy is 'easy'; expected one of least_similar, hard, random"),
        ({"per_anchor": 0}, "per_anchor is 0; how many negatives a pair gets must be 1 to 20"),
        ({"per_anchor": 21}, "per_anchor is 21"),
    ],
)
def test_a_bad_argument_is_refused(workspace: Workspace, arguments: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        mine_negatives(workspace, "talks", **arguments)


def test_a_dataset_that_is_not_there_or_holds_no_pairs_is_refused(workspace: Workspace, photos: Path):
    load_dataset(workspace, str(photos))
    with pytest.raises(NotInLibraryError, match="There is: photos"):
        mine_negatives(workspace, "talks")
    with pytest.raises(DataError, match="holds images, not pairs"):
        mine_negatives(workspace, "photos")


def test_stopping_leaves_no_dataset(workspace: Workspace, make_pairs: MakePairs):
    make_pairs(words(30))
    stop = threading.Event()

    def stop_when_mining(progress: Progress) -> None:
        if progress.what.startswith("mining negatives for test"):
            stop.set()

    with pytest.raises(StoppedError):
        mine_negatives(workspace.watched(Watch(stop_when_mining, stop)), "talks", "hard")
    assert [card.name for card in workspace.library.cards()] == ["talks"]


@pytest.mark.skipif(not YOUTUBE.exists(), reason="the thumbnails of the development data are not here")
@pytest.mark.slow
def test_the_published_rule_and_this_one_agree_on_real_titles(workspace: Workspace):
    load_dataset(workspace, str(YOUTUBE), name="talks")
    encoder = workspace._shelf.encoders["colours"] = Encoder.load("starter-clip", workspace.settings, workspace.library)
    mined = mine_negatives(workspace, "talks")
    for split, rows in negatives_of(workspace, mined.dataset).items():
        titles = [title for title, _ in rows]
        embeddings = encoder.encode_texts(titles)
        order = np.argsort(embeddings @ embeddings.T, axis=1)
        taken: list[int] = []
        for row in range(len(titles)):  # the published loop
            place = 0
            while int(order[row][place]) in taken:
                place += 1
            taken.append(int(order[row][place]))
        expected = [titles[row] for row in taken]
        found = [wrong[0] for _, wrong in rows]
        assert found == expected, split
