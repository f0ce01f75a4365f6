from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

import bcrypt
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config
from crproxy.config.client_values import Clients
from tests.logs import Log
from tests.memory import Network
from tests.web.conftest import KEY, NAMES, Browse, Browser, Received
from tests.web.test_registry import ALICES, WRONG, code_of

BOTH = "scope=repository:org/name:pull&scope=repository:org/other:pull,push"
PASSWORD = {"grant_type": "password", "username": "alice", "password": "of alice", "service": "quay.cr.test"}
MINE = f"Authorization: {ALICES}"


@pytest.fixture
def config() -> Config:
    """The proxy has users of its own."""
    users = {"alice": bcrypt.hashpw(b"of alice", bcrypt.gensalt(4))}
    return replace(Config(NAMES), clients=Clients(users, token_ttl=120.0))


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def said_in(received: Received) -> dict[str, Any]:
    """What the token that was received says."""
    assert received.status == 200
    token = json.loads(received.body)["token"]
    said: dict[str, Any] = jwt.decode(
        token, KEY[:32], ["HS256"], audience="quay.cr.test", options={"verify_exp": False, "verify_iat": False}
    )
    return said


def names_in(received: Received) -> list[str]:
    return [entry["name"] for entry in said_in(received)["access"]]


def post(browser: Browser, body: bytes, *lines: str) -> Received:
    header = ["POST /token HTTP/1.1", "Host: quay.cr.test", f"Content-Length: {len(body)}", *lines, "", ""]
    browser.send("\r\n".join(header).encode("latin-1") + body)
    return browser.received()


def test_a_token_is_had_for_a_password(network: Network, browse: Browse) -> None:
    network.advance(1_000_000)
    received = browse().get(f"/token?service=quay.cr.test&{BOTH}", MINE, host="quay.cr.test")
    document = json.loads(received.body)
    assert document["token"] == document["access_token"]
    assert (document["expires_in"], document["issued_at"]) == (120, "1970-01-12T13:46:40Z")
    assert (received.one("Content-Type"), received.one("Cache-Control")) == ("application/json", "no-store")
    said = said_in(received)
    assert (said["sub"], said["iat"], said["exp"]) == ("alice", 1_000_000, 1_000_120)
    assert [entry["name"] for entry in said["access"]] == ["org/name", "org/other"]
    assert network.seen == []


def test_of_the_actions_only_pull_is_granted(browser: Browser) -> None:
    """S23."""
    received = browser.get(f"/token?{BOTH}&scope=registry:catalog:*", MINE, host="quay.cr.test")
    assert [entry["actions"] for entry in said_in(received)["access"]] == [["pull"], ["pull"]]


def test_scopes_may_stand_in_one_parameter(browser: Browser) -> None:
    scope = quote("repository:org/name:pull repository:org/other:pull")
    assert names_in(browser.get(f"/token?scope={scope}", MINE, host="quay.cr.test")) == ["org/name", "org/other"]


def test_a_login_alone_asks_for_none(browser: Browser) -> None:
    received = browser.get("/token?account=alice&client_id=docker&offline_token=true", MINE, host="quay.cr.test")
    assert names_in(received) == []


def test_a_head_has_no_body(browser: Browser) -> None:
    received = browser.get("/token", MINE, method="HEAD", host="quay.cr.test")
    assert (received.status, received.body) == (200, b"")


@pytest.mark.parametrize("line", [(), (f"Authorization: {WRONG}",), ("Authorization: Bearer x",)])
def test_without_a_right_password_there_is_none(browser: Browser, line: tuple[str, ...]) -> None:
    received = browser.get(f"/token?{BOTH}", *line, host="quay.cr.test")
    assert (received.status, code_of(received)) == (401, "UNAUTHORIZED")
    assert (received.one("WWW-Authenticate") or "").startswith("Basic ")


@pytest.mark.parametrize("said", ["Basic x", "Digest secret", "\xff", "Basic \xff"])
def test_what_cannot_be_read_is_refused_with_a_challenge(browser: Browser, log: Log, said: str) -> None:
    received = browser.get("/token", f"Authorization: {said}", host="quay.cr.test")
    assert (received.status, code_of(received)) == (401, "UNAUTHORIZED")
    assert received.one("WWW-Authenticate") == 'Basic realm="crproxy", charset="UTF-8"'
    assert b"secret" not in received.body
    assert log.complaints == []


