"""Registries as they are asked, wherever they are: at their one endpoint, or at several."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..config import Upstream
from ..oci.digests import Digest
from ..oci.names import Reference, Registry, Repository
from ..policy.refusals import unavailable
from .answers import Listed, Manifest, RangeRefused, Streamed
from .endpoint_client import EndpointClient
from .endpoint_health import EndpointHealth
from .endpoints import EndpointsClient
from .exchange import Exchange
from .parallelism import Parallelism, UpstreamParallelism
from .quotas import Quotas
from .references import NoReferences, References

__all__ = ["Listed", "Manifest", "RangeRefused", "RegistryClient", "Streamed"]


class RegistryClient:
    """Asks the registry that a repository is in.

    Arguments:
        upstream: how a registry is reached.
        exchange: makes the requests.
        quotas: what is not asked because too much was.
        caller: the Authorization of the client for whom it is asked, in place of the proxy's own.
        references: what manifests say of blobs.
        parallelism: over how many connections each registry may be asked for one blob.
        health: what is known of endpoints, where a registry has several.
    """

    def __init__(
        self,
        upstream: Callable[[Registry], Upstream],
        exchange: Exchange,
        quotas: Quotas,
        caller: str | None = None,
        references: References | None = None,
        parallelism: Parallelism | None = None,
        health: EndpointHealth | None = None,
    ) -> None:
        self._upstream = upstream
        self._exchange = exchange
        self._caller = caller
        self._parallelism = parallelism or Parallelism(quotas.now)
        self._health = health or EndpointHealth(quotas.now)
        self.quotas = quotas
        self.references = references or NoReferences()

    def on_behalf_of(self, caller: str | None) -> RegistryClient:
        """Return what asks with the Authorization of a client; None is this one itself.

        Its quota is that client's own: nothing is known of it, and nothing that is learnt counts for others.
        """
        if caller is None:
            return self
        own = Quotas(self.quotas.now)
        return RegistryClient(
            self._upstream, self._exchange, own, caller, self.references, self._parallelism, self._health
        )

    def parallel(self, registry: Registry) -> UpstreamParallelism:
        """Return over how many connections ``registry`` may be asked for one blob."""
        return self._parallelism.of(self._upstream(registry), self._caller)

    async def manifest(self, repository: Repository, reference: Reference) -> Manifest:
        """Return the manifest.

        Raises:
            RegistryError: upstream refuses or is not available, or what it sent is not what was asked for.
        """
        return await self._at(repository.registry).manifest(repository, reference)

    async def head_manifest(self, repository: Repository, reference: Reference) -> Mapping[str, str] | None:
        """Return the header that upstream answers a HEAD with, names in lower case; None where only a GET tells.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        return await self._at(repository.registry).head_manifest(repository, reference)

    async def head_blob(self, repository: Repository, digest: Digest) -> Mapping[str, str]:
        """Return the header that upstream answers a HEAD with, names in lower case.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        return await self._at(repository.registry).head_blob(repository, digest)

    async def blob(self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None) -> Streamed:
        """Return the blob, or its bytes from ``start`` up to ``stop``. Upstream may send all of it nevertheless.

        Raises:
            RegistryError: upstream refuses or is not available.
            RangeRefused: it sends a part that was not asked for, or of another length than it says.
        """
        return await self._at(repository.registry).blob(repository, digest, start, stop)

    def redirects_blobs(self, registry: Registry) -> bool:
        """Tell whether clients are sent to where ``registry`` redirects for its blobs."""
        return self._upstream(registry).redirect_blobs

    async def blob_location(self, repository: Repository, digest: Digest) -> str | None:
        """Return the URL of another host where the registry says that the blob is; None where it sends it itself.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        return await self._at(repository.registry).blob_location(repository, digest)

    def blame(self, repository: Repository, digest: Digest) -> None:
        """Note that the bytes of a blob that came are wrong: who gave them is not asked for them again soon."""
        self._health.blame(self._upstream(repository.registry), repository, digest)

    async def tags(self, repository: Repository, query: Mapping[str, str]) -> Listed:
        """Return a page of the repository's tags, as upstream writes it. Raises RegistryError."""
        return await self._at(repository.registry).tags(repository, query)

    async def referrers(self, repository: Repository, digest: Digest, query: Mapping[str, str]) -> Listed:
        """Return the index of what refers to ``digest``, as upstream writes it.

        Raises:
            RegistryError: among others MANIFEST_UNKNOWN where upstream has no referrers API, upon which clients turn to
                the referrers tag ("Unavailable Referrers API").
        """
        return await self._at(repository.registry).referrers(repository, digest, query)

    def _at(self, registry: Registry) -> EndpointClient | EndpointsClient:
        upstream = self._upstream(registry)
        if not upstream.fallbacks:
            return EndpointClient(upstream, self._exchange, self.quotas, self.references, caller=self._caller)
        if self._caller is not None:
            # The configuration lets no clients log in there; one who did so has asked before it was read again.
            raise unavailable(registry, "it is asked at several endpoints, which clients' own logins are not for")
        return EndpointsClient(upstream, self._exchange, self.quotas, self.references, self._health)
