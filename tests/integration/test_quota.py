"""Docker Hub's quota: watched, spared near its end, and left alone once it is used up."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer
from tests.parts.daemon import Upstream
from tests.parts.raw_http import Reply, ask
from tests.parts.registries import PublicRegistry, docker_hub

if TYPE_CHECKING:
    from tests.parts.daemon import Daemon, Start

pytestmark = pytest.mark.integration

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
