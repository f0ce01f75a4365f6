from __future__ import annotations

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.pullthrough.reply import Content, Reply, Unsent, named
from tests.memory import ended
from tests.upstream.conftest import Consumer


def test_an_error_is_a_reply() -> None:
    error = RegistryError(ErrorCode.UNAVAILABLE, "down", retry_after=10)
    assert Reply.error(error) == Reply(
        503, {"Content-Type": "application/json", "Retry-After": "10"}, Content(error.body())
    )


def test_content_is_written_at_once() -> None:
    consumer, content = Consumer(), Content(b"abc")
    assert content.length == 3
    ended(content.join(consumer))
    assert consumer.content == b"abc"
    content.abandon()


def test_what_is_not_sent_is_not_written() -> None:
    consumer, unsent = Consumer(), Unsent(3)
    ended(unsent.join(consumer))
    assert consumer.pieces == []
    unsent.abandon()


def test_content_is_named_by_its_digest() -> None:
    digest = Digest.of(b"x")
    assert named(digest, "crproxy; hit") == {
        "Docker-Content-Digest": str(digest),
        "ETag": f'"{digest}"',
        "Cache-Status": "crproxy; hit",
    }
