"""What is known of the endpoints of registries that have several: which rest, and which gave wrong bytes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from ..config import Upstream
from ..oci.digests import Digest
from ..oci.errors import ErrorCode, RegistryError
from ..oci.names import Repository
from ..policy.endpoint_order import BLAME_SECONDS, REST_SECONDS, Health, counts, in_order, to_blame
from ..sharing import Alone, Records, Sharing
from ..sharing.bounding import drop_oldest
from .answers import OtherContent, RangeRefused
from .errors import is_ours

__all__ = ["EndpointHealth"]


class EndpointHealth:
    """How the endpoints of a daemon's registries stand.

    Arguments:
        now: seconds since the epoch.
        sharing: keeps it, for all workers.
    """

    _log = Logger()

    def __init__(self, now: Callable[[], float], sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        self._now = now
        # By registry and endpoint, and by these and a digest: when it was that it could not be asked, or gave wrong
        # bytes.
        self._rests = sharing.records("resting endpoints")
        self._blamed = sharing.records("blamed endpoints")
        # The endpoints that have given a blob, since it was begun.
        self._givers: dict[tuple[Repository, Digest], set[str]] = {}

    def order(self, upstream: Upstream, *, by_digest: bool, digest: Digest | None = None) -> list[Upstream]:
        """Return the endpoints that are asked, the first of them first.

        Arguments:
            by_digest: what is asked for is named by its digest.
            digest: that, where it is known.
        """
        endpoints = upstream.endpoints
        health = [self._health_of(endpoint, digest) for endpoint in endpoints]
        return [endpoints[place] for place in in_order(health, by_digest=by_digest)]

    def failed(self, endpoint: Upstream, error: RegistryError, digest: Digest | None = None) -> None:
        """Note that it has answered with ``error``, where the ``digest`` was asked for, or not at all."""
        if isinstance(error, OtherContent) and digest is not None:
            self._blame(endpoint, digest)
        is_range = isinstance(error, RangeRefused)
        is_ours_alone = error.__cause__ is not None and is_ours(error.__cause__)
        if error.code is ErrorCode.UNAVAILABLE and not is_range and not is_ours_alone:
            self.rest(endpoint, error.message)

    def rest(self, endpoint: Upstream, why: str) -> None:
        """Have it asked last for a while."""
        key = (endpoint.registry.name, endpoint.endpoint)
        if not self._counts(self._rests, key, REST_SECONDS):
            self._log.warn(
                "{endpoint} is asked last for {seconds:g} s: {why}",
                endpoint=endpoint.endpoint,
                seconds=REST_SECONDS,
                why=why,
            )
        self._rests.put(key, self._now())

    def gave(self, endpoint: Upstream, repository: Repository, digest: Digest, start: int) -> None:
        """Note that the blob comes from there, from byte ``start`` on."""
        key = (repository, digest)
        if start == 0:
            self._givers.pop(key, None)
            self._givers[key] = {endpoint.endpoint}
            drop_oldest(self._givers)
        elif key in self._givers:
            # Of one that was begun by who knows whom nothing could be said.
            self._givers[key].add(endpoint.endpoint)

    def blame(self, upstream: Upstream, repository: Repository, digest: Digest) -> None:
        """Note that the bytes which came of a blob are wrong."""
        givers = self._givers.pop((repository, digest), set())
        endpoints = upstream.endpoints
        places = [place for place, endpoint in enumerate(endpoints) if endpoint.endpoint in givers]
        for place in to_blame(places):
            self._blame(endpoints[place], digest)

    def _blame(self, endpoint: Upstream, digest: Digest) -> None:
        self._log.warn(
            "{endpoint} sent other bytes than those of {digest}: it is not asked for them for an hour",
            endpoint=endpoint.endpoint,
            digest=digest,
        )
        self._blamed.put((endpoint.registry.name, endpoint.endpoint, str(digest)), self._now())

    def _health_of(self, endpoint: Upstream, digest: Digest | None) -> Health:
        key = (endpoint.registry.name, endpoint.endpoint)
        rests = self._counts(self._rests, key, REST_SECONDS) is not None
        blamed = None if digest is None else self._counts(self._blamed, (*key, str(digest)), BLAME_SECONDS)
        return Health(endpoint.trust_tags, rests, blamed)

    def _counts(self, records: Records, key: tuple[str, ...], seconds: float) -> float | None:
        """Return when it was noted, if that counts still."""
        noted: float | None = records.get(key)
        return noted if noted is not None and counts(noted, self._now(), seconds) else None
