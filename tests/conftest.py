from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from crproxy.service import caching
from tests.stores import close_indexes, make_index

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes, or takes to be made up, is the machine's doing. And no fixture of ours is changed by one.
settings.register_profile(
    "crproxy", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("crproxy")


# A shell starts what it does not wait for with SIGINT ignored, and so would be what is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def closed_indexes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also those of daemons that are put together and never started."""
    monkeypatch.setattr(caching, "Index", make_index)
    yield
    close_indexes()


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """A service that stops takes them for the rest of its process, which here is that of the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
