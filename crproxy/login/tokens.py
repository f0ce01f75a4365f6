"""Tokens at a host of ours: given for some repositories, and good for those alone."""

from __future__ import annotations

import contextlib

from ..config import Config
from ..oci.errors import RegistryError
from ..policy.routing import Names, route
from .authentication import Granted, Visit, Wanted
from .signing import BadToken, Claims, Signer

__all__ = ["grant", "read"]

# "... a token should never be returned with less than 60 seconds to live" (the token specification).
_SHORTEST = 60.0


def read(signer: Signer, names: Names, token: str, visit: Visit, wanted: Wanted | None) -> Claims:
    """Return what ``token`` says. Raises RegistryError: UNAUTHORIZED where it is not good for ``wanted``."""
    try:
        claims = signer.read(token, visit.name)
    except BadToken as error:
        visit.refuse(names, wanted, f"{error}: log in again", "invalid_token")
    if wanted is not None and not any(_means(names, name, visit, wanted) for name in claims.names):
        visit.refuse(names, wanted, f"this token is not for {wanted.name}", "insufficient_scope")
    return claims


def grant(signer: Signer, config: Config, claims: Claims, lifetime: float | None = None) -> Granted:
    """Return a token that says ``claims``.

    Arguments:
        lifetime: seconds after which what is sealed in it ends.

    Raises:
        ValueError: it would be longer than clients can send.
    """
    longest = config.clients.token_ttl
    seconds = int(max(_SHORTEST, longest if lifetime is None else min(lifetime, longest)))
    return Granted(signer.sign(claims, seconds), seconds)


def _means(names: Names, name: str, visit: Visit, wanted: Wanted) -> bool:
    """Tell whether ``name`` in a token is ``wanted``: as it was asked for, or in another spelling of the same."""
    if name == wanted.name:
        return True
    with contextlib.suppress(RegistryError):
        return route(names, visit.host, name, wanted.ns).repository == wanted.repository
    return False
