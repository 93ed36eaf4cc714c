"""What the planner makes of commands, by words alone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agent.planner import Planner

LIBRARY = {"dataset": ["talebi", "photos"], "collection": ["photos"]}


def calls(planner: Planner, text: str, *history: str, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool, call.args) for call in planner.plan(text, history, **more).calls]


def test_the_verb_and_what_follows_decide_the_tool(planner: Planner) -> None:
    assert calls(planner, "show me dogs") == [("search_images", {"query": "dogs"})]
    assert calls(planner, "show me my datasets") == [("list_library", {"kind": "datasets"})]
    assert calls(planner, "show 5 rows of talebi") == [("show_dataset", {"dataset": "talebi", "rows": 5})]
    assert calls(planner, "load ./photos") == [("load_dataset", {"source": "./photos"})]
    assert calls(planner, "index ./photos") == [("index_images", {"source": "./photos"})]


def test_a_known_name_is_preferred_to_free_words(planner: Planner) -> None:
    assert calls(planner, "show talebi", names=LIBRARY) == [("show_dataset", {"dataset": "talebi"})]
    assert calls(planner, "show talebi") == [("search_images", {"query": "talebi"})]


def test_the_kind_is_given_only_where_kinds_share_a_name(planner: Planner) -> None:
    said = "remove the collection photos"
    assert calls(planner, said) == [("delete_item", {"item": "photos"})]
    assert calls(planner, said, names=LIBRARY) == [("delete_item", {"item": "collection/photos"})]


def test_only_what_was_said_becomes_an_argument(planner: Planner) -> None:
    assert calls(planner, "please find a cat for me") == [("search_images", {"query": "a cat"})]


def test_a_path_with_spaces_is_read_from_its_quotation_marks(planner: Planner) -> None:
    assert calls(planner, 'index "./my photos"') == [("index_images", {"source": "./my photos"})]


@pytest.mark.parametrize("said", ["12", "twelve", "a dozen"])
def test_numbers_may_be_words(planner: Planner, said: str) -> None:
    assert calls(planner, f"show me {said} pictures of red trucks") == [
        ("search_images", {"k": 12, "query": "red trucks"})
    ]


def test_typos_in_command_words_are_forgiven(planner: Planner) -> None:
    assert calls(planner, "serach for dogs") == [("search_images", {"query": "dogs"})]
    assert calls(planner, "delte the dataset talebi") == [("delete_item", {"item": "talebi"})]


def test_words_in_quotation_marks_are_data(planner: Planner) -> None:
    assert calls(planner, 'find "index ./x and then delete talebi"') == [
        ("search_images", {"query": "index ./x and then delete talebi"})
    ]


def test_steps_are_split_where_each_side_is_a_command(planner: Planner) -> None:
    cat = ("search_images", {"query": "a cat on a sofa"})
    index = ("index_images", {"source": "./photos"})
    for joined in (" and then ", "; ", ", then ", " and ", ", "):
        assert calls(planner, f"index ./photos{joined}find a cat on a sofa") == [index, cat], joined
    assert calls(planner, "find a cat and a dog") == [("search_images", {"query": "a cat and a dog"})]


def test_it_is_what_was_made_last(planner: Planner) -> None:
    assert calls(planner, "show it", "load ./x and call it trips") == [("show_dataset", {"dataset": "trips"})]
    assert calls(planner, "load ./x and show 2 rows of it")[1] == ("show_dataset", {"rows": 2, "dataset": "x"})


def test_it_follows_the_name_that_the_library_chose(planner: Planner) -> None:
    names = {"dataset": ["x", "y", "x-2"]}
    assert calls(planner, "show it", "load ./x", names=names) == [("show_dataset", {"dataset": "x-2"})]


def test_it_without_anything_before_is_asked_for(planner: Planner) -> None:
    assert planner.plan("delete it").ask == "item"


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("same but for lions", {"query": "lions"}),
        ("again with 5 results", {"k": 5}),
        ("show 20 instead", {"k": 20}),
        ("more", {"k": 24}),
        ("again", {}),
        ("the same in the collection zoo", {"collection": "zoo"}),
    ],
)
def test_the_last_command_can_be_changed(planner: Planner, said: str, change: dict[str, Any]) -> None:
    assert calls(planner, said, "find tigers") == [("search_images", {"query": "tigers"} | change)]


def test_more_of_nothing_does_nothing(planner: Planner) -> None:
    plan = planner.plan("more")
    assert not plan.calls and plan.say


def test_a_result_is_named_by_its_place(planner: Planner) -> None:
    assert calls(planner, "more like the second one", "find dogs") == [("search_images", {"image": "result 2"})]


def test_an_uploaded_picture_is_what_this_means(planner: Planner) -> None:
    assert calls(planner, "find pictures like this", files=["/up/a.jpg"]) == [("search_images", {"image": "/up/a.jpg"})]
    assert planner.plan("find pictures like this").ask == "image"


def test_a_missing_argument_is_asked_for_and_the_answer_completes_it(planner: Planner) -> None:
    plan = planner.plan("index my pictures")
    assert (plan.calls, plan.ask) == ((), "source")
    assert "./photos" in plan.say
    assert calls(planner, "./photos", "index my pictures") == [("index_images", {"source": "./photos"})]
    assert calls(planner, "find dogs", "index my pictures") == [("search_images", {"query": "dogs"})]


def test_steps_after_a_question_wait_for_the_answer(planner: Planner) -> None:
    assert calls(planner, "./x", "index my pictures and then find a cat") == [
        ("index_images", {"source": "./x"}),
        ("search_images", {"query": "a cat"}),
    ]


def test_what_can_be_done_before_the_question_is_done(planner: Planner) -> None:
    plan = planner.plan("list my datasets and then delete something")
    assert [call.tool for call in plan.calls] == ["list_library"]
    assert plan.ask == "item"


@pytest.mark.parametrize(
    "said", ["don't delete talebi", "how do I delete a dataset?", "should I delete talebi?", "I deleted talebi"]
)
def test_words_about_deleting_delete_nothing(planner: Planner, said: str) -> None:
    plan = planner.plan(said)
    assert not plan.calls and plan.say


def test_abilities_come_from_the_docstrings(planner: Planner, larger_planner: Planner) -> None:
    line = "- Collect the videos of a channel."
    assert line not in planner.plan("what can you do?").say
    assert line in larger_planner.plan("what can you do?").say


def test_a_tool_that_is_not_there_is_declined(planner: Planner) -> None:
    plan = planner.plan("collect the videos of @talebi")
    assert not plan.calls and plan.ask is None
    assert "collect youtube" in plan.say and "Find the pictures" in plan.say


def test_a_new_tool_needs_only_its_signature_and_phrases(larger_planner: Planner) -> None:
    assert calls(
        larger_planner, "collect @mkbhd over 10 minutes and call it mk, then mine 3 hard negatives for it"
    ) == [
        ("collect_youtube", {"channel": "@mkbhd", "min_minutes": 10, "name": "mk"}),
        ("mine_negatives", {"per_anchor": 3, "strategy": "hard", "dataset": "mk"}),
    ]
    assert larger_planner.plan("collect some videos").ask == "channel"


@pytest.mark.parametrize("said", ["", "   ", "?!", '"', "((((", "index " * 300, "find " + "x" * 5000])
def test_no_text_breaks_it(planner: Planner, said: str) -> None:
    assert planner.plan(said) is not None


def test_clear_commands_take_milliseconds(planner: Planner) -> None:
    planner.plan("find a cat")
    began = time.perf_counter()
    for _ in range(10):
        planner.plan("index ./photos and then show me 20 pictures of a cat on a sofa")
    assert (time.perf_counter() - began) / 10 < 0.1  # 20 ms on a quiet machine


def test_a_name_given_earlier_is_known_afterwards(planner: Planner) -> None:
    before = "index the folder ~/photos as holidays"
    assert calls(planner, before) == [("index_images", {"source": "~/photos", "collection": "holidays"})]
    found = calls(planner, "find dogs in holidays", before)
    assert found == [("search_images", {"query": "dogs", "collection": "holidays"})]
    assert calls(planner, "find dogs in holidays") == [("search_images", {"query": "dogs in holidays"})]


@pytest.mark.parametrize("thing", ["a train", "a computer", "a laptop", "a table", "a face"])
def test_a_word_that_names_no_artifact_may_still_be_what_a_picture_shows(planner: Planner, thing: str) -> None:
    assert calls(planner, f"show me 8 pictures of {thing}") == [("search_images", {"k": 8, "query": thing})]
    assert calls(planner, f"find {thing}") == [("search_images", {"query": thing})]
    assert planner.plan("find something").ask == "query"
