from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.images import Image
from crproxy.oci.manifests import REFERENCES_LIMIT
from crproxy.oci.names import Reference, Repository, Tag
from crproxy.oci.platforms import Platform
from crproxy.pullthrough import PullThrough
from crproxy.pullthrough.pulling import Progress, State, Wish
from crproxy.pullthrough.warming import Warming
from crproxy.store.entries import Entry, View
from crproxy.store.index import Link
from crproxy.store.store import Store
from tests.memory import ended, failure_of, not_yet
from tests.pullthrough.conftest import OTHER, REPOSITORY, Client
from tests.sources import HandSource
from tests.stores import MIB, HandRules

ALL = Wish()
DENIED = RegistryError(ErrorCode.DENIED, "this proxy does not serve it")
LAYER, CONFIG = b"layer" * 10, b'{"os": "linux", "architecture": "amd64"}'


def described(content: bytes, media_type: str = "application/vnd.oci.image.layer.v1.tar") -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def manifest(*layers: bytes, config: bytes = CONFIG) -> bytes:
    document = {
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(one) for one in layers],
    }
    return json.dumps(document).encode()


def index(**images: bytes) -> bytes:
    entries = [
        {**described(image, "x/manifest"), "platform": {"os": "linux", "architecture": architecture}}
        for architecture, image in images.items()
    ]
    return json.dumps({"manifests": entries}).encode()


class Run:
    """A run of warming that goes on until the test has answered all that is asked."""

    def __init__(self, pullthrough: PullThrough, store: Store, client: Client, clock: Clock) -> None:
        self.refused: set[Repository] = set()
        self.client = client
        self._store = store
        self._clock = clock
        self._warming = Warming(pullthrough, store, self._check, clock)

    def begin(
        self, *references: Reference, wish: Wish = ALL, repository: Repository = REPOSITORY
    ) -> tuple[Deferred[None], list[Progress]]:
        images = [(Image(repository, reference), Progress()) for reference in references]
        done = Deferred.fromCoroutine(self._warming.run(images, wish))
        self.settle()
        return done, [progress for _, progress in images]

    def all(self, *references: Reference, wish: Wish = ALL, repository: Repository = REPOSITORY) -> list[Progress]:
        """Run to the end, with each blob answered whole."""
        done, progress = self.begin(*references, wish=wish, repository=repository)
        for _ in range(20):
            for source in list(self.client.blobs.values()):
                while source._waiting:
                    source.send_all()
            self.settle()
        ended(done)
        return progress

    def settle(self) -> None:
        self._clock.pump([0.1] * 3)

    def holds(self, *blobs: bytes) -> None:
        for blob in blobs:
            self.client.holds(blob)

    def here(self, *contents: bytes) -> list[bool]:
        return [self._store.size(Entry(Digest.of(content))) is not None for content in contents]

    def source(self, content: bytes) -> HandSource:
        return self.client.blobs[Digest.of(content)]

    def _check(self, repository: Repository) -> None:
        if repository in self.refused:
            raise DENIED


@pytest.fixture
def run(pullthrough: PullThrough, store: Store, client: Client, clock: Clock) -> Run:
    return Run(pullthrough, store, client, clock)


def test_an_image_with_all_its_parts_comes(run: Run) -> None:
    image = manifest(LAYER, b"other")
    digest = run.client.tagged(Tag("v1"), image)
    run.holds(CONFIG, LAYER, b"other")
    (progress,) = run.all(Tag("v1"))
    assert (progress.state, progress.digest, progress.why) == (State.DONE, digest, None)
    size = len(CONFIG) + len(LAYER) + 5
    assert (progress.total, progress.done, progress.fetched) == (size, size, size)
    assert run.here(image, CONFIG, LAYER, b"other") == [True] * 4


