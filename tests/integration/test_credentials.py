"""Whom credentials and tokens reach: their own registry and its token service, and no other host (S5, S6, S7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer, Request, Script
from tests.parts.daemon import Upstream
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.images import OCI_MANIFEST
from tests.parts.raw_http import Reply, ask
from tests.parts.registries import FAKES, PublicRegistry
from tests.parts.shapes import challenge, error, manifest, ranged, redirect, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.parts.daemon import Daemon, Start

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

# What a client may have of its own, for us.
OWN = ("Authorization", "Basic Y2xpZW50OnNlY3JldA==")

# Each of them is legal in a password (RFC 7617, 2: any character but control characters).
PASSWORDS = [
    "a:b",
    "a@b",
    'a"b',
    "a\\b",
    "p\u00e4ssw\u00f6rd",
    "$oauthtoken",
    " spaces around ",
    "%2F%40",
    "#?&=+",
    "\u20ac\U0001f511",
    "'{}[]",
]


def fetch(daemon: Daemon, registry: PublicRegistry, path: str) -> Reply:
    return ask(daemon.address, "GET", path.replace("/v2/", f"/v2/{registry.name}/", 1), OWN)


def authorizations(host: FakeUpstream) -> set[str]:
    """What this host was shown, having made sure that it was asked."""
    requests = host.seen.requests()
    assert requests
    return {value for request in requests for value in request.values("Authorization")}


def assert_denied(reply: Reply) -> None:
    assert (reply.status, reply.code) == (403, "DENIED")
    assert "www-authenticate" not in reply.headers


SHOWN: dict[str, dict[str, set[str]]] = {
    "docker.io": {"registry": {"Bearer hub"}, "auth": set(), "production.cloudflare": set()},
    "ghcr.io": {"registry": {"Bearer djE6"}},
    "quay.io": {"registry": {"Bearer quay"}, "cdn": set()},
    "gcr.io": {"registry": {"Bearer gcr"}},
    "nvcr.io": {"registry": {"Bearer nv", "the login"}},
    "registry.k8s.io": {"registry": set(), "regional": {"Bearer anonymous"}, "s3": set()},
    "mcr.microsoft.com": {"registry": set(), "blob.core": set()},
    "public.ecr.aws": {"registry": {"Bearer ecr"}},
}


@pytest.mark.security("S5", "S6", "S7")
@pytest.mark.parametrize("name", SHOWN)
def test_each_host_is_shown_what_is_for_it_and_never_the_clients_own(start: Start, name: str) -> None:
    with FAKES[name]() as registry:
        daemon = start({name: Upstream(registry.registry.url, registry.username, registry.password)})
        for path in registry.paths():
            assert fetch(daemon, registry, path).status == 200
        shown = {role: authorizations(host) for role, host in registry.hosts.items()}
        known = {registry.basic: "the login"}
        assert {role: {known.get(value, value) for value in values} for role, values in shown.items()} == SHOWN[name]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_password_arrives_as_it_was_written(start: Start, scheme: str, password: str) -> None:
    with PublicRegistry("vault.example.org", username="$oauthtoken", password=password) as registry:
        by_bearer = registry.bearer("registry", "/token", "vault", {"token": "ours"})
        registry.serve(by_bearer if scheme == "Bearer" else by_basic(registry))
        daemon = start({registry.name: Upstream(registry.registry.url, registry.username, password)})
        assert fetch(daemon, registry, registry.paths()[0]).body == registry.manifest


def by_basic(registry: PublicRegistry) -> Callable[[Script], Script]:
    """Let in who has the registry's login."""
    asked = error(401, "UNAUTHORIZED", "who is it?", ("WWW-Authenticate", 'Basic realm="vault"'))
    return lambda script: only(registry.basic, script, asked)


def only(authorization: str, script: Script, others: Answer) -> Script:
    def answer(request: Request) -> Answer:
        if request.values("Authorization") != [authorization]:
            return others
        return script if isinstance(script, Answer) else script(request)

    return answer


# S6: redirects


@pytest.fixture
def vault() -> Iterator[PublicRegistry]:
    """A registry that wants a login, and keeps everything elsewhere."""
    with PublicRegistry("vault.example.org", username="puller", password="correct horse") as registry:
        guard, elsewhere = registry.bearer("registry", "/token", "vault", {"token": "ours"}), registry.host("elsewhere")
        for path in registry.paths():
            registry.registry.script(path, guard(redirect(f"{elsewhere.url}{path}")))
        yield registry


def elsewhere_is(vault: PublicRegistry, guard: Callable[[Script], Script] = lambda script: script) -> FakeUpstream:
    """Let the other host of ``vault`` answer, behind ``guard``."""
    host, (by_tag, by_digest, layer) = vault.host("elsewhere"), vault.paths()
    for path in (by_tag, by_digest):
        host.script(path, guard(manifest(vault.manifest, OCI_MANIFEST)))
    host.script(layer, guard(ranged(vault.layer)))
    return host


