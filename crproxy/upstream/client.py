"""Registries as they are asked: manifests, blobs, tags, referrers.

OCI distribution specification, "Pull" and "Content Discovery".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from ..config import Upstream
from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.manifests import ACCEPT, MANIFEST_LIMIT
from ..oci.names import Reference, Registry, Repository
from ..policy.refusals import parse_retry_after, refusal, unavailable
from .errors import describe
from .exchange import Answer, Exchange, Question
from .relay import BodyBroke, BodyTooLarge, Relay

__all__ = ["Manifest", "RegistryClient", "Streamed"]

# What is read of an upstream's error document.
_ERROR_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, whole and checked.

    Arguments:
        digest: of its bytes, computed here.
        media_type: upstream's Content-Type.
        content: the bytes, as upstream sent them.
    """

    digest: Digest
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body is still with upstream.

    Arguments:
        status: 200 or 206; 416 with no body worth having.
        headers: upstream's, names in lower case.
        body: to be joined to a consumer.
    """

    status: int
    headers: Mapping[str, str]
    body: Relay


class RegistryClient:
    """Asks the registry that a repository is in.

    Arguments:
        upstream: how a registry is reached.
        exchange: makes the requests.
        now: seconds since the epoch.
    """

    def __init__(self, upstream: Callable[[Registry], Upstream], exchange: Exchange, now: Callable[[], float]) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self._now = now

    async def manifest(self, repository: Repository, reference: Reference) -> Manifest:
        """Return the manifest.

        Raises:
            RegistryError: upstream refuses or is not available, or what it sent is not what was asked for.
        """
        answer = await self._ask("GET", repository, f"manifests/{reference}", _MANIFEST_HEADERS)
        if answer.status != 200:
            raise await self._refused(answer, repository, repository.named(reference), ErrorCode.MANIFEST_UNKNOWN)
        try:
            content = await self._exchange.read(answer, MANIFEST_LIMIT)
        except BodyTooLarge as error:
            raise RegistryError(
                ErrorCode.MANIFEST_INVALID, f"{repository.registry} sent {error} of a manifest", status=502
            ) from error
        except BodyBroke as error:
            raise unavailable(repository.registry, describe(error)) from error
        return _checked(repository, reference, answer, content)

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str]:
        """Return the header that upstream answers a HEAD with, names in lower case. Raises RegistryError."""
        answer = await self._ask("HEAD", repository, f"manifests/{reference}", _MANIFEST_HEADERS)
        return await self._header(answer, repository, repository.named(reference), ErrorCode.MANIFEST_UNKNOWN)

    async def head_blob(self, repository: Repository, digest: Digest) -> Mapping[str, str]:
        """Return the header that upstream answers a HEAD with, names in lower case. Raises RegistryError."""
        answer = await self._ask("HEAD", repository, f"blobs/{digest}")
        return await self._header(answer, repository, repository.named(digest), ErrorCode.BLOB_UNKNOWN)

    async def blob(self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None) -> Streamed:
        """Return the blob, or its bytes from ``start`` up to ``stop``. Upstream may send all of it nevertheless.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        headers = _range_headers(start, stop)
        answer = await self._ask("GET", repository, f"blobs/{digest}", headers)
        if answer.status not in (200, 206, 416):
            raise await self._refused(answer, repository, repository.named(digest), ErrorCode.BLOB_UNKNOWN)
        return self._streamed(answer)

    async def tags(self, repository: Repository, query: Mapping[str, str]) -> Streamed:
        """Return a page of the repository's tags, as upstream writes it. Raises RegistryError."""
        answer = await self._ask("GET", repository, "tags/list" + _query(query))
        if answer.status != 200:
            raise await self._refused(answer, repository, f"the tags of {repository}", ErrorCode.NAME_UNKNOWN)
        return self._streamed(answer)

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Streamed:
        """Return the index of what refers to ``digest``, as upstream writes it.

        Raises:
            RegistryError: among others MANIFEST_UNKNOWN where upstream has no referrers API, upon which clients turn to
                the referrers tag ("Unavailable Referrers API").
        """
        answer = await self._ask("GET", repository, f"referrers/{digest}" + _query(query))
        if answer.status != 200:
            what = f"the referrers of {repository.named(digest)}"
            raise await self._refused(answer, repository, what, ErrorCode.MANIFEST_UNKNOWN)
        return self._streamed(answer)

    async def _ask(
        self, method: str, repository: Repository, path: str, headers: Mapping[str, list[str]] | None = None
    ) -> Answer:
        question = Question(
            method, f"/v2/{repository.path}/{path}", f"repository:{repository.path}:pull", headers or {}
        )
        return await self._exchange.ask(self._upstream(repository.registry), question)

    def _streamed(self, answer: Answer) -> Streamed:
        return Streamed(answer.status, answer.headers, self._exchange.relay(answer))

    async def _header(self, answer: Answer, repository: Repository, what: str, unknown: ErrorCode) -> Mapping[str, str]:
        if answer.status != 200:
            raise await self._refused(answer, repository, what, unknown)
        self._exchange.discard(answer)
        return answer.headers

    async def _refused(self, answer: Answer, repository: Repository, what: str, unknown: ErrorCode) -> RegistryError:
        try:
            body = await self._exchange.read(answer, _ERROR_LIMIT)
        except (BodyTooLarge, BodyBroke):
            body = b""
        retry_after = parse_retry_after(answer.headers.get("retry-after"), self._now())
        return refusal(repository.registry, what, unknown, answer.status, body, retry_after)


_MANIFEST_HEADERS = {"Accept": list(ACCEPT)}


def _checked(repository: Repository, reference: Reference, answer: Answer, content: bytes) -> Manifest:
    digest = reference if isinstance(reference, Digest) else Digest.of(content)
    if not digest.names(content):
        raise unavailable(
            repository.registry,
            f"it sent {Digest.of(content, digest.algorithm)} where {digest} was asked for",
        )
    return Manifest(digest, answer.headers.get("content-type", "application/octet-stream"), content)


def _range_headers(start: int, stop: int | None) -> dict[str, list[str]]:
    if start == 0 and stop is None:
        return {}
    return {"Range": [f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"]}


def _query(pairs: Mapping[str, str]) -> str:
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
