"""Nodes that meet at a real Valkey: in this process, each with connections of its own, and one to be killed."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from crproxy.config import Config, Fleet, ValkeyAddress
from crproxy.fleet.fleet import Membership, make_fleet
from crproxy.fleet.leases import Holder, Lease
from crproxy.limits.buckets import Bucket
from crproxy.oci.digests import Digest
from crproxy.oci.names import Registry, Repository, Tag
from crproxy.policy.quotas import Limit, Limited, Quota
from crproxy.sharing import Alone, Sharing
from crproxy.store.entries import View
from crproxy.store.notes import TagEntry
from crproxy.upstream.availability import Host, Outage
from tests.integration.test_fleet_valkey import until
from tests.logs import Log
from tests.parts import valkey as part
from tests.parts.process import Process
from tests.reactor import on_the_reactor, wait_for
from tests.sharing.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
REGISTRY = Registry.parse("docker.io")
LIMITED = Limited(REGISTRY, "https://registry-1.docker.io", "", "GET manifests", "")
HOST = Host("quay.io", "https://quay.io")
REPOSITORY = Repository.parse(REGISTRY, "library/alpine")
RATE = 4_000_000.0
PIECE = 65_536


class Nodes:
    """Nodes of one fleet, which are stopped at the end."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self.server = self._running.enter_context(part.Valkey())

    def begin(self, name: str, inside: Sharing | None = None) -> Membership:
        """One more, not yet connected."""
        fleet = Fleet(
            ValkeyAddress("127.0.0.1", self.server.port),
            f"https://{name}.example:1",
            ("tcp:1",),
            "s" * 32,
            name,
            "test",
        )
        member = make_fleet(Config(fleet=fleet), inside or Alone(), reactor, time.time)
        assert member is not None
        member.start()
        self._running.callback(lambda: wait_for(Deferred.fromCoroutine(member.stop())))
        return member

    def close(self) -> None:
        self._running.close()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    yield nodes
    nodes.close()


async def joined(nodes: Nodes, *names: str) -> list[Membership]:
    """Nodes that are connected, and know of each other's numbers."""
    members = [nodes.begin(name) for name in names]
    await until(lambda: all(member.is_up for member in members))
    await listening(nodes, len(names))
    return members


async def listening(nodes: Nodes, number: int) -> None:
    await until(lambda: nodes.server.ask("PUBSUB", "NUMSUB", "test:told")[1] == number)


async def leased(member: Membership, name: str) -> Lease:
    lease = await member.leases.take(name)
    assert isinstance(lease, Lease)
    return lease


async def later(seconds: float) -> None:
    await deferLater(reactor, seconds)


