from __future__ import annotations

import pytest

from crproxy.objects import recently
from crproxy.objects.naming import link_content, link_key, revoked_content, revoked_key, tag_content, tag_key
from crproxy.objects.recently import Recently
from crproxy.oci.digests import Digest
from crproxy.oci.names import DOCKER_HUB
from crproxy.policy.object_keys import ViewNames
from crproxy.store.notes import Link, TagEntry

A, B = Digest.of(b"a"), Digest.of(b"b")
VIEW = ViewNames(DOCKER_HUB.repository("nginx"))
TAG, LINK = tag_key(VIEW, "latest"), link_key(VIEW, A)


def test_a_tag_that_points_where_it_did_is_no_news_for_a_while() -> None:
    told = Recently()
    assert told.is_news(TAG, tag_content(TagEntry(A, 1000.0)))
    told.told(TAG, tag_content(TagEntry(A, 1000.0)))
    assert not told.is_news(TAG, tag_content(TagEntry(A, 1299.0)))
    assert told.is_news(TAG, tag_content(TagEntry(A, 1300.0)))
    assert told.is_news(TAG, tag_content(TagEntry(A, 999.0))), "somebody has set the clock back"
    assert told.is_news(TAG, tag_content(TagEntry(B, 1001.0)))
    assert told.is_news(tag_key(VIEW, "other"), tag_content(TagEntry(A, 1001.0)))


def test_so_is_a_link_that_says_what_it_did() -> None:
    told = Recently()
    told.told(LINK, link_content(Link("a", 1, 1000.0)))
    assert not told.is_news(LINK, link_content(Link("a", 1, 1001.0)))
    assert told.is_news(LINK, link_content(Link("a", 2, 1001.0)))
    assert told.is_news(LINK, link_content(Link("b", 1, 1001.0)))
    assert told.is_news(LINK, link_content(Link("a", 1, 0.0))), "it does not count any more"


def test_what_was_removed_is_news_when_it_is_back_and_all_is_after_a_refusal() -> None:
    told = Recently()
    for forget in (lambda: told.told(TAG, None), told.forget):
        told.told(TAG, tag_content(TagEntry(A, 1000.0)))
        forget()
        assert told.is_news(TAG, tag_content(TagEntry(A, 1001.0)))


@pytest.mark.parametrize(
    ("key", "content"), [(revoked_key(VIEW), revoked_content(1.0)), (TAG, b"{"), ("v1/other", b"{}")]
)
def test_all_else_is_news(key: str, content: bytes) -> None:
    told = Recently()
    told.told(key, content)
    assert told.is_news(key, content)


def test_it_remembers_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recently, "_MOST", 2)
    told, content = Recently(), tag_content(TagEntry(A, 1000.0))
    for name in ("a", "b", "c"):
        told.told(tag_key(VIEW, name), content)
    assert [told.is_news(tag_key(VIEW, name), content) for name in ("a", "b", "c")] == [True, False, False]
