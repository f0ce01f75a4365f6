"""Docker Hub's quota: watched, spared near its end, and left alone once it is used up."""

from __future__ import annotations

import email.utils
import itertools
import time
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer
from tests.parts.daemon import Upstream
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.raw_http import Reply, ask
from tests.parts.registries import FAKES, PublicRegistry, docker_hub
from tests.parts.shapes import error, manifest

if TYPE_CHECKING:
    from tests.parts.daemon import Daemon, Start

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

# Every request by tag is one that upstream would be asked about.
STALE = {"tag_ttl": "1ms"}


def begin(start: Start, hub: PublicRegistry) -> Daemon:
    return start({"docker.io": Upstream(hub.registry.url)}, cache=STALE)


def pull(daemon: Daemon, hub: PublicRegistry, method: str = "GET") -> Reply:
    return ask(daemon.address, method, hub.paths()[0])


def manifests(hub: PublicRegistry) -> list[str]:
    """The methods by which manifests were asked for with a token."""
    requests = hub.registry.seen.requests("/manifests/")
    return [request.method for request in requests if request.values("Authorization")]


def test_while_there_is_plenty_a_tag_is_checked_by_head_which_is_free(start: Start) -> None:
    with docker_hub(remaining=50) as hub:
        daemon = begin(start, hub)
        for _ in range(4):
            assert pull(daemon, hub).body == hub.manifest
        assert manifests(hub) == ["GET", "HEAD", "HEAD", "HEAD"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_near_its_end_what_is_kept_is_served_without_asking(start: Start, method: str) -> None:
    with docker_hub(remaining=6) as hub:
        daemon = begin(start, hub)
        assert pull(daemon, hub).body == hub.manifest
        for _ in range(3):
            reply = pull(daemon, hub, method)
            assert (reply.status, reply.headers["Cache-Status"]) == (200, "crproxy; hit; detail=quota")
            assert "the quota of docker.io is nearly used up (5 of 100 left)" in reply.headers["Warning"]
        assert manifests(hub) == ["GET"]


def test_a_head_that_fails_never_becomes_a_get(start: Start) -> None:
    with docker_hub(remaining=50) as hub:
        daemon = begin(start, hub)
        assert pull(daemon, hub).status == 200
        for status in (405, 403, 429):
            hub.registry.script(hub.paths()[0], Answer(status, (("Retry-After", "60"),)), method="HEAD")
            for method in ("HEAD", "GET"):
                reply = pull(daemon, hub, method)
                assert reply.status == (405 if status == 405 else 200)
        assert manifests(hub).count("GET") == 1


def test_once_it_is_used_up_nothing_more_is_asked_until_its_retry_after(start: Start) -> None:
    with docker_hub(remaining=0) as hub:
        daemon = begin(start, hub)
        waits = []
        for reference in ("v1", "v1", *hub.paths()[1].rsplit("/", 1)[1:]):
            reply = ask(daemon.address, "GET", hub.path("manifests", reference))
            assert (reply.status, reply.code) == (429, "TOOMANYREQUESTS")
            waits.append(int(reply.headers["Retry-After"]))
        assert all(before >= after for before, after in itertools.pairwise(waits))
        assert 50 < waits[-1] <= waits[0] == 60
        assert "it is not asked again for" in reply.message
        assert manifests(hub) == ["GET"]


def test_blobs_are_still_to_be_had_then(start: Start) -> None:
    with docker_hub(remaining=0) as hub:
        daemon = begin(start, hub)
        assert pull(daemon, hub).status == 429
        assert ask(daemon.address, "GET", hub.paths()[2]).body == b"".join(hub.layer.pieces())


def test_what_is_kept_is_served_then_by_tag_and_by_digest(start: Start) -> None:
    with docker_hub(remaining=7) as hub:
        daemon = begin(start, hub)
        assert pull(daemon, hub).status == 200
        hub.registry.script(hub.paths()[0], Answer(429, (("Retry-After", "60"),)))
        for path in hub.paths()[:2]:
            assert ask(daemon.address, "GET", path).body == hub.manifest
        assert "429" in pull(daemon, hub).headers["Warning"]


def too_many(retry_after: str = "60") -> Answer:
    return error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", ("Retry-After", retry_after))


@pytest.mark.parametrize("remaining", [50, 6, 0])
def test_our_own_quota_is_none_of_the_clients_business(start: Start, remaining: int) -> None:
    """It is this proxy's: a client that counts it as its own would hold back for nothing."""
    with docker_hub(remaining) as hub:
        daemon = begin(start, hub)
        for method in ("HEAD", "GET", "HEAD", "GET"):
            reply = pull(daemon, hub, method)
            assert reply.status in (200, 429)
            assert [name for name in reply.headers if "ratelimit" in name.lower()] == []


def test_the_fakes_quota_is_used_up_by_gets_alone() -> None:
    with docker_hub(remaining=2) as hub:
        bearer, (host, path) = ("Authorization", "Bearer hub"), (hub.registry.address, hub.paths()[0])
        told = [ask(host, method, path, bearer) for method in ("HEAD", "GET", "HEAD", "GET", "HEAD", "GET")]
        assert [reply.headers["ratelimit-remaining"] for reply in told[:5]] == [f"{n};w=21600" for n in (2, 1, 1, 0, 0)]
        assert (told[5].status, told[5].code) == (429, "TOOMANYREQUESTS")


def test_near_its_end_what_is_not_kept_is_still_asked_for(start: Start) -> None:
    with docker_hub(remaining=3) as hub:
        hub.registry.script(hub.path("manifests", "v2"), manifest(hub.manifest, OCI_MANIFEST))
        daemon = begin(start, hub)
        assert pull(daemon, hub).status == 200
        assert ask(daemon.address, "GET", hub.path("manifests", "v2")).body == hub.manifest


def test_it_is_asked_again_after_the_retry_after_that_was_told(start: Start) -> None:
    with docker_hub() as hub:
        path = hub.paths()[0]
        answers = iter([too_many("2")])
        hub.registry.script(path, lambda _: next(answers, None) or manifest(hub.manifest, OCI_MANIFEST))
        daemon = begin(start, hub)
        assert pull(daemon, hub).headers["Retry-After"] == "2"
        reply = pull(daemon, hub)
        assert (reply.status, len(hub.registry.seen.requests(path))) == (429, 1)
        # There is nothing to await but the time itself, as a client does.
        time.sleep(int(reply.headers["Retry-After"]))
        assert pull(daemon, hub).body == hub.manifest


def test_a_retry_after_may_be_a_date(start: Start) -> None:
    with docker_hub() as hub:
        hub.registry.script(hub.paths()[0], too_many(email.utils.formatdate(time.time() + 120, usegmt=True)))
        daemon = begin(start, hub)
        for _ in range(2):
            assert 100 < int(pull(daemon, hub).headers["Retry-After"]) <= 120
        assert len(hub.registry.seen.requests(hub.paths()[0])) == 1


def test_a_get_that_is_refused_stops_no_head(start: Start) -> None:
    with docker_hub() as hub:
        path = hub.paths()[0]
        hub.registry.script(path, manifest(hub.manifest, OCI_MANIFEST), method="HEAD")
        hub.registry.script(path, too_many())
        daemon = begin(start, hub)
        assert [pull(daemon, hub, method).status for method in ("GET", "HEAD", "GET")] == [429, 200, 429]
        assert [request.method for request in hub.registry.seen.requests("/manifests/")] == ["GET", "HEAD"]


def test_it_is_of_manifests_in_all_repositories(start: Start) -> None:
    with docker_hub() as hub:
        hub.registry.script(hub.paths()[0], too_many())
        daemon = begin(start, hub)
        assert pull(daemon, hub).status == 429
        assert ask(daemon.address, "GET", "/v2/docker.io/library/other/manifests/v1").status == 429
        assert len(hub.registry.seen.requests("/manifests/")) == 1


def test_a_token_service_that_has_enough_is_left_alone_too(start: Start) -> None:
    with docker_hub() as hub:
        auth = hub.host("auth")
        auth.script("/token", too_many())
        daemon = begin(start, hub)
        for _ in range(3):
            reply = pull(daemon, hub)
            assert (reply.status, reply.code) == (429, "TOOMANYREQUESTS")
            assert 50 < int(reply.headers["Retry-After"]) <= 60
        assert len(auth.seen.requests()) == 1


def test_another_registry_is_still_asked(start: Start) -> None:
    with docker_hub(remaining=0) as hub, FAKES["ghcr.io"]() as other:
        daemon = start({"docker.io": Upstream(hub.registry.url), "ghcr.io": Upstream(other.registry.url)})
        assert pull(daemon, hub).status == 429
        assert ask(daemon.address, "GET", "/v2/ghcr.io/team/app/manifests/v1").body == other.manifest


def test_an_incomplete_head_never_becomes_a_get_there(start: Start) -> None:
    with docker_hub() as hub:
        path = hub.paths()[0]
        hub.registry.script(path, Answer(headers=(("Content-Type", OCI_MANIFEST),)), method="HEAD")
        daemon = begin(start, hub)
        assert pull(daemon, hub, "HEAD").status == 200
        assert [request.method for request in hub.registry.seen.requests(path)] == ["HEAD"]


def test_too_many_questions_about_referrers_say_nothing_of_manifests(start: Start) -> None:
    with docker_hub() as hub:
        referrers = hub.path("referrers", sha256(hub.manifest))
        hub.registry.script(referrers, too_many())
        daemon = begin(start, hub)
        for _ in range(2):
            assert ask(daemon.address, "GET", referrers).status == 429
        assert pull(daemon, hub).body == hub.manifest
        assert len(hub.registry.seen.requests("/referrers/")) == 1
