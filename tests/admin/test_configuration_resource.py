from __future__ import annotations

import json
from dataclasses import replace

import pytest
from twisted.internet.defer import succeed

from crproxy import __version__
from crproxy.admin.configuration_resource import ConfigurationResource
from crproxy.admin.loaded import Loaded
from crproxy.admin.site import make_admin_site
from tests.memory import Network
from tests.web.conftest import Browser, Received

LOADED = Loaded("/etc/crproxy/crproxy.toml", 784111777.0, ("[limits]: total 1 -> 2",), ("cache",))


def ask(method: str) -> Received:
    network = Network()
    resource = ConfigurationResource(lambda: succeed(LOADED))
    site = make_admin_site(
        dict, lambda *_: pytest.fail("not asked"), lambda: succeed([]), network.clock, None, {"configuration": resource}
    )
    browser = Browser(site, network)
    browser.send(f"{method} /configuration HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    return browser.received()


def test_what_runs_is_told() -> None:
    document = json.loads(ask("GET").body)
    assert document.pop("version") == __version__
    assert Loaded.of(document) == LOADED


def test_options_are_told_where_the_daemon_knows_of_that() -> None:
    told = replace(LOADED, options=("--domain=cr.test",))
    assert Loaded.of(told.document()) == told
    document = told.document()
    del document["options"]
    assert Loaded.of(document).options is None


def test_it_can_only_be_read() -> None:
    assert ask("PUT").status == 405


@pytest.mark.parametrize("document", [{}, {"file": None}, {**LOADED.document(), "read_at": "yesterday"}])
def test_what_is_something_else_is_refused(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Loaded.of(document)
