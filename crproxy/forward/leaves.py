"""Certificates for the registries that are answered in their place: made when they are asked for, kept in memory."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec

from ..tls.certificates import Certified
from .authority import Authority

__all__ = ["LEAF_SECONDS", "Leaves"]

LEAF_SECONDS = 86400.0


class Leaves:
    """Makes them.

    Arguments:
        signer_for: returns which CA signs for a name now; None where none may.
        now: seconds since the epoch.
    """

    def __init__(self, signer_for: Callable[[str], Authority | None], now: Callable[[], float]) -> None:
        self._signer_for = signer_for
        self._now = now
        # One key for all of them: a client that trusts one trusts the others, and none is made for each connection.
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._made: dict[str, tuple[Authority, Certified]] = {}

    def __len__(self) -> int:
        return len(self._made)

    def find(self, name: str) -> Certified | None:
        """Return the certificate of ``name``, at least half of whose time is left; None where no CA may sign it."""
        authority, now = self._signer_for(name), self._now()
        if authority is None:
            return None
        by, known = self._made.get(name, (None, None))
        if known is not None and by is authority and known.not_before <= now < known.not_after - LEAF_SECONDS / 2:
            return known
        leaf = authority.sign(name, self._key.public_key(), now, LEAF_SECONDS)
        made = Certified(self._key, (leaf,))
        self._made[name] = authority, made
        return made
