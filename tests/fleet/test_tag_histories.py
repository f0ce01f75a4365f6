from __future__ import annotations

import email.utils
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from crproxy.fleet.identity import Secret
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Tag
from crproxy.policy.minimum_age import TagChange
from crproxy.policy.rules import Decision, Rule
from crproxy.store.entries import View
from tests.fleet.tag_nodes import AGE, HOUR, REPOSITORY, V1, Member, TagFleet
from tests.memory import ended, failure_of

A1, B1, C1 = (f'{{"schemaVersion": 2, "is": "{name}"}}'.encode() for name in ("a1", "b1", "c1"))
OLD, NEW, NEWEST = (Digest.of(content) for content in (A1, B1, C1))
VIEW = View(REPOSITORY)
ANY = Decision()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[TagFleet]:
    fleet = TagFleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def one(fleet: TagFleet) -> Member:
    """A node that has answered a tag by its digest for long."""
    node = fleet.start("one")
    fleet.move(A1)
    node.answered(decision=ANY)
    fleet.clock.advance(AGE)
    assert node.answered() == OLD
    fleet.advance(61)
    return node


def refused(node: Member) -> str:
    error = failure_of(node.ask(), RegistryError)
    assert isinstance(error, RegistryError)
    return error.message


class TestANewNode:
    def test_it_answers_what_another_did_until_the_new_digest_is_old_enough_there(
        self, fleet: TagFleet, one: Member
    ) -> None:
        fleet.move(B1)
        assert one.answered() == OLD
        fleet.advance(10)
        other = fleet.start("other")
        assert other.answered() == OLD
        assert other.changes() == one.changes() == [OLD, NEW]
        fleet.clock.advance(AGE - 10 - 1)
        assert [node.answered() for node in (one, other)] == [OLD, OLD]
        # Upstream has to say so again, which it is asked each minute.
        fleet.clock.advance(61)
        assert [node.answered() for node in (one, other)] == [NEW, NEW]

    def test_asked_first_it_does_so_too(self, fleet: TagFleet, one: Member) -> None:
        fleet.move(B1)
        other = fleet.start("other")
        assert other.answered() == OLD
        fleet.advance(3600, 60)
        assert one.answered() == OLD
        fleet.clock.advance(AGE - 3600 - 1)
        assert [node.answered() for node in (one, other)] == [OLD, OLD]
        # Upstream has to say so again, which it is asked each minute.
        fleet.clock.advance(61)
        assert [node.answered() for node in (one, other)] == [NEW, NEW]

    def test_asked_when_it_is_old_enough_it_answers_the_new_one(self, fleet: TagFleet, one: Member) -> None:
        fleet.move(B1)
        one.answered()
        fleet.clock.advance(AGE)
        assert fleet.start("other").answered() == NEW

    def test_it_does_not_answer_what_was_put_right_meanwhile(self, fleet: TagFleet, one: Member) -> None:
        fleet.move(B1)
        one.answered()
        fleet.advance(70)
        fleet.move(A1)
        one.answered()
        fleet.clock.advance(100 * HOUR)
        fleet.move(C1)
        other = fleet.start("other")
        assert other.answered() == OLD
        assert other.changes() == [OLD, NEW, OLD, NEWEST]
        fleet.clock.advance(AGE)
        assert other.answered() == NEWEST

    def test_that_a_tag_was_gone_is_known_there(self, fleet: TagFleet, one: Member) -> None:
        fleet.upstream.error = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "gone")
        failure_of(one.ask(), RegistryError)
        fleet.upstream.error = None
        fleet.move(B1)
        fleet.advance(10)
        other = fleet.start("other")
        assert other.answered() == OLD
        assert other.changes() == [OLD, None, NEW]

    def test_what_a_registry_says_of_a_digest_counts_from_when_the_tag_was_elsewhere(
        self, fleet: TagFleet, one: Member
    ) -> None:
        fleet.move(B1)
        fleet.upstream.header = {
            "last-modified": email.utils.formatdate(fleet.clock.seconds() - 100 * AGE, usegmt=True),
            "docker-content-digest": str(NEW),
        }
        assert fleet.start("other").answered() == OLD

    def test_a_digest_that_another_tag_had_is_as_old_as_it_was_there(self, fleet: TagFleet) -> None:
        one, other = fleet.start("one"), fleet.start("other")
        fleet.move(A1, Tag("v1.2"))
        one.answered(Tag("v1.2"), ANY)
        fleet.clock.advance(AGE)
        fleet.move(A1)
        assert other.answered() == OLD

    def test_by_its_digest_it_is_as_old_as_anywhere(self, fleet: TagFleet) -> None:
        one, other = fleet.start("one"), fleet.start("other")
        digest = fleet.move(A1)
        one.answered(digest, ANY)
        fleet.clock.advance(AGE)
        assert other.answered(digest, Decision(Rule("r", minimum_age=AGE, digests=True))) == digest

    def test_with_logins_of_clients_as_well(self, fleet: TagFleet) -> None:
        one, other = fleet.start("one"), fleet.start("other")
        fleet.move(A1)
        one.answered(decision=ANY, caller="Basic one")
        fleet.clock.advance(AGE)
        one.answered(caller="Basic one")
        fleet.advance(61)
        fleet.move(B1)
        assert other.answered(caller="Basic another") == OLD


