from __future__ import annotations

import email.utils
import json

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Reference, Tag, referrers_tag
from crproxy.oci.routes import BlobRequest, ManifestRequest, TagsRequest
from crproxy.policy.rules import Action, Decision, Rule
from crproxy.pullthrough import Reply
from crproxy.signatures import Trust
from crproxy.store.entries import View
from crproxy.store.store import Store
from crproxy.store.tag_history import TagHistory
from crproxy.store.tag_pins import TagPin, TagPins
from tests.memory import ended, failure_of
from tests.pullthrough.conftest import REPOSITORY, Ask, Client, body_of
from tests.signing import Signer

V1 = Tag("v1")
HOUR = 3600.0
AGE = 72 * HOUR
AGED = Decision(Rule("three days", minimum_age=AGE))
OLD, NEW = b'{"schemaVersion": 2, "is": "old"}', b'{"schemaVersion": 2, "is": "new"}'


def wanted(reference: Reference = V1) -> ManifestRequest:
    return ManifestRequest("x", reference)


@pytest.fixture
def aged(client: Client, ask: Ask, clock: Clock) -> Digest:
    """A tag that is old enough, under the rule."""
    digest = client.tagged(V1, OLD)
    ended(ask(wanted()))
    clock.advance(AGE)
    assert body_of(ended(ask(wanted(), decision=AGED))) == OLD
    clock.advance(61)
    return digest


def refusal(asking: Deferred[Reply]) -> RegistryError:
    error = failure_of(asking, RegistryError)
    assert isinstance(error, RegistryError)
    return error


def digest_of(reply: Reply) -> str:
    return reply.headers["Docker-Content-Digest"]


@pytest.mark.security("S38")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_tag_that_moved_answers_its_former_digest_until_the_new_one_is_old_enough(
    client: Client, ask: Ask, clock: Clock, aged: Digest, method: str
) -> None:
    new = client.tagged(V1, NEW)
    for _ in range(71):
        reply = ended(ask(wanted(), method, decision=AGED))
        assert digest_of(reply) == str(aged)
        assert "points to sha256" in reply.headers["Warning"]
        assert "three days" in reply.headers["Warning"]
        clock.advance(HOUR)
    clock.advance(HOUR)
    reply = ended(ask(wanted(), method, decision=AGED))
    assert digest_of(reply) == str(new)
    assert "Warning" not in reply.headers


def test_without_the_rule_the_tag_is_followed_at_once(client: Client, ask: Ask, aged: Digest) -> None:
    new = client.tagged(V1, NEW)
    assert digest_of(ended(ask(wanted()))) == str(new) != str(aged)


def test_by_its_digest_it_is_always_had(client: Client, ask: Ask, aged: Digest) -> None:
    new = client.tagged(V1, NEW)
    assert body_of(ended(ask(wanted(new), decision=AGED))) == NEW


def test_what_is_held_is_answered_while_upstream_is_away(client: Client, ask: Ask, clock: Clock, aged: Digest) -> None:
    client.tagged(V1, NEW)
    ended(ask(wanted(), decision=AGED))
    client.error = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=10)
    clock.advance(80 * HOUR)
    reply = ended(ask(wanted(), decision=AGED))
    assert digest_of(reply) == str(aged)
    assert "down" in reply.headers["Warning"]


def test_a_tag_that_was_never_seen_is_refused_in_words_that_say_until_when(client: Client, ask: Ask) -> None:
    digest = client.tagged(V1, NEW)
    error = refusal(ask(wanted(), decision=AGED))
    assert error.status == 403
    for words in ("is refused until 1970-01-15 13:46 UTC", "three days", "3 d", f"{REPOSITORY}@{digest}"):
        assert words in error.message


def test_it_is_served_where_its_registry_has_it_for_long_enough(client: Client, ask: Ask, clock: Clock) -> None:
    client.tagged(V1, NEW)
    client.header = {
        "last-modified": email.utils.formatdate(clock.seconds() - AGE, usegmt=True),
        "docker-content-digest": str(Digest.of(NEW)),
    }
    assert body_of(ended(ask(wanted(), decision=AGED))) == NEW
    questions = len(client.asked)
    assert body_of(ended(ask(wanted(), decision=AGED))) == NEW
    assert len(client.asked) == questions


def image(client: Client, created: str, **more: object) -> bytes:
    config = json.dumps({"created": created, **more}).encode()
    digest = client.holds(config)
    descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(digest), "size": len(config)}
    return json.dumps({"schemaVersion": 2, "config": descriptor, "layers": []}).encode()


