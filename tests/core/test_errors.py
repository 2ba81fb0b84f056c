"""The table of errors is closed, and each error says something."""

from __future__ import annotations

import re

from payengine import errors
from payengine.errors import CursorInvalid, PayengineError, all_errors


def _defined() -> set[type[PayengineError]]:
    return {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, PayengineError)
    }


def test_every_code_is_written_once_and_like_the_others() -> None:
    classes = _defined()
    assert len({each.code for each in classes}) == len(classes)
    assert {code: each.code for code, each in all_errors().items()} == {c: c for c in all_errors()}
    assert all(re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", code) for code in all_errors())


def test_every_error_of_the_module_is_in_the_table() -> None:
    assert _defined() <= set(all_errors().values())
    assert {each.__name__ for each in _defined()} <= set(errors.__all__)


def test_the_docstring_is_the_message_where_none_is_given() -> None:
    for error in all_errors().values():
        made = error()
        assert made.message
        assert "\n" not in made.message
        assert made.message.endswith(".")
        assert str(made) == made.message


def test_a_message_and_a_path_may_be_given() -> None:
    made = CursorInvalid("Another one.", path=("after",))
    assert (made.message, made.path, made.code) == ("Another one.", ("after",), "CURSOR_INVALID")
