from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock

from crproxy.config import Config, Limits, Listen
from crproxy.limits import Accounts
from crproxy.limits.accounts import Admission
from crproxy.limits.shaping import Limited
from crproxy.oci.errors import RegistryError
from crproxy.policy.access import Access
from crproxy.policy.units import Frequency
from tests.memory import ended
from tests.upstream.conftest import Consumer

A, B = "192.0.2.1", "192.0.2.2"
PRIVILEGED = "198.51.100.7"
PROXY = "10.0.0.1"
CONFIG = Config(
    access=Access(privileged=(ipaddress.ip_network("198.51.100.0/24"),)),
    listen=Listen(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),)),
)


class Empty:
    length = 0
    content = b""

    def join(self, consumer: IConsumer) -> Deferred[None]:
        if self.content:
            consumer.write(self.content)
        return succeed(None)

    def abandon(self) -> None:
        """Nothing is held."""


@dataclass
class House:
    """Accounts by a configuration that a test may change, and a clock that it drives."""

    limits: Limits
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.accounts = Accounts(lambda: replace(CONFIG, limits=self.limits), self.clock)

    def refusal(self, client: str) -> RegistryError:
        with pytest.raises(RegistryError) as raised:
            self.accounts.check_request(client)
        return raised.value


# Bytes


@pytest.mark.parametrize("limits", [Limits(per_transfer=99999), Limits(per_client=99999), Limits(total=99999)])
def test_a_body_has_something_in_between_where_there_is_a_limit(limits: Limits) -> None:
    accounts = House(limits).accounts
    assert isinstance(accounts.transfer(Empty(), A), Limited)
    assert isinstance(accounts.transfer(Empty(), None), Limited)


def test_a_body_has_nothing_in_between_where_there_is_none() -> None:
    body = Empty()
    accounts = House(Limits(upstream=99999)).accounts
    assert accounts.transfer(body, A) is body
    accounts = House(Limits(per_transfer=1, per_client=1, total=1)).accounts
    assert accounts.transfer(body, PRIVILEGED) is body
    assert accounts.from_upstream(body) is body
    assert len(accounts.transfers) == 0


def test_upstreams_bodies_have_one_limit_together() -> None:
    assert isinstance(House(Limits(upstream=99999)).accounts.from_upstream(Empty()), Limited)


def test_a_client_has_one_account_whatever_its_address_in_its_64() -> None:
    accounts = House(Limits(per_client=99999)).accounts
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", A, f"::ffff:{A}"):
        accounts.transfer(Empty(), address)
    assert len(accounts.transfers) == 3


# Requests


def test_so_many_are_answered_at_once_and_then_as_they_become_due() -> None:
    house = House(Limits(requests_per_client=Frequency(60, 60)))
    for _ in range(60):
        house.accounts.check_request(A)
    error = house.refusal(A)
    assert (error.status, error.code.name, error.retry_after) == (429, "TOOMANYREQUESTS", 1)
    assert error.message == "this proxy answers 192.0.2.1 no more requests than 60 in a minute; try again in 1 s"
    house.clock.advance(1)
    house.accounts.check_request(A)
    house.refusal(A)
    house.accounts.check_request(B)


def test_it_says_how_long_until_one_is_answered_and_it_is() -> None:
    house = House(Limits(requests_per_client=Frequency(2, 3600)))
    house.accounts.check_request(A)
    house.clock.advance(100)
    house.accounts.check_request(A)
    assert house.refusal(A).retry_after == 1700
    house.clock.advance(1699)
    assert house.refusal(A).retry_after == 1
    house.clock.advance(1)
    house.accounts.check_request(A)


def test_what_was_refused_does_not_count() -> None:
    house = House(Limits(requests_per_client=Frequency(1, 1)))
    house.accounts.check_request(A)
    for _ in range(1000):
        house.refusal(A)
    house.clock.advance(1)
    house.accounts.check_request(A)


@pytest.mark.parametrize("client", [PRIVILEGED, None])
def test_who_is_privileged_or_not_known_asks_as_often_as_they_like(client: str | None) -> None:
    accounts = House(Limits(requests_per_client=Frequency(1, 3600))).accounts
    for _ in range(10):
        accounts.check_request(client)
    assert len(accounts.requests) == 0


def test_the_frequency_may_change() -> None:
    house = House(Limits(requests_per_client=Frequency(1, 3600)))
    house.accounts.check_request(A)
    house.refusal(A)
    house.limits = Limits(requests_per_client=Frequency(5, 1))
    house.accounts.check_request(A)
    house.limits = Limits()
    for _ in range(100):
        house.accounts.check_request(A)