def test_progress_is_seen_while_it_comes(run: Run) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    done, (progress,) = run.begin(Tag("v1"))
    assert progress.state is State.FETCHING
    run.source(CONFIG).send_all()
    body = run.source(LAYER).answer()
    body.send(LAYER[:20])
    assert (progress.kept, progress.done) == (len(CONFIG), len(CONFIG) + 20)
    assert not_yet(done)
    body.send(LAYER[20:])
    body.end()
    ended(done)
    assert (progress.kept, progress.coming) == (progress.total, {})


def test_what_is_kept_is_not_asked_for(run: Run) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    run.all(Tag("v1"))
    before = len(run.client.asked)
    (progress,) = run.all(Tag("v1"))
    assert (progress.state, progress.fetched, progress.done) == (State.DONE, 0, progress.total)
    assert run.client.asked[before:] == []


def test_bytes_that_another_repository_brought_take_upstreams_leave(run: Run) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    run.all(Tag("v1"))
    before = len(run.client.asked)
    (progress,) = run.all(Tag("v1"), repository=OTHER)
    assert (progress.state, progress.fetched) == (State.DONE, 0)
    # The manifest, which refers to the blobs, is what gives the right to them.
    assert [asked[0] for asked in run.client.asked[before:]] == ["manifest"]


def test_one_that_fails_fails_alone(run: Run) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.client.tagged(Tag("v2"), manifest(b"missing"))
    run.holds(CONFIG, LAYER)
    run.client.holds(b"missing")
    done, (first, second) = run.begin(Tag("v1"), Tag("v2"))
    run.source(b"missing").refuse(RegistryError(ErrorCode.BLOB_UNKNOWN, "it was lost"))
    run.source(CONFIG).send_all()
    run.source(LAYER).send_all()
    run.settle()
    ended(done)
    assert (first.state, second.state, second.why) == (State.DONE, State.FAILED, "it was lost")
    # What came of it stays.
    assert run.here(manifest(b"missing"), CONFIG) == [True, True]


def test_what_nobody_foresaw_fails_that_image_alone(run: Run) -> None:
    (progress,) = run.all(Tag("nobody scripted it"))
    assert progress.state is State.FAILED
    assert progress.why


def test_s28_what_is_refused_is_asked_of_nobody(run: Run) -> None:
    run.refused.add(REPOSITORY)
    (progress,) = run.all(Tag("v1"))
    assert (progress.state, progress.why) == (State.FAILED, DENIED.message)
    assert run.client.asked == []


def test_no_more_transfers_than_were_said_are_under_way(run: Run) -> None:
    layers = [bytes([number]) * 10 for number in range(6)]
    run.client.tagged(Tag("v1"), manifest(*layers))
    run.holds(CONFIG, *layers)
    done, _ = run.begin(Tag("v1"), wish=Wish(jobs=2))

    def under_way() -> list[HandSource]:
        return [source for source in run.client.blobs.values() if source._waiting]

    for _ in range(7):
        assert len(under_way()) <= 2
        under_way()[0].send_all()
        run.settle()
    ended(done)


