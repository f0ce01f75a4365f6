from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from crproxy.admin.documents import Mistake
from crproxy.admin.page.jobs import Jobs
from crproxy.sharing import Counts
from tests.logs import Log


class Work:
    """Something that is done when the test says so."""

    def __init__(self) -> None:
        self.ended: Deferred[str] = Deferred()
        self.progress = (0, 10)

    async def __call__(self) -> str:
        return await self.ended

    def run(self) -> Coroutine[Deferred[Any], Any, str]:
        return self()


def begin(jobs: Jobs, what: str = "x") -> Work:
    work = Work()
    jobs.begin("warm", what, work.run, lambda: work.progress)
    return work


def test_one_is_seen_from_its_beginning_to_its_end() -> None:
    jobs = Jobs(lambda: 7.0, Counts())
    work = begin(jobs)
    work.progress = (3, 10)
    (job,) = jobs.seen()
    assert (job.kind, job.what, job.begun, job.done, job.total, job.is_over) == ("warm", "x", 7.0, 3, 10, False)
    work.ended.callback("not quite")
    (job,) = jobs.seen()
    assert (job.is_over, job.trouble) == (True, "not quite")


def test_what_is_under_way_is_not_begun_again_by_any_worker() -> None:
    counts = Counts()
    one, other = Jobs(float, counts), Jobs(float, counts)
    work = begin(one)
    for jobs in (one, other):
        with pytest.raises(Mistake) as caught:
            begin(jobs)
        assert caught.value.status == 409
    work.ended.callback("")
    begin(other)


@pytest.mark.security("S37")
def test_there_are_eight_at_a_time_and_twenty_are_remembered() -> None:
    jobs = Jobs(float, Counts())
    works = [begin(jobs, str(number)) for number in range(8)]
    with pytest.raises(Mistake):
        begin(jobs, "9")
    for work in works:
        work.ended.callback("")
    for number in range(40):
        begin(jobs, str(number)).ended.callback("")
    assert [job.what for job in jobs.seen()] == [str(number) for number in range(39, 19, -1)]


def test_one_that_fails_says_why() -> None:
    with Log() as log:
        jobs = Jobs(float, Counts())
        begin(jobs).ended.errback(OSError("no room"))
        (job,) = jobs.seen()
        assert (job.is_over, job.trouble) == (True, "no room")
        assert any("has failed" in line for line in log.lines)
        log.events.clear()
    begin(jobs)


def test_all_end_with_the_daemon() -> None:
    jobs = Jobs(float, counts := Counts())
    begin(jobs, "a")
    begin(jobs, "b").ended.callback("")
    jobs.stop()
    assert [(job.is_over, job.trouble) for job in jobs.seen()] == [(True, ""), (True, "stopped")]
    assert counts.of("all") == 0
