"""What happens when there is no certificate to be had: the daemon serves on, says why, and does not press the CA."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.parts.answers import Answer, Cut, Script
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.issuing import DOMAIN, HTTP_01, TLS_ALPN_01, IssuingDaemon
from tests.parts.pebble import Pebble
from tests.parts.ports import reserve_port
from tests.parts.s_client import Handshake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

FEW = {"quay": "quay.io", "ghcr": "ghcr.io", "gcr": "gcr.io", "mcr": "mcr.microsoft.com"}
# So many names are worked at at a time.
AT_ONCE = 3
# Seconds until a CA that cannot be asked is asked again, and until a name that it refused is asked for again.
CA_PAUSE, NAME_PAUSE = 30, 120
YEAR = 365 * 86400

ACCOUNT = "kid-1"
ACCOUNT_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
ANOTHER_KEY = "b10lLJs8l1GPIzsLP0s6pMt8O0XVGnfTaCeROxQM0BIt2XrJMDHJZBM5NuQmQJQH"


def self_signed(shown: Handshake, name: str) -> bool:
    return (shown.verdict, shown.names) == ("self-signed certificate", [name])


def until_failed(daemon: IssuingDaemon, name: str = DOMAIN) -> str:
    """Wait until there is no certificate for ``name``; return what is said of that."""
    return daemon.wait_for_log(rf"\] {name} has no new certificate: (.*)")[1]


def until_left_alone(ca: FakeUpstream, daemon: IssuingDaemon) -> list[dict[str, Any]]:
    """Wait until the CA is not asked any more; return how it stands with the names."""
    until_failed(daemon)
    ca.seen.wait_until_still()
    states = list(daemon.states().values())
    assert {state["state"] for state in states} <= {"failed", "waiting"}
    return states


def pause(state: dict[str, Any]) -> float:
    """Return the seconds until the next attempt."""
    return float(state["next_attempt"]) - time.time()


# A CA that is away


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IssuingDaemon]:
    """A daemon whose CA came to be only after it had asked for the first time."""
    directory = tmp_path_factory.mktemp("daemon")
    with Pebble(tmp_path_factory.mktemp("pebble")) as pebble:
        (directory / "authority.pem").write_bytes(pebble.ca_bundle)
    acme = {"ca_file": str(directory / "authority.pem")}
    ports = (pebble.http_port, pebble.tls_port)
    with IssuingDaemon(directory, pebble.directory_url, aliases=FEW, acme=acme, ports=ports) as daemon:
        until_failed(daemon)
        assert self_signed(daemon.look(DOMAIN), DOMAIN)
        with pebble.again(tmp_path_factory.mktemp("again")) as again:
            daemon.root.write_bytes(again.root())
            yield daemon


def test_a_ca_that_is_away_is_no_obstacle(early: IssuingDaemon) -> None:
    """It serves; who asks for the reason reads it in the log. The last test of this file awaits the end of that."""
    assert f"{DOMAIN} has no certificate, until the CA has issued one" in early.log
    assert f"{DOMAIN} has no new certificate: 127.0.0.1 cannot be asked: " in early.log


def test_a_ca_of_ones_own_that_is_not_trusted_names_the_key_for_it(tmp_path: Path) -> None:
    (tmp_path / "daemon").mkdir()
    with Pebble(tmp_path) as pebble, IssuingDaemon(tmp_path / "daemon", pebble.directory_url, aliases=FEW) as daemon:
        said = until_failed(daemon)
    assert "TLS failed: certificate verify failed" in said
    assert "name the certificates that vouch for it as ca_file under [acme]; the next attempt is at" in said


def test_a_ca_that_ends_connections_is_not_asked_for_each_name(tmp_path: Path) -> None:
    with FakeUpstream() as ca:
        ca.script("/dir", Answer(body=b"{", declared=100, fault=Cut(1)))
        with IssuingDaemon(tmp_path, f"{ca.url}/dir") as daemon:
            states = until_left_alone(ca, daemon)
            assert ca.seen.accepted <= AT_ONCE
            assert min(map(pause, states)) > CA_PAUSE - 10
            assert self_signed(daemon.look(DOMAIN), DOMAIN)


# A CA that has enough


def busy(ca: FakeUpstream, seconds: int) -> str:
    """Make ``ca`` a CA that refuses every order, for it was asked too often; return its directory's URL."""
    numbers = itertools.count()
    as_json = ("Content-Type", "application/json")
    kinds = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
    directory = json.dumps({kind: f"{ca.url}/{kind}" for kind in kinds}).encode()

    def answering(status: int, body: bytes, *headers: tuple[str, str]) -> Script:
        return lambda _: Answer(status, (as_json, ("Replay-Nonce", f"nonce{next(numbers)}"), *headers), body)

    refusal = b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many new orders recently"}'
    ca.script("/dir", Answer(headers=(as_json,), body=directory))
    ca.script("/newNonce", answering(200, b""), method="HEAD")
    ca.script("/newAccount", answering(201, b'{"status": "valid"}', ("Location", f"{ca.url}/account/1")), method="POST")
    ca.script("/newOrder", answering(429, refusal, ("Retry-After", str(seconds))), method="POST")
    return f"{ca.url}/dir"


