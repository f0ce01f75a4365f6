from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.limits import Fills
from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Tag
from crproxy.oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, TagsRequest
from crproxy.pullthrough import Asked
from crproxy.store.store import Store
from tests.memory import ended, failure_of
from tests.pullthrough.conftest import PATH, REPOSITORY, Ask, Client
from tests.stores import HandRules, pull_through

DIGEST = Digest.of(b"{}")


def test_each_kind_of_request_is_answered_by_its_own(client: Client, ask: Ask) -> None:
    client.tagged(Tag("v1"), b"{}")
    layer = client.holds(b"layer")
    ask(ManifestRequest("x", Tag("v1")))
    ask(BlobRequest("x", layer), "HEAD")
    ask(BlobRequest("x", layer))
    ask(TagsRequest("x"))
    ask(ReferrersRequest("x", DIGEST))
    assert client.questions == ["manifest", "head_blob", "blob", "tags", "referrers"]


def test_what_took_credentials_is_kept_for_its_registry(client: Client, ask: Ask, rules: HandRules) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    client.tagged(Tag("v1"), b"{}")
    ended(ask(ManifestRequest("x", Tag("v1"))))
    ended(ask(ManifestRequest("x", DIGEST)))
    assert client.questions == ["manifest"]
    rules.credentials.clear()
    ended(ask(ManifestRequest("x", DIGEST)))
    assert client.questions == ["manifest", "manifest"]


def test_the_query_goes_to_upstream_but_for_what_is_ours(client: Client, ask: Ask) -> None:
    query = {"n": "2", "last": "v1", "next_page": "gAA", "ns": "quay.io"}
    ended(ask(TagsRequest("x"), query=query))
    ended(ask(ReferrersRequest("x", DIGEST), query={"artifactType": "a/b", "ns": "quay.io"}))
    assert client.asked == [
        ("tags", REPOSITORY, {"n": "2", "last": "v1", "next_page": "gAA"}),
        ("referrers", REPOSITORY, DIGEST, {"artifactType": "a/b"}),
    ]


def test_the_next_page_is_at_the_path_that_was_asked_for(client: Client, ask: Ask) -> None:
    client.header = {"link": '<https://quay.io/v2/org/name/tags/list?last=v2>; rel="next"', "content-type": "text/html"}
    reply = ended(ask(TagsRequest("x")))
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert reply.headers["Link"] == f'<{PATH}?last=v2>; rel="next"'


def test_the_next_page_is_in_the_same_namespace(client: Client, ask: Ask) -> None:
    client.header = {"link": '</v2/org/name/tags/list?last=v2>; rel="next"'}
    reply = ended(ask(TagsRequest("x"), query={"ns": "quay.io"}))
    assert reply.headers["Link"] == f'<{PATH}?last=v2&ns=quay.io>; rel="next"'


def test_without_a_next_page_there_is_no_link(ask: Ask) -> None:
    assert "Link" not in ended(ask(TagsRequest("x"))).headers


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.index.v1+json"),
        ("text/html", "application/vnd.oci.image.index.v1+json"),
        ("image/svg+xml", "application/vnd.oci.image.index.v1+json"),
    ],
)
def test_a_list_is_json_whatever_upstream_says(client: Client, ask: Ask, said: str, passed: str) -> None:
    client.header = {"content-type": said}
    assert ended(ask(ReferrersRequest("x", DIGEST))).headers["Content-Type"] == passed


def test_a_refusal_is_raised(client: Client, ask: Ask) -> None:
    client.error = RegistryError(ErrorCode.DENIED, "no")
    assert failure_of(ask(TagsRequest("x")), RegistryError) is client.error


@pytest.mark.parametrize(
    ("asked", "upstream"), [("10000", "10000"), ("10001", "10000"), ("9" * 40, "10000"), ("0", "0"), ("007", "7")]
)
def test_s27_a_page_has_ten_thousand_tags_at_the_most(client: Client, ask: Ask, asked: str, upstream: str) -> None:
    ended(ask(TagsRequest("x"), query={"n": asked}))
    assert client.asked == [("tags", REPOSITORY, {"n": upstream})]


@pytest.mark.parametrize("asked", ["", "-1", "many", "1.5", "٣"])
def test_s27_what_is_no_number_is_refused(client: Client, ask: Ask, asked: str) -> None:
    error = failure_of(ask(TagsRequest("x"), query={"n": asked}), RegistryError)
    assert isinstance(error, RegistryError)
    assert (error.status, client.asked) == (400, [])


def test_a_client_that_leaves_while_notes_are_written_leaves_nothing_behind(
    client: Client, store: Store, clock: Clock
) -> None:
    """Its body is not its any more, and what it began is not counted for it."""
    never: Deferred[None] = Deferred()
    layer, fills = client.holds(b"layer"), Fills(Config)
    pullthrough = pull_through(client, store, clock, fills=fills, settled=lambda: never)
    asked = Asked("GET", PATH, headers={"range": "bytes=2-3"}, client="192.0.2.1")
    answered = Deferred.fromCoroutine(pullthrough.answer(REPOSITORY, BlobRequest("x", layer), asked))
    assert fills.by_client.of("192.0.2.1") == 1
    answered.cancel()
    failure_of(answered, CancelledError)
    assert fills.by_client.of("192.0.2.1") == 0