@pytest.mark.security("S38")
@pytest.mark.parametrize("is_index", [False, True])
@pytest.mark.parametrize(
    ("created", "trusted", "is_served"),
    [
        ("1970-01-01T00:00:00Z", True, True),
        ("1970-01-01T00:00:00.123456789Z", True, True),
        ("1970-01-01T00:00:00Z", False, False),
        ("2030-01-01T00:00:00Z", True, False),
        ("yesterday", True, False),
    ],
)
def test_an_images_own_word_counts_only_where_it_is_trusted(
    client: Client, ask: Ask, clock: Clock, created: str, trusted: bool, is_served: bool, is_index: bool
) -> None:
    decision = Decision(Rule("r", minimum_age=AGE, trust_created=trusted))
    content = image(client, created)
    if is_index:
        child = client.tagged(Tag("child"), content)
        descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(child), "size": 9}
        content = json.dumps({"schemaVersion": 2, "manifests": [descriptor]}).encode()
    client.tagged(V1, content)
    asking = ask(wanted(), decision=decision)
    for blob in client.blobs.values():
        if blob.is_waited_for:
            blob.send_all()
    if is_served:
        assert body_of(ended(asking)) == content
    else:
        assert refusal(asking).status == 403


@pytest.mark.security("S38")
def test_deleted_and_made_again_a_tag_answers_its_former_digest(
    client: Client, ask: Ask, clock: Clock, aged: Digest
) -> None:
    client.error = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "gone")
    assert refusal(ask(wanted(), decision=AGED)).status == 404
    client.error = None
    client.tagged(V1, NEW)
    clock.advance(61)
    assert digest_of(ended(ask(wanted(), decision=AGED))) == str(aged)


@pytest.mark.parametrize("decision", [Decision(), AGED, Decision(Rule("pinned only", pinned=True))])
def test_a_pin_wins_over_upstream(client: Client, ask: Ask, store: Store, aged: Digest, decision: Decision) -> None:
    client.tagged(V1, NEW)
    pins = TagPins(store.index, lambda: 0.0)
    ended(pins.pin(TagPin(REPOSITORY, V1, aged, 0.0)))
    reply = ended(ask(wanted(), decision=decision))
    assert digest_of(reply) == str(aged)
    assert "is pinned" in reply.headers["Warning"]
    assert reply.lasting is not None
    assert reply.lasting.holds()
    assert ended(pins.unpin(REPOSITORY, V1))
    assert not reply.lasting.holds()
    assert not ended(pins.unpin(REPOSITORY, V1))


def test_without_a_pin_nothing_is_served_where_only_pins_are(client: Client, ask: Ask) -> None:
    digest = client.tagged(V1, NEW)
    decision = Decision(Rule("pinned only", pinned=True))
    error = refusal(ask(wanted(), decision=decision))
    assert (error.status, client.asked) == (403, [])
    assert f"crproxy tag pin {REPOSITORY}:v1" in error.message
    assert body_of(ended(ask(wanted(digest), decision=decision))) == NEW


@pytest.mark.parametrize("request_", [wanted(), BlobRequest("x", Digest.of(b"x")), TagsRequest("x")])
def test_nothing_of_what_is_denied_is_served(client: Client, ask: Ask, request_: object) -> None:
    decision = Decision(Rule("no", action=Action.DENY, message="ask ops"))
    error = refusal(ask(request_, decision=decision))
    assert (error.status, client.asked) == (403, [])
    assert "is refused by no; ask ops" in error.message


def test_where_digests_are_asked_as_well_the_parts_of_an_index_are_as_old_as_itself(
    client: Client, ask: Ask, clock: Clock
) -> None:
    decision = Decision(Rule("r", minimum_age=AGE, digests=True))
    child = client.tagged(Tag("child"), OLD)
    descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(child), "size": len(OLD)}
    index = json.dumps({"schemaVersion": 2, "manifests": [descriptor]}).encode()
    digest = client.tagged(V1, index)
    stranger = client.tagged(Tag("stranger"), NEW)
    ended(ask(wanted()))
    clock.advance(AGE)
    assert body_of(ended(ask(wanted(digest), decision=decision))) == index
    assert body_of(ended(ask(wanted(child), decision=decision))) == OLD
    error = refusal(ask(wanted(stranger), decision=decision))
    assert f"crproxy tag pin {REPOSITORY}:TAG {stranger}" in error.message


