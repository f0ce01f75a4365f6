"""Clients that are sent elsewhere for a blob: to the object store, or to where its registry redirects itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..oci.digests import Digest
from ..oci.errors import RegistryError
from ..oci.names import Registry
from ..policy.proofs import Proof
from ..sharing.bounding import drop_oldest
from ..store.entries import Entry, View
from ..upstream.client import RegistryClient
from .permissions import Permissions
from .reply import CacheStatus, Reply, named

__all__ = ["Redirecting", "Signer"]

# Seconds for which a registry that has sent a blob itself is not asked where it would redirect to.
_REMEMBERED = 3600.0
# "307 Temporary Redirect": with the same method, and only this time (RFC 9110, 15.4.8).
_TEMPORARILY = 307


class Signer(Protocol):
    """Makes URLs of what the object store has."""

    async def url(self, entry: Entry) -> str | None:
        """Return a URL that shows ``entry`` to who has it, for a short time; None where the store does not have it."""


class Redirecting:
    """Answers requests for blobs by a redirect.

    Arguments:
        client: asks upstream.
        permissions: who may have what.
        now: seconds since the epoch.
        signer: of the object store; None where clients are not sent there.
    """

    def __init__(
        self,
        client: RegistryClient,
        permissions: Permissions,
        now: Callable[[], float],
        signer: Signer | None = None,
    ) -> None:
        self._client = client
        self._permissions = permissions
        self._now = now
        self._signer = signer
        # Until when registries are not asked.
        self._send_themselves: dict[Registry, float] = {}

    async def to_store(self, view: View, digest: Digest) -> Reply | None:
        """Return the redirect to the object store, for who may have the blob without a question; else None."""
        if self._signer is None or self._permissions.proof(view, digest) is not Proof.GIVEN:
            return None
        url = await self._signer.url(view.entry(digest))
        return None if url is None else _redirect(digest, url, CacheStatus.REDIRECTED_HIT)

    async def to_upstream(self, view: View, digest: Digest) -> Reply | None:
        """Return the redirect to where the registry redirects, where that is wanted and done; else None.

        Raises:
            RegistryError: upstream refuses or is not available.
        """
        registry = view.repository.registry
        if not self._client.redirects_blobs(registry) or self._now() < self._send_themselves.get(registry, 0.0):
            return None
        try:
            client = self._client.on_behalf_of(view.caller)
            url = await client.blob_location(view.repository, digest)
        except RegistryError as error:
            self._permissions.refused(view, error)
            raise
        self._permissions.confirmed(view, digest)
        if url is None:
            self._send_themselves[registry] = self._now() + _REMEMBERED
            drop_oldest(self._send_themselves)
            return None
        return _redirect(digest, url, CacheStatus.REDIRECTED)


def _redirect(digest: Digest, url: str, cache_status: str) -> Reply:
    # The URL is for whoever asked, and for now.
    return Reply(_TEMPORARILY, {"Location": url, "Cache-Control": "no-store", **named(digest, cache_status)})
