"""The second tier in a real S3 server: which is killed, frozen and spoiled, and found again."""

from __future__ import annotations

import functools
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from crproxy.config import Storage
from crproxy.objects import object_store
from crproxy.objects.errors import NotThere, TierFailed
from crproxy.objects.facts import drafts
from crproxy.objects.janitor import TierJanitor
from crproxy.objects.naming import blob_key, link_key, tag_content, tag_key, view_names
from crproxy.objects.object_store import ObjectStore
from crproxy.objects.opening import Patience, open_stores
from crproxy.objects.outbox import Draft, Outbox
from crproxy.objects.tier import ObjectTier
from crproxy.objects.uploading import Uploading
from crproxy.oci.digests import Digest, Verifier
from crproxy.oci.names import DOCKER_HUB, Registry
from crproxy.policy.object_keys import BlobKey, LinkKey, RevokedKey, TagKey, ViewNames, parse_key
from crproxy.store.blobs import Blobs, WrongContent
from crproxy.store.entries import Entry, View
from crproxy.store.notes import TagEntry
from crproxy.upstream.relay import BodyBroke
from tests.parts.s3 import S3Server
from tests.reactor import on_the_reactor
from tests.stores import make_store
from tests.upstream.conftest import Consumer

if TYPE_CHECKING:
    from crproxy.store.filling import Threads

reactor: Any = _reactor
pytestmark = pytest.mark.integration

MIB = 1024 * 1024
CONTENT = os.urandom(MIB) * 40 + b"and the rest"
SIZE = len(CONTENT)
ENTRY = Entry(Digest.of(CONTENT))
VIEW = View(DOCKER_HUB.repository("nginx"))
# Long enough for a server on this machine, but for one that does nothing.
PATIENCE = Patience(connect=2.0, idle=1.5, upload=20.0)


@pytest.fixture(scope="module")
def threads() -> Iterator[Threads]:
    pool = ThreadPool(minthreads=0, maxthreads=8, name="objects")
    pool.start()
    yield functools.partial(deferToThreadPool, reactor, pool)
    pool.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server(tmp_path) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    """By which a store that failed is left alone, and an upload that failed is tried again."""
    return Clock()


def objects_in(server: S3Server, threads: Threads, clock: Clock, patience: Patience | None = None) -> ObjectStore:
    storage = Storage(
        f"s3://{server.bucket}/some/prefix",
        server.endpoint,
        server.region,
        server.access_key_id,
        server.secret_access_key,
    )
    return ObjectStore(open_stores(storage, patience), threads, clock)


@pytest.fixture
def objects(server: S3Server, threads: Threads, clock: Clock) -> ObjectStore:
    return objects_in(server, threads, clock)


def name_of(key: str) -> str:
    return f"some/prefix/{key}"


async def upload(objects: ObjectStore, directory: Path, key: str, content: bytes = CONTENT) -> None:
    path = directory / "content"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        await objects.put_file(key, fd, Digest.of(content))
    finally:
        os.close(fd)


