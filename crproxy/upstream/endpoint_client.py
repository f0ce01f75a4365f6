"""One endpoint of a registry as it is asked: manifests, blobs, tags, referrers.

OCI distribution specification, "Pull" and "Content Discovery".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

from ..config import Upstream
from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.manifests import ACCEPT, MANIFEST_LIMIT
from ..oci.media_types import is_specific
from ..oci.names import Reference, Repository
from ..oci.sizes import parse_size
from ..policy.hosts import may_be_sent_to
from ..policy.quirks import quirks
from ..policy.quotas import limited
from ..policy.refusals import Asker, Unconfirmed, bad_gateway, parse_retry_after, refusal, unavailable
from .answers import (
    Listed,
    Manifest,
    Streamed,
    can_be,
    checked_blob,
    checked_list,
    checked_manifest,
    describes,
    with_length,
)
from .errors import broke_off, describe
from .exchange import Answer, Exchange, Question
from .quotas import Quotas
from .references import NoReferences, References
from .relay import BodyBroke, BodyTooLarge

__all__ = ["EndpointClient"]

# What is read of an upstream's error document.
_ERROR_LIMIT = 64 * 1024
# And of a list: 100,000 tags of 60 bytes, from a registry that knows no pages, are half of it.
_LIST_LIMIT = 16 * 1024 * 1024
_TOO_MANY_REQUESTS = 429
# By which a registry says that it is one (distribution specification, "Legacy Docker support HTTP headers").
_SIGN = "docker-distribution-api-version"


def _nobody() -> None:
    """Nobody is told."""


class EndpointClient:
    """Asks a registry at one endpoint.

    Arguments:
        upstream: how it is reached.
        exchange: makes the requests.
        quotas: what is not asked because too much was.
        references: what manifests say of blobs.
        caller: the Authorization of the client for whom it is asked, in place of the proxy's own.
        says_quota: what it says of quotas is what there is to say of the registry's.
        answered: called when the header of an answer is there.
    """

    def __init__(
        self,
        upstream: Upstream,
        exchange: Exchange,
        quotas: Quotas,
        references: References | None = None,
        *,
        caller: str | None = None,
        says_quota: bool = True,
        answered: Callable[[], object] = _nobody,
    ) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self._quotas = quotas
        self._references = references or NoReferences()
        self._caller = caller
        self._says_quota = says_quota
        self._answered = answered

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
        return checked_manifest(repository, reference, answer.headers, content)

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str] | None:
        """Return the header that upstream answers a HEAD with, names in lower case.

        None where it refuses, or leaves out what clients need, so that only a GET tells: some know no HEAD, and some
        redirect it to where only GET may go. Never where a GET would use up a quota.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        may_get = not quirks(repository.registry).counts_manifests
        answer = await self._ask_head(repository, f"manifests/{reference}", _MANIFEST_HEADERS, may_get)
        if answer is None:
            return None
        if answer.status != 200:
            raise await self._refused(answer, repository, repository.named(reference), ErrorCode.MANIFEST_UNKNOWN)
        self._exchange.discard(answer)
        header = answer.headers
        if describes(header, reference):
            return header
        if may_get:
            return None
        if "docker-content-digest" not in header and not is_specific(header.get("content-type")):
            raise bad_gateway(repository.registry, f"no manifest where {repository.named(reference)} was asked for")
        return header

    async def head_blob(self, repository: Repository, digest: Digest) -> Mapping[str, str]:
        """Return the header that upstream answers a HEAD with, names in lower case.

        Where it refuses, or leaves the length out, the first byte is asked for, which tells the length, too.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        answer = await self._ask_head(repository, f"blobs/{digest}", {}, may_get=True)
        if answer is not None:
            self._exchange.discard(answer)
            size = parse_size(answer.headers.get("content-length"))
            if size is not None and can_be(digest, size, self._references.size(repository, digest)):
                return answer.headers
        streamed = await self.blob(repository, digest, 0, 1)
        streamed.body.abandon()
        return with_length(repository.registry, digest, streamed)

    async def blob(self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None) -> Streamed:
        """Return the blob, or its bytes from ``start`` up to ``stop``. Upstream may send all of it nevertheless.

        Only the refusal of a plain GET is one: some servers refuse whatever has a Range.

        Raises:
            RegistryError: upstream refuses or is not available.
            RangeRefused: it sends a part that was not asked for, or of another length than it says.
        """
        headers = _range_headers(start, stop)
        answer = await self._ask("GET", repository, f"blobs/{digest}", headers)
        if headers and answer.status not in (200, 206, 401, 416):
            error = await self._refused(answer, repository, repository.named(digest), ErrorCode.BLOB_UNKNOWN)
            if error.status == 404 and not isinstance(error, Unconfirmed):
                raise error
            answer = await self._ask("GET", repository, f"blobs/{digest}")
        if not answer.ours and answer.status in (401, 403):
            # Its signature is of no use: that passes, and Docker gives up where it is told DENIED.
            self._exchange.discard(answer)
            raise unavailable(repository.registry, f"the host that it redirects to answered {answer.status}")
        if answer.status not in (200, 206, 416):
            raise await self._refused(answer, repository, repository.named(digest), ErrorCode.BLOB_UNKNOWN)
        streamed = self._streamed(answer)
        try:
            return checked_blob(repository, digest, streamed, start, stop, self._references.size(repository, digest))
        except RegistryError:
            streamed.body.abandon()
            raise

    async def blob_location(self, repository: Repository, digest: Digest) -> str | None:
        """Return the URL of another host where the registry says that the blob is; None where it sends it itself.

        None, too, where that is a host that must not be asked: whoever asks for the blob is told so.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        answer = await self._ask("GET", repository, f"blobs/{digest}", stays=True)
        if answer.elsewhere is not None:
            self._exchange.discard(answer)
            return answer.elsewhere if may_be_sent_to(answer.elsewhere, self._upstream.private_hosts) else None
        if answer.status != 200:
            raise await self._refused(answer, repository, repository.named(digest), ErrorCode.BLOB_UNKNOWN)
        self._exchange.relay(answer).abandon()
        return None

    async def tags(self, repository: Repository, query: Mapping[str, str]) -> Listed:
        """Return a page of the repository's tags, as upstream writes it. Raises RegistryError."""
        answer = await self._ask("GET", repository, "tags/list" + _query(query))
        return await self._listed(answer, repository, "tags", f"the tags of {repository}", ErrorCode.NAME_UNKNOWN)

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Listed:
        """Return the index of what refers to ``digest``, as upstream writes it.

        Raises:
            RegistryError: among others MANIFEST_UNKNOWN where upstream has no referrers API, upon which clients turn to
                the referrers tag ("Unavailable Referrers API").
        """
        answer = await self._ask("GET", repository, f"referrers/{digest}" + _query(query))
        what = f"the referrers of {repository.named(digest)}"
        return await self._listed(answer, repository, "manifests", what, ErrorCode.MANIFEST_UNKNOWN)

    async def _listed(self, answer: Answer, repository: Repository, key: str, what: str, unknown: ErrorCode) -> Listed:
        if answer.status != 200:
            raise await self._refused(answer, repository, what, unknown)
        try:
            content = await self._exchange.read(answer, _LIST_LIMIT)
        except BodyTooLarge as error:
            raise bad_gateway(repository.registry, f"{error} where {what} were asked for") from error
        except BodyBroke as error:
            raise unavailable(repository.registry, describe(error)) from error
        return checked_list(repository.registry, answer.headers, content, key, what)

    async def _ask_head(
        self, repository: Repository, path: str, headers: Mapping[str, list[str]], may_get: bool
    ) -> Answer | None:
        """Return the answer to a HEAD; None where it is not believed before a GET, if that ``may`` be, has said so."""
        try:
            answer = await self._ask("HEAD", repository, path, headers)
        except RegistryError as error:
            if may_get and broke_off(error.__cause__):
                return None
            raise
        if answer.status == 200 or not may_get:
            return answer
        self._exchange.discard(answer)
        return None

    async def _ask(
        self,
        method: str,
        repository: Repository,
        path: str,
        headers: Mapping[str, list[str]] | None = None,
        *,
        stays: bool = False,
    ) -> Answer:
        """Return an answer that is no 429. Raises RegistryError."""
        kind, upstream = path.partition("/")[0], self._upstream
        scope = f"repository:{repository.path}:pull"
        question = Question(method, f"/v2/{repository.path}/{path}", scope, kind, headers or {}, self._caller, stays)
        asked = limited(repository, upstream.endpoint, upstream.login, method, kind)
        self._quotas.check(asked)
        try:
            answer = await self._exchange.ask(upstream, question)
            self._answered()
            if answer.status == _TOO_MANY_REQUESTS:
                raise await self._refused(answer, repository, "", ErrorCode.TOOMANYREQUESTS)
        except RegistryError as error:
            self._quotas.refused(asked, error)
            raise
        self._quotas.answered(asked)
        if kind == "manifests" and self._says_quota:
            self._quotas.note(repository.registry, answer.headers)
        return answer

    @property
    def _asker(self) -> Asker:
        if self._caller is not None:
            return Asker.CLIENT
        return Asker.ANYBODY if self._upstream.username is None else Asker.PROXY

    def _streamed(self, answer: Answer) -> Streamed:
        return Streamed(answer.status, answer.headers, self._exchange.relay(answer))

    async def _refused(self, answer: Answer, repository: Repository, what: str, unknown: ErrorCode) -> RegistryError:
        registry = repository.registry
        try:
            body = await self._exchange.read(answer, _ERROR_LIMIT)
        except (BodyTooLarge, BodyBroke):
            body = b""
        retry_after = parse_retry_after(answer.headers.get("retry-after"), self._quotas.now())
        return refusal(
            registry,
            what,
            unknown,
            answer.status,
            body,
            retry_after,
            asker=self._asker,
            own=_SIGN in answer.headers,
            elsewhere=not answer.ours,
        )


_MANIFEST_HEADERS = {"Accept": list(ACCEPT)}


def _range_headers(start: int, stop: int | None) -> dict[str, list[str]]:
    if start == 0 and stop is None:
        return {}
    return {"Range": [f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"]}


def _query(pairs: Mapping[str, str]) -> str:
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
