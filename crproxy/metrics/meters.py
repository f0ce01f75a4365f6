"""All that is counted as it happens, in one registry of Prometheus' client that is this daemon's own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics

from ..config import Config
from ..sharing import Alone, Sharing
from .labels import Registries
from .requests import Requests
from .rules import RuleMeter
from .upstreams import Upstreams

__all__ = ["Meters"]

_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Meters:
    """What is counted. ``requests``, ``rules`` and ``upstreams`` do it; ``lag`` is told how late the reactor is, in
    seconds, ``turn`` how long each of its turns took; ``registries`` makes labels.

    Arguments:
        current: returns the configuration that counts now.
        sharing: has what is known of upstreams, for all workers.
    """

    def __init__(self, current: Callable[[], Config], sharing: Sharing | None = None) -> None:
        # A second series beside each, of when it began, which nobody asks for.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.registries = registries = Registries(current)
        self.requests = Requests(self.registry, registries)
        self.rules = RuleMeter(self.registry, registries)
        sharing = sharing or Alone()
        up, endpoints_up = sharing.records("upstreams up"), sharing.records("endpoints up")
        self.upstreams = Upstreams(self.registry, registries, up, endpoints_up)
        self._lag = Histogram(
            "crproxy_reactor_lag_seconds",
            "How late the event loop is with what is due, looked at once a second.",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )
        self._longest_turn = 0.0
        Gauge(
            "crproxy_reactor_stall_seconds",
            "The longest that the event loop was busy without a pause since the daemon started.",
            registry=self.registry,
        ).set_function(lambda: self._longest_turn)
        ProcessCollector(registry=self.registry)

    def lag(self, seconds: float) -> None:
        """Note how late the reactor was."""
        self._lag.observe(seconds)

    def turn(self, seconds: float) -> None:
        """Note how long a turn of the reactor took."""
        if seconds > self._longest_turn:
            self._longest_turn = seconds
