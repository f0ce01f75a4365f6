"""The table of situations in docs/policy.md: each is made, and answered as it says."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.manifests import ACCEPT
from crproxy.oci.names import Reference, Tag
from crproxy.oci.routes import ManifestRequest
from crproxy.policy.rules import Decision, Rule
from crproxy.pullthrough import Asked, PullThrough, Reply
from crproxy.store.store import Store
from crproxy.store.tag_pins import TagPin, TagPins
from tests.memory import ended, failure_of
from tests.pullthrough.conftest import PATH, REPOSITORY, Client
from tests.stores import HandRules, make_store, pull_through

PAGE = Path(__file__).parent.parent.parent / "docs" / "policy.md"
HOUR = 3600.0
AGE = 72 * HOUR
V1 = Tag("v1")
OLD, NEW, THIRD = (json.dumps({"schemaVersion": 2, "is": name}).encode() for name in ("old", "new", "third"))
NAMES = {OLD: "former", NEW: "new", THIRD: "new"}


class World:
    """A proxy with a rule of 72 h, an upstream, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.clock.advance(100_000_000)
        self.client = Client(self.clock)
        self.store: Store = make_store(path, self.clock)
        self.names = dict(NAMES)
        self.rule = Rule("three days", minimum_age=AGE)
        self.pull_through: PullThrough = pull_through(self.client, self.store, self.clock, HandRules())

    def ask(self, reference: Reference = V1, *, ruled: bool = True) -> Deferred[Reply]:
        asked = Asked("GET", PATH, decision=Decision(self.rule) if ruled else Decision())
        asking = self.pull_through.answer(REPOSITORY, ManifestRequest("x", reference), asked)
        return Deferred.fromCoroutine(asking)

    def answered(self, reference: Reference = V1) -> str:
        """In a word: what the table says."""
        asking = self.ask(reference)
        for blob in self.client.blobs.values():
            if blob.is_waited_for:
                blob.send_all()
        outcome: list[object] = []
        asking.addBoth(outcome.append)
        (found,) = outcome
        if isinstance(found, Reply):
            return self.names[getattr(found.body, "content")]  # noqa: B009 - of a Body that is in memory
        error = getattr(found, "value", None)
        assert isinstance(error, RegistryError)
        return {403: "refused", 404: "404", 503: "503"}[error.status]

    def wait(self, hours: float) -> None:
        self.clock.rightNow += hours * HOUR

    def push(self, content: bytes) -> Digest:
        return self.client.tagged(V1, content)

    def is_old(self, content: bytes = OLD) -> None:
        """Have the tag point there for long, and be answered so."""
        self.push(content)
        ended(self.ask(ruled=False))
        self.wait(80)
        assert self.answered() == "former"
        self.wait(1)

    def says(self, hours: float, content: bytes) -> None:
        """Have the registry say since when it has that."""
        self.client.header = {
            "last-modified": email.utils.formatdate(self.clock.seconds() + hours * HOUR, usegmt=True),
            "docker-content-digest": str(Digest.of(content)),
        }

    def restart(self, *, index: bool = True) -> None:
        self.store.index.close()
        if not index:
            (self.path / "index.sqlite").unlink()
        self.store = make_store(self.path, self.clock)
        self.pull_through = pull_through(self.client, self.store, self.clock, HandRules())

    def image(self, created: str) -> bytes:
        config = json.dumps({"created": created}).encode()
        descriptor = {"mediaType": "x/config", "digest": str(self.client.holds(config)), "size": len(config)}
        content = json.dumps({"schemaVersion": 2, "config": descriptor, "layers": []}).encode()
        self.names[content] = "new"
        return content

    def index(self, child: bytes, name: str) -> bytes:
        digest = self.client.tagged(Tag(f"child-{name}"), child)
        descriptor = {"mediaType": ACCEPT[1], "digest": str(digest), "size": len(child)}
        content = json.dumps({"schemaVersion": 2, "manifests": [descriptor]}).encode()
        self.names[content] = name
        return content


SITUATIONS: dict[str, Callable[[World], str]] = {}


def situation(name: str) -> Callable[[Callable[[World], str]], Callable[[World], str]]:
    def note(function: Callable[[World], str]) -> Callable[[World], str]:
        SITUATIONS[name] = function
        return function

    return note


@situation("a tag moved an hour ago")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    world.wait(1)
    return world.answered()


@situation("it moved 72 h ago, and still points there")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    world.wait(72)
    return world.answered()


@situation("it moved, and was put right before 72 h were over")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    world.push(THIRD)
    world.wait(100)
    return world.answered()


@situation("what was put right is old by now")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    world.push(THIRD)
    world.wait(1)
    world.answered()
    world.wait(70)
    world.push(THIRD)
    return world.answered()


@situation("a tag that this proxy never saw, of a registry that says nothing of dates")
def _(world: World) -> str:
    world.push(NEW)
    return world.answered()


@situation("72 h later")
def _(world: World) -> str:
    world.push(NEW)
    world.answered()
    world.wait(72)
    return world.answered()


@situation("a tag that this proxy never saw, which its registry has since four days (Last-Modified)")
def _(world: World) -> str:
    world.push(NEW)
    world.says(-96, NEW)
    return world.answered()


@situation("the registry's clock is ahead: its Last-Modified is in the future")
def _(world: World) -> str:
    world.push(NEW)
    world.says(24, NEW)
    return world.answered()


@situation("a tag that this proxy never saw, whose image says that it was created in 1970")
def _(world: World) -> str:
    world.push(world.image("1970-01-01T00:00:00Z"))
    return world.answered()


