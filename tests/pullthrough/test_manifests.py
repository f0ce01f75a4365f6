from __future__ import annotations

import json

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Reference, Tag
from crproxy.oci.routes import BlobRequest, ManifestRequest
from crproxy.policy.refusals import Unconfirmed, unavailable
from crproxy.pullthrough import Content, Reply, Unsent
from crproxy.pullthrough.reply import CacheStatus, named
from crproxy.store.entries import Entry, View
from crproxy.store.store import Store
from tests.memory import ended, failure_of, not_yet
from tests.pullthrough.conftest import OTHER, REPOSITORY, TYPE, Ask, Client, body_of
from tests.stores import HandRules

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
V1 = Tag("v1")
DOWN = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=10)
BUSY = RegistryError(ErrorCode.TOOMANYREQUESTS, "busy", retry_after=100)
GONE = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "not there")
DENIED = RegistryError(ErrorCode.DENIED, "no")


@pytest.fixture(autouse=True)
def upstream(client: Client) -> None:
    client.tagged(V1, MANIFEST)


def wanted(reference: Reference = V1) -> ManifestRequest:
    return ManifestRequest("x", reference)


def status_of(reply: Reply) -> str:
    return reply.headers["Cache-Status"]


@pytest.mark.parametrize("reference", [V1, DIGEST])
def test_a_manifest_is_fetched_once(client: Client, ask: Ask, reference: Reference) -> None:
    headers = {"Content-Type": TYPE, **named(DIGEST, "crproxy; fwd=uri-miss; stored")}
    assert ended(ask(wanted(reference))) == Reply(200, headers, Content(MANIFEST))
    for method in ("GET", "HEAD"):
        for again in {reference, DIGEST}:
            reply = ended(ask(wanted(again), method))
            headers["Cache-Status"] = "crproxy; hit"
            assert reply == Reply(200, headers, Content(MANIFEST))
    assert client.asked == [("manifest", REPOSITORY, reference)]


def test_it_is_kept_on_disk_byte_for_byte(store: Store, ask: Ask) -> None:
    ended(ask(wanted()))
    entry = Entry(DIGEST)
    assert store.blobs.keep(entry).read_bytes() == MANIFEST
    assert store.index.size(entry) == len(MANIFEST)


@pytest.mark.security("S21")
def test_many_who_ask_at_once_share_one_question(client: Client, ask: Ask) -> None:
    client.waiting = Deferred()
    asking = [ask(wanted()) for _ in range(5)]
    assert all(map(not_yet, asking))
    client.waiting.callback(None)
    assert {body_of(ended(asked)) for asked in asking} == {MANIFEST}
    assert client.questions == ["manifest"]


# HEAD


def test_a_head_of_a_tag_is_one_head_upstream(client: Client, ask: Ask) -> None:
    headers = {"Content-Type": TYPE, **named(DIGEST, "crproxy; fwd=uri-miss")}
    assert ended(ask(wanted(), "HEAD")) == Reply(200, headers, Unsent(len(MANIFEST)))
    assert client.questions == ["head_manifest"]


def test_a_head_of_a_digest_has_that_digest_whatever_upstream_says(client: Client, ask: Ask) -> None:
    client.header = {"docker-content-digest": str(Digest.of(b"other"))}
    reply = ended(ask(wanted(DIGEST), "HEAD"))
    headers = {"Content-Type": "application/octet-stream", **named(DIGEST, "crproxy; fwd=uri-miss")}
    assert reply == Reply(200, headers, Unsent(None))


@pytest.mark.parametrize("length", ["", "-1", "x", "1, 1", "٣", str(2**63), "9" * 5000])
def test_a_length_that_is_no_number_is_none(client: Client, ask: Ask, length: str) -> None:
    client.header = {"content-length": length, "docker-content-digest": "bad_gateway"}
    reply = ended(ask(wanted(), "HEAD"))
    assert reply.body == Unsent(None)
    assert "ETag" not in reply.headers


