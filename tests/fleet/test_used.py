from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from crproxy.fleet.used import UsedObjects
from crproxy.objects.errors import TierFailed
from crproxy.objects.naming import blob_key
from crproxy.objects.uses import Noted
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry
from crproxy.store.entries import Entry
from tests.fleet.fake import FakeValkey
from tests.memory import ended, failure_of, not_yet

NOW = 1_800_000_000.0
A = Entry(Digest.of(b"a"))
B = Entry(Digest.of(b"a"), Registry("quay.io"))
MANY = [Entry(Digest("sha256", f"{number:064x}")) for number in range(501)]
LONG_AGO = b"%d" % (1e12 + NOW - 86400)


def begun(work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(work)


class TestUsedObjects:
    def setup_method(self) -> None:
        self.fake = FakeValkey()
        self.used = UsedObjects(self.fake.valkey, lambda: NOW)

    @pytest.mark.parametrize("ahead", [0.0, 100.0])
    def test_times_are_those_of_valkeys_clock(self, ahead: float) -> None:
        self.fake.ahead = ahead
        noting = begun(self.used.note({A: NOW - 5, B: NOW}))
        question = self.fake.next()
        assert question.words[1:] == (
            "fake:used",
            60 * 86400,
            500_000,
            repr(NOW - 5 - ahead),
            blob_key(A),
            repr(NOW - ahead),
            blob_key(B),
        )
        question.answer([LONG_AGO, blob_key(B).encode()])
        assert ended(noting) == Noted([B], LONG_AGO)
        looking = begun(self.used.last_used([A, B]))
        question = self.fake.next()
        assert question.words[1:] == ("fake:used", blob_key(A), blob_key(B))
        question.answer([LONG_AGO, str(NOW - 5 - ahead).encode(), b""])
        assert ended(looking) == {A: NOW - 5}

    def test_many_are_asked_for_some_at_a_time(self) -> None:
        noting, looking = begun(self.used.note(dict.fromkeys(MANY, NOW))), begun(self.used.last_used(MANY))
        forgetting = begun(self.used.forget(MANY))
        sizes = []
        while self.fake.questions:
            question = self.fake.next()
            sizes.append(sum(str(word).startswith("v1/") for word in question.words))
            question.answer([LONG_AGO, *([b"1.0"] * sizes[-1] if len(question.words) == sizes[-1] + 2 else [])])
        assert sorted(sizes) == [1, 1, 1, 500, 500, 500]
        assert ended(noting) == Noted([], LONG_AGO)
        assert set(ended(looking).values()) == {1.0}
        ended(forgetting)

    def test_nobody_can_say_until_what_was_lost_is_told_again(self) -> None:
        for since in (b"", b"%d" % (1e12 + NOW - 299)):
            looking = begun(self.used.last_used([A]))
            self.fake.next().answer([since, b""])
            assert "lost" in str(failure_of(looking, TierFailed))
        looking = begun(self.used.last_used([A]))
        self.fake.next().answer([b"%d" % (1e12 + NOW - 301), b""])
        assert ended(looking) == {}

    def test_where_it_is_away_it_has_failed(self) -> None:
        for work in (self.used.note({A: NOW}), self.used.last_used([A]), self.used.forget([A])):
            asking = begun(work)
            not_yet(asking)
            self.fake.next().fail()
            failure_of(asking, TierFailed)

    def test_with_nothing_to_tell_it_is_asked_since_when_all_is_known(self) -> None:
        noting = begun(self.used.note({}))
        self.fake.next().answer([b"5"])
        assert ended(noting) == Noted([], b"5")
