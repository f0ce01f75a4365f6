from __future__ import annotations

from crproxy.config import Config, Upstream
from crproxy.metrics import Meters
from crproxy.oci.names import Registry
from crproxy.upstream.attempts import Attempt
from crproxy.upstream.errors import RefusedAddress
from tests.metrics.records import samples

QUAY, WHO = Registry("quay.io"), Registry("who.example")


def test_answers_are_timed_and_errors_counted() -> None:
    meters = Meters(Config)
    for attempt in (
        Attempt.of_status(QUAY, 0.2, 200),
        Attempt.of_status(QUAY, 0.3, 503),
        Attempt.of_status(QUAY, 0.1, 429),
        Attempt.of_error(WHO, 1.0, RefusedAddress("10.0.0.1")),
    ):
        meters.upstreams.attempted(attempt)
    assert samples(meters.registry, "crproxy_upstream_response_seconds_count") == {("quay.io",): 3}
    assert samples(meters.registry, "crproxy_upstream_response_seconds_sum")["quay.io",] == 0.6
    assert samples(meters.registry, "crproxy_upstream_errors_total") == {
        ("quay.io", "server"): 1,
        ("quay.io", "quota"): 1,
        ("other", "address"): 1,
    }


def test_up_is_who_answered_last() -> None:
    meters = Meters(Config)
    for status, up in ((503, False), (404, True), (429, True)):
        meters.upstreams.attempted(Attempt.of_status(QUAY, 0.1, status))
        assert meters.upstreams.up == {"quay.io": up}
    meters.upstreams.attempted(Attempt.of_error(QUAY, 0.1, OSError()))
    assert meters.upstreams.up == {"quay.io": False}


def test_of_registries_that_share_a_label_none_is_up_or_down() -> None:
    meters = Meters(Config)
    meters.upstreams.attempted(Attempt.of_status(WHO, 0.1, 200))
    assert meters.upstreams.up == {}


def test_of_several_endpoints_one_is_enough() -> None:
    mirror, own, gone = "https://mirror.example", "https://quay.io", "https://gone.example"
    configs = [Config(upstreams={QUAY: Upstream(QUAY, mirror, fallbacks=(Upstream.public(QUAY),))})]
    meters = Meters(lambda: configs[-1])
    for endpoint, status, up in ((mirror, 503, False), (own, 200, True), (mirror, 503, True), (gone, 200, True)):
        meters.upstreams.attempted(Attempt.of_status(QUAY, 0.1, status, endpoint))
        assert meters.upstreams.up == {"quay.io": up}
    assert meters.upstreams.endpoints_up == {("quay.io", mirror): False, ("quay.io", own): True}
    meters.upstreams.attempted(Attempt.of_error(QUAY, 0.1, OSError(), own))
    assert meters.upstreams.up == {"quay.io": False}
    # The configuration is read again, and has one endpoint for it.
    configs.append(Config())
    meters.upstreams.attempted(Attempt.of_status(QUAY, 0.1, 200, own))
    assert (meters.upstreams.up, meters.upstreams.endpoints_up) == ({"quay.io": True}, {})


def test_bytes_are_added() -> None:
    meters = Meters(Config)
    meters.upstreams.received(5)
    meters.upstreams.received(7)
    assert meters.upstreams.bytes_received == 12