# By a form


def test_a_form_may_say_who_it_is(browser: Browser) -> None:
    form = PASSWORD | {"scope": "repository:org/name:pull repository:org/other:pull"}
    assert names_in(post(browser, urlencode(form).encode())) == ["org/name", "org/other"]


@pytest.mark.parametrize(
    "change",
    [{"password": "wrong"}, {"password": ""}, {"username": "mallory"}, {"username": "alice\0"}, {"username": "\ufffd"}],
)
def test_a_form_with_a_wrong_password_gets_none(browser: Browser, change: dict[str, str]) -> None:
    received = post(browser, urlencode(PASSWORD | change).encode())
    assert (received.status, code_of(received)) == (401, "UNAUTHORIZED")


def test_a_form_speaks_for_itself(browser: Browser) -> None:
    """Its header does not count."""
    assert post(browser, urlencode(PASSWORD | {"password": "x"}).encode(), MINE).status == 401


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"grant_type=refresh_token&refresh_token=x&username=alice",
        b"grant_type=password&password=x",
        b"username=alice&password=x",
        b"grant_type=&username=alice&password=of+alice",
        b"\xff=\xff",
        b"&".join(b"a=b" for _ in range(33)),
        b'{"grant_type": "password"}',
    ],
)
def test_what_is_no_such_form_is_refused(browser: Browser, log: Log, form: bytes) -> None:
    received = post(browser, form, MINE)
    assert (received.status, code_of(received)) == (400, "UNSUPPORTED")
    assert log.complaints == []


def test_s16_a_form_has_a_bound(browser: Browser) -> None:
    received = post(browser, urlencode(PASSWORD).encode() + b"&x=" + b"x" * 16 * 1024)
    assert (received.status, code_of(received)) == (413, "UNSUPPORTED")


def test_s23_however_much_is_asked_for_a_token_fits_a_header(browser: Browser, browse: Browse, log: Log) -> None:
    scope = " ".join(f"repository:{number:02}{'~' * 298}:pull" for number in range(16))
    form = urlencode(PASSWORD | {"scope": scope}, safe="~:").encode()
    token = json.loads(post(browser, form).body)["token"]
    assert len(token) <= 12 * 1024
    assert browse().get("/v2/", f"Authorization: Bearer {token}", host="quay.cr.test").status == 200
    long = urlencode(PASSWORD | {"scope": f"repository:{'a' * 15_000}:pull"}).encode()
    assert names_in(post(browse(), long)) == []
    assert log.complaints == []


# Where there is none to be had


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "get"])
def test_a_token_is_had_by_get_or_post(browser: Browser, method: str) -> None:
    received = browser.get("/token", "Content-Length: 0", method=method, host="quay.cr.test")
    assert (received.status, received.one("Allow")) == (405, "GET, POST")


@pytest.mark.parametrize("host", ["other.test", "nope.cr.test", "\xff"])
@pytest.mark.parametrize("line", [(), (MINE,)])
def test_s14_another_host_is_misdirected(browser: Browser, host: str, line: tuple[str, ...]) -> None:
    received = browser.get("/token", *line, host=host)
    assert (received.status, received.one("WWW-Authenticate")) == (421, None)


class TestOpen:
    """Where nobody has to log in."""

    @pytest.fixture
    def config(self) -> Config:
        return Config(NAMES)

    def test_there_is_no_token(self, browser: Browser) -> None:
        received = browser.get(f"/token?{BOTH}", MINE, host="quay.cr.test")
        assert (received.status, code_of(received)) == (404, "NAME_UNKNOWN")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_any_query_is_answered_in_json(browse: Browse, query: str) -> None:
    received = browse().get(f"/token?{query}", MINE, host="quay.cr.test")
    assert received.status in (200, 400)
    assert json.loads(received.body)


@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda raw: urlencode(PASSWORD).encode() + b"&scope=" + raw))
def test_any_form_is_answered_in_json(browse: Browse, form: bytes) -> None:
    received = post(browse(), form)
    assert received.status in (200, 400)
    assert json.loads(received.body)