@situation("the same with `trust_created = true`")
def _(world: World) -> str:
    world.rule = Rule("three days", minimum_age=AGE, trust_created=True)
    world.push(world.image("1970-01-01T00:00:00Z"))
    return world.answered()


@situation("a forged `created` of a tag that moved, with `trust_created = true`")
def _(world: World) -> str:
    world.rule = Rule("three days", minimum_age=AGE, trust_created=True)
    world.is_old()
    world.push(world.image("1970-01-01T00:00:00Z"))
    return world.answered()


@situation("a `created` in the future, with `trust_created = true`")
def _(world: World) -> str:
    world.rule = Rule("three days", minimum_age=AGE, trust_created=True)
    world.push(world.image("2030-01-01T00:00:00Z"))
    return world.answered()


@situation("an old file under a tag that moved: Last-Modified is of last year")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.says(-9000, NEW)
    return world.answered()


@situation("nobody asked for months, and it moved some day; Last-Modified is of last week")
def _(world: World) -> str:
    world.is_old()
    world.wait(2000)
    world.push(NEW)
    world.says(-168, NEW)
    return world.answered()


@situation("nobody asked for months, and it moved some day; its registry says nothing of dates")
def _(world: World) -> str:
    world.is_old()
    world.wait(2000)
    world.push(NEW)
    return world.answered()


@situation("it was pulled once, months ago, and moved since; its registry says nothing of dates")
def _(world: World) -> str:
    world.push(OLD)
    ended(world.ask(ruled=False))
    world.wait(2000)
    world.push(NEW)
    return world.answered()


@situation("upstream has taken a change back: it points where it did for long")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    world.wait(1)
    world.push(OLD)
    return world.answered()


@situation("a mirror that lags: new, former, new, within an hour")
def _(world: World) -> str:
    world.is_old()
    for content in (NEW, OLD, NEW):
        world.push(content)
        assert world.answered() == "former"
        world.wait(0.3)
    return world.answered()


@situation("a tag was deleted")
def _(world: World) -> str:
    world.is_old()
    world.client.error = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "gone")
    return world.answered()


@situation("it was deleted and made again")
def _(world: World) -> str:
    world.is_old()
    world.client.error = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "gone")
    assert world.answered() == "404"
    world.client.error = None
    world.push(NEW)
    world.wait(1)
    return world.answered()


@situation("an index whose images were built anew: it is another index")
def _(world: World) -> str:
    former = world.index(OLD, "former")
    world.is_old(former)
    world.push(world.index(NEW, "new"))
    assert world.answered() == "former"
    # What the former one names is had as before.
    return world.answered(Digest.of(OLD))


@situation("this proxy's clock was a week ahead when it saw the new digest, and was set right")
def _(world: World) -> str:
    world.is_old()
    world.wait(168)
    world.push(NEW)
    world.answered()
    world.wait(-168)
    return world.answered()


@situation("this proxy's clock was years behind when it saw the new digest, and was set right")
def _(world: World) -> str:
    world.is_old()
    world.wait(-20_000)
    world.push(NEW)
    world.answered()
    world.wait(20_001)
    return world.answered()


@situation("upstream is away, and the tag has moved before that")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    world.client.error = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=10)
    world.wait(100)
    return world.answered()


@situation("upstream is away, and the tag was never seen")
def _(world: World) -> str:
    world.client.error = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=10)
    return world.answered()


@situation("it is pulled by its digest")
def _(world: World) -> str:
    world.is_old()
    return world.answered(world.push(NEW))


@situation("it is pulled by its digest, with `digests = true`")
def _(world: World) -> str:
    world.rule = Rule("three days", minimum_age=AGE, digests=True)
    world.is_old()
    return world.answered(world.push(NEW))


@situation("it is pinned to what it was")
def _(world: World) -> str:
    world.is_old()
    ended(TagPins(world.store.index, world.clock.seconds).pin(TagPin(REPOSITORY, V1, Digest.of(OLD), 0.0)))
    world.push(NEW)
    world.wait(100)
    world.answered()
    world.wait(100)
    return world.answered()


@situation("crproxy was started anew in between")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    ended(world.store.index.flush())
    world.restart()
    return world.answered()


@situation("the index was lost in between, and nothing is known of the tag any more")
def _(world: World) -> str:
    world.is_old()
    world.push(NEW)
    world.answered()
    ended(world.store.index.flush())
    world.restart(index=False)
    return world.answered()


@situation("the rule was written when the tag had been pulled for long")
def _(world: World) -> str:
    world.push(OLD)
    ended(world.ask(ruled=False))
    world.wait(100)
    ended(world.ask(ruled=False))
    world.push(NEW)
    world.wait(1)
    return world.answered()


def rows() -> dict[str, str]:
    """What the page says of each."""
    section = PAGE.read_text("utf-8").partition("<!-- situations -->")[2].partition("<!-- end of situations -->")[0]
    return dict(re.findall(r"^\| (.+?) +\| \*\*(.+?)\*\* +\|", section, re.MULTILINE))


def test_the_page_has_all_of_them() -> None:
    assert list(rows()) == list(SITUATIONS)


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_is_answered_as_the_page_says(tmp_path: Path, name: str) -> None:
    assert SITUATIONS[name](World(tmp_path)) == rows()[name]


def test_a_refusal_is_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.push(NEW)
    assert isinstance(failure_of(world.ask(), RegistryError), RegistryError)
