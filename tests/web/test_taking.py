from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.web.taking import Taking


class Client:
    """One whose backlog is what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backlog: tuple[int, int] | None = (0, 7)
        self.is_over = False
        self.cut_off = 0
        self.clock = Clock()
        monkeypatch.setattr("crproxy.web.taking.backlog", lambda _: self.backlog)
        self.taking = Taking(self.clock.callLater, lambda: 120.0, lambda: self, lambda: self.is_over, self._be_cut_off)

    def _be_cut_off(self) -> None:
        self.cut_off += 1


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch)


def test_one_that_takes_nothing_is_cut_off_once_in_its_time(client: Client) -> None:
    client.taking.watch()
    client.clock.pump([30] * 3)
    assert client.cut_off == 0
    client.clock.pump([30] * 3)
    assert (client.cut_off, client.clock.getDelayedCalls()) == (1, [])


def test_one_that_takes_something_has_its_time_again(client: Client) -> None:
    client.taking.watch()
    for size in range(20):
        client.backlog = (0, size)
        client.clock.pump([30] * 3)
    assert client.cut_off == 0


def test_one_that_nobody_waits_for_is_not_looked_at(client: Client) -> None:
    client.taking.watch()
    client.taking.taken()
    client.clock.advance(30)
    assert (client.taking.is_watched, client.clock.getDelayedCalls()) == (False, [])


def test_where_nothing_more_is_sent_and_nothing_left_there_is_nothing_to_wait_for(client: Client) -> None:
    client.is_over, client.backlog = True, (0, 0)
    client.taking.watch()
    client.clock.advance(30)
    assert client.cut_off == 1


def test_forgotten_it_is_over(client: Client) -> None:
    client.taking.watch()
    client.taking.forget()
    assert client.clock.getDelayedCalls() == []
