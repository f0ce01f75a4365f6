"""``/ca`` on the admin socket, over the real site in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crproxy.admin.authority_resource import AuthorityResource, Trusted
from crproxy.oci.errors import ErrorCode, RegistryError
from tests.admin.test_fleet_resource import ask

FIRST = Trusted("-----FIRST-----\n", "AB:CD", ("docker.io", "ghcr.io"), 1.0, 2.0)
SECOND = Trusted("-----SECOND-----\n", "12:34", ("ghcr.io",), 3.0, 4.0)


class Known:
    """CAs in memory."""

    def __init__(self, *known: Trusted, trouble: Exception | None = None) -> None:
        self.known = list(known)
        self._trouble = trouble

    def trusted(self) -> list[Trusted]:
        return self.known

    async def renew(self, *, at_once: bool) -> Trusted:
        if self._trouble is not None:
            raise self._trouble
        self.known = [SECOND] if at_once else [*self.known, SECOND]
        return SECOND


def asked(method: str, known: Known | None, body: bytes = b"") -> tuple[int, Any]:
    received = ask(method, "/ca", body, ca=AuthorityResource(lambda: known))
    assert received.one("Content-Type") == "application/json"
    return received.status, json.loads(received.body)


def test_those_that_count_are_told_of_the_oldest_first() -> None:
    status, body = asked("GET", Known(FIRST, SECOND))
    assert (status, body) == (200, {"authorities": [FIRST.document(), SECOND.document()]})
    assert body["authorities"][0] == {
        "fingerprint": "AB:CD",
        "names": ["docker.io", "ghcr.io"],
        "not_before": 1.0,
        "not_after": 2.0,
        "certificate": "-----FIRST-----\n",
    }


def test_another_one_is_made_and_told_of() -> None:
    known = Known(FIRST)
    assert asked("POST", known) == (200, SECOND.document())
    assert known.known == [FIRST, SECOND]


def test_those_before_it_are_removed_at_once_where_that_is_asked_for() -> None:
    known = Known(FIRST)
    assert asked("POST", known, b'{"at_once": true}') == (200, SECOND.document())
    assert known.known == [SECOND]


@pytest.mark.parametrize("body", [b'{"at_once": "yes"}', b'{"at_once": 1}', b"[]", b"{"])
def test_what_cannot_be_understood_makes_none(body: bytes) -> None:
    known = Known(FIRST)
    assert asked("POST", known, body)[0] == 400
    assert known.known == [FIRST]


def test_one_that_cannot_be_written_is_told_of() -> None:
    status, body = asked("POST", Known(trouble=OSError(30, "Read-only file system")))
    assert status == 500
    assert body["error"].startswith("it cannot be written: ")


def test_one_that_is_the_fleets_is_made_another_time() -> None:
    status, body = asked("POST", Known(trouble=RegistryError(ErrorCode.UNAVAILABLE, "Valkey is away")))
    assert (status, body["error"].partition(" (request ")[0]) == (503, "Valkey is away")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_daemon_that_is_no_proxy_says_so(method: str) -> None:
    status, body = asked(method, None)
    assert (status, "set listen under [proxy]" in body["error"]) == (409, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nothing_else_can_be_done_with_it(method: str) -> None:
    received = ask(method, "/ca", ca=AuthorityResource(lambda: Known(FIRST)))
    assert received.status == 405


def test_a_key_is_no_part_of_what_is_told() -> None:
    assert set(FIRST.document()) == {"fingerprint", "names", "not_before", "not_after", "certificate"}
