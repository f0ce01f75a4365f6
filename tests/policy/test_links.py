"""What is read of a Link; next_page's tests have the forms that registries write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.fields import FIELD_LIMIT
from crproxy.policy.links import next_target

tokens = st.text("abcXYZ-*", min_size=1, max_size=5)
quoted = st.text().map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
parameters = st.builds("{}={}".format, tokens.filter(lambda name: name.lower() != "rel"), tokens | quoted)


@given(
    st.text("a/?=&:%", max_size=9), st.lists(parameters), st.lists(parameters), st.sampled_from(["next", '"up next"'])
)
def test_a_target_is_found_whatever_stands_beside_its_relation(
    target: str, before: list[str], behind: list[str], relation: str
) -> None:
    assert next_target(f"<{target}>" + "".join(f" ; {one}" for one in (*before, f"rel={relation}", *behind))) == target


@given(st.text())
def test_any_text_is_read(field: str) -> None:
    target = next_target(field)
    assert target is None or f"<{target}>" in field


@pytest.mark.security("S17")
def test_s17_what_is_longer_than_a_field_is_not_read() -> None:
    link = "<a>;rel=next"
    assert next_target(link + " " * (FIELD_LIMIT - len(link))) == "a"
    assert next_target(link + " " * (FIELD_LIMIT - len(link) + 1)) is None
