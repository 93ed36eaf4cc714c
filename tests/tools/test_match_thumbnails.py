"""Matching on the colour model, where the right answer is known, against brute force."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MakePicture
from tests.doubles import COLOURS, ColourModel, colour_workspace, noise
from tools.core.errors import DataError, InputError, NotInLibraryError, StoppedError
from tools.core.pairs.dataset import Pair, save_pairs
from tools.core.pairs.matching import assign, pick
from tools.core.pairs.sides import tidy
from tools.core.watch import Progress, Watch
from tools.core.workspace import Workspace
from tools.match_thumbnails import Matches, match_thumbnails


@pytest.fixture
def red(make_picture: MakePicture) -> str:
    return str(make_picture("red.png", "red"))


def make_pairs(workspace: Workspace, titles: list[str], name: str = "colours", split: str | None = None) -> None:
    """Save a dataset whose pictures have the colour that the title names, or look like nothing else.

    With a split, they lie in that split, beside one pair to train on.
    """
    pairs = []
    for number, title in enumerate([*titles, "to train on"] if split else titles):
        content = io.BytesIO()
        colour = next((word for word in title.split() if word in COLOURS), None)
        picture = noise(number).resize((32, 24))
        if colour:
            picture.paste(COLOURS[colour], (0, 0, 32, 20))
        picture.save(content, "PNG")
        pairs.append(Pair(content.getvalue(), title, split="train" if split and number == len(titles) else split))
    save_pairs(workspace, name, iter(pairs), source="a test")


def brute_force_assignment(scores: np.ndarray) -> float:
    rows, columns = scores.shape
    if rows > columns:
        return brute_force_assignment(scores.T)
    return max(
        sum(scores[row, column] for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (5, 5)])
def test_the_assignment_is_the_best_of_all(shape: tuple[int, int]):
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores = generator.normal(size=shape).round(1)  # with ties
        columns = assign(scores)
        used = [column for column in columns if column is not None]
        assert len(used) == len(set(used)) == min(shape)
        total = sum(scores[row, column] for row, column in enumerate(columns) if column is not None)
        assert total == pytest.approx(brute_force_assignment(scores))


def test_the_pick_is_the_best_and_its_margin_counts_from_another_kind():
    generator = np.random.default_rng(1)
    for _ in range(50):
        scores = generator.normal(size=(4, 6)).round(1)
        kind = generator.integers(0, 3, 6)
        for row, chosen in zip(scores, pick(scores, kind), strict=True):
            assert row[chosen.best] == row.max()
            others = [score for score, one in zip(row, kind, strict=True) if one != kind[chosen.best]]
            if not others:
                assert chosen.second is None and chosen.margin is None
            else:
                assert row[chosen.second] == max(others) and kind[chosen.second] != kind[chosen.best]
                assert chosen.margin == pytest.approx(row.max() - max(others)) and chosen.margin >= 0


def test_the_first_line_is_the_answer(workspace: Workspace, red: str):
    result = match_thumbnails(workspace, [red], ["blue", "red", "purple"])
    best = result.thumbnails[0]
    assert (best.title, best.runner_up, best.assigned, best.rank) == ("red", "purple", "red", None)
    first, *rest = str(result).splitlines()
    assert first == f"red.png fits 'red' best (1.00, {best.margin:.2f} ahead of 'purple')."
    assert [line.split("'")[1] for line in rest[:3]] == ["red", "purple", "blue"]
    assert rest[-1].startswith("By colours (set by PAIRWRIGHT_ENCODER)")


def test_every_score_is_the_cosine_of_its_row_and_column(workspace: Workspace, photos: Path):
    titles = ["red", "a green thing", "blue", "yellow and purple", "nothing"]
    result = match_thumbnails(workspace, [str(photos)], titles)
    encoder = workspace.encoder()
    files = sorted(photos.rglob("*.png"), key=lambda file: [one.file for one in result.thumbnails].index(str(file)))
    rows = np.concatenate(
        [batch.embeddings for batch in encoder.stream_pictures((str(f), lambda f=f: f) for f in files)]
    )
    assert np.allclose(result.scores, rows @ encoder.encode_texts(titles).T, atol=1e-5)
    assert result.columns == tuple(titles) and len(result.thumbnails) == 5
    scores = np.array(result.scores)
    for row, one in enumerate(result.thumbnails):
        assert one.title == titles[int(scores[row].argmax())] and one.score == scores[row].max()
    for column, other in enumerate(result.titles):
        assert other.thumbnail == result.thumbnails[int(scores[:, column].argmax())].thumbnail
    total = sum(one.assigned_score or 0 for one in result.thumbnails)
    assert total == pytest.approx(brute_force_assignment(scores), abs=1e-5)


def test_one_title_for_several_thumbnails_finds_its_thumbnail(workspace: Workspace, photos: Path):
    result = match_thumbnails(workspace, [str(photos)], ["green"])
    assert str(result).startswith("'green' fits b-green.png best (1.00, ")
    assert [one.assigned for one in result.thumbnails].count("green") == 1


def test_one_title_leaves_nothing_to_choose(workspace: Workspace, red: str):
    result = match_thumbnails(workspace, [red], ["red"])
    assert result.thumbnails[0].margin is None and result.thumbnails[0].runner_up is None
    assert "nothing to choose from" in str(result)


def test_equal_titles_are_one_title_embedded_once(home: Path, red: str):
    model = ColourModel()
    workspace = colour_workspace(home, model)
    result = match_thumbnails(workspace, [red], ["red", " red ", "red", "r\u0065d"])
    assert model.calls[-1] == ["red"] and len(result.titles) == 1 and len(result.columns) == 4
    assert result.thumbnails[0].margin is None and "nothing to choose from" in str(result)


def test_titles_that_score_the_same_are_called_equal(workspace: Workspace, red: str):
    result = match_thumbnails(workspace, [red], ["red one", "red two"])
    assert result.thumbnails[0].margin == 0
    assert str(result).startswith("red.png fits 'red one' and 'red two' equally (1.00).")


@pytest.mark.parametrize(
    "title",
    ["日本語の題名", "🚀🔥", "עברית", "x" * 5000, "a.jpg", "http://127.0.0.1:9/x.png", "\ud800", "\x1b[31m'quoted'"],
)
def test_titles_in_any_script_and_of_any_length_are_texts(workspace: Workspace, red: str, title: str):
    result = match_thumbnails(workspace, [red], [title, "red"])
    assert result.thumbnails[0].title == "red" and len(result.titles) == 2
    assert "\x1b" not in str(result) and max(map(len, result.columns)) <= 1000
    assert bool(result.notes) == (len(title) > 1000)


def test_a_title_is_one_composed_line():
    assert tidy(" e\u0301te\u0301 \n d'hiver\t ") == "été d'hiver"
    assert tidy("\u00a0 \n") == ""


def test_what_cannot_be_read_is_named_and_the_rest_is_matched(workspace: Workspace, red: str, tmp_path: Path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    given = [red, str(bad), "/no/such.jpg", "https://i.ytimg.com/vi/x/hq.jpg", "nul\0.jpg"]
    result = match_thumbnails(workspace, given, ["red", "blue"])
    assert [one.thumbnail for one in result.thumbnails] == ["red.png"]
    reasons = {item.key: item.reason for item in result.unreadable}
    assert len(reasons) == 4 and "download it first" in reasons["https://i.ytimg.com/vi/x/hq.jpg"]
    assert "left out bad.jpg" in str(result)


def test_thumbnails_of_which_none_can_be_read_are_an_error(workspace: Workspace):
    with pytest.raises(DataError, match="The thumbnail cannot be read: no.jpg: There is no file"):
        match_thumbnails(workspace, ["/no.jpg"], ["red"])
    with pytest.raises(DataError, match="None of the 2 thumbnails can be read"):
        match_thumbnails(workspace, ["/no.jpg", "/nor.jpg"], ["red"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "there are no thumbnails and titles: give picture files and the titles"),
        ({"thumbnails": ["a.jpg"]}, "there are no titles"),
        ({"titles": ["a"]}, "there are no thumbnails"),
        ({"thumbnails": [], "titles": []}, "there are no thumbnails and titles"),
        ({"thumbnails": ["a.jpg"], "titles": ["a"], "dataset": "d"}, "leave one of them out"),
        ({"thumbnails": ["a.jpg"], "titles": ["a", " "]}, "title 2 of 2 is empty"),
        ({"thumbnails": [" "], "titles": ["a"]}, "thumbnail 1 is empty"),
        ({"thumbnails": ["a.jpg"], "titles": ["a"] * 1001}, "1001 titles are given; at most 1000"),
        ({"thumbnails": [f"{i}.jpg" for i in range(201)], "titles": ["a"]}, "201 thumbnails are given; at most 200"),
        ({"thumbnails": [f"{i}.jpg" for i in range(200)], "titles": ["a"] * 201}, "make 40200 scores; at most 40000"),
    ],
)
def test_too_little_or_too_much_is_refused_with_what_to_do(
    workspace: Workspace, arguments: dict[str, object], message: str
):
    with pytest.raises(InputError, match=message):
        match_thumbnails(workspace, **arguments)


def test_a_folder_without_pictures_is_refused(workspace: Workspace, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures in"):
        match_thumbnails(workspace, [str(tmp_path / "empty")], ["a"])


def test_a_thousand_titles_are_no_trouble(workspace: Workspace, red: str):
    titles = [f"title {number}" for number in range(999)] + ["red"]
    assert match_thumbnails(workspace, [red], titles).thumbnails[0].title == "red"


def test_files_of_the_same_name_stay_apart_and_the_same_file_twice_is_one(
    workspace: Workspace, make_picture: MakePicture
):
    first, second = str(make_picture("a/x.png", "red")), str(make_picture("b/x.png", "blue"))
    result = match_thumbnails(workspace, [first, second, first], ["red", "blue"])
    assert {one.thumbnail: one.title for one in result.thumbnails} == {first: "red", second: "blue"}


def test_the_pairs_of_a_dataset_are_ranked_as_evaluate_model_ranks_them(workspace: Workspace):
    titles = ["red hat", "blue car", "green frog", "yellow sun", "purple rain", "black cat", "white wall", "odd thing"]
    make_pairs(workspace, titles, split="test")
    result = match_thumbnails(workspace, dataset="colours")
    assert result.found and [one.true_title for one in result.thumbnails] == titles
    scores = np.array(result.scores)
    for row, one in enumerate(result.thumbnails):
        wrong = np.delete(scores[row], row)
        assert one.rank == 1 + np.count_nonzero(wrong >= scores[row, row])
    hits = [one.rank == 1 for one in result.thumbnails]
    assert result.found.recall_at_1.value == np.mean(hits)
    assert result.found.recall_at_5.value == np.mean([one.rank <= 5 for one in result.thumbnails])
    assert result.found.mrr.value == pytest.approx(np.mean([1 / one.rank for one in result.thumbnails]))
    assert str(result).startswith(
        f"{sum(hits)} of the 8 thumbnails of colours (test) fit their own title best: Recall@1 "
    )
    assert all(Path(one.file).exists() for one in result.thumbnails)


def test_a_model_that_gives_everything_the_same_score_finds_nothing(workspace: Workspace):
    make_pairs(workspace, [f"thing {word}" for word in "abcdefgh"], split="test")
    result = match_thumbnails(workspace, dataset="colours")
    assert result.found and result.found.recall_at_1.value == 0
    assert {one.rank for one in result.thumbnails} == {8}


def test_equal_titles_in_a_dataset_count_as_found(workspace: Workspace):
    make_pairs(workspace, ["red", "red", "blue", "blue", "green"], split="test")
    result = match_thumbnails(workspace, dataset="colours")
    assert result.found and result.found.candidates == 3 and result.found.recall_at_1.value == 1
    assert len(result.titles) == 3 and len(result.columns) == 5


def test_the_test_split_is_matched_and_otherwise_all_rows(workspace: Workspace):
    make_pairs(workspace, ["red hat", "blue car", "green frog"])
    result = match_thumbnails(workspace, dataset="colours")
    assert "the 3 thumbnails of colours fit" in result.answer(), "too small to split: all rows"
    make_pairs(workspace, ["red hat", "blue car"], "split", split="test")
    assert "of split (test) fit" in match_thumbnails(workspace, dataset="split").answer()


def test_a_large_dataset_is_cut_and_says_so(workspace: Workspace):
    make_pairs(workspace, [f"{word} {number}" for number in range(13) for word in COLOURS], split="test")
    result = match_thumbnails(workspace, dataset="colours")
    assert len(result.thumbnails) == 100
    assert result.notes == ("of the 104 pairs of colours (test) the first 100 are used",)


def test_a_dataset_takes_the_place_of_a_list(workspace: Workspace, red: str):
    make_pairs(workspace, ["red hat", "blue car", "green frog"])
    titles = match_thumbnails(workspace, [red], dataset="colours")
    assert titles.thumbnails[0].title == "red hat" and set(titles.columns) == {"red hat", "blue car", "green frog"}
    assert titles.found is None
    pictures = match_thumbnails(workspace, titles=["green"], dataset="colours")
    assert len(pictures.thumbnails) == 3 and pictures.titles[0].thumbnail.startswith("train ")
    with pytest.raises(InputError, match="leave one of them out"):
        match_thumbnails(workspace, [red], ["red"], "colours")


def test_an_unknown_dataset_or_one_without_pairs_is_refused(workspace: Workspace, photos: Path):
    from tools.load_dataset import load_dataset

    with pytest.raises(NotInLibraryError, match="no dataset named 'none'"):
        match_thumbnails(workspace, dataset="none")
    load_dataset(workspace, str(photos), "images", "photos")
    with pytest.raises(DataError, match="not pairs of pictures and titles"):
        match_thumbnails(workspace, dataset="photos")


def test_progress_is_told_and_stop_ends_it(workspace: Workspace, photos: Path):
    told: list[Progress] = []
    match_thumbnails(workspace.watched(Watch(told.append)), [str(photos)], ["red"])
    assert told[-2:] == [Progress("looking at thumbnails", 5, 5), Progress("reading titles", 1, 1)]
    stopped = Watch()
    stopped.stop.set()
    with pytest.raises(StoppedError):
        match_thumbnails(workspace.watched(stopped), [str(photos)], ["red"])


def test_a_result_survives_the_conversation(workspace: Workspace, red: str):
    import dataclasses
    import json

    from pydantic import TypeAdapter

    make_pairs(workspace, ["red hat", "blue car", "green frog"])
    for result in (match_thumbnails(workspace, [red], ["red", "blue"]), match_thumbnails(workspace, dataset="colours")):
        plain = json.loads(json.dumps(dataclasses.asdict(result)))
        assert TypeAdapter(Matches).validate_python(plain) == result
