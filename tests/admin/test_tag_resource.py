"""``/tags`` and ``/rules`` behind the admin socket: what comes of them, beside what clients are answered."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from crproxy.admin.rules_resource import RulesResource
from crproxy.admin.rules_work import RulesWork
from crproxy.admin.site import make_admin_site
from crproxy.admin.tag_resource import TagsResource
from crproxy.admin.tag_work import TagWork
from crproxy.config import Config
from crproxy.oci.digests import Digest
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import Reference, Registry, Tag
from crproxy.oci.routes import ManifestRequest
from crproxy.policy.access import Access
from crproxy.policy.rules import Action, Rule, Rules, Subject
from crproxy.pullthrough import Asked, Reply
from crproxy.pullthrough.verdicts import MemoryVerdicts, Question
from crproxy.signatures.trust import Trust
from crproxy.store.entries import View
from crproxy.store.tag_history import TagHistory
from crproxy.store.tag_pins import TagPins
from tests.admin.tags import expected_answers
from tests.admin.test_resources import AdminClient
from tests.memory import ended, failure_of
from tests.stores import pull_through

REPOSITORY = Registry("quay.io").repository("org/name")
NAME = f"{REPOSITORY}:v1"
V1 = Tag("v1")
HOUR = 3600.0
AGED = Rule("three days", minimum_age=72 * HOUR)
OLD, NEW, NEWEST = (f'{{"schemaVersion": 2, "is": "{word}"}}'.encode() for word in ("old", "new", "newest"))
TRUST = Trust(("a key",))


class House(AdminClient):
    """A daemon with rules, whose clients and whose operator can be heard."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.clock: Clock = self.network.clock
        self.config = Config()
        self.denied_digests: frozenset[Digest] = frozenset()
        self.complete = True
        self.looks = 0
        self.verdicts = MemoryVerdicts()
        self.history = TagHistory(self.store.index, self.clock.seconds)
        self.pins = TagPins(self.store.index, self.clock.seconds)
        self.pullthrough = pull_through(self.client, self.store, self.clock)
        expected = expected_answers(
            self.store,
            self.pullthrough,
            lambda: self.config,
            self.clock,
            lambda: self.denied_digests,
            self.verdicts,
        )
        self.work = TagWork(
            lambda: self.config,
            self.history,
            self.pins,
            expected,
            self.pullthrough.view,
            lambda repository, digest: succeed(self.complete),
            self._look,
            lambda: self.denied_digests,
            self.clock.seconds,
        )
        resources = {
            "tags": TagsResource(self.work),
            "rules": RulesResource(RulesWork(lambda: self.config, expected)),
        }
        self.site = make_admin_site(
            dict, lambda label, registry: pytest.fail("not asked"), lambda: succeed([]), self.clock, resources=resources
        )

    async def _look(self) -> None:
        self.looks += 1

    def rules(self, *rules: Rule, **more: Any) -> None:
        self.config = replace(self.config, rules=Rules(rules), **more)

    def asking(self, reference: Reference = V1, client: str | None = None, user: str | None = None) -> Deferred[Reply]:
        decision = self.config.decide(Subject(REPOSITORY, client, user))
        asked = Asked("GET", "/", decision=decision)
        return Deferred.fromCoroutine(self.pullthrough.answer(REPOSITORY, ManifestRequest("x", reference), asked))

    def pull(self, **who: Any) -> str:
        """Return the digest that a client gets."""
        reply = ended(self.asking(**who))
        return str(reply.headers["Docker-Content-Digest"])

    def refusal(self, **who: Any) -> str:
        error = failure_of(self.asking(**who), RegistryError)
        assert isinstance(error, RegistryError)
        return error.message

    def say(self, method: str, what: str, status: int = 200, **query: str) -> Any:
        return self.json(method, f"/{what}?{urlencode(query)}", status)

    def stale(self) -> None:
        """Have upstream asked with the next pull."""
        self.clock.advance(61)

    def moves(self, contents: Iterable[bytes]) -> list[Digest]:
        """Have the tag point there, one after the other, a week for each; clients ask for it."""
        found = []
        for content in contents:
            found.append(self.client.tagged(V1, content))
            self.stale()
            self.pull()
            self.clock.advance(7 * 24 * HOUR)
            self.pull()
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_history_says_what_moved_when_and_what_is_answered(house: House) -> None:
    old, new = house.moves([OLD, NEW])
    found = house.say("GET", "tags/history", image=NAME)
    assert found["image"] == NAME
    assert [(change["from"], change["to"], change["answered"]) for change in found["changes"]] == [
        (str(old), str(new), True),
        (None, str(old), False),
    ]
    assert found["changes"][0]["seen"] == pytest.approx(1_000_000 + 7 * 24 * HOUR + 122)
    assert found["answer"] | {"checked": 0} == {
        "outcome": "served",
        "digest": str(new),
        "points_to": str(new),
        "checked": 0,
        "rule": None,
        "since": None,
        "source": None,
        "until": None,
        "error": None,
        "in_file": False,
    }


