from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config.htpasswd import NAME_BYTES, check_name, names_in, with_user, without_user
from tests.outcomes import outcome

TEXT = "# ours\n\n  alice:$2y$10$old  \nbob:$apr1$x\n#carol:x\n"


def test_names_are_those_of_lines_that_count() -> None:
    assert names_in(TEXT) == ["alice", "bob"]
    assert names_in("") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "dave:new\n"),
        (TEXT, f"{TEXT}dave:new\n"),
        ("bob:x", "bob:x\ndave:new\n"),
        ("bob:x\r\n# end", "bob:x\r\n# end\r\ndave:new\r\n"),
        ("bob:x\n\n\n", "bob:x\n\n\ndave:new\n"),
    ],
)
def test_a_new_one_is_behind_all_others(before: str, after: str) -> None:
    assert with_user(before, "dave", "new") == after


def test_one_who_is_there_keeps_the_place() -> None:
    assert with_user(TEXT, "alice", "new") == "# ours\n\nalice:new\nbob:$apr1$x\n#carol:x\n"
    assert with_user("a:1\r\nalice:2\r\nb:3", "alice", "new") == "a:1\r\nalice:new\r\nb:3"
    assert with_user("alice:2", "alice", "new") == "alice:new"


def test_one_who_goes_takes_nothing_along() -> None:
    assert without_user(TEXT, "alice") == "# ours\n\nbob:$apr1$x\n#carol:x\n"
    assert without_user(TEXT, "carol") == TEXT


LINES = st.lists(st.sampled_from(["# a", "", "  ", "bob:1", " carol:2 ", "#dave:3", "eve"]), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n"])


@given(LINES, ENDS, st.booleans())
def test_whoever_came_and_went_leaves_all_as_it_was(lines: list[str], end: str, ended: bool) -> None:
    before = end.join(lines) + (end if ended and lines else "")
    after = without_user(with_user(before, "dave", "x"), "dave")
    assert after.startswith(before)
    assert after[len(before) :] in ("", "\n", "\r\n")


@pytest.mark.parametrize("name", ["alice", "müller", "a b", "alice@example.com", "-", "$2b$", "x" * NAME_BYTES])
def test_a_name_may_have_any_other_character(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "a:b", ":", "a\nb", "a\rb", "\x00", "a\x7f", "\x85", "\u2028", "a\ud800", " a", "a ", "\ta", "#a"),
        *("x" * (NAME_BYTES + 1), "ü" * 128),
    ],
)
def test_others_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|colon|control"):
        check_name(name)


@given(st.text(min_size=1, max_size=20))
def test_a_name_that_is_taken_is_one_line_and_found_again(name: str) -> None:
    if outcome(ValueError, check_name, name) is None:
        text = with_user("bob:1\n", name, "x")
        assert names_in(text)[-1] == name
