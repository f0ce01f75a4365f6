from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure

from crproxy.admin.page import Trouble
from crproxy.service.recent_errors import RecentErrors


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def publisher() -> LogPublisher:
    return LogPublisher()


@pytest.fixture
def errors(clock: Clock, publisher: LogPublisher) -> Iterator[RecentErrors]:
    errors = RecentErrors(clock.seconds, publisher)
    errors.startService()
    yield errors
    errors.stopService()


@pytest.fixture
def log(publisher: LogPublisher) -> Logger:
    return Logger("test", observer=publisher)


def test_warnings_and_errors_are_kept_and_nothing_else(errors: RecentErrors, log: Logger, clock: Clock) -> None:
    clock.advance(5)
    log.info("all is well")
    log.warn("{what} is slow", what="it")
    log.error("it is broken")
    log.debug("x")
    assert errors.troubles == (Trouble("it is slow", 5.0), Trouble("it is broken", 5.0))


def test_the_same_is_kept_once_with_how_often_it_was(errors: RecentErrors, log: Logger, clock: Clock) -> None:
    for _ in range(3):
        log.warn("again")
        clock.advance(1)
    assert errors.troubles == (Trouble("again", 2.0, 3),)


@pytest.mark.security("S37")
def test_there_are_fifty_and_the_oldest_go(errors: RecentErrors, log: Logger) -> None:
    for number in range(60):
        log.warn("{number}", number=number)
    assert [trouble.text for trouble in errors.troubles] == [str(number) for number in range(10, 60)]


def test_a_failure_has_its_words_and_no_traceback(errors: RecentErrors, log: Logger) -> None:
    try:
        raise OSError("no room")
    except OSError:
        log.failure("it failed", Failure())
    (trouble,) = errors.troubles
    assert trouble.text == "it failed: no room"


@pytest.mark.security("S26", "S36")
def test_no_secret_is_kept_and_no_line_break(errors: RecentErrors, log: Logger) -> None:
    log.warn("https://me:secret@quay.io/x?sig=abc refused\nAuthorization: Basic abc=\x1b[1m")
    (trouble,) = errors.troubles
    assert "secret" not in trouble.text
    assert "abc" not in trouble.text
    assert trouble.text.isprintable()


def test_what_is_long_is_cut(errors: RecentErrors, log: Logger) -> None:
    log.warn("x" * 10_000)
    assert len(errors.troubles[0].text) == 401


def test_when_it_has_ended_nothing_is(errors: RecentErrors, log: Logger, publisher: LogPublisher) -> None:
    other = RecentErrors(float, publisher)
    other.startService()
    other.stopService()
    log.warn("x")
    assert other.troubles == ()
    assert len(errors.troubles) == 1