class TestLeases:
    @on_the_reactor
    async def test_one_has_it_and_the_others_know_who(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        lease = await leased(one, "flight:x")
        holder = await other.leases.take("flight:x")
        assert isinstance(holder, Holder)
        assert (holder.node, holder.url, holder.token) == ("a", "https://a.example:1", lease.token)
        # It is renewed for as long as it is had, beyond what Valkey keeps it for.
        await later(3.5)
        assert lease.is_ours
        again = await other.leases.take("flight:x")
        assert isinstance(again, Holder)
        assert again.token == lease.token
        # Who follows is told when it is given back, and has a greater token then.
        waiting = Deferred.fromCoroutine(other.leases.wait_free("flight:x", holder))
        await lease.give_back()
        assert await waiting is None
        assert (await leased(other, "flight:x")).token > lease.token

    @on_the_reactor
    async def test_of_many_one_has_it(self, nodes: Nodes) -> None:
        members = await joined(nodes, "a", "b", "c")
        asked = [Deferred.fromCoroutine(member.leases.take("x")) for member in members for _ in range(10)]
        found = await gatherResults(asked)
        [lease] = [each for each in found if isinstance(each, Lease)]
        assert all(isinstance(each, Holder) and each.token == lease.token for each in found if each is not lease)

    @on_the_reactor
    async def test_that_of_a_killed_holder_is_free_within_four_seconds(self, nodes: Nodes, tmp_path: Path) -> None:
        [other] = await joined(nodes, "b")
        command = [sys.executable, "-m", "tests.parts.fleet_member", str(nodes.server.port), "a", "x"]
        with Process(command, ROOT) as process:
            token = int(process.wait_for(r"has x with ([0-9]+)")[1])
            holder = await other.leases.take("x")
            assert isinstance(holder, Holder)
            assert holder.token == token
            connections = other.sharing.count("connections")
            await until(lambda: connections.of("192.0.2.1") == 5)
            process.kill()
            killed = time.monotonic()
            assert await other.leases.wait_free("x", holder) is None
            assert time.monotonic() - killed < 4
            assert (await leased(other, "x")).token > token
            # So end its heartbeat and what it had counted.
            await until(lambda: connections.of("192.0.2.1") == 0)
            assert [node.name for node in await other.nodes.nodes()] == ["b"]

    @on_the_reactor
    async def test_what_another_has_taken_is_lost(self, nodes: Nodes) -> None:
        [one] = await joined(nodes, "a")
        lease = await leased(one, "x")
        nodes.server.ask("SET", "test:x", '{"node": "b", "url": "https://b:1", "token": 1}')
        await lease.lost
        assert not lease.is_ours
        # And not taken away from who has it.
        await lease.give_back()
        assert nodes.server.ask("DEL", "test:x") == 1

    @on_the_reactor
    async def test_what_cannot_be_renewed_is_lost(self, nodes: Nodes) -> None:
        [one] = await joined(nodes, "a")
        lease = await leased(one, "x")
        with nodes.server.frozen():
            await lease.lost
            assert not one.is_up
            assert await one.leases.take("x") is None
        # What was sent meanwhile, and is read only now, does not bring it back.
        await until(lambda: one.is_up)
        assert nodes.server.ask("GET", "test:x") is None

    @on_the_reactor
    async def test_a_valkey_that_is_back_in_time_and_has_forgotten_all_takes_none_away(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        lease = await leased(one, "x")
        nodes.server.again()
        await until(lambda: one.is_up and other.is_up)
        await later(1.2)
        assert lease.is_ours
        holder = await other.leases.take("x")
        assert isinstance(holder, Holder)
        assert holder.token == lease.token
        # Nor does a token come again.
        assert (await leased(other, "y")).token > lease.token

    @on_the_reactor
    async def test_who_waits_costs_valkey_ten_looks_in_a_second(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        lease = await leased(one, "x")
        holder = await other.leases.take("x")
        assert isinstance(holder, Holder)
        before = nodes.server.calls().get("mget", 0)
        waiting = [Deferred.fromCoroutine(other.leases.wait_free("x", holder)) for _ in range(100)]
        began = time.monotonic()
        await later(2)
        looks = nodes.server.calls()["mget"] - before
        assert 1 <= looks <= 10 * (time.monotonic() - began) + 1
        await lease.give_back()
        assert await gatherResults(waiting) == [None] * 100

    @on_the_reactor
    async def test_a_node_that_stops_gives_all_back(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        await leased(one, "x")
        await one.stop()
        await leased(other, "x")
        assert [node.name for node in await other.nodes.nodes()] == ["b"]


class TestNodes:
    @on_the_reactor
    async def test_each_knows_all(self, nodes: Nodes) -> None:
        members = await joined(nodes, "b", "a")
        members[0].numbers["flights"] = lambda: 3
        await later(1.2)
        found = await members[1].nodes.nodes()
        assert [(node.name, node.url, dict(node.numbers)) for node in found] == [
            ("a", "https://a.example:1", {}),
            ("b", "https://b.example:1", {"flights": 3}),
        ]

    @on_the_reactor
    async def test_two_of_one_name_are_told(self, nodes: Nodes) -> None:
        with Log() as log:
            await joined(nodes, "a", "a")
            await until(lambda: [line for line in log.complaints if "another node is called a, too" in line])


@pytest.mark.usefixtures("no_complaints")
class TestSharing:
    @on_the_reactor
    async def test_what_one_puts_down_others_know_and_so_does_who_comes_later(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        now = time.time()
        quota, limit = Quota(100, 3, 21600, now), Limit.told(now, 600, "too many requests")
        one.sharing.records("quotas").put(REGISTRY, quota)
        one.sharing.records("limits").put(LIMITED, limit)
        one.sharing.records("http-01").put("token", "answer")
        await until(lambda: other.sharing.records("http-01").get("token") == "answer")
        heard = other.sharing.records("limits").get(LIMITED)
        assert heard.until == pytest.approx(limit.until, abs=1)
        assert other.sharing.records("quotas").get(REGISTRY).remaining == 3
        late = nodes.begin("c")
        await until(lambda: late.sharing.records("http-01").get("token") == "answer")
        assert late.sharing.records("limits").get(LIMITED).message == limit.message
        other.sharing.records("limits").drop(LIMITED)
        for member in (one, late):
            await until(lambda member=member: member.sharing.records("limits").get(LIMITED) is None)  # type: ignore[misc]

    @on_the_reactor
    async def test_an_outage_is_known_at_once(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        one.sharing.records("outages").put(HOST, Outage(time.time() - 8, time.time() + 9))
        await until(lambda: other.sharing.records("outages").get(HOST))
        assert other.sharing.records("outages").get(HOST).counts(time.time())

    @on_the_reactor
    async def test_what_is_missed_while_valkey_is_away_is_taken_up(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        one.sharing.count("connections").add("c", 2)
        await until(lambda: other.sharing.count("connections").of("c") == 2)
        nodes.server.kill()
        await until(lambda: not one.is_up and not other.is_up)
        one.sharing.records("http-01").put("token", "answer")
        one.sharing.count("connections").add("d")
        nodes.server.again()
        await until(lambda: other.sharing.records("http-01").get("token") == "answer")
        await until(lambda: [other.sharing.count("connections").of(name) for name in "cd"] == [2, 1])

    @on_the_reactor
    async def test_who_was_cut_off_alone_takes_up_what_he_missed(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        other.valkey.stop()
        await until(lambda: not other.is_up)
        one.sharing.records("http-01").put("token", "answer")
        one.sharing.count("connections").add("c")
        await later(0.2)
        assert other.sharing.records("http-01").get("token") is None
        other.valkey.start()
        await until(lambda: other.sharing.records("http-01").get("token") == "answer")
        await until(lambda: other.sharing.count("connections").of("c") == 1)

    @on_the_reactor
    async def test_nobody_waits_for_one_that_is_silent(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        records = one.sharing.records("http-01")
        with nodes.server.frozen():
            # What is read and put down is this node's, at once.
            records.put("token", "answer")
            assert records.get("token") == "answer"
            assert one.sharing.count("connections").add("c") == 1
            claims = one.sharing.claims("manifests")
            assert await claims.take("x") is False
            assert not one.is_up
            # From now on nothing of it takes any time.
            taking, looking = claims.take("y"), Deferred.fromCoroutine(one.tags.look(View(REPOSITORY), Tag("3")))
            leasing = Deferred.fromCoroutine(one.leases.take("z"))
            assert (taking.called, looking.called, leasing.called) == (True, True, True)
            assert (await taking, await looking, await leasing) == (False, None, None)
        await until(lambda: other.sharing.records("http-01").get("token") == "answer")

    @pytest.mark.parametrize("senders", [(1, 1, 1), (4, 1, 0)])
    @on_the_reactor
    async def test_the_sum_of_bytes_over_three_nodes_is_the_limit(
        self, nodes: Nodes, senders: tuple[int, int, int]
    ) -> None:
        members = await joined(nodes, "a", "b", "c")
        buckets = [Bucket(member.sharing.levels("all").level("total"), reactor, lambda: RATE) for member in members]
        sent, until_when, began = 0, time.monotonic() + 6, time.monotonic()

        async def send(bucket: Bucket) -> None:
            nonlocal sent
            while time.monotonic() < until_when:
                sent += PIECE
                bucket.add(PIECE)
                await later(bucket.wait())

        await gatherResults(
            [
                Deferred.fromCoroutine(send(bucket))
                for bucket, number in zip(buckets, senders, strict=True)
                for _ in range(number)
            ]
        )
        allowed = RATE * (time.monotonic() - began)
        assert sent < 1.1 * allowed
        # Each node knows of what all have sent, within what is told each tenth of a second: none has counted it twice.
        await later(0.3)
        left = allowed + RATE * 0.3 + max(bucket.content for bucket in buckets)
        assert sent < left * 1.05

    @on_the_reactor
    async def test_of_a_node_with_several_workers_one_adds_what_others_tell(self, nodes: Nodes) -> None:
        crew = Crew()
        workers = [nodes.begin("a", crew.member(slot)) for slot in range(2)]
        other = nodes.begin("b")
        await listening(nodes, 2)
        await until(lambda: all(member.is_up for member in (*workers, other)))
        other.sharing.count("connections").add("c", 3)
        workers[1].sharing.count("connections").add("c", 1)
        counts = [member.sharing.count("connections") for member in (*workers, other)]
        await until(lambda: [count.of("c") for count in counts] == [4, 4, 4])
        workers[1].sharing.records("http-01").put("token", "answer")
        await until(lambda: other.sharing.records("http-01").get("token") == "answer")

    @on_the_reactor
    async def test_one_asks_upstream_for_a_tag_and_the_others_are_told(self, nodes: Nodes) -> None:
        members = await joined(nodes, "a", "b", "c")
        view, tag, asked = View(REPOSITORY), Tag("3"), 0
        found: list[TagEntry | None] = []

        async def pull(member: Membership) -> None:
            nonlocal asked
            claims = member.sharing.claims("manifests")
            waited = await claims.take("alpine:3")
            told = await member.tags.look(view, tag) if waited else None
            entry = None if told is None else told.entry
            if entry is None:
                asked += 1
                await later(0.2)
                entry = TagEntry(Digest.of(b"x"), time.time())
                member.tags.note(view, tag, entry)
            found.append(entry)
            claims.give_back("alpine:3")

        await gatherResults([Deferred.fromCoroutine(pull(member)) for member in members for _ in range(3)])
        # Those of one node that came with the first ask with it: that is for the node's own single flight to see to.
        assert asked <= 3
        assert {entry.digest for entry in found if entry is not None} == {Digest.of(b"x")}
        assert len(found) == 9

    @on_the_reactor
    async def test_what_was_checked_later_stays(self, nodes: Nodes) -> None:
        [one] = await joined(nodes, "a")
        view, now = View(REPOSITORY), time.time()
        one.tags.note(view, Tag("3"), TagEntry(Digest.of(b"new"), now))
        one.tags.note(view, Tag("3"), TagEntry(Digest.of(b"old"), now - 5))
        found = await one.tags.look(view, Tag("3"))
        assert found is not None
        assert found.entry.digest == Digest.of(b"new")
        assert found.entry.checked == pytest.approx(now, abs=0.5)
        # What is there and cannot be read is written over.
        nodes.server.ask("SET", nodes.server.ask("KEYS", "test:tag:*")[0], "nonsense")
        assert await one.tags.look(view, Tag("3")) is None
        one.tags.note(view, Tag("3"), TagEntry(Digest.of(b"old"), now - 5))
        found = await one.tags.look(view, Tag("3"))
        assert found is not None
        assert found.entry.digest == Digest.of(b"old")

    @on_the_reactor
    async def test_a_claim_of_the_dead_ends(self, nodes: Nodes) -> None:
        one, other = await joined(nodes, "a", "b")
        await one.sharing.claims("manifests").take("x")
        one.valkey.stop()
        assert await other.sharing.claims("manifests").take("x") is True


@pytest.fixture
def no_complaints() -> Iterator[None]:
    """Nothing but that Valkey is away is complained of."""
    with Log() as log:
        yield
        assert [line for line in log.complaints if "is away" not in line] == []


@pytest.fixture(autouse=True)
def nothing_left(nodes: Nodes) -> Iterator[Callable[[], None]]:
    """All that is in Valkey goes by itself."""

    def check() -> None:
        endless = [key for key in nodes.server.ask("KEYS", "*") if nodes.server.ask("TTL", key) < 0]
        assert endless in ([], ["test:token"])

    yield check
    check()
