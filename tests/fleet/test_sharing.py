"""Several nodes that meet in memory, by a clock that is driven by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.fleet.sharing import run_of
from crproxy.limits.buckets import Bucket
from crproxy.oci.names import Registry
from crproxy.policy.quotas import Limit, Limited, Quota
from crproxy.sharing import Alone
from crproxy.upstream.availability import Host, Outage
from tests.fleet.bus import EPOCH, Bus, Worker
from tests.logs import Log
from tests.memory import ended
from tests.sharing.crew import Crew

REGISTRY = Registry.parse("docker.io")
LIMITED = Limited(REGISTRY, "https://registry-1.docker.io", "", "GET manifests", "")
HOST = Host("quay.io", "https://quay.io")
RATE = 1_000_000.0
PIECE = 65_536


@dataclass(slots=True)
class Greedy:
    """Sends as much as a bucket lets it."""

    bucket: Bucket
    clock: Clock
    sent: int = 0

    def send(self) -> None:
        self.sent += PIECE
        self.bucket.add(PIECE)
        self.clock.callLater(self.bucket.wait(), self.send)


def bucket_of(worker: Worker, clock: Clock, kind: str = "all", name: str = "total") -> Bucket:
    return Bucket(worker.sharing.levels(kind).level(name), clock, lambda: RATE)


class TestLevels:
    @pytest.mark.parametrize("senders", [(1, 1, 1), (1, 0, 0), (5, 1, 0), (10, 10, 10)])
    @pytest.mark.parametrize("latency", [0.0005, 0.05])
    def test_the_sum_over_all_nodes_is_the_limit(self, senders: tuple[int, ...], latency: float) -> None:
        bus = Bus(latency)
        workers = [bus.worker() for _ in senders]
        greedy = []
        for worker, number in zip(workers, senders, strict=True):
            bucket = bucket_of(worker, bus.clock)
            greedy += [Greedy(bucket, bus.clock) for _ in range(number)]
        for each in greedy:
            each.send()
        bus.advance(60, 0.005)
        assert sum(each.sent for each in greedy) == pytest.approx(60 * RATE, rel=0.1)

    def test_alone_while_valkey_is_away_and_together_again_afterwards(self) -> None:
        bus = Bus()
        workers = [bus.worker() for _ in range(3)]
        greedy = [Greedy(bucket_of(worker, bus.clock), bus.clock) for worker in workers]
        for worker in workers:
            worker.connected.is_up = False
        for each in greedy:
            each.send()
        bus.advance(30, 0.005)
        alone = [each.sent for each in greedy]
        assert alone == pytest.approx([30 * RATE] * 3, rel=0.1)
        for worker in workers:
            worker.connected.come()
        bus.advance(30, 0.005)
        # What each had used meanwhile is nobody else's.
        assert sum(each.sent for each in greedy) - sum(alone) == pytest.approx(30 * RATE, rel=0.1)

    def test_who_comes_to_another_node_has_used_there_what_he_has(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        bucket_of(one, bus.clock, "transfers", "192.0.2.1").add(2 * RATE)
        bus.advance(0.5)
        there = bucket_of(other, bus.clock, "transfers", "192.0.2.1")
        assert there.content == pytest.approx(1.5 * RATE, rel=0.1)
        assert bucket_of(other, bus.clock, "transfers", "192.0.2.2").content == 0
        # Who is in both has one bucket only.
        there.add(RATE)
        assert bucket_of(other, bus.clock, "transfers", "192.0.2.1").content == there.content

    def test_requests_are_refused_wherever_they_were_made(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        first, second = (worker.sharing.levels("requests").level("a") for worker in (one, other))
        for level in (first, second):
            level.fill(1, 1.0, bus.clock.seconds(), 3)
        bus.advance(0.2)
        assert second.fill(2, 1.0, bus.clock.seconds(), 3) > 3
        # What was not let in is told to nobody.
        bus.advance(0.2)
        assert 1 < first.fill(0, 1.0, bus.clock.seconds()) < 2

    def test_one_without_a_limit_tells_nothing(self) -> None:
        bus = Bus()
        one = bus.worker()
        one.sharing.levels("all").level("total").fill(100, None, bus.clock.seconds())
        bus.advance(0.5)
        assert not any(b"levels" in content for content in bus.published)

    def test_those_that_nobody_uses_any_more_are_forgotten(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        for number in range(5000):
            one.sharing.levels("transfers").level(str(number)).fill(1, 10.0, bus.clock.seconds())
            if number % 100 == 0:
                bus.advance(0.3)
        bus.advance(2)
        assert len(other.sharing._common.levels("transfers")._told) <= 2000

    def test_of_several_workers_one_adds_what_others_tell(self) -> None:
        bus, crew = Bus(), Crew()
        levels = [bus.worker(crew.member(slot)).sharing.levels("all").level("total") for slot in range(2)]
        stranger = bus.worker()
        stranger.sharing.levels("all").level("total").fill(1000, 1.0, bus.clock.seconds())
        # And what one of them does comes back to none of them.
        levels[1].fill(500, 1.0, bus.clock.seconds())
        bus.advance(0.5)
        contents = [level.fill(0, 1.0, bus.clock.seconds()) for level in levels]
        # A crew in memory shares no levels; who leads has what the stranger told, and only that.
        assert contents == pytest.approx([1000, 500], rel=0.01)


class TestCounts:
    def test_the_sum_is_what_each_knows(self) -> None:
        bus = Bus()
        workers = [bus.worker() for _ in range(3)]
        counts = [worker.sharing.count("connections") for worker in workers]
        for number, count in enumerate(counts, 1):
            count.add("a", number)
        assert [count.of("a") for count in counts] == [1, 2, 3]
        bus.advance(0.3)
        assert [count.of("a") for count in counts] == [6, 6, 6]
        assert counts[0].add("a") == 7
        counts[2].remove("a", 3)
        bus.advance(0.3)
        assert [count.of("a") for count in counts] == [4, 4, 4]

    def test_who_comes_later_learns_them(self) -> None:
        bus = Bus()
        bus.worker().sharing.count("connections").add("a", 2)
        bus.advance(5)
        late = bus.worker()
        bus.advance(1.2)
        assert late.sharing.count("connections").of("a") == 2

    def test_so_does_who_was_away_and_all_of_those_of_a_node_with_several_workers(self) -> None:
        bus, crew = Bus(), Crew()
        workers = [bus.worker(crew.member(slot)) for slot in range(2)]
        other = bus.worker()
        for worker in workers:
            worker.sharing.count("connections").add("a")
        bus.advance(0.5)
        assert other.sharing.count("connections").of("a") == 2
        other.connected.is_up = False
        for worker in workers:
            worker.sharing.count("connections").add("b")
        bus.advance(6)
        # Nobody was heard of for so long: each is alone.
        assert other.sharing.count("connections").of("a") == 0
        other.connected.come()
        bus.advance(1.5)
        assert [other.sharing.count("connections").of(name) for name in "ab"] == [2, 2]

    def test_those_of_the_dead_end(self) -> None:
        bus = Bus()
        dead, left = bus.worker(), bus.worker()
        dead.sharing.count("connections").add("a", 2)
        bus.advance(1)
        dead.connected.is_up = False
        bus.advance(4)
        assert left.sharing.count("connections").of("a") == 2
        bus.advance(2.5)
        assert left.sharing.count("connections").of("a") == 0

    def test_who_was_taken_for_dead_is_asked_for_all(self) -> None:
        """He did not know: his process stood still."""
        bus = Bus()
        frozen, left = bus.worker(), bus.worker()
        frozen.sharing.count("connections").add("a", 2)
        bus.advance(1)
        frozen.connected.is_up = False
        bus.advance(7)
        frozen.connected.is_up = True
        frozen.sharing.count("connections").add("b")
        bus.advance(2.5)
        assert [left.sharing.count("connections").of(name) for name in "ab"] == [2, 1]

    def test_those_of_who_leaves_end_at_once(self) -> None:
        bus = Bus()
        leaving, left = bus.worker(), bus.worker()
        leaving.sharing.count("connections").add("a", 2)
        left.sharing.count("connections").add("a", 1)
        bus.advance(1)
        ended(Deferred.fromCoroutine(leaving.sharing.stop()))
        bus.advance(0.1)
        assert left.sharing.count("connections").of("a") == 1
        assert leaving.sharing.count("connections").of("a") == 2

    def test_a_worker_that_is_started_again_begins_anew(self) -> None:
        bus, crew = Bus(), Crew()
        first, other = bus.worker(crew.member(0)), bus.worker()
        first.sharing.count("connections").add("a", 2)
        bus.advance(1)
        first.connected.is_up = False
        again = bus.worker(crew.members[0])
        bus.advance(0.3)
        assert other.sharing.count("connections").of("a") == 0
        again.sharing.count("connections").add("a")
        bus.advance(0.3)
        assert other.sharing.count("connections").of("a") == 1

    def test_logins_that_are_checked_count_everywhere_and_what_one_machine_bears_does_not(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        for kind in ("password checks", "fills of client", "fills of registry", "disk"):
            one.sharing.count(kind).add("a")
        bus.advance(0.3)
        found = [kind for kind in ("password checks", "fills of client") if other.sharing.count(kind).of("a")]
        assert found == ["password checks", "fills of client"]
        assert other.sharing.count("fills of registry").of("a") == 0


class TestRecords:
    def test_what_is_put_down_at_one_is_known_at_others(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        quota = Quota(100, 3, 21600, one.now())
        one.sharing.records("quotas").put(REGISTRY, quota)
        assert one.sharing.records("quotas").get(REGISTRY) == quota
        bus.advance(0.05)
        records = other.sharing.records("quotas")
        assert records.get(REGISTRY) == quota
        assert records.all() == {REGISTRY: quota}
        other.sharing.records("quotas").drop(REGISTRY)
        bus.advance(0.05)
        assert one.sharing.records("quotas").get(REGISTRY) is None

    def test_who_comes_later_knows_it(self) -> None:
        bus = Bus()
        one = bus.worker()
        limit = Limit.told(one.now(), 600, "too many")
        one.sharing.records("limits").put(LIMITED, limit)
        one.sharing.records("http-01").put("token", "answer")
        one.sharing.records("http-01").put("gone", "answer")
        one.sharing.records("http-01").drop("gone")
        bus.advance(10)
        late = bus.worker()
        bus.advance(0.05)
        assert late.sharing.records("limits").get(LIMITED) == limit
        assert late.sharing.records("http-01").all() == {"token": "answer"}
        # And what is over by then he does not.
        bus.advance(3600)
        assert bus.worker().sharing.records("http-01").all() == {}

    @pytest.mark.parametrize("hears_first", [False, True])
    def test_who_was_away_takes_up_what_was_missed_and_tells_what_he_has(self, hears_first: bool) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        other.connected.is_up = False
        one.sharing.records("http-01").put("a", "1")
        other.sharing.records("http-01").put("b", "2")
        bus.advance(5)
        assert other.sharing.records("http-01").get("a") is None
        other.connected.come(hears_first=hears_first)
        bus.advance(0.1)
        for worker in (one, other):
            assert worker.sharing.records("http-01").all() == {"a": "1", "b": "2"}

    def test_clocks_may_differ(self) -> None:
        bus = Bus()
        one, other = bus.worker(clock_is_ahead=3000), bus.worker(clock_is_ahead=-5)
        one.sharing.records("limits").put(LIMITED, Limit.told(one.now(), 60, "too many"))
        bus.advance(0.05)
        limit = other.sharing.records("limits").get(LIMITED)
        assert limit.counts(other.now())
        assert limit.until - other.now() == pytest.approx(60, abs=0.1)
        assert other.now() < EPOCH

    def test_secrets_stay_where_they_are(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        for kind in ("tokens", "scopes", "right passwords", "flights", "holders"):
            one.sharing.records(kind).put("hush", "hush")
        bus.advance(2)
        assert not any(b"hush" in content for content in bus.published)
        assert other.sharing.records("tokens").get("hush") is None

    def test_nonsense_is_said_once_and_does_no_harm(self) -> None:
        bus = Bus()
        one, other = bus.worker(), bus.worker()
        with Log() as log:
            for content in (
                "nonsense",
                '{"run": "x", "slot": 0, "records": [["limits", 1, 2], ["nobodys", 1, 2], ["http-01", "t", "a"]]}',
                '{"run": "x", "slot": 0, "levels": [["no", "a", 1, 1]], "counts": [["no", "a", 1]]}',
            ):
                bus.publish(content)
            bus.kept = {"limits\0[]": ('["x", 1]', 1e9), "x": ("[", 1e9), "http-01\0[1]": ('["x"]', 1e9)}
            other.connected.come()
            bus.advance(0.5)
        assert len([line for line in log.complaints if "cannot be read" in line]) == 2
        assert log.failures == []
        assert one.sharing.records("http-01").all() == {"t": "a"}


class TestHearsay:
    """A host that one node cannot reach may be reached by the others."""

    def setup_method(self) -> None:
        self.bus = Bus()
        self.one, self.other = self.bus.worker(), self.bus.worker()
        self.since = self.one.now()

    def say(self, worker: Worker, since: float | None = None) -> None:
        outage = Outage(self.since if since is None else since, worker.now() + 9)
        worker.sharing.records("outages").put(HOST, outage)
        self.bus.advance(0.05)

    def known(self, worker: Worker) -> Outage | None:
        found: Outage | None = worker.sharing.records("outages").get(HOST)
        return found

    def test_it_is_believed_at_once_and_once(self) -> None:
        self.say(self.one)
        first = self.known(self.other)
        assert first is not None
        for _ in range(5):
            self.bus.advance(1)
            self.say(self.one)
        # It ends when it was said to: then the other looks for itself.
        assert self.known(self.other) == first

    def test_who_has_found_it_up_is_not_told_again(self) -> None:
        self.say(self.one)
        self.other.sharing.records("outages").drop(HOST)
        self.bus.advance(0.05)
        # Nor is he believed by who sees it down.
        assert self.known(self.one) is not None
        self.say(self.one)
        assert self.known(self.other) is None
        # Another outage is something else.
        self.bus.advance(60)
        self.say(self.one, self.one.now())
        assert self.known(self.other) is not None

    def test_that_it_is_over_counts_from_who_said_it(self) -> None:
        self.say(self.one)
        self.one.sharing.records("outages").drop(HOST)
        self.bus.advance(0.05)
        assert self.known(self.other) is None

    def test_what_one_has_found_himself_is_his(self) -> None:
        self.say(self.other, self.since + 1)
        own = self.known(self.other)
        self.say(self.one)
        self.one.sharing.records("outages").drop(HOST)
        self.bus.advance(0.05)
        assert self.known(self.other) == own

    def test_two_that_see_it_down_do_not_hold_a_third_for_good(self) -> None:
        third = self.bus.worker()
        self.say(self.one)
        self.say(self.other, self.since + 5)
        self.bus.advance(1)
        third.sharing.records("outages").drop(HOST)
        for _ in range(5):
            self.say(self.one)
            self.say(self.other, self.since + 5)
        assert self.known(third) is None


class TestTheRest:
    def test_it_is_what_its_node_has(self) -> None:
        crew = Crew()
        inside = crew.member(1)
        crew.member(0)
        sharing = Bus().worker(inside).sharing
        assert (sharing.slot, sharing.leads, sharing.is_alone) == (1, False, False)
        assert (sharing.directory, sharing.secret) == (inside.directory, inside.secret)
        crew.members[0].on("topic", lambda said: [said])
        assert ended(sharing.ask_all("topic", 1)) == [[1]]
        assert ended(sharing.ask_leader("topic", 2)) == [2]
        heard: list[int] = []
        crew.members[0].on("other", heard.append)
        sharing.tell("other", 3)
        assert heard == [3]
        sharing.on("mine", lambda said: said)
        assert ended(crew.members[0].ask_all("mine", 4)) == [4]

    def test_each_daemon_is_another(self) -> None:
        assert run_of(Alone()) != run_of(Alone())

    def test_only_who_leads_listens(self) -> None:
        bus, crew = Bus(), Crew()
        workers = [bus.worker(crew.member(slot)) for slot in range(2)]
        assert [worker.connected.heard is None for worker in workers] == [False, True]
