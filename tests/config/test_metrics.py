from __future__ import annotations

import pytest

from tests.configs import loaded, mistake


def test_without_a_word_monitoring_has_the_admin_socket_alone() -> None:
    assert loaded().metrics.listen is None
    assert loaded('[metrics]\nlisten = ""\n').metrics.listen is None


@pytest.mark.parametrize(
    "endpoint", ["tcp:9090:interface=127.0.0.1", "tcp6:9090", "unix:/run/m.sock", "systemd:domain=INET:index=0"]
)
def test_an_endpoint_is_read(endpoint: str) -> None:
    assert loaded(f'[metrics]\nlisten = "{endpoint}"\n').metrics.listen == endpoint


@pytest.mark.parametrize("endpoint", ["9090", "tcp", "tcp:http", "127.0.0.1:9090", "haproxy:tcp:9090", "ssl:9090"])
def test_what_is_none_is_a_mistake(endpoint: str) -> None:
    said = mistake(f'[metrics]\nlisten = "{endpoint}"\n')
    assert said.startswith("line 2: metrics.listen: ")
    assert "tcp:9091:interface=127.0.0.1" in said


def test_an_unknown_key_is_a_mistake() -> None:
    assert "line 2: metrics.listn: there is no such key; did you mean listen?" in mistake('[metrics]\nlistn = "x"\n')