def test_history_says_until_when_a_tag_is_held(house: House) -> None:
    old, _ = house.moves([OLD, NEW])
    newest = house.client.tagged(V1, NEWEST)
    house.stale()
    house.rules(AGED)
    new = house.pull()
    answer = house.say("GET", "tags/history", image=NAME)["answer"]
    assert (answer["outcome"], answer["digest"], answer["points_to"]) == ("held", new, str(newest))
    assert answer["until"] == pytest.approx(house.clock.seconds() + 72 * HOUR, abs=10)
    assert answer["rule"] == "three days"
    assert new != str(old)


def test_of_a_tag_that_nobody_asked_for_nothing_is_told(house: House) -> None:
    error = house.say("GET", "tags/history", 404, image="quay.io/org/name:v9")["error"]
    said = "nothing is known of quay.io/org/name:v9 here: pull it once (crproxy warm quay.io/org/name:v9)"
    assert error.partition(" (request ")[0] == said


@pytest.mark.parametrize(
    ("method", "what"),
    [("GET", "tags/history"), ("POST", "tags/pins"), ("DELETE", "tags/pins"), ("POST", "tags/rollback")],
)
def test_a_digest_never_moves(house: House, method: str, what: str) -> None:
    digest = Digest.of(b"x")
    error = house.say(method, what, 400, image=f"{REPOSITORY}@{digest}")["error"]
    assert f"crproxy tag pin {REPOSITORY}:TAG {digest}" in error


def test_a_pin_holds_until_it_is_taken_away(house: House) -> None:
    old, new = house.moves([OLD, NEW])
    pinned = house.say("POST", "tags/pins", image=NAME, digest=str(old))
    assert pinned == {"pinned": NAME, "digest": str(old), "by_digest": f"{REPOSITORY}@{old}", "complete": True}
    assert house.pull() == str(old)
    assert house.looks == 1
    answer = house.say("GET", "tags/history", image=NAME)["answer"]
    assert (answer["outcome"], answer["digest"], answer["points_to"]) == ("pinned", str(old), str(new))
    assert [(pin["image"], pin["digest"], pin["where"]) for pin in house.say("GET", "tags/pins")] == [
        (NAME, str(old), "command")
    ]
    unpinned = house.say("DELETE", "tags/pins", image=NAME)
    assert (unpinned["unpinned"], unpinned["answer"]["digest"]) == (NAME, str(new))
    assert house.pull() == str(new)
    assert house.say("GET", "tags/pins") == []
    assert "is not pinned: crproxy tag pins" in house.say("DELETE", "tags/pins", 404, image=NAME)["error"]


def test_without_a_digest_it_is_pinned_to_what_it_is_answered_by(house: House) -> None:
    _, new = house.moves([OLD, NEW])
    house.rules(AGED)
    house.client.tagged(V1, NEWEST)
    house.stale()
    assert house.say("POST", "tags/pins", image=NAME)["digest"] == house.pull() == str(new)


def test_a_tag_that_only_a_pin_serves_can_be_pinned(house: House) -> None:
    (old,) = house.moves([OLD])
    house.rules(Rule("pins", pinned=True))
    assert "crproxy tag pin" in house.refusal()
    assert house.say("POST", "tags/pins", image=NAME)["digest"] == house.pull() == str(old)


def test_what_is_refused_is_pinned_only_by_its_digest(house: House) -> None:
    digest = house.client.tagged(V1, NEW)
    house.rules(AGED)
    refusal = house.refusal()
    error = house.say("POST", "tags/pins", 409, image=NAME)["error"]
    assert refusal in error
    assert "name a digest" in error
    house.say("POST", "tags/pins", image=NAME, digest=str(digest))
    assert house.pull() == str(digest)


