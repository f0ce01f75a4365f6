from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from crproxy.admin.alias_file import AliasChange
from crproxy.admin.alias_resource import SetAlias
from crproxy.admin.site import States, make_admin_site
from crproxy.config import Config, ConfigError
from crproxy.oci.names import Registry
from crproxy.policy.routing import Names
from crproxy.service.current_configuration import CurrentConfiguration
from crproxy.tls.plan import NameState, State
from tests.logs import Log
from tests.memory import Network
from tests.parts.request_ids import without_id
from tests.web.conftest import Browser, Received


class AdminClient:
    """The admin socket of a daemon with one alias."""

    def __init__(self, set_alias: SetAlias | None = None, states: States | None = None) -> None:
        self.network = Network()
        config = Config(Names("cr.test", {"quay.cr.test": Registry("quay.io")}))
        self.live = CurrentConfiguration(config, lambda: config)
        known = [NameState("cr.test", State.VALID, 1e9), NameState("quay.cr.test", State.FAILED, None, "no DNS", 2e9)]
        self.site = make_admin_site(
            lambda: self.live().names.aliases,
            set_alias or self.live.set_alias,
            states or (lambda: succeed(known)),
            self.network.clock,
        )

    def open(self, method: str, target: str, body: str = "") -> Browser:
        browser = Browser(self.site, self.network)
        # As by HTTP/1.0, whose bodies are not in chunks.
        browser.send(f"{method} {target} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        return browser

    def ask(self, method: str, target: str, body: str = "") -> Received:
        return self.open(method, target, body).received()

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
        ("PUT", "hub", "a b", "alias hub: 'a b' is not a registry's name"),
        ("PUT", "a%20b", "quay.io", "alias a b: this is not a name"),
        ("DELETE", "nope", "", "alias nope: there is no such alias to remove"),
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


# Where another process sets aliases, or knows of certificates, it is answered when that has


def test_an_alias_is_answered_when_it_has_been_set() -> None:
    asked, changed = list[tuple[str, str]](), Deferred[AliasChange]()

    def set_alias(label: str, registry: str) -> Deferred[AliasChange]:
        asked.append((label, registry))
        return changed

    browser = AdminClient(set_alias).open("PUT", "/aliases/hub", "docker.io\n")
    assert browser.silent
    changed.callback(AliasChange("hub", "hub.cr.test", "docker.io", "cr.test", kept=True))
    received = browser.received()
    assert received.status == 200
    assert json.loads(received.body)["host"] == "hub.cr.test"
    assert asked == [("hub", "docker.io")]


def test_a_mistake_that_another_process_finds_is_told() -> None:
    received = AdminClient(lambda *_: fail(ConfigError("alias.hub: no"))).ask("PUT", "/aliases/hub", "docker.io")
    told = without_id(json.loads(received.body)["error"], received.one("X-Request-Id"))
    assert (received.status, told) == (400, "alias.hub: no")


@pytest.mark.parametrize(("method", "target"), [("DELETE", "/aliases/quay"), ("GET", "/certificates")])
def test_where_nobody_can_answer_that_is_told(method: str, target: str) -> None:
    client = AdminClient(lambda *_: fail(LookupError("nobody")), lambda: fail(LookupError("nobody")))
    with Log() as log:
        received = client.ask(method, target)
        assert log.complaints == ["the operator's request failed"]
    assert received.status == 500
    assert without_id(json.loads(received.body)["error"], received.one("X-Request-Id")) == "nobody"


def test_an_operator_who_leaves_before_is_nobodys_failure() -> None:
    cancelled: list[Deferred[Any]] = []
    browser = AdminClient(states=lambda: Deferred(cancelled.append)).open("GET", "/certificates")
    with Log() as log:
        browser.leave()
        assert log.complaints == []
    assert len(cancelled) == 1
