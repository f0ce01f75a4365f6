"""The answers of the registry that lies (tests/parts/lies): right where they are honest, and the same for a seed."""

from __future__ import annotations

from random import Random

import pytest

from tests.parts.images import sha256
from tests.parts.lies import Asked, End, Goods, make_plan, make_sound_plan
from tests.parts.lies.bodies import BODIES
from tests.parts.lies.draft import sound
from tests.parts.lies.heads import HEADS, no_digest
from tests.parts.lies.statuses import STATUSES
from tests.parts.wire import WireAnswer, read_answers

GOODS = Goods.of("n", 7)
PATHS = [
    "/v2/n7/app/manifests/v1",
    f"/v2/n7/app/manifests/{GOODS.manifest}",
    f"/v2/n7/app/blobs/{GOODS.layer}",
    "/v2/n7/app/tags/list?n=5",
    f"/v2/n7/app/referrers/{GOODS.manifest}",
    "/token?service=x&scope=repository%3An7%2Fapp%3Apull",
    "/v2/",
]


def asked(path: str, method: str = "GET", *lines: str) -> Asked:
    return Asked.parse("\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:1", *lines, ""]).encode())


def honest(question: Asked) -> WireAnswer:
    sent = b"".join(step for step in make_sound_plan(question).steps if isinstance(step, bytes))
    (answer,) = read_answers(sent, (question.method.encode(),), ended=False)
    return answer


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_honest_answer_is_one(path: str, method: str) -> None:
    assert honest(asked(path, method)).status == 200


def test_what_is_asked_for_by_digest_has_it() -> None:
    for digest in GOODS.content:
        kind = "blobs" if digest in GOODS.blobs else "manifests"
        assert sha256(honest(asked(f"/v2/n7/app/{kind}/{digest}")).body) == digest
        assert sha256(GOODS.whole(digest) or b"") == digest


@pytest.mark.parametrize(
    ("asked_for", "status", "first", "stop"), [("5-9", 206, 5, 10), ("5-", 206, 5, None), ("99999999-", 416, 0, 0)]
)
def test_a_range_is_exact(asked_for: str, status: int, first: int, stop: int | None) -> None:
    answer = honest(asked(f"/v2/n7/app/blobs/{GOODS.layer}", "GET", f"Range: bytes={asked_for}"))
    assert (answer.status, answer.body) == (status, GOODS.blobs[GOODS.layer][first:stop])


def test_of_what_is_not_there_it_says_so() -> None:
    assert honest(asked("/v2/n7/app/manifests/none")).status == 404


def test_a_question_says_in_whose_name() -> None:
    question = asked("/v2/n7/app/blobs/sha256:0", "GET", "Authorization: x")
    assert (question.letter, question.number, question.kind, question.reference) == ("n", 7, "blobs", "sha256:0")
    assert (question.host, question.authorized) == ("127.0.0.1:1", True)
    assert asked("/elsewhere/n7/app/blobs/sha256:0?x=y").kind == "blobs"
    token = asked(PATHS[5])
    assert (token.kind, token.number) == ("token", 7)


# In one order for all workers. Of what is no manifest no digest is told that could be left out.
TOLD = [
    pytest.param(lie, path, id=f"{lie.__name__}-{path}")
    for lie in dict.fromkeys((*HEADS, *STATUSES, *BODIES))
    for path in PATHS
    if lie is not no_digest or "manifests" in path
]


@pytest.mark.parametrize(("lie", "path"), TOLD)
def test_each_lie_can_be_told_of_everything_and_is_one(lie: object, path: str) -> None:
    assert callable(lie)
    right, told = sound(asked(path)), set()
    for seed in range(30):
        draft = sound(asked(path))
        lie(Random(seed), draft)
        told.add((draft.header, draft.sent, draft.closes))
    assert told != {(right.header, right.sent, right.closes)}


@pytest.mark.parametrize("path", PATHS)
def test_a_seed_repeats_them(path: str) -> None:
    plans = [[make_plan(Random(f"1/{number}"), asked(path), 1.5) for number in range(200)] for _ in range(2)]
    assert plans[0] == plans[1]
    assert len({plan.names for plan in plans[0]}) > 50
    for plan in plans[0]:
        assert all(step <= 1.5 for step in plan.steps if isinstance(step, float))
        assert not any(isinstance(step, End) for step in plan.steps[:-1])
