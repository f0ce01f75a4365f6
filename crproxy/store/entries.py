"""What the cache's contents and permissions are named by.

What a registry gave to anybody and what it gave to our credentials are kept apart, on disk and in the index. So nothing
private can be reached by naming its digest elsewhere, whoever runs the registry that names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..oci.digests import Digest
from ..oci.names import Registry, Repository

__all__ = ["Entry", "View"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Some content as the cache holds it.

    Arguments:
        digest: of its bytes.
        pool: None for what anybody can have; else the registry whose credentials it took.
    """

    digest: Digest
    pool: Registry | None = None

    def __str__(self) -> str:
        return str(self.digest) if self.pool is None else f"{self.digest} of {self.pool}"


@dataclass(frozen=True, slots=True)
class View:
    """A repository as it is seen with one credential of its registry's, or with none.

    Arguments:
        credential: which of the proxy's own (`Upstream.credential`); empty where the registry is asked anonymously.
        caller: the Authorization of a client that has its own. What such a view finds here is never for it to see
            before upstream has allowed it, each time.
    """

    repository: Repository
    credential: str = ""
    caller: str | None = field(default=None, repr=False)

    @property
    def private(self) -> bool:
        """Whether what is seen takes credentials, the proxy's or the client's."""
        return bool(self.credential) or self.caller is not None

    def entry(self, digest: Digest) -> Entry:
        """Return the entry that what is fetched through this view is kept as."""
        return Entry(digest, self.repository.registry if self.private else None)
