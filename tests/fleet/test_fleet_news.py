from __future__ import annotations

import json
from typing import cast

import pytest
from twisted.internet.defer import Deferred

from crproxy.fleet.fleet_news import FleetNews
from crproxy.fleet.tags import Tags
from crproxy.oci.digests import Digest
from crproxy.oci.names import Reference, Registry, Tag
from crproxy.pullthrough.recall import Recall
from crproxy.store.entries import View
from crproxy.store.notes import TagEntry
from tests.fleet.fake import FakeValkey
from tests.memory import ended

VIEW = View(Registry("quay.io").repository("org/app"))
TAG, DIGEST = Tag.parse("v1"), Digest.of(b"{}")
NOW = 1_800_000_000.0
TYPE = "application/vnd.oci.image.manifest.v1+json"


class HandRecall:
    """Notes what is to be taken up."""

    def __init__(self) -> None:
        self.taken_up: list[tuple[View, Reference]] = []

    async def at_once(self, view: View, reference: Reference) -> None:
        self.taken_up.append((view, reference))


@pytest.fixture
def valkey() -> FakeValkey:
    return FakeValkey()


@pytest.fixture
def recall() -> HandRecall:
    return HandRecall()


@pytest.fixture
def news(valkey: FakeValkey, recall: HandRecall) -> FleetNews:
    return FleetNews(Tags(valkey.valkey, "https://here.test:5443", lambda: NOW), cast(Recall, recall))


@pytest.mark.parametrize("media_type", [None, TYPE])
@pytest.mark.parametrize(("reference", "last"), [(TAG, "v1"), (DIGEST, str(DIGEST))])
def test_what_was_found_out_is_told(
    news: FleetNews, valkey: FakeValkey, media_type: str | None, reference: Reference, last: str
) -> None:
    news.tell(VIEW, reference, TagEntry(DIGEST, NOW - 1), media_type)
    _, key, value, *_ = valkey.next().words
    assert key == f"fake:tag:quay.io/org/app/-/-/{last}"
    assert json.loads(value) == {
        "digest": str(DIGEST),
        "checked": NOW - 1,
        "type": media_type,
        "url": "https://here.test:5443",
    }


def test_what_a_client_sees_with_its_own_login_is_not(news: FleetNews, valkey: FakeValkey) -> None:
    news.tell(View(VIEW.repository, caller="Basic x"), TAG, TagEntry(DIGEST, NOW), None)
    assert valkey.questions == []


def test_where_valkey_is_away_nobody_is_told(news: FleetNews, valkey: FakeValkey) -> None:
    valkey.is_up = False
    news.tell(VIEW, TAG, TagEntry(DIGEST, NOW), None)
    assert valkey.questions == []


def test_what_others_found_out_is_taken_up(news: FleetNews, recall: HandRecall) -> None:
    for reference in (TAG, DIGEST):
        ended(Deferred.fromCoroutine(news.hear(VIEW, reference)))
    assert recall.taken_up == [(VIEW, TAG), (VIEW, DIGEST)]
