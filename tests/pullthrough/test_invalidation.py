from __future__ import annotations

import json

import pytest
from twisted.internet.task import Clock

from crproxy.oci.digests import Digest
from crproxy.oci.errors import ErrorCode, RegistryError
from crproxy.oci.names import Reference, Tag
from crproxy.oci.routes import BlobRequest, ManifestRequest
from crproxy.policy.refusals import Unconfirmed, unavailable
from crproxy.pullthrough.reply import CacheStatus
from tests.memory import ended, failure_of
from tests.pullthrough.conftest import OTHER, REPOSITORY, TYPE, Ask, Client, body_of

CHILD, BLOB = Digest.of(b"{}"), Digest.of(b"layer")
INDEX = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": TYPE, "digest": str(CHILD), "size": 2}]}).encode()
IMAGE = json.dumps({"schemaVersion": 2, "layers": [{"mediaType": "x/y", "digest": str(BLOB), "size": 5}]}).encode()
NEW = b'{"schemaVersion": 2, "manifests": []}'
GONE = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "not there")


def manifest(reference: Reference) -> ManifestRequest:
    return ManifestRequest("org/name", reference)


def blob(digest: Digest) -> BlobRequest:
    return BlobRequest("org/name", digest)


@pytest.mark.parametrize(
    ("kept", "gone"),
    [(INDEX, manifest(CHILD)), (IMAGE, blob(BLOB))],
    ids=["manifest", "blob"],
)
def test_what_is_gone_has_its_tag_asked_for_again(
    ask: Ask, client: Client, clock: Clock, kept: bytes, gone: ManifestRequest | BlobRequest
) -> None:
    client.tagged(Tag("v1"), kept)
    ended(ask(manifest(Tag("v1"))))
    clock.advance(1)
    assert ended(ask(manifest(Tag("v1")))).headers["Cache-Status"] == CacheStatus.HIT
    client.error = GONE
    failure_of(ask(gone), RegistryError)
    client.error = None
    client.tagged(Tag("v1"), NEW)
    assert body_of(ended(ask(manifest(Tag("v1"))))) == NEW


def test_it_is_served_stale_where_it_cannot_be_asked_for(ask: Ask, client: Client) -> None:
    client.tagged(Tag("v1"), INDEX)
    ended(ask(manifest(Tag("v1"))))
    client.error = Unconfirmed(ErrorCode.MANIFEST_UNKNOWN, "not there")
    failure_of(ask(manifest(CHILD)), RegistryError)
    client.error = unavailable(REPOSITORY.registry, "it refuses connections")
    assert body_of(ended(ask(manifest(Tag("v1"))))) == INDEX


def test_what_no_tag_led_to_has_none(ask: Ask, client: Client) -> None:
    client.tagged(Tag("v1"), INDEX)
    ended(ask(manifest(Tag("v1"))))
    client.error = GONE
    failure_of(ask(manifest(Digest.of(b"another"))), RegistryError)
    failure_of(ask(manifest(CHILD), repository=OTHER), RegistryError)
    assert ended(ask(manifest(Tag("v1")))).headers["Cache-Status"] == CacheStatus.HIT


def test_what_is_there_changes_nothing(ask: Ask, client: Client) -> None:
    client.tagged(Tag("v1"), INDEX)
    client.manifests[CHILD] = b"{}"
    ended(ask(manifest(Tag("v1"))))
    ended(ask(manifest(CHILD)))
    assert ended(ask(manifest(Tag("v1")))).headers["Cache-Status"] == CacheStatus.HIT
