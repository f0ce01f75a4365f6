"""A registry that has several endpoints as it is asked: at one after the other, until one of them answers.

What order that is, `crproxy.policy.endpoint_order` decides; why it is so, docs/decisions/0022-endpoints.md says.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure

from ..config import Upstream
from ..limits import Body
from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Reference, Repository
from ..policy.endpoint_order import SLOW_SECONDS, Failed, that_counts
from ..policy.refusals import Unconfirmed
from .answers import Listed, Manifest, Streamed, announced_digest
from .endpoint_client import EndpointClient
from .endpoint_health import EndpointHealth
from .errors import describe
from .exchange import Exchange
from .quotas import Quotas
from .references import References
from .relay import BodyBroke, BodyUnwanted

__all__ = ["EndpointsClient"]

Result = TypeVar("Result")
# What is asked of an endpoint.
Ask = Callable[[EndpointClient], Coroutine[Any, Any, Result]]
# Attempts that may follow a failed one while there is another endpoint to ask: one, as a connection that was kept may
# have been closed meanwhile.
_RETRIES = 1
_DENIED = (ErrorCode.DENIED, ErrorCode.UNAUTHORIZED)


class _Slow(Exception):
    """No header came in time."""


class _OnlyGetTells(RegistryError):
    """An endpoint has answered a HEAD, and not what was asked."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.MANIFEST_UNKNOWN, "only a GET tells")


