from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent
from twisted.web.resource import Resource
from twisted.web.server import Request

from crproxy import __version__
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.pullthrough import Content, Reply
from crproxy.web.answering import answer
from crproxy.web.site import PlainSite
from tests.logs import Log
from tests.memory import Network
from tests.parts.request_ids import ID, without_id
from tests.web.conftest import Browser


class Slow(Resource):
    """Answers when the test says so."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.reply: Deferred[Reply] = Deferred(self._leave)

    def render(self, request: Request) -> int:
        return answer(request, self._reply())

    async def _reply(self) -> Reply:
        return await self.reply

    def _leave(self, _: Deferred[Reply]) -> None:
        self.left += 1


class Broken(Content):
    """A body that fails when it is joined."""

    def join(self, consumer: object) -> Deferred[None]:
        consumer.write(b"01")  # type: ignore[attr-defined]
        raise AssertionError


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def browser(slow: Slow, network: Network) -> Browser:
    site = PlainSite(slow, reactor=network.clock)
    site.displayTracebacks = False
    return Browser(site, network)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log() as log:
        yield log


def test_a_reply_goes_out_when_it_is_there(browser: Browser, slow: Slow) -> None:
    browser.ask("/x")
    assert browser.silent
    slow.reply.callback(Reply(200, {"X-Y": "z"}, Content(b"body")))
    received = browser.received()
    assert (received.status, received.body, received.one("X-Y")) == (200, b"body", "z")
    assert received.one("Server") == f"crproxy/{__version__}"
    assert received.one("Docker-Distribution-Api-Version") == "registry/2.0"


def test_an_error_that_carries_its_answer_is_answered_so(browser: Browser, slow: Slow, log: Log) -> None:
    browser.ask("/x?secret=1")
    slow.reply.errback(RegistryError(ErrorCode.UNAUTHORIZED, "log in", challenge="Basic realm=x"))
    received = browser.received()
    assert (received.status, received.one("WWW-Authenticate")) == (401, "Basic realm=x")
    message = json.loads(received.body)["errors"][0]["message"]
    assert without_id(message, received.one("X-Request-Id")) == "log in"
    (event,) = (event for event in log.events if event["log_namespace"] == "crproxy.web")
    assert formatEvent(event) == "/x: 401 UNAUTHORIZED: log in"
    assert event["request_id"] == received.one("X-Request-Id")
    assert log.complaints == []


def test_a_client_that_leaves_ends_the_work_for_it(browser: Browser, slow: Slow, log: Log) -> None:
    browser.ask("/x")
    browser.leave()
    assert slow.left == 1
    assert log.complaints == []


def test_any_other_error_is_ours_and_says_nothing_of_itself(browser: Browser, slow: Slow, log: Log) -> None:
    browser.ask("/x?secret=1")
    slow.reply.errback(AssertionError("secret"))
    received = browser.received()
    assert received.status == 500
    assert b"crproxy itself failed; its log says why" in received.body
    assert b"secret" not in received.body
    assert log.failures == [AssertionError]
    (event,) = (event for event in log.events if "log_failure" in event)
    assert f"(request {event['request_id']})".encode() in received.body
    assert event["request_id"] == received.one("X-Request-Id")


def test_an_answer_that_breaks_when_it_has_begun_is_aborted(browser: Browser, slow: Slow, log: Log) -> None:
    browser.ask("/x")
    slow.reply.callback(Reply(200, {}, Broken(b"0123")))
    assert browser.wire.aborted
    assert browser.received().body in (b"", b"01")
    assert log.complaints[0].startswith("/x: aborted")
    assert any(ID.fullmatch(event.get("request_id", "")) for event in log.events)


@pytest.mark.parametrize(("status", "complaints"), [(404, 0), (429, 0), (500, 1), (502, 1)])
def test_what_is_no_clients_fault_is_a_warning(
    browser: Browser, slow: Slow, log: Log, status: int, complaints: int
) -> None:
    browser.ask("/x")
    slow.reply.errback(RegistryError(ErrorCode.UNAVAILABLE, "no", status=status))
    assert browser.received().status == status
    assert len(log.complaints) == complaints
