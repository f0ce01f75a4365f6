from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.descriptors import Descriptors


@given(st.integers(256, 1 << 20))
def test_all_together_use_no_more_than_there_are(limit: int) -> None:
    """A client's connection may need a file beside it, one to an upstream a partial file."""
    found = Descriptors.of(limit)
    assert 2 * found.clients + 2 * found.upstreams + found.idle <= limit - 48


@given(st.integers(0, 1 << 20))
def test_no_client_has_most_of_it(limit: int) -> None:
    found = Descriptors.of(limit)
    assert 1 <= 2 * found.of_client <= max(found.clients, 2)
    assert 1 <= found.for_client <= max(found.upstreams // 2, 1)


def test_of_the_units_limit_each_has_what_it_needs() -> None:
    found = Descriptors.of(65536)
    assert (found.clients, found.of_client) == (17681, 4420)
    assert (found.upstreams, found.for_client, found.idle) == (11132, 1024, 1024)


def test_of_few_each_has_some() -> None:
    assert Descriptors.of(256) == Descriptors(clients=56, of_client=14, upstreams=35, for_client=17, idle=24)
