"""The CAs of a fleet: nodes with disks of their own, and what lies in their Valkey."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from crproxy.fleet import sealed_values
from crproxy.fleet.identity import Secret
from crproxy.fleet.sealed_values import SealedValues
from crproxy.forward.authorities import Authorities, NotReached
from crproxy.forward.authority import AUTHORITY_SECONDS, Authority
from crproxy.forward.common_authorities import CommonAuthorities
from crproxy.policy.authorities import OVERLAP_SECONDS
from tests.logs import Log
from tests.memory import ended, failure_of
from tests.tls.fleet import SECRET, Connected, Server

NAMES = frozenset({"ghcr.io"})
WIDER = frozenset({"ghcr.io", "quay.io"})
DAY = 86400.0


class Clock:
    """The time, for the nodes and for Valkey."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def seconds(self) -> float:
        return self.now


class Node:
    def __init__(self, server: Server, directory: Path, secret: Secret) -> None:
        self.connected = Connected(server)
        self.authorities = Authorities(directory, server.clock.seconds)
        values = SealedValues(self.connected.valkey, secret, "proxy-ca")
        self.common = CommonAuthorities(values, self.authorities)

    def meet(self, names: frozenset[str] = NAMES) -> list[str]:
        """Meet, and return what clients are to trust."""
        done(self.common.meet(names))
        return self.trusts

    def renew(self, *, at_once: bool = False) -> Authority:
        made: Authority = done(self.common.renew(NAMES, at_once=at_once))
        return made

    @property
    def trusts(self) -> list[str]:
        return [one.fingerprint for one in self.authorities.trusted]

    @property
    def signer(self) -> str:
        signer = self.authorities.signer_for("ghcr.io")
        assert signer is not None
        return signer.fingerprint


class Fleet:
    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self._directory = directory
        self._number = 0

    def node(self, secret: Secret = SECRET) -> Node:
        self._number += 1
        return Node(self.server, self._directory / str(self._number), secret)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def done(work: Coroutine[Any, Any, Any]) -> Any:
    return ended(Deferred.fromCoroutine(work))


def test_the_first_node_makes_it_and_the_others_have_it(fleet: Fleet) -> None:
    nodes = [fleet.node() for _ in range(3)]
    trusted = [node.meet() for node in nodes]
    assert len(trusted[0]) == 1
    assert trusted == [trusted[0]] * 3
    # It can be used as it could where it was made.
    assert nodes[2].signer == trusted[0][0]


def test_what_lies_in_valkey_is_sealed(fleet: Fleet) -> None:
    fleet.node().meet()
    assert not any(b"PRIVATE KEY" in value for value, _ in fleet.server.values.values())


def test_whoever_comes_second_while_one_is_put_there_takes_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fleet.node(), fleet.node()
    run = Connected.run

    async def later(connected: Connected, *words: Any) -> Any:
        monkeypatch.setattr(Connected, "run", run)
        first.meet()
        return await run(connected, *words)

    monkeypatch.setattr(Connected, "run", later)
    assert second.meet() == first.trusts
    assert len(first.trusts) == 1


def test_other_names_have_one_more_made_and_the_old_one_goes_on_signing(fleet: Fleet) -> None:
    first, second = fleet.node(), fleet.node()
    (old,) = first.meet()
    fleet.clock.now += DAY
    assert second.meet(WIDER)[0] == old
    assert first.meet(WIDER) == second.trusts
    assert len(first.trusts) == 2
    assert first.signer == second.signer == old
    # Whoever has not read the new configuration yet makes no other one.
    assert first.meet(NAMES) == second.trusts


def test_where_valkey_is_away_a_node_goes_by_its_disk(fleet: Fleet) -> None:
    node, new = fleet.node(), fleet.node()
    trusted = node.meet()
    node.connected.is_up = new.connected.is_up = False
    failure_of(Deferred.fromCoroutine(node.common.meet(NAMES)), NotReached)
    failure_of(Deferred.fromCoroutine(new.common.meet(NAMES)), NotReached)
    assert node.trusts == trusted
    # One of its own would be none that clients trust.
    assert new.trusts == []


def test_where_valkey_goes_away_before_it_is_put_there_none_is_made(fleet: Fleet) -> None:
    node = fleet.node()
    node.connected.refuses.add(sealed_values._REPLACE)
    failure_of(Deferred.fromCoroutine(node.common.meet(NAMES)), NotReached)
    assert node.trusts == []


def test_where_valkey_has_lost_it_a_node_puts_its_own_there(fleet: Fleet) -> None:
    node = fleet.node()
    trusted = node.meet()
    fleet.server.clear()
    assert node.meet() == trusted
    assert fleet.node().meet() == trusted


def test_what_valkey_had_before_does_not_come_back(fleet: Fleet) -> None:
    first, second = fleet.node(), fleet.node()
    first.meet()
    second.meet()
    before = dict(fleet.server.values)
    made = first.renew(at_once=True)
    fleet.server.values = before
    # Whoever has heard of the new one tells of it, whatever the others find first.
    second.meet()
    assert first.meet() == [made.fingerprint]
    assert second.meet() == [made.fingerprint]


def test_a_node_that_has_not_heard_of_it_yet_puts_the_old_one_back_for_no_longer_than_that(fleet: Fleet) -> None:
    first, second = fleet.node(), fleet.node()
    first.meet()
    second.meet()
    made = first.renew(at_once=True)
    fleet.server.clear()
    second.meet()
    assert first.meet() == second.meet() == [made.fingerprint]


def test_one_that_a_clock_in_the_past_renews_is_the_newest_all_the_same(fleet: Fleet) -> None:
    first, second = fleet.node(), fleet.node()
    first.meet()
    second.meet()
    fleet.clock.now -= 600
    made = second.renew(at_once=True)
    assert first.meet() == [made.fingerprint]


def test_renewed_it_is_every_nodes_and_both_are_trusted(fleet: Fleet) -> None:
    first, second = fleet.node(), fleet.node()
    (old,) = first.meet()
    second.meet()
    fleet.clock.now += DAY
    made = second.renew()
    assert first.meet() == second.trusts == [old, made.fingerprint]
    assert first.signer == old
    fleet.clock.now += OVERLAP_SECONDS
    assert first.signer == made.fingerprint
    assert first.meet() == [made.fingerprint]


def test_renewed_at_once_the_old_one_is_nowhere_any_more(fleet: Fleet) -> None:
    first, second, late = fleet.node(), fleet.node(), fleet.node()
    for node in (first, second, late):
        node.meet()
    made = first.renew(at_once=True)
    assert first.trusts == second.meet() == [made.fingerprint]
    # Nor does a node bring it back that was away.
    assert late.meet() == [made.fingerprint]
    assert late.signer == made.fingerprint


def test_before_it_ends_a_new_one_is_made(fleet: Fleet) -> None:
    first, second = fleet.node(), fleet.node()
    (old,) = first.meet()
    fleet.clock.now += AUTHORITY_SECONDS - OVERLAP_SECONDS
    trusted = second.meet()
    assert len(trusted) == 2
    assert first.meet() == trusted
    assert first.signer == old


def test_what_another_secret_sealed_is_told_once_and_replaced(fleet: Fleet) -> None:
    fleet.node(Secret(bytes(range(32)))).meet()
    node = fleet.node()
    with Log() as log:
        (own,) = node.meet()
    assert [line for line in log.lines if "the CA in Valkey is of no use" in line] != []
    assert fleet.node().meet() == [own]


def test_without_names_none_is_made(fleet: Fleet) -> None:
    assert fleet.node().meet(frozenset()) == []