class EndpointsClient:
    """Asks a registry at its endpoints; each method is that of `EndpointClient`.

    Where all fail, it is the error of the last in the configuration's order that is raised, or a refused login's.

    Arguments:
        upstream: how it is reached.
        exchange: makes the requests.
        quotas: what is not asked because too much was.
        references: what manifests say of blobs.
        health: what is known of the endpoints.
    """

    def __init__(
        self,
        upstream: Upstream,
        exchange: Exchange,
        quotas: Quotas,
        references: References,
        health: EndpointHealth,
    ) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self._quotas = quotas
        self._references = references
        self._health = health

    async def manifest(self, repository: Repository, reference: Reference) -> Manifest:
        """Return the manifest. Raises RegistryError."""
        if isinstance(reference, Digest):
            return await self._manifest(repository, reference)
        # Which one it is only those say whose tags are trusted, and a HEAD is free of quotas where a GET is not.
        if not self._health.order(self._upstream, by_digest=True)[0].trust_tags:
            header = await self.head_manifest(repository, reference)
            digest = None if header is None else announced_digest(header)
            manifest = None if digest is None else await self._found(repository, digest)
            if manifest is not None:
                return manifest
        return await self._by_tag(lambda client: client.manifest(repository, reference))

    async def _found(self, repository: Repository, digest: Digest) -> Manifest | None:
        try:
            return await self._manifest(repository, digest)
        except RegistryError:
            # Some say in a HEAD what they do not have.
            return None

    async def _manifest(self, repository: Repository, digest: Digest) -> Manifest:
        return await self._by_digest(digest, lambda client: client.manifest(repository, digest))

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str] | None:
        """Return the header of a manifest; None where of some endpoint only a GET tells. Raises RegistryError."""
        only_get_tells = False

        async def ask(client: EndpointClient) -> Mapping[str, str]:
            nonlocal only_get_tells
            header = await client.head_manifest(repository, reference)
            if header is None:
                only_get_tells = True
                raise _OnlyGetTells
            return header

        try:
            if isinstance(reference, Digest):
                return await self._by_digest(reference, ask)
            return await self._by_tag(ask)
        except RegistryError:
            if only_get_tells:
                return None
            raise

    async def head_blob(self, repository: Repository, digest: Digest) -> Mapping[str, str]:
        """Return the header of a blob. Raises RegistryError."""
        return await self._by_digest(digest, lambda client: client.head_blob(repository, digest))

    async def blob(self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None) -> Streamed:
        """Return the blob, or its bytes from ``start`` up to ``stop``. Raises RegistryError, RangeRefused.

        What breaks off is to be asked for again from where it broke: the endpoint that it came from is asked last then.
        """

        def ask(client: EndpointClient) -> Coroutine[Any, Any, Streamed]:
            return client.blob(repository, digest, start, stop)

        order = self._health.order(self._upstream, by_digest=True, digest=digest)
        streamed, endpoint = await self._first(order, ask, digest)
        self._health.gave(endpoint, repository, digest, start)
        body = _Watched(streamed.body, lambda error: self._health.rest(endpoint, describe(error)))
        return replace(streamed, body=body)

    async def blob_location(self, repository: Repository, digest: Digest) -> str | None:
        """Return the URL of another host where the blob is (see EndpointClient). Raises RegistryError."""
        return await self._by_digest(digest, lambda client: client.blob_location(repository, digest))

    async def tags(self, repository: Repository, query: Mapping[str, str]) -> Listed:
        """Return a page of the repository's tags. Raises RegistryError."""
        return await self._by_tag(lambda client: client.tags(repository, query))

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Listed:
        """Return the index of what refers to ``digest``, which changes as tags do. Raises RegistryError."""
        return await self._by_tag(lambda client: client.referrers(repository, digest, query))

    async def _by_tag(self, ask: Ask[Result]) -> Result:
        return (await self._first(self._health.order(self._upstream, by_digest=False), ask))[0]

    async def _by_digest(self, digest: Digest, ask: Ask[Result]) -> Result:
        return (await self._first(self._health.order(self._upstream, by_digest=True, digest=digest), ask, digest))[0]

    async def _first(
        self, order: list[Upstream], ask: Ask[Result], digest: Digest | None = None
    ) -> tuple[Result, Upstream]:
        """Return the first answer, and whose it is.

        Raises:
            RegistryError: there is none.
        """
        errors: dict[str, RegistryError] = {}
        slow = []
        *others, last = order
        for endpoint in others:
            try:
                return await self._for_a_while(endpoint, ask), endpoint
            except _Slow:
                slow.append(endpoint)
            except RegistryError as error:
                errors[endpoint.endpoint] = error
                self._health.failed(endpoint, error, digest)
        for endpoint in (last, *slow):
            try:
                return await ask(self._client(endpoint)), endpoint
            except RegistryError as error:
                errors[endpoint.endpoint] = error
                self._health.failed(endpoint, error, digest)
        raise self._that_counts(errors)

    def _that_counts(self, errors: Mapping[str, RegistryError]) -> RegistryError:
        found = [(one, errors[one.endpoint]) for one in self._upstream.endpoints if one.endpoint in errors]
        failed = [Failed(_is_denied(error), bool(one.login)) for one, error in found]
        return found[that_counts(failed)][1]

    async def _for_a_while(self, endpoint: Upstream, ask: Ask[Result]) -> Result:
        """Return what ``endpoint`` answers. Raises RegistryError, and _Slow where its header does not come in time."""
        is_slow = False

        def give_up() -> None:
            nonlocal is_slow
            is_slow = True
            asking.cancel()

        def answered() -> None:
            if timer.active():
                timer.cancel()

        timer = self._exchange.clock.callLater(SLOW_SECONDS, give_up)
        client = self._client(replace(endpoint, retries=min(endpoint.retries, _RETRIES)), answered)
        asking = Deferred.fromCoroutine(ask(client))
        try:
            return await asking
        except CancelledError:
            if not is_slow:
                raise
            self._exchange.gave_up(endpoint, SLOW_SECONDS)
            self._health.rest(endpoint, f"it has not answered for {SLOW_SECONDS:g} s")
            raise _Slow from None
        finally:
            answered()

    def _client(self, endpoint: Upstream, answered: Callable[[], object] = lambda: None) -> EndpointClient:
        return EndpointClient(
            endpoint,
            self._exchange,
            self._quotas,
            self._references,
            says_quota=endpoint.is_registrys_own,
            answered=answered,
        )


def _is_denied(error: RegistryError) -> bool:
    return error.code in _DENIED and not isinstance(error, Unconfirmed)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A body of whose breaking off somebody is told (Body)."""

    body: Body
    broke: Callable[[BodyBroke], object]

    @property
    def length(self) -> int | None:
        """Bytes, where that is known (Body)."""
        return self.body.length

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Let it flow (Body)."""
        return self.body.join(consumer).addErrback(self._told)

    def abandon(self) -> None:
        """Let go of it (Body)."""
        self.body.abandon()

    def _told(self, failure: Failure) -> Failure:
        if isinstance(failure.value, BodyBroke) and not isinstance(failure.value, BodyUnwanted):
            self.broke(failure.value)
        return failure