def login(vault: PublicRegistry) -> Upstream:
    return Upstream(vault.registry.url, vault.username, vault.password)


def test_s6_another_host_is_shown_nothing(start: Start, vault: PublicRegistry) -> None:
    elsewhere = elsewhere_is(vault)
    daemon = start({vault.name: login(vault)})
    for path in vault.paths():
        assert fetch(daemon, vault, path).status == 200
    assert authorizations(elsewhere) == set()
    assert authorizations(vault.registry) == {vault.basic, "Bearer ours"}


def test_s6_another_hosts_challenge_is_answered_anonymously(start: Start, vault: PublicRegistry) -> None:
    asked = challenge(f"{vault.host('elsewhere').url}/token", "elsewhere", "")
    elsewhere = elsewhere_is(vault, lambda script: only("Bearer theirs", script, asked))
    elsewhere.script("/token", token("theirs"))
    daemon = start({vault.name: login(vault)})
    for path in vault.paths():
        assert fetch(daemon, vault, path).status == 200
    (request,) = elsewhere.seen.requests("/token")
    assert request.values("Authorization") == []
    assert authorizations(elsewhere) == {"Bearer theirs"}
    assert authorizations(vault.registry) == {vault.basic, "Bearer ours"}


def test_s6_another_host_that_wants_a_login_gets_none(start: Start, vault: PublicRegistry) -> None:
    elsewhere = elsewhere_is(vault, by_basic(vault))
    daemon = start({vault.name: login(vault)})
    assert_denied(fetch(daemon, vault, vault.paths()[0]))
    assert authorizations(elsewhere) == set()


def test_s6_another_host_gets_no_token_of_the_registrys_own_service(start: Start, vault: PublicRegistry) -> None:
    asked = challenge(f"{vault.registry.url}/token", "vault", "repository:team/other:pull")
    elsewhere = elsewhere_is(vault, lambda script: only("Bearer ours", script, asked))
    daemon = start({vault.name: login(vault)})
    assert_denied(fetch(daemon, vault, vault.paths()[0]))
    assert authorizations(elsewhere) == set()
    assert [request.values("Authorization") for request in vault.registry.seen.requests("/token")] == [
        [vault.basic],
        [],
    ]


# S5: realms


@pytest.fixture
def abroad() -> Iterator[PublicRegistry]:
    """A registry whose tokens are to be had at ``localhost``, which has no domain in common with its address."""
    with PublicRegistry("vault.example.org", username="puller", password="correct horse") as registry:
        tokens = registry.host("tokens")
        tokens.script("/token", token("good"))
        asked = challenge(f"http://localhost:{tokens.address[1]}/token", "vault", "")
        yield registry.serve(lambda script: only("Bearer good", script, asked))


def test_s5_another_domains_realm_gets_no_credentials(start: Start, abroad: PublicRegistry) -> None:
    upstream = Upstream(abroad.registry.url, abroad.username, abroad.password, private_hosts=("localhost",))
    reply = fetch(start({abroad.name: upstream}), abroad, abroad.paths()[0])
    assert_denied(reply)
    assert "token_hosts under" in reply.message
    assert abroad.host("tokens").seen.requests() == []
    assert authorizations(abroad.registry) == set()


def test_s5_it_is_asked_where_there_are_none(start: Start, abroad: PublicRegistry) -> None:
    upstream = Upstream(abroad.registry.url, private_hosts=("localhost",))
    assert fetch(start({abroad.name: upstream}), abroad, abroad.paths()[0]).body == abroad.manifest
    assert authorizations(abroad.host("tokens")) == set()


def test_s5_it_gets_them_where_it_is_listed(start: Start, abroad: PublicRegistry) -> None:
    hosts = ("localhost",)
    upstream = Upstream(abroad.registry.url, abroad.username, abroad.password, private_hosts=hosts, token_hosts=hosts)
    assert fetch(start({abroad.name: upstream}), abroad, abroad.paths()[0]).body == abroad.manifest
    assert authorizations(abroad.host("tokens")) == {abroad.basic}


def test_s5_a_token_service_sends_credentials_nowhere_else(start: Start) -> None:
    with PublicRegistry("vault.example.org", username="puller", password="correct horse") as registry:
        registry.serve(registry.bearer("registry", "/token", "vault", {"token": "good"}))
        thief = registry.host("thief")
        thief.script("/token", token("good"))
        registry.registry.script("/token", redirect(f"{thief.url}/token"))
        daemon = start({registry.name: login(registry)})
        reply = fetch(daemon, registry, registry.paths()[0])
        assert (reply.status, reply.code) == (403, "DENIED")
        assert "token_hosts" in reply.message
        assert thief.seen.requests() == []