def test_a_layer_that_comes_twice_counts_once(run: Run) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER, LAYER))
    run.client.tagged(Tag("v2"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    first, second = run.all(Tag("v1"), Tag("v2"))
    assert first.total == second.total == len(CONFIG) + len(LAYER)
    assert len(run.source(LAYER).asked) == 1


# Platforms


@pytest.fixture
def images(run: Run) -> dict[str, bytes]:
    """An index tagged v1."""
    images = {"amd64": manifest(b"a"), "arm64": manifest(b"b")}
    run.client.tagged(Tag("v1"), index(**images))
    for image in images.values():
        run.client.tagged(Digest.of(image), image)
    run.holds(CONFIG, b"a", b"b")
    return images


def test_all_of_an_index_comes(run: Run, images: dict[str, bytes]) -> None:
    (progress,) = run.all(Tag("v1"))
    assert progress.state is State.DONE
    assert run.here(*images.values(), b"a", b"b") == [True] * 4


def test_of_an_index_only_what_is_wanted_comes(run: Run, images: dict[str, bytes]) -> None:
    (progress,) = run.all(Tag("v1"), wish=Wish((Platform.parse("linux/arm64"),)))
    assert progress.state is State.DONE
    assert run.here(*images.values(), b"a", b"b") == [False, True, False, True]


def test_a_platform_that_is_missing_is_told_and_the_others_come(run: Run, images: dict[str, bytes]) -> None:
    (progress,) = run.all(Tag("v1"), wish=Wish((Platform.parse("linux/arm64"), Platform.parse("linux/s390x"))))
    assert progress.state is State.FAILED
    assert progress.why == "quay.io/org/name:v1 is not there for linux/s390x; it is for linux/amd64, linux/arm64"
    assert run.here(b"a", b"b") == [False, True]


def test_an_image_for_another_platform_is_told_before_its_layers_come(run: Run) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    (progress,) = run.all(Tag("v1"), wish=Wish((Platform.parse("linux/arm64"),)))
    assert (progress.state, progress.why) == (State.FAILED, "quay.io/org/name:v1 is for linux/amd64 alone")
    assert run.source(LAYER).asked == []
    (progress,) = run.all(Tag("v1"), wish=Wish((Platform.parse("linux/amd64"),)))
    assert progress.state is State.DONE


@pytest.mark.parametrize("config", [b"{}", b"no JSON", b"[]"])
def test_what_does_not_say_its_platform_comes(run: Run, config: bytes) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER, config=config))
    run.holds(config, LAYER)
    (progress,) = run.all(Tag("v1"), wish=Wish((Platform.parse("linux/arm64"),)))
    assert progress.state is State.DONE


