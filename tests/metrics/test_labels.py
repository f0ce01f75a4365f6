from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config, Upstream
from crproxy.metrics.labels import Registries, method_label, status_label
from crproxy.oci.names import Registry
from crproxy.policy.access import Access
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.routing import Names

CORP, HUB = Registry("registry.corp.example"), Registry("hub.example")


@given(st.lists(st.text(max_size=20), max_size=200), st.lists(st.text(max_size=10), max_size=50))
def test_clients_cannot_make_series(registries: list[str], methods: list[str]) -> None:
    labels = Registries(Config)
    known = {*map(str, BUILT_IN.values()), "other"}
    assert {labels.label(name) for name in registries} <= known
    assert {method_label(method) for method in methods} <= {"GET", "HEAD", "other"}


@given(st.none() | st.integers())
def test_statuses_are_registered_ones(status: int | None) -> None:
    label = status_label(status)
    assert label in {"none", "other"} or (label == str(status) and 100 <= int(label) < 600)


def test_what_is_configured_has_its_name() -> None:
    config = Config(
        Names("cr.test", {"corp.cr.test": CORP}, HUB),
        upstreams={Registry("a.example"): Upstream.public(Registry("a.example"))},
        access=Access(named=frozenset({Registry("b.example")})),
    )
    label = Registries(lambda: config).label
    for name in ("docker.io", str(CORP), str(HUB), "a.example", "b.example"):
        assert label(name) == name
    assert label("c.example") == "other"
    assert label(None) == "none"


def test_endpoints_are_told_where_there_are_several() -> None:
    mirrored = Upstream(CORP, "https://mirror.example", fallbacks=(Upstream.public(CORP),))
    configs = [Config(upstreams={CORP: mirrored, HUB: Upstream.public(HUB)})]
    endpoints = Registries(lambda: configs[-1]).endpoints
    assert endpoints(str(CORP)) == {"https://mirror.example", f"https://{CORP}"}
    assert endpoints(str(HUB)) == endpoints("c.example") == frozenset()
    configs.append(Config())
    assert endpoints(str(CORP)) == frozenset()


def test_a_reload_counts() -> None:
    configs = [Config()]
    label = Registries(lambda: configs[-1]).label
    assert label(str(CORP)) == "other"
    configs.append(Config(Names("cr.test", {"corp.cr.test": CORP})))
    assert label(str(CORP)) == str(CORP)