@pytest.mark.security("S22")
def test_a_ca_that_has_enough_is_left_alone(tmp_path: Path) -> None:
    with FakeUpstream() as ca, IssuingDaemon(tmp_path, busy(ca, 900)) as daemon:
        states = until_left_alone(ca, daemon)
        assert "too many new orders recently (rateLimited); ask again in 900 s" in daemon.log
        assert min(map(pause, states)) > 880
        assert self_signed(daemon.look(DOMAIN), DOMAIN)
        assert len(ca.seen.requests("/newOrder")) <= AT_ONCE


@pytest.mark.security("S22")
def test_one_account_is_made_once(tmp_path: Path) -> None:
    with FakeUpstream() as ca, IssuingDaemon(tmp_path, busy(ca, 900)) as daemon:
        until_left_alone(ca, daemon)
        assert len(ca.seen.requests("/newAccount")) == 1


# A CA that refuses


def test_a_name_that_the_ca_refuses_is_alone_in_that(tmp_path_factory: pytest.TempPathFactory) -> None:
    refused = "hub.blocked.example"
    with (
        Pebble(tmp_path_factory.mktemp("pebble"), blocked=["blocked.example"], rejected_nonces=0) as pebble,
        IssuingDaemon(tmp_path_factory.mktemp("daemon"), pebble, aliases={**FEW, refused: "docker.io"}) as daemon,
    ):
        others = [name for name in daemon.names if name != refused]
        daemon.wait_until_certified(others)
        said = until_failed(daemon, refused)
        assert "rejectedIdentifier" in said
        assert (
            f"This CA issues no certificate for {refused}: remove the alias, or keep a certificate in --certs" in said
        )
        assert {daemon.look(name).verdict for name in others} == {"ok"}
        assert self_signed(daemon.look(refused), refused)
        assert pebble.asked("POST /order-plz") == len(daemon.names)
        assert pause(daemon.states()[refused]) > NAME_PAUSE - 20


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, "(externalAccountRequired). Set eab_key_id and eab_hmac_file under [acme]"),
        (ANOTHER_KEY, "(unauthorized). Check eab_key_id and eab_hmac_file under [acme]"),
    ],
    ids=["missing", "wrong"],
)
def test_an_external_account_that_is_not_ours_is_told(
    tmp_path_factory: pytest.TempPathFactory, key: str | None, told: str
) -> None:
    directory = tmp_path_factory.mktemp("daemon")
    acme = {}
    if key is not None:
        (directory / "hmac").write_text(f"{key}\n")
        acme = {"eab_key_id": ACCOUNT, "eab_hmac_file": str(directory / "hmac")}
    with (
        Pebble(tmp_path_factory.mktemp("pebble"), external_accounts={ACCOUNT: ACCOUNT_KEY}) as pebble,
        IssuingDaemon(directory, pebble, aliases={}, acme=acme) as daemon,
    ):
        said = until_failed(daemon)
        assert said.startswith("127.0.0.1 refuses a new account: ")
        assert told in said
        assert pause(daemon.states()[DOMAIN]) > CA_PAUSE - 10
        assert pebble.orders == 0


