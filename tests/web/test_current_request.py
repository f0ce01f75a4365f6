from __future__ import annotations

from twisted.internet.defer import Deferred

from crproxy.web.current_request import RequestId, current_request, on_behalf_of


def test_an_id_is_made_when_it_is_asked_for_and_stays() -> None:
    request, other = RequestId(lambda: None), RequestId(lambda: None)
    before = request.known
    assert before is None
    made = request.value
    assert (request.known, request.value, request.to_log) == (made, made, made)
    assert other.value != made


def test_one_that_was_given_counts() -> None:
    assert RequestId(lambda: "given").value == "given"


def test_when_it_is_over_none_is_made_for_the_log() -> None:
    unknown, known = RequestId(lambda: "given"), RequestId(lambda: None)
    made = known.value
    unknown.end()
    known.end()
    assert unknown.to_log is None
    assert known.to_log == made


def test_nothing_is_done_on_behalf_of_a_request_before_or_after() -> None:
    request = RequestId(lambda: None)
    assert current_request() is None
    with on_behalf_of(request):
        assert current_request() is request
        with on_behalf_of(None):
            assert current_request() is None
        assert current_request() is request
    assert current_request() is None


def test_what_is_begun_within_goes_on_on_its_behalf() -> None:
    request, waited = RequestId(lambda: None), Deferred[None]()

    async def work() -> RequestId | None:
        await waited
        return current_request()

    found: list[RequestId | None] = []
    with on_behalf_of(request):
        Deferred.fromCoroutine(work()).addCallback(found.append)
    waited.callback(None)
    assert current_request() is None
    assert found == [request]
