from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.upstream.client import RangeRefused, Streamed
from crproxy.upstream.comparing import Compared, OtherContent
from tests.memory import ended, failure_of
from tests.sources import ManySource

CONTENT = bytes(range(100))


@pytest.fixture
def source() -> ManySource:
    return ManySource(CONTENT, Clock())


@pytest.fixture
def compared(source: ManySource) -> Compared:
    return Compared(source.open)


def first(source: ManySource, compared: Compared, **headers: str) -> Streamed:
    asked = Deferred.fromCoroutine(compared.open(0, None))
    source.questions[-1].answer(**headers)  # type: ignore[arg-type]
    return ended(asked)


def part(compared: Compared) -> Deferred[Streamed]:
    return Deferred.fromCoroutine(compared.open_part(10, 20))


def test_a_part_is_taken(source: ManySource, compared: Compared) -> None:
    first(source, compared)
    asked = part(compared)
    source.questions[-1].answer()
    assert ended(asked).status == 206
    assert source.ranges == [(0, None), (10, 20)]


@pytest.mark.parametrize("status", [200, 416])
def test_anything_else_is_refused(source: ManySource, compared: Compared, status: int) -> None:
    first(source, compared)
    asked = part(compared)
    body = source.questions[-1].answer(status)
    error = failure_of(asked, RangeRefused)
    assert not isinstance(error, OtherContent)
    assert body.abandoned


@pytest.mark.parametrize(
    ("one", "other", "is_taken"),
    [
        ('"a"', '"a"', True),
        ('"a"', '"b"', False),
        ('"a"', 'W/"b"', True),
        ('W/"a"', '"b"', True),
        ('"a"', "", True),
        ("", '"b"', True),
    ],
)
def test_strong_validators_are_compared(
    source: ManySource, compared: Compared, one: str, other: str, is_taken: bool
) -> None:
    first(source, compared, etag=one)
    asked = part(compared)
    body = source.questions[-1].answer(etag=other)
    if is_taken:
        ended(asked)
    else:
        failure_of(asked, OtherContent)
    assert body.abandoned is not is_taken


def test_it_is_the_first_that_others_are_compared_with(source: ManySource, compared: Compared) -> None:
    first(source, compared, etag='"a"')
    first(source, compared, etag='"b"', accept_ranges="none")
    assert compared.takes_ranges
    asked = part(compared)
    source.questions[-1].answer(etag='"a"')
    ended(asked)


@pytest.mark.parametrize(("said", "takes"), [("none", False), (" None ", False), ("bytes", True), ("", True)])
def test_what_takes_no_ranges_says_so(source: ManySource, compared: Compared, said: str, takes: bool) -> None:
    first(source, compared, accept_ranges=said)
    assert compared.takes_ranges is takes


def test_sizes_are_compared(compared: Compared) -> None:
    compared.know(100)
    compared.check(100)
    compared.check(None)
    with pytest.raises(OtherContent):
        compared.check(99)
