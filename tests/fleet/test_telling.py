from __future__ import annotations

from twisted.internet.defer import Deferred

from crproxy.fleet.messages import MOST, Message
from crproxy.fleet.telling import GONE, Telling
from crproxy.oci.names import Registry
from crproxy.policy.quotas import Quota
from tests.fleet.bus import Bus, Worker
from tests.memory import ended

REGISTRY = Registry.parse("quay.io")


class TestTelling:
    def setup_method(self) -> None:
        self.bus = Bus()
        self.worker: Worker = self.bus.worker()
        self.telling: Telling = self.worker.sharing._telling
        self.bus.advance(0.5)
        self.bus.published.clear()

    def told(self) -> list[Message]:
        found = [Message.parse(content) for content in self.bus.published]
        self.bus.published.clear()
        return found

    def test_what_was_put_in_is_told_in_sums(self) -> None:
        for _ in range(10):
            self.telling.filled("all", "total", 5, 100)
            self.telling.filled("transfers", "a", 2, 10)
        self.bus.advance(0.09)
        assert self.told() == []
        self.bus.advance(0.02)
        [message] = self.told()
        assert message.levels == [("all", "total", 50, 100), ("transfers", "a", 20, 10)]
        self.bus.advance(0.9)
        assert self.told() == []

    def test_a_busy_worker_tells_ten_times_in_a_second(self) -> None:
        for _ in range(300):
            self.telling.filled("all", "total", 1, 100)
            self.bus.advance(0.01)
        messages = self.told()
        assert 25 <= len(messages) <= 31
        assert sum(message.levels[0][2] for message in messages) >= 280

    def test_an_idle_one_says_each_second_that_it_is_there(self) -> None:
        self.bus.advance(10)
        assert [message.levels for message in self.told()] == [[]] * 10

    def test_records_are_told_soon_and_each_once(self) -> None:
        for answer in ("one", "two"):
            self.telling.noted("http-01", "token", answer)
        self.bus.advance(0.02)
        [message] = self.told()
        assert message.records == [("http-01", "token", "two")]
        self.telling.noted("http-01", "token", GONE)
        self.bus.advance(0.02)
        [message] = self.told()
        assert message.records == [("http-01", "token", None)]

    def test_records_are_kept_for_their_time(self) -> None:
        self.telling.noted("http-01", "token", "answer")
        self.telling.noted("resting endpoints", ("quay.io", "https://m"), self.worker.now())
        self.bus.advance(0.02)
        lasts = {name: round(ends - self.bus.clock.seconds()) for name, (_, ends) in self.bus.kept.items()}
        assert lasts == {'http-01\0"token"': 3600, 'resting endpoints\0["quay.io","https://m"]': 30}
        self.telling.noted("http-01", "token", GONE)
        self.bus.advance(0.02)
        assert len(self.bus.kept) == 1

    def test_while_valkey_is_away_records_wait_and_amounts_do_not(self) -> None:
        self.worker.connected.is_up = False
        self.telling.filled("all", "total", 5, 100)
        self.telling.noted("http-01", "token", "answer")
        self.bus.advance(5)
        assert self.told() == []
        self.telling.filled("all", "total", 5, 100)
        self.worker.connected.come()
        self.bus.advance(0.02)
        [message] = self.told()
        assert message.records == [("http-01", "token", "answer")]
        assert message.levels == []

    def test_what_could_not_be_told_is_told_again(self) -> None:
        self.telling.noted("http-01", "a", "1")
        self.telling.noted("http-01", "b", "1")
        self.telling.counted("connections", "c", 3)
        self.worker.connected.fails = True
        self.bus.advance(0.02)
        self.telling.noted("http-01", "b", "2")
        self.worker.connected.fails = False
        self.bus.advance(0.02)
        [message] = self.told()
        assert message.records == [("http-01", "a", "1"), ("http-01", "b", "2")]
        assert message.is_all
        assert message.counts == [("connections", "c", 3)]

    def test_what_cannot_be_kept_is_told_all_the_same(self) -> None:
        self.worker.connected.keeps = False
        self.telling.noted("http-01", "a", "1")
        self.telling.counted("connections", "c", 3)
        self.bus.advance(0.2)
        messages = self.told()
        assert [message.records for message in messages if message.records] == [[("http-01", "a", "1")]]
        assert [message.counts for message in messages if message.counts] == [[("connections", "c", 3)]]
        assert self.bus.kept == {}

    def test_numbers_are_told_as_they_are_now(self) -> None:
        for number in (1, 1, -1):
            self.telling.counted("connections", "a", number)
        self.telling.counted("connections", "b", 1)
        self.telling.counted("connections", "b", -1)
        self.bus.advance(0.11)
        [message] = self.told()
        assert message.counts == [("connections", "a", 1), ("connections", "b", 0)]
        assert not message.is_all
        self.telling.counted("connections", "a", -5)
        self.telling.counted("connections", "a", 1)
        self.bus.advance(0.11)
        assert self.told()[0].counts == [("connections", "a", 1)]

    def test_all_are_told_to_who_asks_but_not_again_and_again(self) -> None:
        self.telling.counted("connections", "a", 1)
        self.bus.advance(2)
        self.told()
        for _ in range(10):
            self.telling.tell_all()
            self.bus.advance(0.05)
        messages = self.told()
        assert [message.counts for message in messages if message.is_all] == [[("connections", "a", 1)]]

    def test_many_are_told_in_several_messages(self) -> None:
        for number in range(2 * MOST + 1):
            self.telling.counted("connections", str(number), 1)
        self.telling.tell_all()
        self.bus.advance(1.5)
        messages = [message for message in self.told() if message.counts]
        assert [len(message.counts) for message in messages] == [MOST, MOST, 1]
        assert [message.is_all for message in messages] == [True, False, False]

    def test_at_the_end_nothing_is_counted_any_more(self) -> None:
        self.telling.counted("connections", "a", 1)
        self.bus.advance(1)
        self.told()
        ended(Deferred.fromCoroutine(self.worker.sharing.stop()))
        [message] = self.told()
        assert message.is_all
        assert message.counts == []
        self.telling.filled("all", "total", 1, 1)
        self.telling.noted("http-01", "a", "b")
        self.bus.advance(5)
        assert self.told() == []

    def test_what_nobody_could_take_in_is_not_told(self) -> None:
        self.telling.noted("http-01", "a", "x" * 20_000)
        self.telling.noted("quotas", REGISTRY, Quota(100, 3, None, 5.0))
        self.bus.advance(0.02)
        [message] = self.told()
        assert [record[0] for record in message.records] == ["quotas"]
