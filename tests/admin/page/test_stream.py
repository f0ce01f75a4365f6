"""What is sent while somebody looks, and to whom no more."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import bcrypt
import pytest

from crproxy.admin.page import Seen, Trouble
from crproxy.admin.page.sections import PARTS
from tests.web.conftest import Browser

from .conftest import House, basic


def follow(house: House, *lines: str, target: str = "/admin/events") -> Browser:
    browser = house.browser()
    browser.ask(target, basic("alice"), *lines)
    return browser


def body(browser: Browser) -> str:
    """What came, without the lengths of its chunks."""
    return re.sub(r"\r\n[0-9a-f]+\r\n", "", browser.received().body.decode())


def parts(browser: Browser) -> list[dict[str, Any]]:
    return [json.loads(data) for data in re.findall(r"^data: (.*)$", body(browser), re.MULTILINE)]


def trouble(house: House, text: str) -> None:
    house.overview = replace(house.overview, seen=Seen(troubles=(Trouble(text, 0.0),)))


def test_all_parts_come_at_first(house: House) -> None:
    browser = follow(house)
    received = browser.received()
    assert (received.status, received.one("Content-Type")) == (200, "text/event-stream")
    assert [part["id"] for part in parts(browser)] == list(PARTS)
    assert "retry: 3000\n\n" in body(browser)


def test_then_only_what_has_changed(house: House) -> None:
    browser = follow(house)
    house.network.advance(3)
    trouble(house, "something new")
    house.network.advance(1)
    (part,) = parts(browser)[len(PARTS) :]
    assert part["id"] == "errors"
    assert "something new" in part["html"]


def test_it_is_said_in_the_language_of_the_page(house: House) -> None:
    assert "没有正在获取的内容" in parts(follow(house, target="/admin/events?lang=zh"))[0]["html"]


def test_where_nothing_changes_a_comment_keeps_the_connection(house: House) -> None:
    browser = follow(house)
    for _ in range(32):
        house.network.advance(1)
    assert body(browser).count("\n:\n\n") + body(browser).count("}\n\n:\n\n") >= 1
    assert body(browser).count(":\n\n") == 2


def test_s37_who_takes_nothing_is_cut_off_and_nothing_is_kept_for_it(house: House) -> None:
    browser = follow(house)
    browser.stall()
    held = len(browser.wire.value())
    for number in range(9):
        trouble(house, f"trouble {number}")
        house.network.advance(1)
    assert len(browser.wire.value()) == held
    was_aborted = browser.wire.aborted
    house.network.advance(2)
    assert (was_aborted, browser.wire.aborted) == (False, True)
    assert house.streams.of("all") == 0


def test_who_takes_it_late_gets_what_is_so_now(house: House) -> None:
    browser = follow(house)
    browser.stall()
    for number in range(5):
        trouble(house, f"trouble {number}")
        house.network.advance(1)
    browser.read_on()
    house.network.advance(1)
    later = parts(browser)[len(PARTS) :]
    assert len(later) == 1
    assert "trouble 4" in later[0]["html"]


def test_s37_there_are_sixteen_at_a_time(house: House) -> None:
    open_ones = [follow(house) for _ in range(16)]
    assert house.streams.of("all") == 16
    refused = follow(house).received()
    assert (refused.status, refused.one("Retry-After")) == (429, "15")
    open_ones[0].leave()
    assert house.streams.of("all") == 15
    assert follow(house).received().status == 200


def test_it_ends_when_its_client_leaves(house: House) -> None:
    browser = follow(house)
    browser.leave()
    assert house.streams.of("all") == 0
    house.network.advance(5)
    assert house.records[-1].target == "/admin/events"


@pytest.mark.parametrize("how", ["no admin", "no user", "another password"])
def test_s35_who_is_let_in_no_more_sees_no_more(house: House, how: str) -> None:
    browser = follow(house)
    clients = house.current.config.clients
    changed = {
        "no admin": replace(clients, admins=frozenset()),
        "no user": replace(clients, users={"bob": b"x"}, admins=frozenset({"bob"})),
        "another password": replace(clients, users={"alice": bcrypt.hashpw(b"new", bcrypt.gensalt(4))}),
    }[how]
    house.current.config = replace(house.current.config, clients=changed)
    trouble(house, "not for everybody")
    for _ in range(3):
        house.network.advance(1)
    assert "not for everybody" not in body(browser)
    assert house.streams.of("all") == 0


def test_it_ends_when_the_daemon_stops(house: House) -> None:
    browser = follow(house)
    house.site.connections.close()
    house.network.advance(1)
    assert house.streams.of("all") == 0
    assert browser.received().body.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.security("S34", "S37")
@pytest.mark.parametrize("line", ["Sec-Fetch-Site: cross-site", "Origin: https://evil.example"])
def test_another_sites_page_cannot_open_one(house: House, line: str) -> None:
    assert follow(house, line).received().status == 403
    assert house.streams.of("all") == 0


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_it_can_only_be_got(house: House, method: str) -> None:
    received = house.get("/admin/events", basic("alice"), "Content-Length: 0", method=method)
    assert (received.status, received.one("Allow")) == (405, "GET")
