"""Tags and referrers: kept, checked like tags, and served stale."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.routes import ReferrersRequest, TagsRequest
from crproxy.policy.refusals import bad_gateway
from crproxy.pullthrough.lists import ListRequest
from crproxy.store.store import Store
from tests.memory import ended, failure_of
from tests.pullthrough.conftest import OTHER, REPOSITORY, Ask, Client, body_of
from tests.stores import HandRules

TAGS = b'{"name": "org/name", "tags": ["v1", "v2"]}'
INDEX = b'{"schemaVersion": 2, "manifests": []}'
DIGEST = Digest.of(b"image")
LISTS = pytest.mark.parametrize(
    ("request_", "content"),
    [(TagsRequest("x"), TAGS), (ReferrersRequest("x", DIGEST), INDEX)],
    ids=["tags", "referrers"],
)
AWAY = RegistryError(ErrorCode.UNAVAILABLE, "quay.io is not available", retry_after=10)
Request = TagsRequest | ReferrersRequest


@LISTS
def test_it_counts_as_long_as_a_tag_does(
    client: Client, ask: Ask, clock: Clock, request_: Request, content: bytes
) -> None:
    client.list = content
    first = ended(ask(request_))
    assert (first.status, body_of(first), first.headers["Cache-Status"]) == (200, content, "crproxy; fwd=uri-miss")
    clock.advance(59)
    again = ended(ask(request_))
    assert (body_of(again), again.headers["Cache-Status"]) == (content, "crproxy; hit")
    assert len(client.asked) == 1
    clock.advance(2)
    ended(ask(request_))
    assert len(client.asked) == 2


@LISTS
def test_it_is_served_stale_where_upstream_is_away(
    client: Client, ask: Ask, clock: Clock, request_: Request, content: bytes
) -> None:
    client.list, client.header = content, {"link": '<?last=v2>; rel="next"', "oci-filters-applied": "artifactType"}
    ended(ask(request_))
    client.error, client.header = AWAY, {}
    clock.advance(3600)
    stale = ended(ask(request_))
    assert (stale.status, body_of(stale)) == (200, content)
    assert stale.headers["Warning"].startswith('299 crproxy "served from the cache, last checked 60 min ago')
    assert "last=v2" in stale.headers["Link"]
    assert stale.headers["OCI-Filters-Applied"] == "artifactType"
    assert stale.headers["Cache-Status"] == "crproxy; hit; fwd=stale; detail=upstream-failed"


@LISTS
def test_what_was_never_listed_is_not_there(client: Client, ask: Ask, request_: Request, content: bytes) -> None:
    client.list = content
    ended(ask(request_))
    client.error = AWAY
    assert failure_of(ask(request_, repository=OTHER), RegistryError) is AWAY
    assert failure_of(ask(request_, query={"n": "1"}), RegistryError) is AWAY


@LISTS
def test_what_upstream_does_not_have_any_more_is_forgotten(
    client: Client, ask: Ask, clock: Clock, request_: Request, content: bytes
) -> None:
    client.list = content
    ended(ask(request_))
    clock.advance(100)
    client.error = RegistryError(ErrorCode.NAME_UNKNOWN, "not there")
    failure_of(ask(request_), RegistryError)
    client.error = AWAY
    assert failure_of(ask(request_), RegistryError) is AWAY


@LISTS
def test_where_something_else_comes_in_its_place_it_is_served_stale(
    client: Client, ask: Ask, clock: Clock, request_: Request, content: bytes
) -> None:
    strange = bad_gateway(REPOSITORY.registry, "no list")
    client.error = strange
    assert failure_of(ask(request_), RegistryError) is strange
    client.error, client.list = None, content
    ended(ask(request_))
    client.error = strange
    clock.advance(100)
    stale = ended(ask(request_))
    assert body_of(stale) == content
    assert "it sent no list" in stale.headers["Warning"]


def test_what_clients_make_up_is_not_kept(client: Client, ask: Ask) -> None:
    for query in ({"next_page": "x"}, {"last": "x" * 600}):
        ended(ask(TagsRequest("x"), query=query))
        ended(ask(TagsRequest("x"), query=query))
    assert len(client.asked) == 4


def test_a_client_of_its_own_is_answered_by_upstream_each_time(client: Client, ask: Ask) -> None:
    client.welcome = {"Basic x"}
    for _ in range(2):
        ended(ask(TagsRequest("x"), caller="Basic x"))
    assert len(client.asked) == 2
    client.error = AWAY
    assert failure_of(ask(TagsRequest("x"), caller="Basic x"), RegistryError) is AWAY


def test_what_our_credentials_gave_is_served_by_them_alone(
    client: Client, ask: Ask, rules: HandRules, clock: Clock
) -> None:
    rules.credentials[REPOSITORY.registry] = "ours"
    client.list = TAGS
    ended(ask(TagsRequest("x")))
    clock.advance(100)
    client.error = AWAY
    assert body_of(ended(ask(TagsRequest("x")))) == TAGS
    client.error = RegistryError(ErrorCode.DENIED, "no more")
    failure_of(ask(TagsRequest("x")), RegistryError)
    rules.credentials.clear()
    client.error = AWAY
    assert failure_of(ask(TagsRequest("x")), RegistryError) is AWAY


def test_no_tag_is_called_as_a_list_is() -> None:
    for request in (ListRequest(None, {}), ListRequest(DIGEST, {"artifactType": "a/b"})):
        assert "/" in request.name
    assert ListRequest(None, {"n": "1", "last": "a"}).name == ListRequest(None, {"last": "a", "n": "1"}).name


def test_what_a_list_was_before_goes(ask: Ask, client: Client, store: Store, clock: Clock) -> None:
    for tags in (b'{"tags": ["a"]}', b'{"tags": ["a", "b"]}'):
        client.list = tags
        ended(ask(TagsRequest("org/name")))
        clock.advance(61)
    ended(store.index.flush())
    assert store.index.read("SELECT count(*) FROM link") == [(1,)]
