"""Lists that come in pages."""

from __future__ import annotations

import pytest

from crproxy.pullthrough.paging import next_query
from crproxy.pullthrough.reply import Reply


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, {}),
        ({"Link": '</v2/a/tags/list?last=v2&n=5>; rel="next"'}, {"last": "v2", "n": "5"}),
        ({"Link": "nonsense"}, {}),
        ({"Link": ""}, {}),
    ],
)
def test_the_next_page(headers: dict[str, str], query: dict[str, str]) -> None:
    assert next_query(Reply(200, headers)) == query