def test_a_rule_on_trial_decides_nothing(client: Client, ask: Ask, clock: Clock, aged: Digest) -> None:
    new = client.tagged(V1, NEW)
    trials = (
        Rule("no", action=Action.DENY, enforce=False),
        Rule("aged", minimum_age=AGE, enforce=False),
        Rule("pinned", pinned=True, enforce=False),
    )
    assert digest_of(ended(ask(wanted(), decision=Decision(None, trials)))) == str(new)
    assert body_of(ended(ask(wanted(new), decision=Decision(None, trials)))) == NEW


def test_a_prepared_answer_ends_when_another_digest_is_answered(
    client: Client, ask: Ask, clock: Clock, aged: Digest, store: Store
) -> None:
    ended(ask(wanted(), decision=AGED))
    reply = ended(ask(wanted(), decision=AGED))
    assert reply.lasting is not None
    clock.advance(30)
    assert reply.lasting.holds()
    client.tagged(V1, NEW)
    clock.advance(31)
    assert not reply.lasting.holds()
    held = ended(ask(wanted(), decision=AGED))
    assert held.lasting is not None
    assert held.lasting.holds()
    clock.advance(61)
    assert not held.lasting.holds()


def test_who_asked_is_remembered_with_each_change(client: Client, ask: Ask, store: Store, aged: Digest) -> None:
    new = client.tagged(V1, NEW)
    ended(ask(wanted(), decision=AGED))
    history = TagHistory(store.index, lambda: 0.0)
    changes = history.changes(View(REPOSITORY), V1)
    assert [change.digest for change in changes] == [aged, new]
    ended(store.index.flush())
    (moved,) = history.recent(10)
    assert (moved.repository, moved.tag, moved.before, moved.change.digest) == (REPOSITORY, V1, aged, new)


def an_index(client: Client, child: bytes, **more: object) -> bytes:
    digest = client.tagged(Tag("child"), child)
    descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(digest), "size": len(child)}
    return json.dumps({"schemaVersion": 2, "manifests": [descriptor], **more}).encode()


def test_what_is_held_has_its_images_by_their_digests(client: Client, ask: Ask, clock: Clock) -> None:
    decision = Decision(Rule("r", minimum_age=AGE, digests=True))
    former = an_index(client, OLD)
    client.tagged(V1, former)
    ended(ask(wanted()))
    clock.advance(AGE)
    assert body_of(ended(ask(wanted(), decision=decision))) == former
    client.tagged(V1, an_index(client, NEW))
    clock.advance(61)
    assert body_of(ended(ask(wanted(), decision=decision))) == former
    assert body_of(ended(ask(wanted(Digest.of(OLD)), decision=decision))) == OLD
    assert refusal(ask(wanted(Digest.of(NEW)), decision=decision)).status == 403


@pytest.mark.parametrize("suffix", ["", ".sig", ".att"])
@pytest.mark.parametrize("rule", [Rule("r", minimum_age=AGE), Rule("r", pinned=True)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_belongs_to_a_digest_is_had_as_the_digest_is(
    client: Client, ask: Ask, suffix: str, rule: Rule, method: str
) -> None:
    """Clients that look for signatures themselves ask for them so."""
    tag = referrers_tag(Digest.of(OLD), suffix)
    digest = client.tagged(tag, NEW)
    assert digest_of(ended(ask(wanted(tag), method, decision=Decision(rule)))) == str(digest)


TRUST = Trust.parse([Signer().public])


@pytest.mark.security("S39")
def test_a_list_need_not_be_signed_and_what_it_refers_to_has_to_be(client: Client, ask: Ask) -> None:
    decision = Decision(Rule("r", trust=TRUST))
    tag = referrers_tag(Digest.of(b"some image"))
    client.tagged(tag, an_index(client, OLD))
    client.missing = True
    assert ended(ask(wanted(tag), decision=decision)).status == 200
    assert refusal(ask(wanted(Digest.of(OLD)), decision=decision)).status == 403


@pytest.mark.security("S39")
@pytest.mark.parametrize("key", ["layers", "Layers", "config", "fsLayers"])
def test_what_has_layers_is_no_list_whatever_its_tag(client: Client, ask: Ask, key: str) -> None:
    tag = referrers_tag(Digest.of(b"some image"))
    client.tagged(tag, an_index(client, OLD, **{key: []}))
    client.missing = True
    assert refusal(ask(wanted(tag), decision=Decision(Rule("r", trust=TRUST)))).status == 403


def test_where_upstream_does_not_say_which_digest_it_is_that_is_found_out(
    client: Client, ask: Ask, clock: Clock, aged: Digest
) -> None:
    client.tagged(V1, NEW)
    client.header = {"content-length": str(len(NEW))}
    reply = ended(ask(wanted(), "HEAD", decision=AGED))
    assert digest_of(reply) == str(aged)
