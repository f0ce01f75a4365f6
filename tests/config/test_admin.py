from __future__ import annotations

import pytest

from tests.configs import loaded, mistake


def test_without_a_word_there_is_none() -> None:
    assert loaded().admin.listen is None
    assert loaded('[admin]\nlisten = ""\n').admin.listen is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:5080:interface=127.0.0.1",
        "tcp:5080:interface=localhost",
        "tcp6:5080:interface=\\\\:\\\\:1",
        "unix:/run/crproxy/page.sock",
    ],
)
def test_an_endpoint_of_this_machine_is_read(endpoint: str) -> None:
    assert loaded(f'[admin]\nlisten = "{endpoint}"\n').admin.listen == endpoint.replace("\\\\", "\\")


@pytest.mark.security("S35")
@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp:5080",
        "tcp:5080:interface=0.0.0.0",
        "tcp:5080:interface=192.0.2.1",
        "tcp6:5080",
        "systemd:domain=INET:index=0",
        "haproxy:tcp:5080:interface=127.0.0.1",
        "tcp:x:interface=127.0.0.1",
        "5080",
    ],
)
def test_what_others_may_reach_is_a_mistake(endpoint: str) -> None:
    said = mistake(f'[admin]\nlisten = "{endpoint}"\n')
    assert said.startswith("line 2: admin.listen: ")
    assert "tcp:5080:interface=127.0.0.1" in said
