from __future__ import annotations

import errno

import pytest
from twisted.internet import defer
from twisted.internet import error as net_error

from crproxy.admin.doctor.blocked import connected, explain
from crproxy.policy.urls import Origin
from crproxy.upstream.errors import describe

QUAY, TABLE = Origin("https", "quay.io", 443), '[upstreams."quay.io"]'


@pytest.mark.parametrize(
    ("reason", "said", "advised", "of_several"),
    [
        (
            net_error.ConnectionRefusedError(),
            "it refuses connections",
            "refuses connections to quay.io port 443",
            "they refuse connections",
        ),
        (
            net_error.TCPTimedOutError(),
            "it did not answer in time",
            "drops what is sent to quay.io port 443",
            "they did not answer in time",
        ),
        (defer.TimeoutError(), "it did not answer in time", "drops what is sent", "they did not answer in time"),
        (
            net_error.NoRouteError(osError=errno.EHOSTUNREACH),
            "it cannot be reached from here (EHOSTUNREACH)",
            "routes (ip route)",
            "they cannot be reached from here (EHOSTUNREACH)",
        ),
        (
            net_error.ConnectError(osError=errno.EACCES),
            "it cannot be reached from here (EACCES)",
            "firewall",
            "they cannot be reached from here (EACCES)",
        ),
        (
            net_error.ConnectionLost(),
            "the connection broke (ConnectionLost)",
            "cuts the connection off",
            "the connection broke (ConnectionLost)",
        ),
        (OSError("x"), "OSError: x", "firewall, proxy, and whether it is up", "OSError: x"),
    ],
)
def test_each_way_of_being_blocked_has_its_advice(
    reason: BaseException, said: str, advised: str, of_several: str
) -> None:
    blocked = explain(reason, QUAY, TABLE)
    assert describe(reason) == said
    assert advised in blocked.advice
    assert f"proxy under {TABLE}" in blocked.advice
    assert blocked.common.text == of_several
    assert "quay.io" not in blocked.common.advice


def test_two_registries_are_blocked_by_one_cause() -> None:
    refused = net_error.ConnectionRefusedError()
    other = Origin("https", "ghcr.io", 443)
    assert explain(refused, QUAY, TABLE).common == explain(refused, other, '[upstreams."ghcr.io"]').common


@pytest.mark.parametrize(
    ("reason", "may_be"),
    [
        (net_error.ConnectionRefusedError(), False),
        (net_error.ConnectingCancelledError(None), False),
        (defer.TimeoutError(), False),
        (net_error.DNSLookupError(), False),
        (net_error.ConnectionLost(), True),
        (OSError("x"), True),
    ],
)
def test_a_certificate_is_looked_at_only_where_there_may_be_one(reason: BaseException, may_be: bool) -> None:
    assert connected(reason) is may_be
