"""``/ca`` on the admin socket, over the real site in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crproxy.admin.authority_resource import AuthorityResource, Trusted
from tests.admin.test_fleet_resource import ask

FIRST = Trusted("-----FIRST-----\n", "AB:CD", ("docker.io", "ghcr.io"), 1.0, 2.0)
SECOND = Trusted("-----SECOND-----\n", "12:34", ("ghcr.io",), 3.0, 4.0)


class Known:
    """CAs in memory."""

    def __init__(self, *known: Trusted, broken: bool = False) -> None:
        self.known = list(known)
        self._broken = broken

    def trusted(self) -> list[Trusted]:
        return self.known

    def renew(self) -> Trusted:
        if self._broken:
            raise OSError(30, "Read-only file system")
        self.known.append(SECOND)
        return SECOND


def asked(method: str, known: Known | None) -> tuple[int, Any]:
    received = ask(method, "/ca", ca=AuthorityResource(lambda: known))
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


def test_one_that_cannot_be_written_is_told_of() -> None:
    status, body = asked("POST", Known(broken=True))
    assert status == 500
    assert body["error"].startswith("it cannot be written: ")


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
