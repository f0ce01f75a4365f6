"""What is expected is what clients are answered: the same requests, by the rules and by what is known here."""

from __future__ import annotations

import json

import pytest
from twisted.internet.task import Clock

from crproxy.config import Config
from crproxy.oci.digests import Digest
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import Reference, Tag
from crproxy.oci.routes import ManifestRequest
from crproxy.policy.rules import Action, Decision, Rule
from crproxy.pullthrough import PullThrough
from crproxy.pullthrough.expected_answers import Expectation
from crproxy.pullthrough.rulings import Outcome
from crproxy.store.store import Store
from crproxy.store.tag_pins import TagPin, TagPins
from tests.admin.tags import expected_answers
from tests.memory import ended
from tests.outcomes import outcome
from tests.pullthrough.conftest import REPOSITORY, Ask, Client

V1 = Tag("v1")
HOUR = 3600.0
LAYER = Digest.of(b"layer")
LAYERS = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": str(LAYER), "size": 5}]
OLD, NEW = (json.dumps({"schemaVersion": 2, "is": word, "layers": LAYERS}).encode() for word in ("old", "new"))
RULES = [
    None,
    Rule("open"),
    Rule("young", minimum_age=1.0),
    Rule("aged", minimum_age=48 * HOUR),
    Rule("digests", minimum_age=48 * HOUR, digests=True),
    Rule("old", minimum_age=1000 * HOUR, digests=True),
    Rule("pinned", pinned=True),
    Rule("no", action=Action.DENY),
]


@pytest.mark.parametrize("is_pinned", [False, True])
@pytest.mark.parametrize("reference", [V1, Digest.of(OLD), Digest.of(NEW)], ids=["tag", "old", "new"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "none" if rule is None else rule.name)
def test_it_is_what_clients_are_answered(
    client: Client,
    ask: Ask,
    store: Store,
    pullthrough: PullThrough,
    clock: Clock,
    rule: Rule | None,
    reference: Reference,
    is_pinned: bool,
) -> None:
    client.holds(b"layer")
    old = client.tagged(V1, OLD)
    for _ in range(3):
        ended(ask(ManifestRequest("x", V1)))
        clock.advance(30 * HOUR)
    client.tagged(V1, NEW)
    ended(ask(ManifestRequest("x", V1)))
    clock.advance(HOUR)
    ended(ask(ManifestRequest("x", V1)))
    if is_pinned:
        ended(TagPins(store.index, clock.seconds).pin(TagPin(REPOSITORY, V1, old, 0.0)))
    asked = len(client.asked)
    expected = expected_answers(store, pullthrough, Config, clock).of(REPOSITORY, reference, rule)
    assert len(client.asked) == asked
    answered = outcome(RegistryError, ended, ask(ManifestRequest("x", reference), decision=Decision(rule)))
    if isinstance(answered, RegistryError):
        assert expected.ruling.error is not None
        assert (expected.ruling.digest, expected.ruling.error.message) == (None, answered.message)
    else:
        assert str(expected.ruling.digest) == answered.headers["Docker-Content-Digest"]


def test_of_what_was_never_seen_nothing_is_expected(store: Store, pullthrough: PullThrough, clock: Clock) -> None:
    expected = expected_answers(store, pullthrough, Config, clock).of(REPOSITORY, V1, RULES[3])
    assert (expected.ruling.outcome, expected.current, expected.checked) == (Expectation.UNKNOWN, None, None)


@pytest.mark.parametrize("bad", [Digest.of(OLD), LAYER])
def test_what_is_denied_is_expected_to_be(
    client: Client, ask: Ask, store: Store, pullthrough: PullThrough, clock: Clock, bad: Digest
) -> None:
    client.tagged(V1, OLD)
    ended(ask(ManifestRequest("x", V1)))
    expected = expected_answers(store, pullthrough, Config, clock, lambda: [bad]).of(REPOSITORY, V1, None)
    assert expected.ruling.outcome == Outcome.DENIED
    assert expected.ruling.error is not None
    assert str(bad) in expected.ruling.error.message