# A CA that sees somebody else


@pytest.mark.parametrize("challenge", [HTTP_01, TLS_ALPN_01])
def test_a_name_that_leads_elsewhere_is_told(tmp_path_factory: pytest.TempPathFactory, challenge: str) -> None:
    """The message has what the CA saw, and what to look at."""
    directories = [tmp_path_factory.mktemp("pebble"), tmp_path_factory.mktemp("daemon")]
    with FakeUpstream() as stranger:
        port = stranger.address[1]
        http, tls = (port, None) if challenge == HTTP_01 else (None, port)
        with (
            Pebble(directories[0], http_port=http, tls_port=tls) as pebble,
            IssuingDaemon(directories[1], pebble, aliases={}, challenge=challenge, ports=pair()) as daemon,
        ):
            said = until_failed(daemon)
            assert f"127.0.0.1 could not validate {DOMAIN}: " in said
            assert "returned 404" in said if challenge == HTTP_01 else "tls-alpn-01" in said
            way_in = 80 if challenge == HTTP_01 else 443
            advice = f"check where the DNS of {DOMAIN} leads, and what answers at its port {way_in}"
            assert advice in said
            assert pause(daemon.states()[DOMAIN]) > NAME_PAUSE - 20
            assert pebble.orders == 1
            assert stranger.seen.accepted > 0


def test_a_name_that_leads_nowhere_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        Pebble(tmp_path_factory.mktemp("pebble")) as pebble,
        IssuingDaemon(tmp_path_factory.mktemp("daemon"), pebble, aliases={}, ports=pair()) as daemon,
    ):
        said = until_failed(daemon)
        assert "connection refused (connection)" in said
        assert f"Check that port 80 of {DOMAIN} leads here from the internet: DNS, firewall, port forwarding" in said


def pair() -> tuple[int, int]:
    """Two ports that the CA does not look at."""
    return reserve_port(), reserve_port()


# A clock that is wrong


def test_a_clock_that_is_a_year_ahead_orders_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What it is issued has ended a while ago, as it sees it: without a bound it would order again and again."""
    ahead = tmp_path_factory.mktemp("ahead")
    (ahead / "sitecustomize.py").write_text(f"import time\nnow = time.time\ntime.time = lambda: now() + {YEAR}\n")
    path = os.pathsep.join(filter(None, [str(ahead), os.environ.get("PYTHONPATH")]))
    with (
        Pebble(tmp_path_factory.mktemp("pebble"), lifetime=YEAR // 4) as pebble,
        IssuingDaemon(
            tmp_path_factory.mktemp("daemon"), pebble, aliases={"quay": "quay.io"}, environment={"PYTHONPATH": path}
        ) as daemon,
    ):
        daemon.wait_until_certified(daemon.names)
        states = daemon.states()
        assert min(map(pause, states.values())) > YEAR + NAME_PAUSE - 20
        assert {state["why"] for state in states.values()} == {
            "its new certificate is about to end: is this machine's clock right?"
        }
        assert {daemon.look(name).verdict for name in daemon.names} == {"ok"}
        assert pebble.orders == len(daemon.names)
        assert "is this machine's clock right?" in daemon.log


def test_a_ca_that_comes_back_is_asked_again(early: IssuingDaemon) -> None:
    early.wait_until_certified(early.names, seconds=CA_PAUSE + 30)
    assert {early.look(name).verdict for name in early.names} == {"ok"}
