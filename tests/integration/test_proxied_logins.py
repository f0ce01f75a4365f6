"""Real clients that log in at crproxy as their HTTP proxy, or ask it by TLS; one that does not know the password.

The password has a space in it: it is percent-encoded in the URL, and each "%" is twice in systemd's file.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts import proxied_clients
from tests.parts.program import Failed
from tests.parts.proxied_clients import Starting
from tests.parts.registry import PASSWORD, USERNAME, write_htpasswd
from tests.parts.station import WORLD, Station

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.parts.certificates import Authority
    from tests.parts.layouts import Layout
    from tests.parts.proxied_clients import Client

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers"), pytest.mark.timeout(600)]

CLIENTS = (
    proxied_clients.docker,
    proxied_clients.docker_by_containerd,
    proxied_clients.kubernetes,
    proxied_clients.podman,
    proxied_clients.skopeo,
)


@pytest.fixture(scope="module", params=["listen", "listen_tls"])
def station(
    workers: int, request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """One where everybody logs in, in the clear or by TLS."""
    file = tmp_path_factory.mktemp("users") / "htpasswd"
    write_htpasswd(file)
    users = f'[clients]\nhtpasswd = "{file}"'
    with tempfile.TemporaryDirectory(prefix="stl-") as directory:
        listen = f'{request.param} = ["tcp:0:interface=127.0.0.1"]'
        with Station(Path(directory), listen, users, authority) as running:
            yield running


@pytest.fixture
def starting(station: Station) -> Iterator[Starting]:
    with tempfile.TemporaryDirectory(prefix="cl-") as directory, ExitStack() as running:
        options = ("--login", USERNAME, "--password-stdin")
        yield Starting(station, Path(directory), running, options, stdin=PASSWORD)


@pytest.mark.parametrize("make", CLIENTS, ids=lambda make: make.__name__)
def test_a_client_pulls_with_its_login(
    station: Station, layout: Layout, starting: Starting, make: Callable[[Starting], Client]
) -> None:
    client = make(starting)
    for registry in WORLD:
        image = layout.image()
        assert client.pull(station.push(layout, image, registry, make.__name__)) == client.kept(image)
        station.assert_fetched_once(registry, image)


@pytest.mark.parametrize("make", CLIENTS, ids=lambda make: make.__name__)
def test_a_client_that_has_a_wrong_password_says_what_is_wrong(
    station: Station, layout: Layout, starting: Starting, make: Callable[[Starting], Client]
) -> None:
    name = station.push(layout, layout.image(), "ghcr.io", "secret")
    wrong = replace(starting, stdin="wrong")
    client = make(wrong)
    with pytest.raises(Failed) as failed:
        client.pull(name)
    assert "the username or the password is wrong" in str(failed.value)