class TestNodesThatRun:
    def test_a_change_that_one_has_seen_counts_at_the_other_from_then_on(self, fleet: TagFleet, one: Member) -> None:
        other = fleet.start("other")
        assert other.answered() == OLD
        fleet.move(B1)
        one.answered()
        fleet.advance(20 * HOUR, HOUR)
        assert other.answered() == OLD
        fleet.clock.advance(AGE - 20 * HOUR)
        assert [node.answered() for node in (one, other)] == [NEW, NEW]

    def test_what_one_confirmed_last_counts_at_the_other(self, fleet: TagFleet) -> None:
        """Which has not asked since it saw the tag first."""
        one, other = fleet.start("one"), fleet.start("other")
        fleet.move(A1)
        assert one.answered(decision=ANY) == other.answered(decision=ANY)
        fleet.clock.advance(AGE)
        one.answered()
        fleet.move(B1)
        fleet.clock.advance(61)
        assert other.answered() == OLD

    def test_warm_answers_ask_valkey_nothing(self, fleet: TagFleet, one: Member) -> None:
        one.answered()
        asked = len(fleet.server.asked)
        for _ in range(3):
            assert one.answered() == OLD
        assert len(fleet.server.asked) == asked

    @pytest.mark.parametrize("ahead", [1.5, -1.5, 7200.0, -86400.0])
    def test_a_clock_that_is_wrong_makes_nothing_older(self, fleet: TagFleet, one: Member, ahead: float) -> None:
        other = fleet.start("other", ahead=ahead)
        fleet.move(B1)
        assert [node.answered() for node in (one, other)] == [OLD, OLD]
        for _ in range(12):
            # The comparison of clocks is a little different each time.
            other.connected.ahead = ahead + (fleet.clock.seconds() % 7) / 10 - 0.3
            fleet.clock.advance(6 * HOUR - 5)
            assert [node.answered() for node in (one, other)] == [OLD, OLD]
            fleet.clock.advance(5)
        fleet.clock.advance(61)
        assert [node.answered() for node in (one, other)] == [NEW, NEW]
        assert len(one.changes()) == len(other.changes()) == 2

    def test_who_asked_is_known(self, fleet: TagFleet, one: Member) -> None:
        one.history.hear(VIEW, V1, [TagChange(NEW, fleet.clock.seconds(), fleet.clock.seconds(), "192.0.2.9")])
        one.histories.pointed(VIEW, V1, moved=True)
        other = fleet.start("other")
        ended(Deferred.fromCoroutine(other.histories.hear(VIEW, V1, OLD)))
        assert other.history.changes(VIEW, V1)[-1].asked_by == "192.0.2.9"