def test_a_configuration_that_is_too_large_to_be_one_is_not_read(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = b" " * 5_000_000 + CONFIG
    run.client.tagged(Tag("v1"), manifest(LAYER, config=config))
    run.holds(config, LAYER)
    read: list[Entry] = []
    monkeypatch.setattr(store, "read", lambda entry: read.append(entry))
    (progress,) = run.all(Tag("v1"), wish=Wish((Platform.parse("linux/arm64"),)))
    assert (progress.state, Digest.of(config) in {entry.digest for entry in read}) == (State.DONE, False)


@pytest.mark.security("S17")
@pytest.mark.parametrize("layers", [REFERENCES_LIMIT, 10 * REFERENCES_LIMIT])
def test_s17_what_refers_to_too_much_is_refused_and_not_cut(run: Run, layers: int) -> None:
    content = json.dumps({"config": described(CONFIG), "layers": [described(LAYER)] * layers}).encode()
    run.client.tagged(Tag("v1"), content)
    (progress,) = run.all(Tag("v1"))
    assert (progress.state, progress.total) == (State.FAILED, 0)
    assert "a manifest is not read: it" in (progress.why or "")


def test_indexes_in_one_another_end(run: Run) -> None:
    inner = manifest(LAYER)
    run.holds(CONFIG, LAYER)
    for _ in range(6):
        run.client.tagged(Digest.of(inner), inner)
        inner = index(amd64=inner)
    run.client.tagged(Tag("v1"), inner)
    (progress,) = run.all(Tag("v1"))
    assert (progress.state, progress.why) == (State.FAILED, "there are too many indexes in one another")


# Trouble


def test_what_cannot_be_stored_fails(run: Run, store: Store) -> None:
    store.budget = 20
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    (progress,) = run.all(Tag("v1"))
    assert progress.state is State.FAILED
    assert progress.why is not None


def test_what_was_evicted_for_the_rest_is_told(run: Run, store: Store, clock: Clock) -> None:
    big = bytes(300 * 1024)
    first, second = manifest(big), manifest(big + b"x")
    run.client.tagged(Tag("v1"), first)
    run.client.tagged(Tag("v2"), second)
    run.holds(CONFIG, big, big + b"x")
    store.budget = MIB // 2
    one, two = run.all(Tag("v1"), Tag("v2"), wish=Wish(jobs=1))
    assert State.FAILED in (one.state, two.state)
    assert "the cache is too small for all of this" in (one.why or "") + (two.why or "")


def test_stopped_it_stops_and_begins_again_where_it_was(run: Run, clock: Clock, store: Store) -> None:
    big = bytes(range(256)) * 1024 * 1024
    run.client.tagged(Tag("v1"), manifest(big))
    run.holds(CONFIG, big)
    done, _ = run.begin(Tag("v1"))
    run.source(CONFIG).send_all()
    body = run.source(big).answer()
    body.send(big[: MIB // 2])
    done.cancel()
    failure_of(done, CancelledError)
    # Nobody waits for it any more: what is far from done is stopped after a while.
    clock.advance(30)
    run.settle()
    assert body.stopped
    done, (progress,) = run.begin(Tag("v1"))
    assert run.source(big).asked[-1] == (MIB // 2, None)
    run.source(big).send_all()
    run.settle()
    ended(done)
    assert (progress.state, progress.fetched) == (State.DONE, len(big) - MIB // 2)


def test_a_fill_that_is_waited_for_is_not_stopped(run: Run, clock: Clock) -> None:
    big = bytes(256 * MIB)
    run.client.tagged(Tag("v1"), manifest(big))
    run.holds(CONFIG, big)
    done, _ = run.begin(Tag("v1"))
    run.source(CONFIG).send_all()
    body = run.source(big).answer()
    body.send(b"x")
    clock.advance(40)
    assert not body.stopped
    done.cancel()
    failure_of(done, CancelledError)


def test_with_upstream_down_what_is_kept_is_done_and_that_is_said(run: Run, clock: Clock) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    run.all(Tag("v1"))
    clock.advance(3600)
    run.client.error = RegistryError(ErrorCode.UNAVAILABLE, "quay.io is down")
    (progress,) = run.all(Tag("v1"))
    assert progress.state is State.DONE
    assert progress.why is not None
    assert progress.why.startswith("served from the cache, last checked ")
    assert progress.why.endswith("quay.io is down")


@pytest.mark.parametrize(("retry_after", "state"), [(10, State.DONE), (61, State.FAILED), (None, State.FAILED)])
def test_where_it_is_too_much_just_now_it_is_asked_again(
    run: Run, clock: Clock, retry_after: int | None, state: State
) -> None:
    run.client.tagged(Tag("v1"), manifest(LAYER))
    run.holds(CONFIG, LAYER)
    run.client.error = RegistryError(ErrorCode.TOOMANYREQUESTS, "too much", retry_after=retry_after)
    done, (progress,) = run.begin(Tag("v1"))
    assert done.called is (state is State.FAILED)
    run.client.error = None
    clock.advance(10)
    for content in (CONFIG, LAYER):
        if run.source(content)._waiting:
            run.source(content).send_all()
    run.settle()
    ended(done)
    assert progress.state is state


def test_a_flight_that_another_repository_began_is_joined_or_left(
    run: Run, store: Store, pullthrough: PullThrough, rules: HandRules, clock: Clock
) -> None:
    rules.closed.add(OTHER)
    run.holds(LAYER)
    theirs = Deferred.fromCoroutine(pullthrough.fetch(OTHER, Digest.of(LAYER)))
    ours = Deferred.fromCoroutine(pullthrough.fetch(REPOSITORY, Digest.of(LAYER)))
    assert [asked[:2] for asked in run.client.asked if asked[0] == "head_blob"] == [("head_blob", REPOSITORY)]
    # Upstream refuses it to them, and gives it to us.
    run.source(LAYER).refuse(RegistryError(ErrorCode.DENIED, "no"))
    failure_of(theirs, RegistryError)
    run.source(LAYER).send_all()
    flight = ended(ours)
    assert flight is not None
    ended(Deferred.fromCoroutine(flight.finished()))
    assert ended(Deferred.fromCoroutine(pullthrough.fetch(REPOSITORY, Digest.of(LAYER)))) is None
    assert store.index.linked(View(REPOSITORY), Digest.of(LAYER)) == Link(None, len(LAYER), clock.seconds())
