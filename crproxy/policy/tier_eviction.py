"""What has to go from the second tier so that it stays under its size, and which facts go with it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..oci.digests import Digest
from ..oci.names import Registry
from .eviction import to_drop
from .object_keys import BlobKey, LinkKey, RevokedKey, ViewNames

__all__ = [
    "IN_USE",
    "OBJECT_AGE",
    "TOLD_EVERY",
    "Held",
    "content_of",
    "is_in_use",
    "latest_use",
    "link_goes",
    "revoked_goes",
    "tag_goes",
    "what_goes",
]

# Seconds after its last use within which content may be read by anybody.
IN_USE = 3600.0
# Seconds for which a use of the same content need not be told again; and until one is told, and is known: what a worker
# has served is written down each minute.
TOLD_EVERY, _TOLD_WITHIN = 1800.0, 300.0
# Seconds after which a fact goes that leads to nothing: content may be days in coming, where a store was away.
OBJECT_AGE = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Held:
    """Some content in the tier: its bytes, and when a node used it last or it was put there (seconds since 1970)."""

    key: BlobKey
    size: int
    used: float


def latest_use(modified: float, told: float | None, now: float) -> float:
    """Return when some content may have been used last; seconds since the epoch.

    Arguments:
        modified: when it was put there.
        told: when a node told of a use, which it may have done of an earlier one in place of the last; None: none has.
    """
    return modified if told is None else max(modified, min(told + TOLD_EVERY + _TOLD_WITHIN, now))


def is_in_use(used: float, now: float) -> bool:
    """Tell whether what was used then may be read by somebody now."""
    return used > now - IN_USE


def what_goes(held: Iterable[Held], taken: int, size: int, now: float) -> list[Held]:
    """Return the content that has to go, the least recently used first; nothing that was used within the last hour.

    Arguments:
        held: all content that there is.
        taken: bytes of all objects, content or not.
        size: bytes that there may be.
    """
    idle = sorted((one for one in held if not is_in_use(one.used, now)), key=lambda one: (one.used, one.key.digest))
    return to_drop(taken, size, ((one, one.size) for one in idle))


def content_of(link: LinkKey) -> BlobKey:
    """Return the content that a link is about: what took a credential is in its registry's pool."""
    pool: Registry | None = link.view.repository.registry if link.view.credential else None
    return BlobKey(link.digest, pool)


def link_goes(link: LinkKey, modified: float, kept: Collection[BlobKey], gone: Collection[BlobKey], now: float) -> bool:
    """Tell whether a link leads to nothing: its content goes just now, or has not been there for long.

    Arguments:
        modified: when it was written; what was written just now is of content that may have come since.
        kept, gone: content that stays, and that goes.
    """
    content = content_of(link)
    return content not in kept and modified <= now - (IN_USE if content in gone else OBJECT_AGE)


def tag_goes(view: ViewNames, digest: Digest | None, modified: float, kept: Collection[BlobKey], now: float) -> bool:
    """Tell whether a tag of a view that has lost links leads to nothing.

    Arguments:
        digest: where it points; None where that cannot be read.
    """
    leads_on = digest is not None and content_of(LinkKey(view, digest)) in kept
    return not leads_on and modified <= now - IN_USE


def revoked_goes(revoked: RevokedKey, modified: float, linked: Collection[ViewNames], now: float) -> bool:
    """Tell whether a refusal is about nothing: while there is a link of its view, that must not count again.

    Arguments:
        linked: the views that have links.
    """
    return revoked.view not in linked and modified <= now - OBJECT_AGE
