"""Who is let in to the operator's page."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlencode

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from crproxy.config import Clients, Limits
from crproxy.policy.units import parse_frequency

from .conftest import ELSEWHERE, House, basic, make_house

EVERYWHERE = ["", "/events", "/remove", "/nothing"]


class TestNetwork:
    def test_an_admin_is_let_in(self, house: House) -> None:
        assert house.get("/admin", basic("alice")).status == 200
        assert house.records[-1].user == "alice"

    @pytest.mark.parametrize("path", EVERYWHERE)
    def test_s35_without_admins_there_is_nothing(self, house: House, path: str) -> None:
        clients = replace(house.current.config.clients, admins=frozenset())
        house.current.config = replace(house.current.config, clients=clients)
        received = house.get(f"/admin{path}", basic("alice"))
        assert (received.status, received.one("WWW-Authenticate")) == (404, None)

    @pytest.mark.parametrize("path", EVERYWHERE)
    @pytest.mark.parametrize(
        "line",
        [
            "X: y",
            basic("alice", "wrong"),
            basic("bob"),
            basic("eve"),
            "Authorization: Bearer abc",
            "Authorization: Basic !",
            "Authorization: Basic",
        ],
    )
    def test_s35_nobody_else_is(self, house: House, path: str, line: str) -> None:
        received = house.get(f"/admin{path}", line)
        assert received.status == 401
        assert (received.one("WWW-Authenticate") or "").startswith("Basic realm=")
        assert b"token" not in received.body

    @pytest.mark.parametrize("path", EVERYWHERE)
    def test_s35_in_the_clear_no_password_is_asked_for(self, house: House, path: str) -> None:
        received = house.get(f"/admin{path}", basic("alice"), peer=ELSEWHERE)
        assert (received.status, received.one("WWW-Authenticate")) == (403, None)

    @pytest.mark.parametrize(
        "peer", [IPv4Address("TCP", "127.9.9.9", 1), IPv6Address("TCP", "::1", 1), UNIXAddress(b"/x")]
    )
    def test_this_machine_may_ask_in_the_clear(self, house: House, peer: IPv4Address) -> None:
        assert house.get("/admin", basic("alice"), peer=peer).status == 200

    def test_s35_what_a_proxy_on_this_machine_hands_on_is_not_this_machine(self, house: House) -> None:
        assert house.get("/admin", basic("alice"), "X-Forwarded-For: 192.0.2.1").status == 403

    def test_s35_a_trusted_proxy_says_whether_it_was_tls(self, tmp_path: Path) -> None:
        house = make_house(tmp_path, (ip_network("192.0.2.9/32"),))
        lines = basic("alice"), "X-Forwarded-For: 198.51.100.1"
        assert house.get("/admin", *lines, "X-Forwarded-Proto: https", peer=ELSEWHERE).status == 200
        assert house.get("/admin", *lines, "X-Forwarded-Proto: http", peer=ELSEWHERE).status == 403
        assert house.get("/admin", *lines, peer=ELSEWHERE).status == 403

    def test_s35_at_an_alias_there_is_nothing(self, house: House) -> None:
        assert house.get("/admin", basic("alice"), host="quay.cr.test").status == 404

    def test_another_host_is_refused(self, house: House) -> None:
        assert house.get("/admin", basic("alice"), host="evil.example").status == 421

    def test_s35_ten_wrong_logins_lock_an_address_out(self, house: House) -> None:
        for _ in range(10):
            assert house.get("/admin", basic("alice", "wrong")).status == 401
        received = house.get("/admin", basic("alice"))
        assert received.status == 429
        assert 0 < int(received.one("Retry-After") or 0) <= 30
        # Whoever asks from elsewhere is not.
        assert house.get("/admin", basic("alice"), peer=IPv4Address("TCP", "127.0.0.2", 1)).status == 200
        house.network.advance(31)
        assert house.get("/admin", basic("alice")).status == 200
        assert house.get("/admin", basic("alice", "wrong")).status == 401
        assert house.get("/admin", basic("alice")).status == 429

    def test_what_is_right_is_never_too_much(self, house: House) -> None:
        for _ in range(30):
            assert house.get("/admin", basic("alice")).status == 200

    def test_a_limit_of_requests_counts_here_as_well(self, house: House) -> None:
        limits = Limits(requests_per_client=parse_frequency("2/s"))
        house.current.config = replace(house.current.config, limits=limits)
        assert [house.get("/admin", basic("alice")).status for _ in range(3)] == [200, 200, 429]


class TestOwnEndpoint:
    @pytest.fixture
    def open_house(self, house: House) -> House:
        house.current.config = replace(house.current.config, clients=Clients())
        return house

    @pytest.mark.parametrize("host", ["localhost", "localhost:5080", "127.0.0.1:5080", "[::1]:5080", "LOCALHOST"])
    def test_without_admins_this_machine_is_let_in(self, open_house: House, host: str) -> None:
        assert open_house.get("/admin", own=True, host=host).status == 200

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:5080", "localhost.evil.example", "cr.test", ""])
    def test_s34_another_name_that_leads_here_is_refused(self, open_house: House, host: str) -> None:
        for path in EVERYWHERE:
            assert open_house.get(f"/admin{path}", own=True, host=host).status == 421

    def test_s34_its_forms_need_a_token_as_well(self, open_house: House) -> None:
        received = open_house.post("verify", urlencode({"token": "x"}), user=None, host="localhost", own=True)
        assert received.status == 403
        assert open_house.jobs.seen() == ()

    def test_s35_with_admins_they_log_in(self, house: House) -> None:
        assert house.get("/admin", own=True, host="localhost").status == 401
        assert house.get("/admin", basic("bob"), own=True, host="localhost").status == 401
        assert house.get("/admin", basic("alice"), own=True, host="localhost").status == 200

    def test_nobodys_word_for_where_one_is_counts(self, house: House) -> None:
        for _ in range(10):
            house.get("/admin", basic("alice", "wrong"), "X-Forwarded-For: 192.0.2.1", own=True, host="localhost")
        assert house.get("/admin", basic("alice"), own=True, host="localhost").status == 429