def test_what_is_not_known_is_not_pinned_without_a_digest(house: House) -> None:
    error = house.say("POST", "tags/pins", 404, image=NAME)["error"]
    assert f"crproxy tag pin {NAME} sha256:..." in error
    assert house.say("POST", "tags/pins", 400, image=NAME, digest="latest")["error"].startswith("'latest' is no digest")
    house.complete = False
    assert not house.say("POST", "tags/pins", image=NAME, digest=str(Digest.of(OLD)))["complete"]


def test_what_is_denied_is_not_pinned(house: House) -> None:
    old, _ = house.moves([OLD, NEW])
    house.denied_digests = frozenset({old})
    error = house.say("POST", "tags/pins", 409, image=NAME, digest=str(old))["error"]
    assert "deny_digests_file" in error
    assert house.say("GET", "tags/pins") == []


def test_a_pin_of_the_file_is_changed_there(house: House) -> None:
    old, _ = house.moves([OLD, NEW])
    house.rules(pins={(REPOSITORY, V1): old})
    for method, what in (("POST", "tags/pins"), ("DELETE", "tags/pins"), ("POST", "tags/rollback")):
        error = house.say(method, what, 409, image=NAME)["error"]
        said = f"{NAME} is pinned in the configuration's file, below [pins]: change it there, and reload"
        assert error.partition(" (request ")[0] == said
    (pin,) = house.say("GET", "tags/pins")
    assert (pin["image"], pin["digest"], pin["where"], pin["made"]) == (NAME, str(old), "file", None)
    answer = house.say("GET", "tags/history", image=NAME)["answer"]
    assert (answer["outcome"], answer["in_file"]) == ("pinned", True)


def test_a_tag_is_rolled_back_one_by_one(house: House) -> None:
    old, new, newest = house.moves([OLD, NEW, NEWEST])
    first = house.say("POST", "tags/rollback", image=NAME)
    assert (first["from"], first["digest"]) == (str(newest), str(new))
    assert house.pull() == str(new)
    assert house.say("POST", "tags/rollback", image=NAME)["digest"] == house.pull() == str(old)
    error = house.say("POST", "tags/rollback", 404, image=NAME)["error"]
    assert f"nothing is known that {NAME} pointed to before" in error
    assert house.pull() == str(old)


def test_nothing_is_rolled_back_to_what_is_denied_or_not_known(house: House) -> None:
    assert "nothing is known of" in house.say("POST", "tags/rollback", 404, image=NAME)["error"]
    old, new, _ = house.moves([OLD, NEW, NEWEST])
    house.denied_digests = frozenset({new})
    assert house.say("POST", "tags/rollback", image=NAME)["digest"] == str(old)


def test_tags_that_moved_lately_are_told_the_latest_first(house: House) -> None:
    _, new, _ = house.moves([OLD, NEW, NEWEST])
    house.rules(AGED)
    house.client.tagged(V1, b'{"schemaVersion": 2, "is": "last"}')
    house.stale()
    house.pull()
    ended(house.store.index.flush())
    newest, *others = house.work.recent(10)
    assert newest.is_newest
    assert newest.held_until == pytest.approx(house.clock.seconds() + 72 * HOUR, abs=10)
    assert [one.held_until for one in others] == [None, None]
    assert others[1].moved.change.digest == new
    house.say("POST", "tags/pins", image=NAME, digest=str(new))
    assert {one.pin for one in house.work.recent(10)} == {new}


# /rules


def test_rules_are_listed(house: House) -> None:
    assert house.say("GET", "rules") == []
    house.rules(
        Rule("ours", images=frozenset({"quay.io/org/*"})),
        Rule("no", action=Action.DENY, registries=frozenset({Registry("ghcr.io")}), enforce=False),
        Rule("all", minimum_age=72 * HOUR, digests=True, pinned=True, trust=TRUST, users=frozenset({"anna"})),
    )
    listed = house.say("GET", "rules")
    assert [(rule["number"], rule["name"], rule["about"], rule["does"], rule["enforced"]) for rule in listed] == [
        (1, "ours", ["images quay.io/org/*"], "allow", True),
        (2, "no", ["registries ghcr.io"], "deny", False),
        (
            3,
            "all",
            ["users anna"],
            "minimum age 3 d, digests as well; pinned tags only; signed by 1 key",
            True,
        ),
    ]


