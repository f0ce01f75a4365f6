"""Clients that are sent elsewhere for a blob."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.routes import BlobRequest
from crproxy.pullthrough import PullThrough
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.memory import ended, failure_of
from tests.pullthrough.conftest import OTHER, REPOSITORY, Ask, Client, body_of
from tests.stores import HandRules, pull_through

CONTENT = bytes(range(100))
DIGEST = Digest.of(CONTENT)
WANTED = BlobRequest("x", DIGEST)
ELSEWHERE = "https://cdn.example.net/layer?signature=1"
DENIED = RegistryError(ErrorCode.DENIED, "no")


class HandSigner:
    """Signs what the object store has."""

    def __init__(self) -> None:
        self.has: set[Entry] = set()

    async def url(self, entry: Entry) -> str | None:
        return f"https://s3.example.net/{entry.digest.hex}?signature=1" if entry in self.has else None


@pytest.fixture
def signer() -> HandSigner:
    return HandSigner()


@pytest.fixture
def pullthrough(client: Client, store: Store, clock: Clock, rules: HandRules, signer: HandSigner) -> PullThrough:
    return pull_through(client, store, clock, rules, signer=signer)


def given(store: Store, view: View) -> None:
    ended(store.keep(view.entry(DIGEST), CONTENT))
    store.index.link(view, DIGEST, size=len(CONTENT))


# To where upstream redirects


def test_a_client_is_sent_where_upstream_redirects(ask: Ask, client: Client) -> None:
    client.elsewhere = ELSEWHERE
    reply = ended(ask(WANTED, headers={"range": "bytes=5-"}))
    assert (reply.status, reply.headers["Location"], body_of(reply)) == (307, ELSEWHERE, b"")
    assert reply.headers["Docker-Content-Digest"] == str(DIGEST)
    assert reply.headers["Cache-Status"] == "crproxy; fwd=uri-miss; detail=redirected"
    assert client.questions == ["blob_location"]


def test_a_head_is_answered_here(ask: Ask, client: Client) -> None:
    client.elsewhere = ELSEWHERE
    client.holds(CONTENT)
    reply = ended(ask(WANTED, "HEAD"))
    assert (reply.status, reply.body.length) == (200, len(CONTENT))


def test_what_is_here_is_given_here(ask: Ask, client: Client, store: Store) -> None:
    client.elsewhere = ELSEWHERE
    given(store, View(REPOSITORY))
    assert body_of(ended(ask(WANTED))) == CONTENT
    assert client.asked == []


def test_what_upstream_sends_itself_comes_from_here(ask: Ask, client: Client, store: Store, clock: Clock) -> None:
    client.redirects = True
    client.holds(CONTENT)
    asking = ask(WANTED)
    client.blobs[DIGEST].send_all()
    assert body_of(ended(asking)) == CONTENT
    assert store.size(Entry(DIGEST)) == len(CONTENT)
    other = client.holds(b"other")
    asking = ask(BlobRequest("x", other))
    client.blobs[other].send_all()
    ended(asking)
    # It is not asked for an hour where it redirects to.
    assert client.questions == ["blob_location", "blob", "blob"]
    clock.advance(3600)
    client.elsewhere = ELSEWHERE
    assert ended(ask(BlobRequest("x", Digest.of(b"third")))).status == 307


def test_a_refusal_is_handed_on_and_takes_the_credential_its_rights(
    ask: Ask, client: Client, store: Store, rules: HandRules
) -> None:
    rules.credentials[REPOSITORY.registry] = "own"
    view = View(REPOSITORY, "own")
    store.index.link(view, Digest.of(b"other"))
    client.elsewhere, client.error = ELSEWHERE, DENIED
    assert failure_of(ask(WANTED), RegistryError) is DENIED
    link = store.index.linked(view, Digest.of(b"other"))
    assert link is not None
    assert not link.confirmed


# To the object store


def test_who_may_have_it_is_sent_to_the_store(ask: Ask, client: Client, store: Store, signer: HandSigner) -> None:
    given(store, View(REPOSITORY))
    assert body_of(ended(ask(WANTED))) == CONTENT
    signer.has.add(Entry(DIGEST))
    reply = ended(ask(WANTED))
    assert (reply.status, reply.headers["Location"]) == (307, f"https://s3.example.net/{DIGEST.hex}?signature=1")
    assert reply.headers["Cache-Control"] == "no-store"
    assert client.asked == []


def test_who_has_no_permission_is_not(
    ask: Ask, client: Client, store: Store, signer: HandSigner, rules: HandRules
) -> None:
    rules.closed.add(REPOSITORY)
    given(store, View(REPOSITORY))
    signer.has.add(Entry(DIGEST))
    client.error = DENIED
    assert failure_of(ask(WANTED, repository=OTHER), RegistryError) is DENIED
