from __future__ import annotations

import json
from typing import Any

import pytest

from crproxy.admin.site import make_admin_site
from crproxy.config import Config
from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.service.current_configuration import CurrentConfiguration
from crproxy.tls.plan import NameState, State
from tests.memory import Network
from tests.web.conftest import Browser, Received


class AdminClient:
    """The admin socket of a daemon with one alias."""

    def __init__(self) -> None:
        self.network = Network()
        config = Config(Names("cr.test", {"quay.cr.test": Registry("quay.io")}))
        self.live = CurrentConfiguration(config, lambda: config)
        states = [NameState("cr.test", State.VALID, 1e9), NameState("quay.cr.test", State.FAILED, None, "no DNS", 2e9)]
        self.site = make_admin_site(
            lambda: self.live().names.aliases, self.live.set_alias, lambda: states, self.network.clock
        )

    def ask(self, method: str, target: str, body: str = "") -> Received:
        browser = Browser(self.site, self.network)
        browser.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        return browser.received()

    def json(self, method: str, target: str, body: str = "") -> Any:
        received = self.ask(method, target, body)
        assert received.one("Content-Type") == "application/json"
        return json.loads(received.body)


@pytest.fixture
def client() -> AdminClient:
    return AdminClient()


def test_the_aliases_are_listed(client: AdminClient) -> None:
    assert client.json("GET", "/aliases") == {"quay.cr.test": "quay.io"}


def test_one_is_added_and_counts_at_once(client: AdminClient) -> None:
    change = client.json("PUT", "/aliases/hub", "docker.io\n")
    assert (change["alias"], change["host"], change["registry"]) == ("hub", "hub.cr.test", "docker.io")
    assert client.json("GET", "/aliases") == {"hub.cr.test": "docker.io", "quay.cr.test": "quay.io"}


def test_one_is_removed(client: AdminClient) -> None:
    change = client.json("DELETE", "/aliases/quay")
    assert (change["alias"], change["registry"]) == ("quay", None)
    # There is no file here.
    assert (change["kept"], change["file"]) == (False, None)
    assert client.json("GET", "/aliases") == {}


@pytest.mark.parametrize(
    ("method", "label", "body", "what"),
    [
        ("PUT", "hub", "", "the body is the registry"),
        ("PUT", "hub", "a b", "alias.hub: 'a b' is not a registry's name"),
        ("PUT", "a%20b", "quay.io", 'alias."a b": this is not a name'),
        ("DELETE", "nope", "", "alias.nope: there is no such alias to remove"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    client: AdminClient, method: str, label: str, body: str, what: str
) -> None:
    received = client.ask(method, f"/aliases/{label}", body)
    assert received.status == 400
    assert json.loads(received.body)["error"].startswith(what)
    assert client.json("GET", "/aliases") == {"quay.cr.test": "quay.io"}


def test_how_it_stands_with_each_certificate(client: AdminClient) -> None:
    assert client.json("GET", "/certificates") == [
        {"name": "cr.test", "state": "valid", "valid_until": 1e9, "why": None, "next_attempt": None},
        {"name": "quay.cr.test", "state": "failed", "valid_until": None, "why": "no DNS", "next_attempt": 2e9},
    ]


@pytest.mark.parametrize("target", ["/", "/x", "/aliases/a/b", "/certificates/x"])
def test_there_is_nothing_else(client: AdminClient, target: str) -> None:
    assert client.ask("PUT", target, "quay.io").status in (404, 405, 501)


def test_a_head_of_what_cannot_be_read_is_no_failure(client: AdminClient) -> None:
    assert client.ask("HEAD", "/aliases/quay").status == 405
