from __future__ import annotations

import ipaddress

import pytest

from crproxy.config import Limits
from crproxy.policy.units import Frequency
from tests.configs import loaded, mistake

MIB = 1024**2


def test_without_a_word_no_rate_is_limited_and_numbers_are() -> None:
    assert loaded().limits == Limits(None, None, None, None, None, 512, 128, 512)


def test_every_limit_can_be_set() -> None:
    text = """
    [limits]
    per_transfer = "20M/s"
    per_client = "50M/s"
    total = "500M/s"
    upstream = "200M/s"
    requests_per_client = "600/m"
    connections_per_client = 64
    fills_per_client = 8
    fills_per_upstream = 16
    """
    rates = (20 * MIB, 50 * MIB, 500 * MIB, 200 * MIB)
    assert loaded(text).limits == Limits(*rates, Frequency(600, 60), 64, 8, 16)


@pytest.mark.parametrize("key", ["per_transfer", "per_client", "total", "upstream", "requests_per_client"])
@pytest.mark.parametrize("text", ["0", "0/s"])
def test_0_is_no_limit(key: str, text: str) -> None:
    assert getattr(loaded(f'[limits]\n{key} = "{text}"').limits, key) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('total = "20M"', "line 2: limits.total: '20M' is not a rate"),
        ("total = 20", "line 2: limits.total: 20 is not a text"),
        ('total = "63K/s"', "line 2: limits.total: this is less than 64K/s"),
        ('requests_per_client = "5"', "line 2: limits.requests_per_client: '5' is no number of times"),
        ("connections_per_client = -1", "line 2: limits.connections_per_client: -1 is not a whole number"),
        ("per_clients = 1", "line 2: limits.per_clients: there is no such key; did you mean per_client?"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: str, said: str) -> None:
    assert mistake(f"[limits]\n{line}").startswith(said)


def test_proxies_are_trusted_by_network_or_address() -> None:
    trusted = loaded('[listen]\ntrusted_proxies = ["10.0.0.0/8", "2001:db8::1"]').listen.trusted_proxies
    assert trusted == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::1/128"))


def test_what_is_no_network_is_told() -> None:
    assert "'10.0.0.1/8' is no network" in mistake('[listen]\ntrusted_proxies = ["10.0.0.1/8"]')


@pytest.mark.parametrize(
    ("text", "options", "where"),
    [
        ('[listen]\nhttp = ["haproxy:tcp:80"]', {}, "line 2: listen.http"),
        ('domain = "cr.test"\n[listen]\nhttps = ["tcp:1", "haproxy:tcp:443"]', {}, "line 3: listen.https"),
        ("", {"http": ("haproxy:tcp:80",)}, "--http"),
    ],
)
def test_a_proxy_header_needs_somebody_who_is_believed(text: str, options: dict[str, tuple[str]], where: str) -> None:
    said = mistake(text, **options)
    assert said.startswith(f"{where}: 'haproxy:tcp:")
    assert "trusted_proxies" in said


def test_a_proxy_header_is_expected_where_somebody_is_believed() -> None:
    listen = loaded('[listen]\nhttp = ["haproxy:tcp:80"]\ntrusted_proxies = ["10.0.0.0/8"]').listen
    assert listen.http == ("haproxy:tcp:80",)
