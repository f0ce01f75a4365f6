from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.descriptors import Descriptors


@given(st.integers(256, 1 << 20))
def test_all_together_use_no_more_than_there_are(limit: int) -> None:
    """A client's connection may need a file beside it, one to an upstream a partial file."""
    found = Descriptors.of(limit)
    assert 2 * found.clients + 2 * found.upstreams + found.idle <= limit - 48


@given(st.integers(384, 1 << 20), st.booleans())
def test_nodes_of_a_fleet_use_no_more_either(limit: int, store: bool) -> None:
    """A connection from a node may need a file beside it, one to another a partial file; as many of these may idle."""
    found = Descriptors.of(limit, fleet=True, store=store)
    of_images = 2 * found.clients + 2 * found.upstreams + found.idle
    assert of_images + 2 * found.from_nodes + 3 * found.to_nodes <= limit - 48 - 72 - 56 * store
    assert 1 <= found.to_nodes <= found.from_nodes <= 1024


@given(st.integers(0, 1 << 20))
def test_without_a_fleet_there_are_no_nodes(limit: int) -> None:
    found = Descriptors.of(limit, store=True)
    assert (found.from_nodes, found.to_nodes) == (0, 0)
    assert found == Descriptors.of(limit - 56)


@given(st.integers(0, 1 << 20), st.booleans(), st.booleans())
def test_everybody_has_some(limit: int, fleet: bool, store: bool) -> None:
    found = Descriptors.of(limit, fleet=fleet, store=store)
    assert min(found.clients, found.of_client, found.upstreams, found.for_client, found.idle) >= 1
    assert (min(found.from_nodes, found.to_nodes) >= 1) is fleet


@given(st.integers(0, 1 << 20))
def test_no_client_has_most_of_it(limit: int) -> None:
    found = Descriptors.of(limit)
    assert 1 <= 2 * found.of_client <= max(found.clients, 2)
    assert 1 <= found.for_client <= max(found.upstreams // 2, 1)


def test_of_the_units_limit_each_has_what_it_needs() -> None:
    found = Descriptors.of(65536)
    assert (found.clients, found.of_client) == (17681, 4420)
    assert (found.upstreams, found.for_client, found.idle) == (11132, 1024, 1024)
    found = Descriptors.of(65536, fleet=True, store=True)
    assert (found.clients, found.upstreams, found.from_nodes, found.to_nodes) == (15032, 8496, 1024, 1024)


def test_of_few_each_has_some() -> None:
    assert Descriptors.of(256) == Descriptors(clients=56, of_client=14, upstreams=35, for_client=17, idle=24)
