from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.web.test.requesthelper import DummyRequest

from crproxy.config import Config
from crproxy.metrics import Meters
from crproxy.metrics.exposition import Exposition


def asked(meters: Meters, accepted: bytes | None = None) -> tuple[bytes, str]:
    """The answer's body and media type."""
    request: Any = DummyRequest([b""])
    if accepted is not None:
        request.requestHeaders.setRawHeaders(b"accept", [accepted])
    body = Exposition(meters.registry).render(request)
    assert isinstance(body, bytes)
    (media_type,) = request.responseHeaders.getRawHeaders("content-type")
    return body, media_type


def test_prometheus_can_read_it() -> None:
    meters = Meters(Config)
    meters.lag(3)
    body, _ = asked(meters)
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["crproxy_reactor_lag_seconds"].samples[-1].value == 3
    assert not [name for name in families if name.endswith("_created")]
    assert "process_cpu_seconds" in families


@pytest.mark.parametrize(
    ("accepted", "media_type"),
    [
        (None, "text/plain; version=0.0.4"),
        (b"application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
    ],
)
def test_it_is_written_as_it_is_asked_for(accepted: bytes | None, media_type: str) -> None:
    assert asked(Meters(Config), accepted)[1].startswith(media_type)
