import inspect

from tools.core import errors
from tools.core.errors import PairwrightError, first_line

CLASSES = [thing for _, thing in inspect.getmembers(errors, inspect.isclass)]


def test_every_error_is_a_pairwright_error_and_stands_in_the_tree():
    assert all(issubclass(one, PairwrightError) and one.__name__ in str(errors.__doc__) for one in CLASSES)


def test_the_tree_names_no_error_that_does_not_exist():
    named = {word for word in str(errors.__doc__).split() if word.endswith("Error")}
    assert named == {one.__name__ for one in CLASSES}


def test_the_first_line_of_a_long_message_is_kept_short():
    assert first_line(ValueError("what went wrong\nand a trace")) == "what went wrong"
    assert len(first_line(ValueError("x" * 1000))) == 200


def test_an_error_without_a_message_gives_its_name():
    assert first_line(KeyError()) == "KeyError"
    assert first_line(ValueError("  \n ")) == "ValueError"
