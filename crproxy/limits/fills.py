"""Transfers from upstream into the cache that are under way, by who began them and where they come from.

They are counted because they outlive the request that began them: a client that asks and leaves, over and over, would
otherwise have us fetch without end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..config import Config
from ..oci.errors import ErrorCode, RegistryError
from ..policy.clients import is_in, network_of
from ..sharing import Alone, Sharing

__all__ = ["Fill", "Fills"]

# A layer takes seconds to minutes.
_RETRY_AFTER = 10


@dataclass(slots=True)
class Fill:
    """Whose a transfer is.

    Arguments:
        registry: where it comes from.
        client: the network that counts as the client that began it; None where nobody is counted.
        blob: what it brings, where another worker may be bringing the same.
        counts: it asks upstream; not where it reads what another worker asks for.
    """

    registry: str
    client: str | None
    blob: str | None
    counts: bool


class Fills:
    """The transfers under way; ``refused`` counts those that would have been too many.

    Arguments:
        current: returns the configuration that counts now.
        sharing: has the numbers, of all workers together.
    """

    def __init__(self, current: Callable[[], Config], sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        self.by_client = sharing.count("fills of client")
        self.by_registry = sharing.count("fills of registry")
        # Alone, whoever wants what is coming joins the flight that brings it, and begins none.
        self._by_blob = None if sharing.is_alone else sharing.count("fills of blob")
        self.refused = 0
        self._current = current

    def begin(self, registry: str, client: str | None, blob: str | None = None) -> Fill:
        """Count one more, which ends with `end`; not where another worker brings the same ``blob``.

        Arguments:
            registry: where it comes from.
            client: the IP address of who wants it, where that is known.
            blob: what it brings, of which no other is asked for while it is under way; None is nothing of that kind.

        Raises:
            RegistryError: TOOMANYREQUESTS.
        """
        config = self._current()
        privileged = is_in(client, config.access.privileged)
        fill = Fill(registry, None if client is None or privileged else network_of(client), blob, counts=False)
        if self._by_blob is not None and blob is not None and self._by_blob.add(blob) > 1:
            return fill
        of_client, of_registry = self._count(fill)
        if not privileged:
            try:
                self._check(fill, config, of_client, of_registry)
            except RegistryError:
                self.end(fill)
                raise
        return fill

    def asks_upstream(self, fill: Fill) -> None:
        """Count one that read what another worker asked for, and now asks by itself."""
        if not fill.counts:
            self._count(fill)

    def end(self, fill: Fill) -> None:
        """Count one less."""
        if self._by_blob is not None and fill.blob is not None:
            self._by_blob.remove(fill.blob)
        if not fill.counts:
            return
        self.by_registry.remove(fill.registry)
        if fill.client is not None:
            self.by_client.remove(fill.client)

    def _count(self, fill: Fill) -> tuple[int, int]:
        """Count it; return how many the client and the registry have now."""
        fill.counts = True
        of_registry = self.by_registry.add(fill.registry)
        return 0 if fill.client is None else self.by_client.add(fill.client), of_registry

    def _check(self, fill: Fill, config: Config, of_client: int, of_registry: int) -> None:
        most, most_of_registry = config.limits.fills_per_client, config.limits.fills_per_upstream
        if 0 < most < of_client:
            raise self._too_many(f"{most} blobs are being fetched for {fill.client} already, the most at once")
        if 0 < most_of_registry < of_registry:
            raise self._too_many(
                f"{most_of_registry} blobs are being fetched from {fill.registry} already, the most at once"
            )

    def _too_many(self, what: str) -> RegistryError:
        self.refused += 1
        return RegistryError(
            ErrorCode.TOOMANYREQUESTS, f"{what}; try again in {_RETRY_AFTER} s", retry_after=_RETRY_AFTER
        )
