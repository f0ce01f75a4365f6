"""The one place where policy, upstream and store meet: a typed request in, a reply out.

A reply is a status, headers and a body that can be joined to a consumer. Who sends it, and how, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer

from .oci.digests import Digest
from .oci.errors import RegistryError
from .oci.names import Reference, Repository
from .oci.routes import BlobRequest, ManifestRequest, ReferrersRequest, TagsRequest
from .policy.headers import answer_headers, next_page
from .upstream.client import RegistryClient, Streamed

__all__ = ["Asked", "Body", "Content", "PullThrough", "Reply", "Unsent"]


class Body(Protocol):
    """The body of a reply."""

    @property
    def length(self) -> int | None:
        """Bytes, where that is known beforehand."""

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let the body flow to ``consumer`` at its pace; fires at its end, fails where it is cut short."""

    def abandon(self) -> None:
        """Let go of the body unread."""


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is in memory."""

    content: bytes = b""

    @property
    def length(self) -> int:
        """Bytes."""
        return len(self.content)

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Write it (Body)."""
        consumer.write(self.content)
        return succeed(None)

    def abandon(self) -> None:
        """Nothing is held (Body)."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """The body that an answer to HEAD stands for: it has a length, or none that is known, and never follows."""

    length: int | None

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Write nothing (Body)."""
        return succeed(None)

    def abandon(self) -> None:
        """Nothing is held (Body)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client is answered. ``headers`` has no Content-Length where the body knows it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Content)

    @classmethod
    def error(cls, error: RegistryError) -> Reply:
        """Return the reply that ``error`` carries."""
        return cls(error.status, error.headers(), Content(error.body()))


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's request, besides what is asked for.

    Arguments:
        method: GET or HEAD.
        path: as the client wrote it, undecoded, without the query; for links back to it.
        headers: names in lower case.
        query: the parameters, decoded.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


class PullThrough:
    """Answers requests for images from their upstreams."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    async def answer(
        self,
        repository: Repository,
        request: ManifestRequest | BlobRequest | TagsRequest | ReferrersRequest,
        asked: Asked,
    ) -> Reply:
        """Return the reply to ``request``, whose repository is ``repository``.

        Raises:
            RegistryError: instead of a reply; nothing of a body has been given yet.
        """
        match request:
            case ManifestRequest(reference=reference):
                return await self._manifest(repository, reference, asked)
            case BlobRequest(digest=digest):
                return await self._blob(repository, digest, asked)
            case TagsRequest():
                return _listed(await self._client.tags(repository, _upstreams(asked.query)), asked)
            case ReferrersRequest(digest=digest):
                return _listed(await self._client.referrers(repository, digest, _upstreams(asked.query)), asked)

    async def _manifest(self, repository: Repository, reference: Reference, asked: Asked) -> Reply:
        if asked.method == "HEAD":
            return _described(await self._client.head_manifest(repository, reference), reference)
        manifest = await self._client.manifest(repository, reference)
        headers = {"Content-Type": manifest.media_type, **_named(manifest.digest)}
        return Reply(200, headers, Content(manifest.content))

    async def _blob(self, repository: Repository, digest: Digest, asked: Asked) -> Reply:
        if asked.method == "HEAD":
            return _described(await self._client.head_blob(repository, digest), digest)
        streamed = await self._client.blob(repository, digest, asked.headers)
        return Reply(streamed.status, answer_headers(streamed.headers) | _named(digest), streamed.body)


def _described(header: Mapping[str, str], reference: Reference) -> Reply:
    """Return the answer to HEAD that upstream's header makes."""
    headers = answer_headers(header) | (_named(reference) if isinstance(reference, Digest) else {})
    length = header.get("content-length", "")
    return Reply(200, headers, Unsent(int(length) if length.isascii() and length.isdecimal() else None))


def _named(digest: Digest) -> dict[str, str]:
    return {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'}


def _listed(streamed: Streamed, asked: Asked) -> Reply:
    headers = answer_headers(streamed.headers)
    link = next_page(streamed.headers.get("link", ""), asked.path, asked.query.get("ns"))
    return Reply(streamed.status, headers if link is None else headers | {"Link": link}, streamed.body)


def _upstreams(query: Mapping[str, str]) -> dict[str, str]:
    """Return what of a query is upstream's: all but ours. Some page by parameters of their own (quay.io: next_page)."""
    return {name: value for name, value in query.items() if name != "ns"}
