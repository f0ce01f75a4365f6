from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Registry
from crproxy.policy.refusals import unavailable
from crproxy.pullthrough.patience import Patience
from tests.logs import Log
from tests.memory import ended, failure_of, not_yet

QUAY = Registry("quay.io")
LATE = "quay.io is not available: it has not answered for 2 s"


class Questions:
    """Asks one upstream, whose answers come by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.patience = Patience(2.0, self.clock)
        self.asked: list[Deferred[str]] = []
        self.kept = True

    def run(self, question: str = "tag") -> Deferred[str]:
        return Deferred.fromCoroutine(self.patience.run((question,), QUAY, self._ask, self._instead))

    async def _ask(self) -> str:
        answer: Deferred[str] = Deferred()
        self.asked.append(answer)
        return await answer

    def _instead(self, error: RegistryError) -> str:
        if not self.kept:
            raise error
        return f"kept: {error.message}"


@pytest.fixture
def questions() -> Questions:
    return Questions()


def test_an_answer_in_time_is_the_answer(questions: Questions) -> None:
    asking = questions.run()
    questions.clock.advance(1.9)
    questions.asked[0].callback("new")
    assert ended(asking) == "new"
    assert questions.clock.getDelayedCalls() == []


def test_what_is_kept_stands_in_for_an_error(questions: Questions) -> None:
    asking = questions.run()
    questions.asked[0].errback(unavailable(QUAY, "it refuses connections"))
    assert ended(asking) == "kept: quay.io is not available: it refuses connections"
    assert questions.clock.getDelayedCalls() == []


def test_what_is_kept_is_served_when_patience_is_over(questions: Questions) -> None:
    asking = questions.run()
    questions.clock.advance(1.9)
    assert not_yet(asking)
    questions.clock.advance(0.1)
    assert ended(asking) == f"kept: {LATE}"


def test_the_question_goes_on_and_nobody_else_waits_for_it(questions: Questions) -> None:
    questions.run()
    questions.clock.advance(2)
    assert ended(questions.run()) == f"kept: {LATE}"
    assert len(questions.asked) == 1
    questions.asked[0].callback("new")
    asking = questions.run()
    questions.asked[1].callback("newer")
    assert ended(asking) == "newer"


def test_other_questions_are_waited_for(questions: Questions) -> None:
    questions.run()
    questions.clock.advance(2)
    other = questions.run("another")
    assert not_yet(other)
    questions.clock.advance(2)
    ended(other)


def test_its_failure_is_nobodys(questions: Questions) -> None:
    questions.run()
    questions.clock.advance(2)
    with Log() as log:
        questions.asked[0].errback(unavailable(QUAY, "it refuses connections"))
        assert log.complaints == []
    asking = questions.run()
    questions.asked[1].callback("new")
    assert ended(asking) == "new"


def test_a_fault_of_ours_is_logged(questions: Questions) -> None:
    questions.run()
    questions.clock.advance(2)
    with Log() as log:
        questions.asked[0].errback(ZeroDivisionError())
        assert log.complaints == ["a question that nobody waits for failed"]


def test_where_nothing_is_kept_it_is_waited_for_to_the_end(questions: Questions) -> None:
    questions.kept = False
    asking, failing = questions.run(), questions.run("another")
    questions.clock.advance(20)
    assert not_yet(asking)
    questions.asked[0].callback("new")
    assert ended(asking) == "new"
    questions.asked[1].errback(unavailable(QUAY, "it refuses connections"))
    error = failure_of(failing, RegistryError)
    assert isinstance(error, RegistryError)
    assert error.code is ErrorCode.UNAVAILABLE


def test_what_was_kept_may_be_gone_when_another_asks(questions: Questions) -> None:
    questions.run()
    questions.clock.advance(2)
    questions.kept = False
    asking = questions.run()
    assert not_yet(asking)
    questions.asked[1].callback("new")
    assert ended(asking) == "new"


def test_who_leaves_in_time_ends_its_question(questions: Questions) -> None:
    asking = questions.run()
    asking.cancel()
    failure_of(asking, CancelledError)
    assert questions.asked[0].called
    assert questions.clock.getDelayedCalls() == []
