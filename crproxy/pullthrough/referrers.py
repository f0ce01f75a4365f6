"""What refers to an image: signatures, attestations, bills of materials.

Distribution specification, "Listing Referrers", and "Unavailable Referrers API"; cosign keeps its own under tags that
it makes of the digest.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.manifests import MANIFEST_LIMIT, all_references
from ..oci.names import Repository, Tag
from ..oci.routes import ReferrersRequest
from .pullthrough import PullThrough
from .reply import Asked

__all__ = ["referrers", "signature_tags"]

# Pages of a list at the most.
_PAGES = 20
_COSIGN = (".sig", ".att", ".sbom")


async def referrers(pullthrough: PullThrough, repository: Repository, digest: Digest) -> list[Digest | Tag]:
    """Return what to pull besides ``digest``: what is listed, or the tag that stands for the list.

    Raises:
        RegistryError: upstream refuses, or is not available.
    """
    try:
        return list(await _listed(pullthrough, repository, digest))
    except RegistryError as error:
        if error.status != 404:
            raise
        return [_tag(digest, "")]


def signature_tags(digest: Digest) -> list[Tag]:
    """Return the tags of cosign's, which may or may not be there."""
    return [_tag(digest, suffix) for suffix in _COSIGN]


def _tag(digest: Digest, suffix: str) -> Tag:
    # "Referrers Tag Schema": the digest's parts, cut to what a tag may have.
    return Tag.parse(f"{digest.algorithm[:32]}-{digest.hex[:64]}{suffix}")


async def _listed(pullthrough: PullThrough, repository: Repository, digest: Digest) -> list[Digest]:
    path, query = f"/v2/{repository.path}/referrers/{digest}", dict[str, str]()
    found: list[Digest] = []
    for _ in range(_PAGES):
        asked = Asked("GET", path, query=query)
        reply = await pullthrough.answer(repository, ReferrersRequest(repository.path, digest), asked)
        collected = _Collected()
        await reply.body.join(collected)
        found += [one.digest for one in all_references(collected.content()) if one.is_manifest]
        target, _, _ = reply.headers.get("Link", "").removeprefix("<").partition(">")
        query = dict(parse_qsl(urlsplit(target).query))
        if not query:
            break
    return found


@implementer(IConsumer)
class _Collected:
    """A body, kept in memory up to the limit of a manifest."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take in what ``producer`` gives (IConsumer)."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """No more comes (IConsumer)."""
        self._producer = None

    def write(self, data: bytes | memoryview) -> None:
        """Take in a piece, which is copied (IConsumer)."""
        self._size += len(data)
        if self._size <= MANIFEST_LIMIT:
            self._pieces.append(bytes(data))
        elif self._producer is not None:
            self._producer.stopProducing()

    def content(self) -> bytes:
        """Return all of it, or raise MANIFEST_INVALID where it is too much."""
        if self._size > MANIFEST_LIMIT:
            raise RegistryError(ErrorCode.MANIFEST_INVALID, "the list of referrers is too long", status=502)
        return b"".join(self._pieces)
