from __future__ import annotations

from crproxy.admin.page.overview import Fill, Job, Pull, Seen, Serving, Trouble, UpstreamState, merged

FILL = Fill("quay.io/a/b", "sha256:1", 10, None, 5.0)


def serving(who: str, reference: str = "sha256:1", seconds: float = 1.0) -> Serving:
    return Serving(who, "quay.io/a/b", reference, 1, 10, seconds)


def test_one_fill_is_shown_once_with_the_furthest_that_is_known_of_it() -> None:
    follows = Fill("quay.io/a/b", "sha256:1", 12, 20, 0.0)
    other = Fill("quay.io/a/c", "sha256:1", 1, 2, 0.0)
    assert merged([Seen((FILL,)), Seen((follows, other))]).fills == (
        Fill("quay.io/a/b", "sha256:1", 12, 20, 5.0),
        other,
    )
    assert merged([Seen((follows,)), Seen((FILL,))]).fills == (Fill("quay.io/a/b", "sha256:1", 12, 20, 5.0),)


def test_who_waits_is_who_is_sent_it_by_any_worker() -> None:
    seen = merged([Seen((FILL,), (serving("bob"), serving("bob"))), Seen((), (serving("al"), serving("x", "v1")))])
    assert seen.waiting_for(FILL) == ["al", "bob"]


def test_the_longest_is_served_first_and_the_latest_job_is_first() -> None:
    seen = merged(
        [Seen((), (serving("a", seconds=1),), (Job("warm", "x", 1.0),)), Seen((), (serving("b", seconds=2),))]
    )
    assert [one.who for one in seen.serving] == ["b", "a"]
    seen = merged([Seen(jobs=(Job("warm", "x", 1.0),)), Seen(jobs=(Job("warm", "y", 2.0),))])
    assert [job.what for job in seen.jobs] == ["y", "x"]


def test_the_same_trouble_is_told_once_and_the_latest_first() -> None:
    seen = merged([Seen(troubles=(Trouble("a", 1.0, 2), Trouble("b", 5.0))), Seen(troubles=(Trouble("a", 9.0),))])
    assert seen.troubles == (Trouble("a", 9.0, 3), Trouble("b", 5.0))


def test_of_troubles_there_are_fifty_at_the_most() -> None:
    each = [Seen(troubles=tuple(Trouble(f"{worker} {n}", n) for n in range(50))) for worker in range(3)]
    assert len(merged(each).troubles) == 50


def test_who_pulled_last_counts_and_when_a_user_was_seen_last() -> None:
    key = ("quay.io/a/b", "v1")
    early, late = Pull("al", 1.0), Pull("bob", 2.0)
    for each in ([early, late], [late, early]):
        seen = merged([Seen(pulls={key: pull}, users={"al": pull.moment}) for pull in each])
        assert (seen.pulls, seen.users) == ({key: late}, {"al": 2.0})


def test_what_is_down_or_refuses_or_has_nothing_left_is_in_trouble() -> None:
    assert not UpstreamState("a", True, 1, 100).is_in_trouble
    assert not UpstreamState("a").is_in_trouble
    assert UpstreamState("a", False).is_in_trouble
    assert UpstreamState("a", True, 0, 100).is_in_trouble
    assert UpstreamState("a", True, limited=(("GET manifests", 1.0),)).is_in_trouble
