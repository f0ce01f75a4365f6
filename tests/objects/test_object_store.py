from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from crproxy.objects.errors import NotThere, Stopped, TierFailed, Unreadable
from crproxy.objects.object_store import Listed, ObjectStore
from crproxy.objects.opening import Stores
from crproxy.oci.digests import Digest
from crproxy.store.blobs import WrongContent
from tests.memory import ended, failure_of
from tests.stores import threads
from tests.upstream.conftest import Consumer

MIB = 1024 * 1024
CONTENT = os.urandom(MIB) * 18 + b"rest"
SIZE = len(CONTENT)


def run(work: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return ended(Deferred.fromCoroutine(work))


def error_of(work: Coroutine[Deferred[Any], Any, Any], kind: type[Exception]) -> str:
    return str(failure_of(Deferred.fromCoroutine(work), kind))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    """Makes files with a content, and opens them."""
    opened: list[int] = []

    def make(content: bytes) -> int:
        path = tmp_path / "file"
        path.write_bytes(content)
        opened.append(os.open(path, os.O_RDONLY))
        path.unlink()
        return opened[-1]

    yield make
    for fd in opened:
        os.close(fd)


def body(streamed: Any) -> bytes:
    consumer = Consumer()
    ended(streamed.body.join(consumer))
    return consumer.content


def test_a_whole_object_is_read(objects: ObjectStore, memory: MemoryStore) -> None:
    obstore.put(memory, "key", CONTENT)
    streamed = run(objects.open("key", 0, None))
    assert (streamed.status, streamed.headers, streamed.body.length) == (200, {"content-length": str(SIZE)}, SIZE)
    assert body(streamed) == CONTENT


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (0, SIZE), (0, 2 * SIZE), (5, None), (3 * MIB, 12 * MIB), (SIZE - 1, SIZE)]
)
def test_a_part_is_read(objects: ObjectStore, memory: MemoryStore, start: int, stop: int | None) -> None:
    obstore.put(memory, "key", CONTENT)
    streamed = run(objects.open("key", start, stop))
    end = SIZE if stop is None else min(stop, SIZE)
    assert streamed.status == 206
    assert streamed.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert body(streamed) == CONTENT[start:end]


def test_an_object_without_a_byte(objects: ObjectStore, memory: MemoryStore) -> None:
    obstore.put(memory, "key", b"")
    streamed = run(objects.open("key", 0, None))
    assert (streamed.status, streamed.body.length) == (200, 0)
    assert body(streamed) == b""
    assert run(objects.read("key", 10)) == b""


def test_a_byte_beyond_the_end_is_none(objects: ObjectStore, memory: MemoryStore) -> None:
    obstore.put(memory, "key", b"ten bytes.")
    for start in (10, 11):
        assert error_of(objects.open("key", start, None), TierFailed) == f"the object has 10 bytes, and none at {start}"
    assert objects.is_up, "it has answered"


def test_what_is_not_there(objects: ObjectStore) -> None:
    error_of(objects.open("key", 0, None), NotThere)
    error_of(objects.read("key", 10), NotThere)
    assert run(objects.head("key")) is None
    assert objects.is_up


def test_what_is_known_of_an_object(objects: ObjectStore, memory: MemoryStore) -> None:
    obstore.put(memory, "key", b"four")
    found = run(objects.head("key"))
    assert (found.key, found.size) == ("key", 4)
    assert found.modified == obstore.head(memory, "key")["last_modified"].timestamp()


def test_a_small_object_is_written_and_read(objects: ObjectStore) -> None:
    run(objects.put("a/b", b"one"))
    run(objects.put("a/b", b"another"))
    assert run(objects.read("a/b", 7)) == b"another"


def test_more_is_not_read_than_was_said(objects: ObjectStore) -> None:
    run(objects.put("key", b"another"))
    assert error_of(objects.read("key", 6), TierFailed) == "the object key has 7 bytes, where 6 are the most"


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, SIZE])
def test_a_file_is_uploaded(objects: ObjectStore, memory: MemoryStore, file: Callable[[bytes], int], size: int) -> None:
    content = CONTENT[:size]
    run(objects.put_file("key", file(content), Digest.of(content)))
    assert bytes(obstore.get(memory, "key").bytes()) == content


