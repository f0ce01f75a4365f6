from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet import error as net_error

from crproxy.admin.doctor.grouping import grouped
from crproxy.admin.doctor.registry_check import check_registry
from crproxy.admin.doctor.upstreams import RegistryCheck, Tools, chosen
from crproxy.config import Timeouts, Upstream
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.proxies import Proxies, parse_proxy
from crproxy.upstream.agent import treq_client
from crproxy.upstream.errors import RefusedAddress
from crproxy.upstream.exchange import Exchange
from crproxy.upstream.tokens import Tokens
from tests.admin.doctor.conftest import environment, told
from tests.configs import loaded
from tests.memory import Network, Seen, answer, ended

QUAY = Registry("quay.io")
HUB = "https://registry-1.docker.io"
DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT"
REALM = 'WWW-Authenticate: Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
MANIFEST = ("Content-Type: application/json", "Content-Length: 7", f"Docker-Content-Digest: sha256:{'0' * 64}")
ADDRESSES = {"registry-1.docker.io": {"198.51.100.1"}, "quay.io": {"198.51.100.2"}}


@pytest.fixture
def network() -> Network:
    return Network()


def checked(network: Network, upstream: Upstream, *, is_one_of_several: bool = False) -> RegistryCheck:
    """What is seen at an upstream."""
    http, timeouts = treq_client(network.agent()), Timeouts()
    tokens = Tokens(timeouts, network.clock)
    exchange = Exchange(lambda _: http, tokens, timeouts, network.clock)
    tools = Tools(lambda _: http, tokens, exchange, environment(ADDRESSES, reactor=network.clock))
    return ended(network.run(check_registry(upstream, tools, is_one_of_several=is_one_of_several)))


def hub(seen: Seen, *quota: str) -> bytes:
    if "Authorization" not in seen.raw.decode("latin-1"):
        return answer(401, b"", REALM, DATE)
    return answer(200, b"", *MANIFEST, *quota, length=None)


def test_every_step_of_a_pull_from_docker_hub(network: Network) -> None:
    quota = ("ratelimit-limit: 100;w=21600", "ratelimit-remaining: 76;w=21600")
    network.serve(HUB, lambda seen: hub(seen, *quota))
    network.serve("https://auth.docker.io", answer(200, b'{"token": "t"}'))
    seen = checked(network, Upstream.public(DOCKER_HUB))
    steps = ("name", "connection", "login", "manifest", "quota")
    assert told(seen.findings) == {f"docker.io: {step}": "ok" for step in steps}
    assert seen.findings[-1].text == "76 of 100 left of its manifests"
    assert seen.reading is not None
    assert seen.reading.behind == 0.0
    asked = [request.line.split(" ")[0] for request in network.seen]
    assert "GET /v2/library" not in " ".join(request.line for request in network.seen)
    assert asked == ["GET", "GET", "HEAD"]


def test_a_quota_that_is_nearly_used_up_is_a_warning(network: Network) -> None:
    network.serve(HUB, lambda seen: hub(seen, "ratelimit-limit: 100;w=21600", "ratelimit-remaining: 2;w=21600"))
    network.serve("https://auth.docker.io", answer(200, b'{"token": "t"}'))
    assert told(checked(network, Upstream.public(DOCKER_HUB)).findings)["docker.io: quota"] == "warning"


def test_a_quota_that_is_used_up_fails(network: Network) -> None:
    network.serve(HUB, [answer(200), answer(429, b"", "Retry-After: 60")])
    assert told(checked(network, Upstream.public(DOCKER_HUB)).findings)["docker.io: quota"] == "failed"


def test_a_login_that_the_token_service_refuses_fails(network: Network) -> None:
    network.serve(HUB, lambda seen: hub(seen))
    network.serve("https://auth.docker.io", answer(401, b"{}"))
    seen = checked(network, Upstream(DOCKER_HUB, HUB, username="me", password="secret"))
    assert told(seen.findings)["docker.io: login"] == "failed"
    assert told(seen.findings)["docker.io: what follows"] == "skipped"
    assert "secret" not in str(seen.findings)


def test_a_password_is_sent_to_the_registry_alone_and_only_when_it_asks(network: Network) -> None:
    challenged = answer(401, b"", 'WWW-Authenticate: Basic realm="x"')
    network.serve("https://quay.io", [challenged, answer(200), answer(404), answer(404)])
    seen = checked(network, Upstream(QUAY, "https://quay.io", username="me", password="secret"))
    assert told(seen.findings)["quay.io: login"] == "ok"
    assert [request.one("Authorization") is not None for request in network.seen[:2]] == [False, True]


@pytest.mark.parametrize("passthrough", [False, True])
def test_a_registry_that_serves_nobody_who_does_not_log_in(network: Network, passthrough: bool) -> None:
    network.serve("https://quay.io", answer(401, b"", 'WWW-Authenticate: Basic realm="x"'))
    seen = checked(network, Upstream(QUAY, "https://quay.io", passthrough=passthrough))
    assert told(seen.findings)["quay.io: login"] == ("ok" if passthrough else "failed")