def test_s20_100_000_addresses_that_ask_once_leave_few_accounts() -> None:
    house = House(Limits(requests_per_client=Frequency(50, 1)))
    for number in range(100_000):
        house.accounts.check_request(str(ipaddress.ip_address(0x0B000000 + number)))
        house.clock.advance(60 / 100_000)
    assert len(house.accounts.requests) <= 1000


# Connections


def test_s20_so_many_connections_are_served_as_many_are_told_and_more_are_closed() -> None:
    accounts = House(Limits(connections_per_client=2)).accounts
    admissions = [accounts.admit(A)[0] for _ in range(6)]
    assert admissions == [Admission.SERVED] * 2 + [Admission.REFUSED] * 2 + [Admission.CLOSED] * 2
    assert accounts.admit(B)[0] is Admission.SERVED
    assert accounts.connections.of(A) == 4, "those that are closed at once do not count"
    for _ in range(3):
        accounts.dismiss(A)
    assert accounts.admit(A) == (Admission.SERVED, A)


def test_s20_addresses_of_one_64_are_one_client() -> None:
    accounts = House(Limits(connections_per_client=1)).accounts
    assert accounts.admit("2001:db8::1") == (Admission.SERVED, "2001:db8::/64")
    assert accounts.admit("2001:db8::2") == (Admission.REFUSED, "2001:db8::/64")
    assert accounts.admit("2001:db8:0:1::1")[0] is Admission.SERVED


@pytest.mark.parametrize("peer", [PROXY, PRIVILEGED, None])
def test_proxies_the_privileged_and_this_machine_may_have_any_number(peer: str | None) -> None:
    accounts = House(Limits(connections_per_client=1)).accounts
    assert [accounts.admit(peer) for _ in range(5)] == [(Admission.SERVED, None)] * 5


def test_0_is_any_number() -> None:
    accounts = House(Limits(connections_per_client=0)).accounts
    assert {accounts.admit(A)[0] for _ in range(5000)} == {Admission.SERVED}
    for _ in range(5000):
        accounts.dismiss(A)
    assert len(accounts.connections) == 0


def test_what_is_refused_is_counted() -> None:
    config = replace(CONFIG, limits=Limits(connections_per_client=1, requests_per_client=Frequency(1, 60)))
    accounts = Accounts(lambda: config, Clock())
    for _ in range(3):
        accounts.admit("192.0.2.1")
    accounts.check_request("192.0.2.1")
    with pytest.raises(RegistryError):
        accounts.check_request("192.0.2.1")
    assert (accounts.refused_connections, accounts.refused_requests) == (2, 1)


def test_s20_so_many_connections_are_let_in_whose_ever_they_are() -> None:
    accounts = Accounts(lambda: CONFIG, Clock(), most_connections=3)
    admitted = [accounts.admit(peer) for peer in (A, PROXY, None)]
    assert [admission for admission, _ in admitted] == [Admission.SERVED] * 3
    for peer in (B, PROXY, PRIVILEGED, None):
        assert accounts.admit(peer) == (Admission.CLOSED, None)
    assert (accounts.accepted, accounts.refused_connections) == (3, 4)
    for _, client in admitted:
        accounts.dismiss(client)
    assert (accounts.accepted, len(accounts.connections)) == (0, 0)
    assert accounts.admit(B)[0] is Admission.SERVED


@pytest.mark.parametrize("configured", [0, 2, 512])
def test_s20_a_client_has_no_more_than_its_share(configured: int) -> None:
    config = replace(CONFIG, limits=Limits(connections_per_client=configured))
    accounts = Accounts(lambda: config, Clock(), most_of_client=3)
    most = min(configured or 3, 3)
    found = [accounts.admit(A)[0] for _ in range(2 * most + 1)]
    assert found == [Admission.SERVED] * most + [Admission.REFUSED] * most + [Admission.CLOSED]
    assert accounts.admit(B)[0] is Admission.SERVED


def test_the_limit_holds_upstreams_back_when_it_is_used_up() -> None:
    house = House(Limits(upstream=1000))
    body = Empty()
    body.content = bytes(500)
    ended(house.accounts.from_upstream(body).join(Consumer()))
    assert house.accounts.holds_upstreams_back
    assert not House(Limits()).accounts.holds_upstreams_back
