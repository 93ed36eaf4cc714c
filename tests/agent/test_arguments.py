from typing import Literal

import pytest

from agent.arguments import changed, choices, fitted, is_switch, read_assignments, written
from tools.core.errors import InputError

Weights = Literal["projection", "all"]


def tool(
    workspace: object,
    count: int,
    several: int | list[int] | None = None,
    rate: float | list[float] | None = None,
    weights: Weights | None = None,
    private: bool = True,
    name: str | None = None,
    title: str = "",
) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("count", "3", 3),
        ("count", 3, 3),
        ("several", "3", 3),
        ("several", " 1, 2 ", [1, 2]),
        ("several", "[1,2]", [1, 2]),
        ("several", "", None),
        ("several", [1, 2], [1, 2]),
        ("rate", "1e-4", 1e-4),
        ("rate", "1e-4, 3e-5", [1e-4, 3e-5]),
        ("weights", "all", "all"),
        ("weights", "none", None),
        ("private", "false", False),
        ("private", True, True),
        ("name", "", None),
        ("name", "none, 1", "none, 1"),
        ("title", "", ""),
    ],
)
def test_what_is_typed_gets_the_type_of_the_argument(name: str, given: object, value: object):
    made = fitted(tool, {"count": 1, name: given})[name]
    assert made == value and type(made) is type(value)


@pytest.mark.parametrize("value", [3, [1, 2], 1e-4, [1e-4, 3e-5], "all", None])
def test_what_is_written_reads_back(value: object):
    name = "weights" if value == "all" else "rate" if "e-" in repr(value) or "0.0" in repr(value) else "several"
    assert fitted(tool, {"count": 1, name: written(value)})[name] == value


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"count": "many"}, "count is 'many'; expected a whole number"),
        ({"count": 1.5}, "count is 1.5; expected a whole number"),
        ({"count": None}, "count is None"),
        ({"count": 1, "several": "1, x"}, "expected a whole number or several with commas between or nothing"),
        ({"count": 1, "weights": "some"}, "expected projection, all or nothing"),
        ({"count": 1, "private": "perhaps"}, "expected yes or no"),
        ({"count": 1, "colour": "red"}, "tool has no argument 'colour'; it has count, several"),
        ({}, "tool needs count"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(args: dict[str, object], says: str):
    with pytest.raises(InputError) as error:
        fitted(tool, args)
    assert says in str(error.value)


def test_only_what_may_be_changed_is_changed():
    assert changed(tool, {"count": 1, "title": "a"}, {"count": "2"}, ("count",)) == {"count": 2, "title": "a"}
    with pytest.raises(InputError, match="title cannot be changed here: you can change count"):
        changed(tool, {"count": 1}, {"title": "b"}, ("count",))
    with pytest.raises(InputError, match="nothing can be changed"):
        changed(tool, {"count": 1}, {"count": "2"}, ())


def test_a_form_knows_what_to_offer():
    assert choices(tool, "weights") == ("projection", "all") and choices(tool, "count") == ()
    assert is_switch(tool, "private") and not is_switch(tool, "name")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("epochs=3", {"epochs": "3"}),
        ("epochs = 3 batch_size=8", {"epochs": "3", "batch_size": "8"}),
        ("rate=1e-4, 3e-5, epochs=1,2;", {"rate": "1e-4, 3e-5", "epochs": "1,2"}),
        ("please use epochs=3 and batch_size=8.", {"epochs": "3", "batch_size": "8"}),
        ("find epochs=3", {}),
        ("colour=red", {}),
        ("epochs=3 colour=red", {}),
        ("with 3 epochs", {}),
        ("", {}),
    ],
)
def test_assignments_are_read_and_nothing_else(text: str, values: dict[str, str]):
    assert read_assignments(text, ("epochs", "batch_size", "rate")) == values
