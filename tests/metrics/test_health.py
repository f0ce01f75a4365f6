from __future__ import annotations

import pytest
from twisted.web.test.requesthelper import DummyRequest

from crproxy.metrics import make_health
from crproxy.policy.findings import Finding


def asked(name: str, *findings: Finding) -> tuple[int, str]:
    """The answer's status and text."""
    request = DummyRequest([b""])
    body = make_health(lambda: findings)[name].render(request)
    assert isinstance(body, bytes)
    return request.responseCode or 200, body.decode()


def test_whoever_answers_lives() -> None:
    assert asked("healthz", Finding("x", "wrong")) == (200, "crproxy: ok\n")


@pytest.mark.parametrize(
    ("findings", "status", "text"),
    [
        ([Finding("a"), Finding("b")], 200, "a: ok\nb: ok\n"),
        ([Finding("a"), Finding("b", "broken")], 503, "a: ok\nb: broken\n"),
        ([Finding("a", "limps", bears_it=True)], 200, "a: limps\n"),
    ],
)
def test_it_is_ready_unless_clients_would_notice(findings: list[Finding], status: int, text: str) -> None:
    assert asked("readyz", *findings) == (status, text)