def test_which_rule_decides_is_told_and_the_client_is_answered_so(house: House) -> None:
    _, new = house.moves([OLD, NEW])
    house.client.tagged(V1, NEWEST)
    house.stale()
    house.rules(
        Rule("others", registries=frozenset({Registry("ghcr.io")})),
        Rule("tried", action=Action.DENY, message="not here", enforce=False),
        AGED,
        Rule("never", action=Action.DENY),
    )
    answered = house.pull()
    asked = len(house.client.asked)
    found = house.say("GET", "rules/test", image=NAME)
    assert [(rule["name"], rule["why_not"]) for rule in found["rules"]] == [
        ("others", "it is about ghcr.io"),
        ("tried", None),
        ("three days", None),
    ]
    assert (found["decides"], found["answer"]["outcome"], found["answer"]["digest"]) == ("three days", "held", answered)
    assert answered == str(new)
    (trial,) = found["trials"]
    assert (trial["outcome"], trial["rule"]) == ("denied", "tried")
    assert "not here" in trial["error"]
    # No upstream is asked.
    assert len(house.client.asked) == asked


def test_refusals_are_told_in_the_very_words(house: House) -> None:
    house.client.tagged(V1, NEW)
    for rule in (AGED, Rule("no", action=Action.DENY), Rule("pins", pinned=True)):
        house.rules(rule)
        refusal = house.refusal()
        assert house.say("GET", "rules/test", image=NAME)["answer"]["error"] == refusal


def test_of_digests_it_is_told_as_well(house: House) -> None:
    old, new = house.moves([OLD, NEW])
    house.rules(replace(AGED, digests=True))
    answers = [house.say("GET", "rules/test", image=f"{REPOSITORY}@{one}")["answer"] for one in (old, Digest.of(b"x"))]
    assert [(answer["outcome"], answer["digest"]) for answer in answers] == [("served", str(old)), ("too-young", None)]
    assert house.pull(reference=old) == str(old)
    house.denied_digests = frozenset({old})
    answer = house.say("GET", "rules/test", image=f"{REPOSITORY}@{old}")["answer"]
    assert (answer["outcome"], "list of digests that are denied" in answer["error"]) == ("denied", True)
    assert new != old


def test_who_asks_matters(house: House) -> None:
    house.rules(
        Rule("production", networks=(ipaddress.ip_network("10.0.0.0/8"),), users=frozenset({"anna"}), pinned=True),
        access=Access(privileged=(ipaddress.ip_network("192.0.2.0/24"),)),
    )
    found = house.say("GET", "rules/test", image=NAME, client="10.1.1.1", user="anna")
    assert (found["decides"], found["answer"]["outcome"]) == ("production", "not-pinned")
    found = house.say("GET", "rules/test", image=NAME, client="172.16.0.1")
    assert found["rules"][0]["why_not"] == "the client 172.16.0.1 is in none of its networks"
    assert (found["decides"], found["answer"]["outcome"]) == (None, "unknown")
    found = house.say("GET", "rules/test", image=NAME, client="192.0.2.7")
    assert (found["access"], found["rules"]) == ({"refused": None, "privileged": True}, [])
    error = house.say("GET", "rules/test", 400, image=NAME, client="example.com")["error"]
    assert "is no address of a client" in error


def test_what_the_lists_refuse_no_rule_is_asked(house: House) -> None:
    house.rules(AGED, access=Access(deny=frozenset({"quay.io/*"}), message="ask ops"))
    found = house.say("GET", "rules/test", image=NAME)
    assert "ask ops" in found["access"]["refused"]
    assert (found["rules"], found["answer"]["outcome"], found["trials"]) == ([], "denied", [])


def test_whether_it_is_signed_is_told_where_it_is_known(house: House) -> None:
    (old,) = house.moves([OLD])
    house.rules(Rule("signed", trust=TRUST))
    assert house.say("GET", "rules/test", image=NAME)["answer"]["outcome"] == "unchecked"
    house.verdicts.note(Question(REPOSITORY, old, TRUST.fingerprint))
    assert house.say("GET", "rules/test", image=NAME)["answer"]["outcome"] == "served"


def test_a_tag_of_a_view_of_its_own(house: House) -> None:
    house.history.point(View(REPOSITORY, "account"), V1, Digest.of(OLD))
    assert "nothing is known" in house.say("GET", "tags/history", 404, image=NAME)["error"]
