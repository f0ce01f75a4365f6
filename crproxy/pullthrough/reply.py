"""What a client asked, and what it is answered: a status, headers, and a body that can be joined to a consumer.

Who sends it, and how, is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer

from ..limits import Body
from ..oci.digests import Digest
from ..oci.errors import RegistryError
from .lasting import Lasting
from .pieces import PIECE, Pieces

__all__ = ["Asked", "Body", "CacheStatus", "Content", "Reply", "Unsent", "named", "warned"]


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is in memory."""

    content: bytes = b""

    @property
    def length(self) -> int:
        """Bytes."""
        return len(self.content)

    def join(self, consumer: IConsumer) -> Deferred[None]:
        """Write it (Body): what is large in pieces, as the consumer takes them, for transports copy what they hold."""
        if len(self.content) <= PIECE:
            consumer.write(self.content)
            return succeed(None)
        return Pieces(self.content).join(consumer)

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
    """What a client is answered. ``headers`` has no Content-Length where the body knows it.

    ``lasting`` tells whether whoever may have it is answered the same again; None where that is not known.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Content)
    lasting: Lasting | None = field(default=None, compare=False)

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
        caller: the Authorization for the registry, of a client that has its own.
        client: the IP address of who asks, where that is known.
        may_redirect: whether it can be sent elsewhere for a blob.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    caller: str | None = field(default=None, repr=False)
    client: str | None = None
    may_redirect: bool = True


class CacheStatus:
    """Values of Cache-Status (RFC 9211)."""

    HIT = "crproxy; hit"
    MISS = "crproxy; fwd=uri-miss"
    STORED = "crproxy; fwd=uri-miss; stored"
    COLLAPSED = "crproxy; fwd=uri-miss; collapsed; stored"
    SHARED = "crproxy; fwd=uri-miss; collapsed"
    REVALIDATED = "crproxy; hit; detail=revalidated"
    STALE = "crproxy; hit; fwd=stale; detail=upstream-failed"
    SPARED = "crproxy; hit; detail=quota"
    REDIRECTED = "crproxy; fwd=uri-miss; detail=redirected"
    REDIRECTED_HIT = "crproxy; hit; detail=redirected"


def named(digest: Digest, cache_status: str) -> dict[str, str]:
    """Return the headers that say which content this is, and where it came from."""
    return {"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"', "Cache-Status": cache_status}


def warned(reply: Reply, warning: str | None) -> Reply:
    """Return ``reply`` with a Warning, where there is one."""
    return reply if warning is None else replace(reply, headers={**reply.headers, "Warning": warning})
