"""The phrases files and their little language."""

from __future__ import annotations

import pytest

from agent.planner.phrasebook import FOLDER, read_phrasebook
from agent.planner.template import TemplateError, example, parse
from agent.planner.text import Look, Speller, tokenize
from tools import TOOLS


def test_every_tool_has_phrases() -> None:
    assert {tool.__name__ for tool in TOOLS} <= set(read_phrasebook(FOLDER).tools)


def test_an_example_takes_the_first_of_each_alternative() -> None:
    assert example(parse("(show|find) [me] {k} pictures {kind=all}", {}), {"k": "five"}) == "show me five pictures"


@pytest.mark.parametrize("line", ["find [me", "find me]", "(a|b]", "<nothing>"])
def test_a_line_that_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(TemplateError, match="bracket|list"):
        parse(line, {})


@pytest.mark.parametrize(
    ("written", "look"),
    [
        ("./photos", Look.PATH),
        ("~/x", Look.PATH),
        ("D:/x", Look.PATH),
        ("cat.jpg", Look.FILE),
        ("data/train-v2.0.json", Look.FILE),
        ("owner/name", Look.HUB),
        ("https://x.org/a", Look.URL),
        ("@mkbhd", Look.HANDLE),
        ("1e-5", Look.NUMBER),
        ("cat", Look.WORD),
    ],
)
def test_tokens_know_what_they_look_like(written: str, look: Look) -> None:
    assert [(token.value, token.look) for token in tokenize(f"{written}, ")] == [(written, look)]


def test_an_apostrophe_is_not_a_quotation_mark() -> None:
    assert [token.value for token in tokenize("grandma's and 'a b', the dogs' bowl")] == [
        "grandma's", "and", "a b", "the", "dogs'", "bowl",
    ]  # fmt: skip


def test_a_word_is_corrected_only_when_it_is_unknown() -> None:
    speller = Speller(["search", "find", "fond"])
    assert speller.corrections("serach") == ["search"]
    assert speller.corrections("find") == ()
    assert speller.corrections("dog") == []