@pytest.mark.security("S30")
@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "\x80"])
def test_s30_a_type_that_was_noted_by_an_earlier_version_is_not_repeated(
    client: Client, ask: Ask, store: Store, media_type: str
) -> None:
    ended(ask(wanted()))
    store.index.link(View(REPOSITORY), DIGEST, media_type, len(MANIFEST))
    for method in ("GET", "HEAD"):
        for reference in (V1, DIGEST):
            assert ended(ask(wanted(reference), method)).headers["Content-Type"] == "application/octet-stream"


def test_what_a_head_said_of_a_tag_spares_the_next_get_nothing_it_needs(client: Client, ask: Ask) -> None:
    ended(ask(wanted(), "HEAD"))
    assert body_of(ended(ask(wanted()))) == MANIFEST
    assert client.questions == ["head_manifest", "manifest"]


# Freshness


def test_a_tag_is_not_asked_for_while_it_is_fresh(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(59)
    assert status_of(ended(ask(wanted()))) == "crproxy; hit"
    assert client.questions == ["manifest"]


def test_then_one_head_decides(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(60)
    reply = ended(ask(wanted()))
    assert (body_of(reply), status_of(reply)) == (MANIFEST, "crproxy; hit; detail=revalidated")
    clock.advance(59)
    assert status_of(ended(ask(wanted()))) == "crproxy; hit"
    assert client.questions == ["manifest", "head_manifest"]


def test_a_tag_that_moved_is_followed(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    moved = client.tagged(V1, b'{"moved": 1}')
    clock.advance(60)
    reply = ended(ask(wanted()))
    assert (body_of(reply), reply.headers["Docker-Content-Digest"]) == (b'{"moved": 1}', str(moved))
    assert client.questions == ["manifest", "head_manifest", "manifest"]
    assert body_of(ended(ask(wanted(DIGEST)))) == MANIFEST


def test_a_tag_that_moved_back_is_not_fetched_again(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    for content in (b'{"moved": 1}', MANIFEST):
        client.tagged(V1, content)
        clock.advance(60)
        assert body_of(ended(ask(wanted()))) == content
    assert client.questions == ["manifest", "head_manifest", "manifest", "head_manifest"]


def test_a_head_of_a_tag_that_moved_fetches_nothing(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    moved = client.tagged(V1, b'{"moved": 1}')
    clock.advance(60)
    reply = ended(ask(wanted(), "HEAD"))
    assert (reply.headers["Docker-Content-Digest"], reply.body) == (str(moved), Unsent(12))


def test_an_upstream_that_says_no_digest_is_asked_for_the_manifest(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(60)
    client.header = {"content-length": "5"}
    assert body_of(ended(ask(wanted()))) == MANIFEST
    assert client.questions == ["manifest", "head_manifest", "manifest"]


def test_a_clock_that_was_set_back_makes_it_ask(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.rightNow -= 10
    ended(ask(wanted()))
    assert client.questions == ["manifest", "head_manifest"]


# When upstream cannot answer


@pytest.mark.parametrize("error", [DOWN, BUSY, DENIED])
def test_what_is_known_is_served_with_a_warning(client: Client, ask: Ask, clock: Clock, error: RegistryError) -> None:
    ended(ask(wanted()))
    clock.advance(7200)
    client.error = error
    reply = ended(ask(wanted()))
    assert (reply.status, body_of(reply)) == (200, MANIFEST)
    assert status_of(reply) == "crproxy; hit; fwd=stale; detail=upstream-failed"
    assert reply.headers["Warning"] == (f'299 crproxy "served from the cache, last checked 2 h ago: {error.message}"')


@pytest.mark.parametrize("error", [DOWN, BUSY, DENIED, GONE])
@pytest.mark.parametrize("reference", [V1, DIGEST])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_not_known_is_refused(
    client: Client, ask: Ask, error: RegistryError, reference: Reference, method: str
) -> None:
    client.error = error
    assert failure_of(ask(wanted(reference), method), RegistryError) is error


def test_nothing_is_served_for_ever(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(31 * 86400)
    client.error = DOWN
    assert failure_of(ask(wanted()), RegistryError) is DOWN


def test_a_tag_that_is_gone_is_forgotten_and_its_digest_is_not(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(60)
    client.error = GONE
    assert failure_of(ask(wanted()), RegistryError) is GONE
    client.error = DOWN
    assert failure_of(ask(wanted()), RegistryError) is DOWN
    assert body_of(ended(ask(wanted(DIGEST)))) == MANIFEST


@pytest.mark.security("S12")
def test_what_took_credentials_is_not_served_where_they_are_refused(
    client: Client, ask: Ask, clock: Clock, rules: HandRules
) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    ended(ask(wanted()))
    clock.advance(60)
    client.error = DENIED
    assert failure_of(ask(wanted()), RegistryError) is DENIED
    client.error = DOWN
    assert failure_of(ask(wanted()), RegistryError) is DOWN
    assert failure_of(ask(wanted(DIGEST)), RegistryError) is DOWN


@pytest.mark.security("S12")
def test_what_took_credentials_is_served_while_upstream_is_away(
    client: Client, ask: Ask, clock: Clock, rules: HandRules
) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    ended(ask(wanted()))
    clock.advance(3600)
    client.error = DOWN
    for reference in (V1, DIGEST):
        reply = ended(ask(wanted(reference)))
        assert (body_of(reply), reply.headers["Content-Type"]) == (MANIFEST, TYPE)
        assert "Warning" in reply.headers


@pytest.mark.security("S12")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_took_credentials_is_asked_for_again_by_its_digest(
    client: Client, ask: Ask, clock: Clock, rules: HandRules, method: str
) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    ended(ask(wanted()))
    assert status_of(ended(ask(wanted(DIGEST), method))) == "crproxy; hit"
    clock.advance(3600)
    assert status_of(ended(ask(wanted(DIGEST), method))) == "crproxy; hit; detail=revalidated"
    assert status_of(ended(ask(wanted(DIGEST), method))) == "crproxy; hit"
    rules.credentials[REPOSITORY.registry] = "weaker"
    client.error = DENIED
    assert failure_of(ask(wanted(DIGEST), method), RegistryError) is DENIED


@pytest.mark.security("S12")
def test_what_anybody_could_have_is_served_though_credentials_are_refused(
    client: Client, ask: Ask, clock: Clock, rules: HandRules
) -> None:
    ended(ask(wanted()))
    rules.credentials[REPOSITORY.registry] = "account"
    client.error = DENIED
    assert body_of(ended(ask(wanted()))) == MANIFEST


def test_near_the_end_of_a_quota_what_is_kept_is_served_without_asking(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(60)
    client.quotas.note(REPOSITORY.registry, {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "3;w=21600"})
    reply = ended(ask(wanted()))
    assert (reply.status, body_of(reply), status_of(reply)) == (200, MANIFEST, "crproxy; hit; detail=quota")
    assert reply.headers["Warning"] == (
        '299 crproxy "served from the cache, last checked 60 s ago: '
        'the quota of quay.io is nearly used up (3 of 100 left)"'
    )
    assert client.questions == ["manifest"]


def test_what_is_not_kept_is_asked_for_to_the_last(client: Client, ask: Ask) -> None:
    client.quotas.note(REPOSITORY.registry, {"ratelimit-limit": "100", "ratelimit-remaining": "1"})
    assert body_of(ended(ask(wanted()))) == MANIFEST


def test_after_a_while_one_question_asks_how_it_stands(client: Client, ask: Ask, clock: Clock) -> None:
    ended(ask(wanted()))
    client.quotas.note(REPOSITORY.registry, {"ratelimit-limit": "100", "ratelimit-remaining": "1"})
    clock.advance(300)
    assert status_of(ended(ask(wanted()))) == "crproxy; hit; detail=revalidated"


# Where upstream does not know HEAD


@pytest.mark.parametrize("reference", [V1, DIGEST])
def test_a_head_fetches_the_manifest_then(client: Client, ask: Ask, reference: Reference) -> None:
    client.knows_head = False
    reply = ended(ask(wanted(reference), "HEAD"))
    assert (reply.status, reply.headers["Docker-Content-Digest"], reply.body.length) == (
        200,
        str(DIGEST),
        len(MANIFEST),
    )
    assert client.questions == ["head_manifest", "manifest"]
    assert status_of(ended(ask(wanted(reference), "HEAD"))) == "crproxy; hit"


def test_a_tag_is_checked_by_fetching_it_then(client: Client, ask: Ask, clock: Clock) -> None:
    client.knows_head = False
    ended(ask(wanted()))
    client.tagged(V1, b'{"moved": 1}')
    clock.advance(60)
    assert body_of(ended(ask(wanted()))) == b'{"moved": 1}'


def test_another_repository_shows_its_right_by_fetching_it_then(client: Client, ask: Ask) -> None:
    ended(ask(wanted()))
    client.knows_head = False
    assert body_of(ended(ask(wanted(DIGEST), repository=OTHER))) == MANIFEST
    assert client.questions == ["manifest", "head_manifest", "manifest"]


# Who may have it


@pytest.mark.security("S11")
def test_another_repository_asks_before_it_is_served_what_is_stored(client: Client, ask: Ask) -> None:
    ended(ask(wanted()))
    reply = ended(ask(wanted(DIGEST), repository=OTHER))
    assert (body_of(reply), status_of(reply)) == (MANIFEST, "crproxy; hit; detail=revalidated")
    assert status_of(ended(ask(wanted(DIGEST), repository=OTHER))) == "crproxy; hit"
    assert client.asked == [("manifest", REPOSITORY, V1), ("head_manifest", OTHER, DIGEST)]


@pytest.mark.security("S11")
def test_another_repository_that_may_not_is_refused(client: Client, ask: Ask) -> None:
    ended(ask(wanted()))
    client.error = DENIED
    assert failure_of(ask(wanted(DIGEST), repository=OTHER), RegistryError) is DENIED


@pytest.mark.security("S11")
@pytest.mark.parametrize("key", ["config", "layers", "blobs", "manifests"])
def test_what_a_manifest_refers_to_is_no_permission(
    client: Client, ask: Ask, store: Store, rules: HandRules, key: str
) -> None:
    """A manifest in an allowed repository names what is a denied one's: as a blob, as a manifest, as both."""
    secret = client.tagged(Tag("secret"), b'{"secret": 1}')
    client.holds(b'{"secret": 1}')
    rules.closed.add(OTHER)
    ended(ask(wanted(Tag("secret")), repository=OTHER))
    descriptor = {"mediaType": TYPE, "digest": str(secret), "size": 13}
    document = {key: descriptor if key == "config" else [descriptor]}
    client.tagged(V1, json.dumps(document).encode())
    ended(ask(wanted()))
    client.error = DENIED
    client.asked.clear()
    for method in ("GET", "HEAD"):
        assert failure_of(ask(BlobRequest("x", secret), method), RegistryError) is DENIED
        assert failure_of(ask(wanted(secret), method), RegistryError) is DENIED
    assert len(client.asked) == 4


def test_nothing_is_noted_of_what_a_manifest_refers_to(client: Client, ask: Ask, store: Store) -> None:
    """However many it names: the index has no row for any."""
    layers = [{"mediaType": "l", "digest": str(Digest.of(bytes([number]))), "size": 5} for number in range(100)]
    client.tagged(V1, json.dumps({"layers": layers}).encode())
    ended(ask(wanted()))
    assert store.index.read("SELECT count(*) FROM link") == [(1,)]


def test_what_was_dropped_is_fetched_again(client: Client, ask: Ask, store: Store) -> None:
    ended(ask(wanted()))
    store.drop(Entry(DIGEST))
    assert body_of(ended(ask(wanted()))) == MANIFEST
    assert client.questions == ["manifest", "manifest"]


# With clients' own credentials

ALICE, BOB = "Bearer of alice", "Bearer of bob"
ALICES = View(REPOSITORY, caller=ALICE)


@pytest.mark.parametrize("reference", [V1, DIGEST])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_s12_upstream_is_asked_each_time_whether_a_client_may(
    client: Client, ask: Ask, reference: Reference, method: str
) -> None:
    ended(ask(wanted(reference), caller=ALICE))
    client.asked.clear()
    for _ in range(2):
        reply = ended(ask(wanted(reference), method, caller=ALICE))
        assert (body_of(reply), status_of(reply)) == (MANIFEST, "crproxy; hit; detail=revalidated")
    assert client.questions == ["head_manifest"] * 2
    client.welcome = {BOB}
    failure_of(ask(wanted(reference), method, caller=ALICE), RegistryError)


@pytest.mark.parametrize("reference", [V1, DIGEST])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("who", [None, BOB])
def test_s11_what_a_client_brought_is_for_nobody_who_may_not(
    client: Client, ask: Ask, reference: Reference, method: str, who: str | None
) -> None:
    client.welcome = {ALICE}
    assert body_of(ended(ask(wanted(reference), caller=ALICE))) == MANIFEST
    for _ in range(2):
        failure_of(ask(wanted(reference), method, caller=who), RegistryError)
    assert client.questions[-2:] in (["head_manifest"] * 2, ["manifest"] * 2)


def test_another_who_may_is_served_what_the_first_brought(client: Client, ask: Ask) -> None:
    client.welcome = {ALICE, BOB}
    ended(ask(wanted(), caller=ALICE))
    assert status_of(ended(ask(wanted(), caller=BOB))) == "crproxy; hit; detail=revalidated"
    assert client.questions == ["head_manifest", "manifest", "head_manifest"]


@pytest.mark.parametrize("error", [DOWN, BUSY, DENIED, GONE])
@pytest.mark.parametrize("reference", [V1, DIGEST])
def test_s12_nothing_is_stale_for_clients(client: Client, ask: Ask, error: RegistryError, reference: Reference) -> None:
    ended(ask(wanted(reference), caller=ALICE))
    client.error = error
    assert failure_of(ask(wanted(reference), caller=ALICE), RegistryError) is error


def test_s10_a_clients_tag_is_not_the_proxys(client: Client, ask: Ask, store: Store, rules: HandRules) -> None:
    ended(ask(wanted(), caller=ALICE))
    client.error = DOWN
    for credential in ("", "account"):
        assert store.index.tagged(View(REPOSITORY, credential), V1.name) is None
        assert store.index.linked(View(REPOSITORY, credential), DIGEST) is None
        rules.credentials[REPOSITORY.registry] = credential
        assert failure_of(ask(wanted()), RegistryError) is DOWN


def test_s10_nor_is_the_proxys_tag_a_clients(client: Client, ask: Ask, rules: HandRules) -> None:
    rules.credentials[REPOSITORY.registry] = "account"
    ended(ask(wanted()))
    client.tagged(V1, b'{"of": "alice"}')
    assert body_of(ended(ask(wanted(), caller=ALICE))) == b'{"of": "alice"}'
    assert body_of(ended(ask(wanted()))) == MANIFEST


def test_what_is_public_is_served_by_its_digest_without_asking(client: Client, ask: Ask) -> None:
    ended(ask(wanted()))
    client.welcome = {BOB}
    assert status_of(ended(ask(wanted(DIGEST), caller=ALICE))) == "crproxy; hit"
    failure_of(ask(wanted(DIGEST), caller=ALICE, repository=OTHER), RegistryError)


def test_by_its_tag_upstream_says_what_it_is_now(client: Client, ask: Ask) -> None:
    ended(ask(wanted()))
    reply = ended(ask(wanted(), caller=ALICE))
    assert (body_of(reply), status_of(reply)) == (MANIFEST, "crproxy; hit; detail=revalidated")
    assert client.questions == ["manifest", "head_manifest"]
    client.tagged(V1, b'{"moved": 1}')
    assert body_of(ended(ask(wanted(), caller=ALICE))) == b'{"moved": 1}'


def test_two_clients_who_ask_at_once_do_not_share_the_question(client: Client, ask: Ask) -> None:
    """S11: the one that is welcome must not carry the other."""
    client.welcome = {ALICE}
    client.knows_head = False
    client.waiting = Deferred()
    alices, bobs = ask(wanted(), caller=ALICE), ask(wanted(), caller=BOB)
    client.waiting.callback(None)
    assert body_of(ended(alices)) == MANIFEST
    failure_of(bobs, RegistryError)


def test_the_same_client_shares_its_own(client: Client, ask: Ask) -> None:
    client.waiting = Deferred()
    asking = [ask(wanted(), caller=ALICE) for _ in range(3)]
    client.waiting.callback(None)
    assert {body_of(ended(asked)) for asked in asking} == {MANIFEST}
    assert client.questions.count("manifest") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_where_upstream_knows_no_head_a_client_is_asked_for_by_get(client: Client, ask: Ask, method: str) -> None:
    client.knows_head = False
    for _ in range(2):
        assert body_of(ended(ask(wanted(), method, caller=ALICE))) == MANIFEST
    assert client.questions == ["head_manifest", "manifest"] * 2


def test_a_head_for_a_client_fetches_nothing(client: Client, ask: Ask) -> None:
    reply = ended(ask(wanted(), "HEAD", caller=ALICE))
    assert (reply.body, status_of(reply)) == (Unsent(len(MANIFEST)), "crproxy; fwd=uri-miss")
    assert client.questions == ["head_manifest"]


def test_a_head_that_names_another_digest_opens_nothing(client: Client, ask: Ask, store: Store) -> None:
    """S11: of another repository's content, which a registry may name as it likes."""
    secret = client.tagged(Tag("secret"), b'{"secret": 1}')
    ended(ask(wanted(Tag("secret")), repository=OTHER, caller=BOB))
    assert store.read(ALICES.entry(secret)) is not None
    client.header = {"docker-content-digest": str(secret), "content-length": "13", "content-type": TYPE}
    assert body_of(ended(ask(wanted(), caller=ALICE))) == MANIFEST


# Upstream trouble


def test_a_404_that_no_registry_wrote_takes_nothing_away(ask: Ask, client: Client, clock: Clock) -> None:
    digest = client.tagged(V1, MANIFEST)
    ended(ask(wanted()))
    clock.advance(61)
    client.error = Unconfirmed(ErrorCode.MANIFEST_UNKNOWN, "not there: quay.io answered 404")
    reply = ended(ask(wanted()))
    assert (body_of(reply), reply.headers["Docker-Content-Digest"]) == (MANIFEST, str(digest))
    assert "quay.io answered 404" in reply.headers["Warning"]
    client.error = unavailable(REPOSITORY.registry, "it refuses connections")
    assert body_of(ended(ask(wanted()))) == MANIFEST


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_kept_is_served_after_two_seconds_and_the_question_goes_on(
    ask: Ask, client: Client, clock: Clock, method: str
) -> None:
    client.tagged(V1, MANIFEST)
    ended(ask(wanted()))
    clock.advance(61)
    client.waiting = Deferred()
    first = ask(wanted(), method)
    clock.advance(1.9)
    assert not_yet(first)
    clock.advance(0.1)
    assert "it has not answered for 2 s" in ended(first).headers["Warning"]
    assert "it has not answered for 2 s" in ended(ask(wanted(), method)).headers["Warning"]
    waiting, client.waiting = client.waiting, None
    waiting.callback(None)
    assert ended(ask(wanted(), method)).headers["Cache-Status"] == CacheStatus.HIT


def test_what_is_not_kept_is_waited_for(ask: Ask, client: Client, clock: Clock) -> None:
    client.tagged(V1, MANIFEST)
    client.waiting = Deferred()
    asking = ask(wanted())
    clock.advance(20)
    assert not_yet(asking)
    client.waiting.callback(None)
    assert body_of(ended(asking)) == MANIFEST


def test_a_404_that_comes_late_counts_for_the_next(ask: Ask, client: Client, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(61)
    client.waiting = Deferred()
    late = ask(wanted())
    clock.advance(2)
    assert body_of(ended(late)) == MANIFEST
    waiting, client.waiting, client.error = client.waiting, None, GONE
    waiting.callback(None)
    client.error = DOWN
    failure_of(ask(wanted()), RegistryError)


def test_a_head_that_names_what_is_not_here_takes_nothing_away(ask: Ask, client: Client, clock: Clock) -> None:
    ended(ask(wanted()))
    clock.advance(61)
    client.tagged(V1, b'{"schemaVersion": 2, "layers": []}')
    ended(ask(wanted(), "HEAD"))
    client.error = DOWN
    assert body_of(ended(ask(wanted()))) == MANIFEST