class TestValkeyAway:
    def test_each_goes_by_what_it_knows_and_tells_it_afterwards(self, fleet: TagFleet, one: Member) -> None:
        other = fleet.start("other")
        assert other.answered() == OLD
        fleet.advance(61)
        for node in (one, other):
            node.connected.is_up = False
        fleet.move(B1)
        assert one.answered() == OLD
        fleet.advance(HOUR, 60)
        assert other.answered() == OLD
        for node in (one, other):
            node.connected.come_back()
        fleet.advance(130)
        assert [node.answered() for node in (one, other)] == [OLD, OLD]
        fleet.clock.advance(AGE - HOUR - 130)
        assert [node.answered() for node in (one, other)] == [NEW, NEW]

    def test_one_that_is_silent_is_waited_for_once(self, fleet: TagFleet, one: Member) -> None:
        fleet.move(B1)
        other = fleet.start("other")
        other.connected.silent = True
        asking = other.ask()
        assert not asking.called
        fleet.clock.advance(1)
        fleet.clock.advance(0)
        failure_of(asking, RegistryError)
        assert "until" in refused(other)

    def test_emptied_it_has_all_again_within_a_minute(self, fleet: TagFleet, one: Member) -> None:
        ended(one.store.index.flush())
        fleet.server.clear()
        fleet.advance(61)
        fleet.move(B1)
        assert fleet.start("other").answered() == OLD

    def test_a_node_that_starts_again_tells_what_it_has(self, fleet: TagFleet, one: Member) -> None:
        ended(one.store.index.flush())
        fleet.stop(one)
        fleet.server.clear()
        fleet.start("one")
        fleet.advance(2)
        fleet.move(B1)
        assert fleet.start("other").answered() == OLD

    def test_what_was_seen_while_a_node_was_away_it_hears(self, fleet: TagFleet, one: Member) -> None:
        fleet.stop(one)
        other = fleet.start("other")
        fleet.move(B1)
        assert other.answered() == OLD
        fleet.clock.advance(50 * HOUR)
        again = fleet.start("one")
        assert again.answered() == OLD
        fleet.clock.advance(22 * HOUR)
        assert again.answered() == NEW


def test_where_nobody_asks_how_old_anything_is_nothing_is_told_until_somebody_does(fleet: TagFleet) -> None:
    fleet.is_wanted = False
    one = fleet.start("one")
    fleet.move(A1)
    one.answered(decision=ANY)
    fleet.advance(AGE, HOUR)
    one.answered(decision=ANY)
    fleet.advance(61)
    assert not [key for key in fleet.server.values if ":history" in key or ":sighting" in key]
    ended(one.store.index.flush())
    fleet.is_wanted = True
    fleet.advance(61)
    fleet.move(B1)
    assert fleet.start("other").answered() == OLD


class TestDamage:
    @pytest.mark.parametrize("value", [b"", b"junk", b"[]", b"[[1,2,3,4]]", bytes(100)])
    def test_what_nobody_with_our_secret_has_written_is_not_there(
        self, fleet: TagFleet, one: Member, value: bytes
    ) -> None:
        for key in [key for key in fleet.server.values if ":history:" in key or ":sighting:" in key]:
            fleet.server.set(key, value)
        fleet.move(B1)
        assert one.answered() == OLD
        fleet.advance(2)
        # And is written over.
        assert fleet.start("other").answered() == OLD

    def test_another_secret_tells_nothing(self, fleet: TagFleet, one: Member) -> None:
        fleet.move(B1)
        refused(fleet.start("stranger", secret=Secret(bytes(range(32)))))

    def test_nothing_of_it_can_be_read_there(self, fleet: TagFleet, one: Member) -> None:
        for key, (value, _) in fleet.server.values.items():
            assert b"org/name" not in key.encode() + value
            assert OLD.hex.encode() not in value