class Stopping(Consumer):
    """Has enough after so many bytes, and says that it has."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.taken = 0
        self.stopped: Deferred[None] = Deferred()

    def write(self, data: bytes | memoryview) -> None:
        super().write(data)
        self.taken += len(data)
        if self.taken >= self.after and not self.stopped.called:
            self.producer.pauseProducing()
            self.stopped.callback(None)


@on_the_reactor
async def test_objects_are_written_read_and_removed(objects: ObjectStore) -> None:
    assert await objects.head("a/b") is None
    await objects.put("a/b", b"one")
    await objects.put("a/b", b"another")
    found = await objects.head("a/b")
    assert found is not None
    assert (found.key, found.size) == ("a/b", 7)
    assert abs(found.modified - time.time()) < 60
    assert await objects.read("a/b", 7) == b"another"
    await objects.delete(["a/b", "nothing"])
    with pytest.raises(NotThere):
        await objects.read("a/b", 7)
    assert objects.is_up


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1, SIZE])
@on_the_reactor
async def test_content_is_uploaded_and_read_back(objects: ObjectStore, tmp_path: Path, size: int) -> None:
    content = CONTENT[:size]
    await upload(objects, tmp_path, blob_key(ENTRY), content)
    tier = ObjectTier(objects)
    assert await tier.size(ENTRY) == size
    for start, stop in ((0, None), (0, size), (size // 2, None), (size // 3, size // 2)):
        if (stop is None and start <= max(0, size - 1)) or (stop is not None and start < stop):
            streamed, consumer = await tier.open(ENTRY, start, stop), Consumer()
            await streamed.body.join(consumer)
            assert consumer.content == content[start:stop]


@on_the_reactor
async def test_every_kind_of_key_can_be_kept_beside_any_other(objects: ObjectStore) -> None:
    views = [
        ViewNames(registry.repository(path), credential)
        for registry in (DOCKER_HUB, Registry("localhost:5000"), Registry.parse("[2001:db8::1]:5000"))
        for path in ("a/b", "a/b/c", "a/b/v1")
        for credential in ("", "*", "0a1b2c3d")
    ]
    names = ["v1", "before/v1", "before", "tags/list?n=5&last=v1", f"referrers/{ENTRY.digest}?artifactType=a%2Fb", ".."]
    names += ["-", "%2F", "~", "ä😀", "x" * 500, "a b+c", "\n", "'\"<>\\"]
    keys = [
        *(str(BlobKey(ENTRY.digest, pool)) for pool in (None, Registry("localhost:5000"))),
        *(str(LinkKey(view, ENTRY.digest)) for view in views),
        *(str(RevokedKey(view)) for view in views),
        *(str(TagKey(views[0], name)) for name in names),
    ]
    for key in keys:
        await objects.put(key, key.encode())
    listed = [one.key async for batch in objects.list("v1") for one in batch]
    assert sorted(listed) == sorted(keys)
    assert all(parse_key(key) is not None for key in listed if "=sha256-" not in key)
    for key in keys:
        assert await objects.read(key, 2000) == key.encode()
    await objects.delete(keys)
    assert [one async for batch in objects.list("v1") for one in batch] == []


@on_the_reactor
async def test_many_objects_are_listed(objects: ObjectStore) -> None:
    for number in range(1100):
        await objects.put(f"v1/many/{number}", b"")
    assert len([one async for batch in objects.list("v1/many") for one in batch]) == 1100


@on_the_reactor
async def test_a_signed_url_lets_its_holder_have_that_object_by_that_method(objects: ObjectStore) -> None:
    await objects.put("a", b"0123456789")
    await objects.put("b", b"another")
    url, head = await objects.sign("a", 60), await objects.sign("a", 60, "HEAD")
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": "bytes=2-4"})) as answer:
        assert (answer.status, answer.read()) == (206, b"234")
    with urllib.request.urlopen(urllib.request.Request(head, method="HEAD")) as answer:
        assert answer.headers["Content-Length"] == "10"
    for method, other in (("GET", url.replace("/a?", "/b?")), ("GET", head), ("PUT", url)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(other, method=method))
        assert refused.value.code == 403
        refused.value.close()


@on_the_reactor
async def test_a_consumer_that_takes_nothing_has_nothing_asked_for(
    objects: ObjectStore, tmp_path: Path, monkeypatch: Any
) -> None:
    await upload(objects, tmp_path, "content")
    asked, fetch = list[int](), ObjectStore._fetch

    def fetch_and_note(self: ObjectStore, key: str, start: int, stop: int) -> Deferred[Any]:
        asked.append(start)
        return fetch(self, key, start, stop)

    monkeypatch.setattr(ObjectStore, "_fetch", fetch_and_note)
    streamed, consumer = await objects.open("content", 0, None), Stopping(MIB // 2)
    joined = streamed.body.join(consumer)
    await consumer.stopped
    # What is asked behind it is answered: by then, so is what was asked before.
    await objects.read("content", SIZE)
    assert len(asked) <= 2, "behind the first MiB, one range ahead, and the one behind it"
    consumer.producer.resumeProducing()
    await joined
    assert consumer.content == CONTENT


@on_the_reactor
async def test_a_server_that_is_killed_in_mid_read_breaks_the_body_and_is_found_again(
    server: S3Server, objects: ObjectStore, tmp_path: Path, clock: Clock
) -> None:
    await upload(objects, tmp_path, blob_key(ENTRY))
    tier = ObjectTier(objects)
    streamed, consumer = await tier.open(ENTRY, 0, None), Stopping(2 * MIB)
    joined = streamed.body.join(consumer)
    await consumer.stopped
    server.kill()
    consumer.producer.resumeProducing()
    with pytest.raises(BodyBroke, match="the object store failed in mid-body"):
        await joined
    assert CONTENT.startswith(consumer.content)
    assert len(consumer.content) < SIZE
    assert not tier.is_up
    with pytest.raises(TierFailed, match="left alone"):
        await tier.size(ENTRY)
    server.start_again()
    clock.advance(5)
    streamed, rest = await tier.open(ENTRY, len(consumer.content), None), Consumer()
    await streamed.body.join(rest)
    assert consumer.content + rest.content == CONTENT
    assert tier.is_up


@on_the_reactor
async def test_a_server_that_stands_still_in_mid_read_is_given_up(
    server: S3Server, threads: Threads, clock: Clock, tmp_path: Path
) -> None:
    objects = objects_in(server, threads, clock, PATIENCE)
    await upload(objects, tmp_path, "content")
    streamed, consumer = await objects.open("content", 0, None), Stopping(2 * MIB)
    joined = streamed.body.join(consumer)
    await consumer.stopped
    with server.frozen():
        consumer.producer.resumeProducing()
        with pytest.raises(BodyBroke, match="the object store failed in mid-body"):
            await joined
        clock.advance(5)
        with pytest.raises(TierFailed):
            await objects.head("content")
    clock.advance(10)
    assert await objects.head("content") is not None


@on_the_reactor
async def test_a_wrong_key_and_a_bucket_that_is_not_there_are_failures(
    server: S3Server, threads: Threads, clock: Clock
) -> None:
    storage = Storage(f"s3://{server.bucket}", server.endpoint, server.region, server.access_key_id, "another")
    refused = ObjectStore(open_stores(storage), threads, clock)
    for ask in (refused.head("a"), refused.put("a", b"x"), refused.read("a", 10)):
        with pytest.raises(TierFailed):
            await ask
        clock.advance(30)
    storage = Storage("s3://nowhere", server.endpoint, server.region, server.access_key_id, server.secret_access_key)
    nowhere = ObjectStore(open_stores(storage), threads, clock)
    with pytest.raises(TierFailed, match="its bucket is not there"):
        await nowhere.put("a", b"x")


@on_the_reactor
async def test_wrong_bytes_in_an_object_are_found_and_nothing_of_them_is_kept(
    server: S3Server, objects: ObjectStore, tmp_path: Path, clock: Clock
) -> None:
    await upload(objects, tmp_path, blob_key(ENTRY))
    server.write(name_of(blob_key(ENTRY)), CONTENT[:-1] + b"X")
    tier, blobs = ObjectTier(objects), Blobs(tmp_path / "cache")
    blobs.prepare()
    # As a flight does: what comes is hashed, and is nobody's before it is known to be right.
    streamed, consumer = await tier.open(ENTRY, 0, None), Consumer()
    await streamed.body.join(consumer)
    partial = blobs.begin(ENTRY, DOCKER_HUB)
    assert partial is not None
    partial.append(consumer.pieces)
    with pytest.raises(WrongContent):
        partial.verify()
    partial.close()
    assert list(blobs.whole()) == []
    await tier.wrong(ENTRY)
    assert await tier.size(ENTRY) is None


@on_the_reactor
async def test_an_object_that_was_cut_short_breaks_the_body(
    server: S3Server, objects: ObjectStore, tmp_path: Path
) -> None:
    await upload(objects, tmp_path, "content")
    streamed, consumer = await objects.open("content", 0, None), Stopping(MIB // 2)
    joined = streamed.body.join(consumer)
    await consumer.stopped
    server.write(name_of("content"), CONTENT[: 7 * MIB])
    consumer.producer.resumeProducing()
    with pytest.raises(BodyBroke):
        await joined
    verifier = Verifier(ENTRY.digest, SIZE)
    verifier.update(consumer.content)
    assert not verifier.matches()


def uploading_of(
    outbox: Outbox, objects: ObjectStore, blobs: Blobs, threads: Threads, clock: Clock
) -> tuple[Uploading, Callable[[], Deferred[tuple[Entry, bool]]]]:
    """Uploads from ``blobs``; the other fires with the next content that is over."""
    uploading, waiting = Uploading(outbox, objects, blobs.open, threads, clock), list[Deferred[tuple[Entry, bool]]]()
    uploading.observers.append(lambda entry, is_there: waiting.pop(0).callback((entry, is_there)))

    def over() -> Deferred[tuple[Entry, bool]]:
        waiting.append(Deferred())
        return waiting[-1]

    return uploading, over


@on_the_reactor
async def test_an_upload_goes_on_after_the_server_was_killed_in_the_midst_of_it_and_after_a_restart(
    server: S3Server, objects: ObjectStore, threads: Threads, clock: Clock, tmp_path: Path, monkeypatch: Any
) -> None:
    blobs = Blobs(tmp_path / "cache")
    blobs.prepare()
    blobs.keep(ENTRY).write_bytes(CONTENT)
    outbox = Outbox(tmp_path / "outbox")
    outbox.put([Draft(blob_key(ENTRY), SIZE, ENTRY)])
    failed, read, kills = Deferred[None](), object_store._read, [24 * MIB, 32 * MIB]

    def read_and_kill(fd: int, start: int, length: int) -> bytes:
        if kills and start == kills[0]:
            # Some parts are there by now.
            server.kill()
            kills.pop(0)
        return read(fd, start, length)

    monkeypatch.setattr(object_store, "_read", read_and_kill)
    put_back = Outbox.put_back

    def put_back_and_tell(self: Outbox, item: Any, why: str) -> None:
        put_back(self, item, why)
        reactor.callFromThread(failed.callback, None)

    monkeypatch.setattr(Outbox, "put_back", put_back_and_tell)
    first, _ = uploading_of(outbox, objects, blobs, threads, clock)
    first.start()
    await failed
    server.start_again()
    # Killed once more, and then the node is gone, too.
    failed = Deferred()
    clock.advance(5)
    await failed
    await first.stop()
    assert first.uploaded == 0
    outbox.close()
    server.start_again()
    assert await objects_in(server, threads, Clock()).head(blob_key(ENTRY)) is None

    outbox = Outbox(tmp_path / "outbox")
    second, over = uploading_of(outbox, objects, blobs, threads, clock)
    done = over()
    clock.advance(30)
    second.start()
    assert await done == (ENTRY, True)
    assert server.content(name_of(blob_key(ENTRY))) == CONTENT
    await second.stop()
    assert outbox.waiting() == (0, 0)
    outbox.close()


@on_the_reactor
async def test_what_is_evicted_while_it_is_uploaded_is_uploaded_whole(
    server: S3Server, objects: ObjectStore, threads: Threads, clock: Clock, tmp_path: Path, monkeypatch: Any
) -> None:
    blobs = Blobs(tmp_path / "cache")
    blobs.prepare()
    blobs.keep(ENTRY).write_bytes(CONTENT)
    outbox = Outbox(tmp_path / "outbox")
    outbox.put([Draft(blob_key(ENTRY), SIZE, ENTRY)])
    read = object_store._read

    def read_and_evict(fd: int, start: int, length: int) -> bytes:
        if start == 16 * MIB:
            blobs.remove(ENTRY)
        return read(fd, start, length)

    monkeypatch.setattr(object_store, "_read", read_and_evict)
    uploading, over = uploading_of(outbox, objects, blobs, threads, clock)
    done = over()
    uploading.start()
    assert await done == (ENTRY, True)
    assert server.content(name_of(blob_key(ENTRY))) == CONTENT
    await uploading.stop()
    outbox.close()


@on_the_reactor
async def test_what_one_node_has_written_down_another_finds(
    objects: ObjectStore, threads: Threads, clock: Clock, tmp_path: Path
) -> None:
    content = b'{"schemaVersion": 2}'
    entry = Entry(Digest.of(content))
    clock.advance(1000)
    store, outbox = make_store(tmp_path / "node", clock), Outbox(tmp_path / "outbox")
    store.index.observers.append(lambda notes: outbox.put(drafts(notes)))
    await store.keep(entry, content)
    store.index.link(VIEW, entry.digest, "application/json", len(content))
    store.index.tag(VIEW, "latest", entry.digest)
    uploading, over = uploading_of(outbox, objects, store.blobs, threads, clock)
    done = over()
    uploading.start()
    assert await done == (entry, True)
    await uploading.stop()
    while outbox.waiting() != (0, 0):
        uploading.start()
        await uploading.stop()

    tier = ObjectTier(objects)
    tag = await tier.tag(VIEW, "latest")
    assert tag == store.index.tagged(VIEW, "latest")
    assert tag is not None
    assert await tier.link(VIEW, tag.digest) == store.index.linked(VIEW, tag.digest)
    assert await tier.read(VIEW.entry(tag.digest)) == content
    assert await tier.views(tag.digest) == {VIEW}
    outbox.close()


@on_the_reactor
async def test_the_tier_is_kept_within_its_size(objects: ObjectStore, clock: Clock) -> None:
    view = view_names(VIEW)
    entries = [Entry(Digest.of(bytes([number]))) for number in range(3)]
    for number, entry in enumerate(entries):
        await objects.put(blob_key(entry), b"x" * 1000)
        await objects.put(link_key(view, entry.digest), b"{}")
        await objects.put(tag_key(view, f"v{number}"), tag_content(TagEntry(entry.digest, 1.0)))
    later = time.time() + 2 * 3600

    async def last_used(asked: object) -> dict[Entry, float]:
        return {entries[0]: later - 6500, entries[1]: later - 7000, entries[2]: later - 10}

    janitor = TierJanitor(objects, 2500, clock, lambda: later, last_used)
    await janitor.tidy()
    kept = {one.key async for batch in objects.list("v1") for one in batch}
    assert kept == {
        key
        for number in (0, 2)
        for key in (blob_key(entries[number]), link_key(view, entries[number].digest), tag_key(view, f"v{number}"))
    }
    assert janitor.evicted == 1
