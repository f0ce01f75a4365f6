"""Upstreams: how long they take, what goes wrong with them, how much they send, and which of them are up."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from ..sharing import Records
from ..upstream.attempts import Attempt
from .labels import OTHER, Registries

__all__ = ["Upstreams"]

# A registry near by answers in some milliseconds; 30 s is the longest that is waited for a header, unless configured.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Upstreams:
    """Counts what upstreams do. ``bytes_received``: of bodies.

    Arguments:
        registry: takes the metrics.
        registries: makes the labels of registries.
        up: has, for all workers, whether the upstream of a label answered when it was asked last.
        endpoints_up: and whether an endpoint did, by that label and its URL, where there are several.
    """

    def __init__(self, registry: CollectorRegistry, registries: Registries, up: Records, endpoints_up: Records) -> None:
        self._up = up
        self._endpoints_up = endpoints_up
        # A number, with each piece: a Counter takes five times as long, and is not needed for what is only read.
        self.bytes_received = 0
        self._registries = registries
        self._seconds = Histogram(
            "crproxy_upstream_response_seconds",
            "Time from a request to an upstream to the header of its answer.",
            ("registry",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "crproxy_upstream_errors",
            "Requests to upstreams that failed, tries again included.",
            ("registry", "kind"),
            registry=registry,
        )

    @property
    def up(self) -> dict[str, bool]:
        """Whether a registry answered when it was asked last, by its label; of several endpoints, whether one did."""
        up: dict[str, bool] = self._up.all()
        of_several: dict[str, bool] = {}
        for (label, _), is_up in self.endpoints_up.items():
            of_several[label] = is_up or of_several.get(label, False)
        return up | of_several

    @property
    def endpoints_up(self) -> dict[tuple[str, str], bool]:
        """Whether an endpoint did, by its registry's label and its URL, of registries that have several."""
        known: dict[tuple[str, str], bool] = self._endpoints_up.all()
        # Others were there before the configuration was read again.
        return {key: is_up for key, is_up in known.items() if key[1] in self._registries.endpoints(key[0])}

    def attempted(self, attempt: Attempt) -> None:
        """Count a request (crproxy.upstream.attempts.Told)."""
        label = self._registries.label(str(attempt.registry))
        if attempt.answered:
            self._seconds.labels(label).observe(attempt.seconds)
        if attempt.trouble:
            self._errors.labels(label, attempt.trouble).inc()
        if label != OTHER:
            # Of many that share a label there is nothing to say.
            self._up.put(label, attempt.is_up)
        if attempt.endpoint in self._registries.endpoints(label):
            self._endpoints_up.put((label, attempt.endpoint), attempt.is_up)

    def received(self, number: int) -> None:
        """Count bytes (crproxy.upstream.relay.Received)."""
        self.bytes_received += number