@pytest.mark.parametrize("size", [0, 5, SIZE])
def test_nothing_of_other_bytes_is_uploaded(
    objects: ObjectStore, memory: MemoryStore, file: Callable[[bytes], int], size: int
) -> None:
    error_of(objects.put_file("key", file(CONTENT[:size]), Digest.of(b"something else")), WrongContent)
    with pytest.raises(FileNotFoundError):
        obstore.head(memory, "key")
    assert objects.is_up, "that says nothing of the store"


def test_an_upload_that_is_not_wanted_any_more_ends(
    objects: ObjectStore, memory: MemoryStore, file: Callable[[bytes], int]
) -> None:
    answers = iter([True, True, False])
    upload = objects.put_file("key", file(CONTENT), Digest.of(CONTENT), lambda: next(answers))
    error_of(upload, Stopped)
    with pytest.raises(FileNotFoundError):
        obstore.head(memory, "key")


def test_a_disk_that_fails_is_no_trouble_of_the_store(objects: ObjectStore, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        error_of(objects.put_file("key", fd, Digest.of(b"")), Unreadable)
    finally:
        os.close(fd)
    error_of(objects.put_file("key", -1, Digest.of(b"")), Unreadable)
    assert objects.is_up


def test_objects_are_listed(objects: ObjectStore) -> None:
    keys = {f"v1/a/{number}" for number in range(2500)}
    for key in (*keys, "v1/ab", "v1/b/1"):
        run(objects.put(key, b"12"))

    async def listed(prefix: str) -> list[Listed]:
        return [one async for batch in objects.list(prefix) for one in batch]

    found = run(listed("v1/a"))
    assert {one.key for one in found} == keys
    assert {one.size for one in found} == {2}
    assert run(listed("v1/nothing")) == []


def test_objects_are_removed_whether_they_are_there_or_not(objects: ObjectStore) -> None:
    for key in ("a", "b", "c"):
        run(objects.put(key, b"x"))
    run(objects.delete(["a", "nothing", "b"]))
    assert run(objects.head("a")) is run(objects.head("b")) is None
    assert run(objects.head("c")) is not None


def test_a_store_of_files_signs_nothing(objects: ObjectStore) -> None:
    assert error_of(objects.sign("key", 60), TierFailed) == "this store has no URLs"


def test_a_store_that_fails_is_left_alone(clock: Clock, memory: MemoryStore) -> None:
    trouble: list[Exception] = [OSError("cable\nand more"), FileNotFoundError(), ValueError("odd")]

    def failing(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        def fail() -> None:
            raise trouble[0]

        return threads(work, fail) if trouble else threads(work, *args)

    objects = ObjectStore(Stores(memory, memory), failing, clock)
    assert error_of(objects.head("key"), TierFailed) == "cable"
    assert not objects.is_up
    assert "left alone" in error_of(objects.head("key"), TierFailed)
    clock.advance(5)
    trouble.clear()
    assert run(objects.head("key")) is None
    assert objects.is_up


def test_a_question_that_is_cancelled_leaves_the_next_to_find_out(clock: Clock, memory: MemoryStore) -> None:
    asked: list[Deferred[Any]] = []

    def waiting(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        asked.append(Deferred())
        return asked[-1]

    objects = ObjectStore(Stores(memory, memory), waiting, clock)
    one = Deferred.fromCoroutine(objects.head("key"))
    asked[0].errback(TierFailed("cable"))
    failure_of(one, TierFailed)
    clock.advance(5)
    other = Deferred.fromCoroutine(objects.head("key"))
    assert not objects.is_up
    other.addErrback(lambda _: None)
    other.cancel()
    assert objects.is_up


def test_nothing_secret_is_said_of_an_error(clock: Clock, memory: MemoryStore) -> None:
    def failing(work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        def fail() -> None:
            raise OSError("GET http://host/key?X-Amz-Signature=abc failed")

        return threads(work, fail)

    assert "abc" not in error_of(ObjectStore(Stores(memory, memory), failing, clock).head("key"), TierFailed)
