from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from crproxy.fleet.tags import Tags, Told
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.store.entries import View
from crproxy.store.notes import TagEntry
from tests.fleet.fake import FakeValkey
from tests.fleet.test_codecs import anything
from tests.memory import ended

REPOSITORY = Repository.parse(Registry.parse("quay.io"), "org/app")
TAG = Tag.parse("v1")
DIGEST = Digest.of(b"x")
NOW = 1_800_000_000.0


class TestTags:
    def setup_method(self) -> None:
        self.fake = FakeValkey()
        self.tags = Tags(self.fake.valkey, "https://here.test:5443", lambda: NOW)

    def look(self, value: bytes | None, view: View | None = None) -> Told | None:
        looking = Deferred.fromCoroutine(self.tags.look(view or View(REPOSITORY), TAG))
        self.fake.next().answer(value)
        return ended(looking)

    @pytest.mark.parametrize("ahead", [0.0, 100.0, -100.0])
    def test_what_is_noted_is_found(self, ahead: float) -> None:
        self.fake.ahead = ahead
        self.tags.note(View(REPOSITORY, "a b/c"), TAG, TagEntry(DIGEST, NOW - 5), "a/b")
        _, key, value, checked, seconds = self.fake.next().words
        assert (key, seconds) == ("fake:tag:quay.io/org/app/-/a%20b%2Fc/v1", 600)
        assert float(checked) == NOW - 5 - ahead
        assert self.look(value.encode()) == Told(TagEntry(DIGEST, NOW - 5), "a/b", "https://here.test:5443")

    def test_it_is_looked_for_with_the_credential_that_it_was_seen_with(self) -> None:
        Deferred.fromCoroutine(self.tags.look(View(REPOSITORY), TAG))
        assert self.fake.next().words == ("GET", "fake:tag:quay.io/org/app/-/-/v1")

    def test_what_a_client_sees_with_its_own_login_is_told_to_nobody(self) -> None:
        view = View(REPOSITORY, caller="Basic x")
        self.tags.note(view, TAG, TagEntry(DIGEST, NOW))
        assert ended(Deferred.fromCoroutine(self.tags.look(view, TAG))) is None
        assert self.fake.questions == []

    def test_what_was_checked_later_was_checked_now(self) -> None:
        value = json.dumps({"digest": str(DIGEST), "checked": NOW + 50}).encode()
        assert self.look(value) == Told(TagEntry(DIGEST, NOW))

    def test_where_nobody_knows(self) -> None:
        assert self.look(None) is None

    def test_where_valkey_is_away(self) -> None:
        self.fake.is_up = False
        self.tags.note(View(REPOSITORY), TAG, TagEntry(DIGEST, NOW))
        assert ended(Deferred.fromCoroutine(self.tags.look(View(REPOSITORY), TAG))) is None

    def test_where_it_goes_away_meanwhile(self) -> None:
        self.tags.note(View(REPOSITORY), TAG, TagEntry(DIGEST, NOW))
        self.fake.next().fail()

    @given(
        st.binary()
        | anything.map(lambda said: json.dumps(said).encode())
        | anything.map(lambda said: json.dumps({"digest": str(DIGEST), "checked": said}).encode())
        | anything.map(lambda said: json.dumps({"digest": said, "checked": 1}).encode())
    )
    def test_anything_is_an_entry_or_none(self, value: bytes) -> None:
        assert isinstance(self.look(value), Told | None)