def test_an_image_that_is_there_no_more_is_a_warning(network: Network) -> None:
    network.serve("https://quay.io", [answer(200), answer(404), answer(404)])
    assert told(checked(network, Upstream.public(QUAY)).findings)["quay.io: manifest"] == "warning"


def test_a_registry_without_head_is_asked_by_a_get(network: Network) -> None:
    network.serve("https://quay.io", [answer(200), answer(405), answer(200, b'{"schemaVersion": 2}')])
    found = checked(network, Upstream.public(QUAY)).findings[-1]
    assert (found.outcome.value, " is there, in " in found.text) == ("ok", True)


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (302, "ok"), (404, "warning"), (429, "warning"), (500, "failed")]
)
def test_how_it_greets(network: Network, status: int, outcome: str) -> None:
    network.serve("https://quay.io", [answer(status), answer(404), answer(404)])
    assert told(checked(network, Upstream.public(QUAY)).findings)["quay.io: connection"] == outcome


def test_a_name_that_cannot_be_resolved_ends_the_visit(network: Network) -> None:
    seen = checked(network, Upstream.public(Registry("absent.example")))
    assert told(seen.findings) == {"absent.example: name": "failed", "absent.example: what follows": "skipped"}


@pytest.mark.parametrize(
    ("error", "said", "advice"),
    [
        (net_error.ConnectionRefusedError(), "it refuses connections", "firewall"),
        (RefusedAddress("its name leads to 10.1.2.3"), "leads to 10.1.2.3", '[upstreams."registry.example"]'),
    ],
)
def test_what_hinders_a_connection_is_said(network: Network, error: Exception, said: str, advice: str) -> None:
    network.refuse("http://192.0.2.9", error)
    seen = checked(network, Upstream(Registry("registry.example"), "http://192.0.2.9"))
    (failed, _) = seen.findings
    assert said in failed.text
    assert advice in failed.advice


def test_behind_a_proxy_names_are_its_business(network: Network) -> None:
    network.serve("https://quay.io", [answer(200), answer(404), answer(404)])
    proxies = Proxies.always(parse_proxy("http://me:secret@proxy.test:3128"))
    (name, *_) = checked(network, Upstream.public(QUAY, proxies)).findings
    assert (name.outcome.value, name.text) == (
        "ok",
        "is left to the proxy proxy.test:3128, through which it is reached",
    )


def test_one_of_several_endpoints_is_named_and_looked_at_by_itself(network: Network) -> None:
    network.serve("https://quay.io", [answer(200), answer(405), answer(200, b'{"schemaVersion": 2}')])
    network.refuse("http://192.0.2.9", net_error.ConnectionRefusedError())
    mirror = Upstream(QUAY, "http://192.0.2.9", trust_tags=False)
    found = told(checked(network, mirror, is_one_of_several=True).findings)
    assert found["quay.io at http://192.0.2.9: connection"] == "failed"
    assert network.seen == []
    own = replace(Upstream.public(QUAY), fallbacks=(mirror,))
    steps = ("name", "connection", "manifest")
    found = told(checked(network, own, is_one_of_several=True).findings)
    assert found == {f"quay.io at https://quay.io: {step}": "ok" for step in steps}


def test_what_it_lacks_belongs_to_that_endpoint(network: Network) -> None:
    network.serve("https://quay.io", answer(401, b"", 'WWW-Authenticate: Basic realm="x"'))
    (*_, login, _) = checked(network, Upstream(QUAY, "https://quay.io"), is_one_of_several=True).findings
    assert login.advice == 'Set username and password_file under [upstreams."quay.io"], at this endpoint'


# Which registries


def test_those_are_looked_at_that_are_configured_or_have_an_alias() -> None:
    config = loaded('domain = "cr.test"\n[upstreams."registry.example"]\nretries = 1')
    assert {DOCKER_HUB, QUAY, Registry("registry.example")} <= set(chosen(config))
    assert chosen(config, [QUAY]) == [QUAY]
    assert chosen(loaded()) == [DOCKER_HUB]


def test_what_is_not_served_need_not_be_reached() -> None:
    config = loaded('domain = "cr.test"\n[access]\nregistries = ["quay.io"]')
    assert chosen(config) == [QUAY]


def test_registries_that_cannot_be_resolved_are_one_cause(network: Network) -> None:
    registries = ("ghcr.io", "mcr.microsoft.com", "registry.k8s.io")
    found = [finding for name in registries for finding in checked(network, Upstream.public(Registry(name))).findings]
    cause, rest = grouped(found)
    assert cause.subject == "ghcr.io, mcr.microsoft.com, registry.k8s.io: name"
    assert cause.text == "their names cannot be resolved"
    assert "/etc/resolv.conf" in cause.advice
    assert rest.outcome.value == "skipped"
