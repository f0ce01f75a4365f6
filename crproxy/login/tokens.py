"""Tokens at a host of ours: given for some repositories, and good for those alone."""

from __future__ import annotations

import contextlib

from ..config import Config
from ..oci.errors import RegistryError
from ..policy.routing import Names, route
from .authentication import AuthRequest, IssuedToken, Target
from .signing import BadToken, Claims, Signer

__all__ = ["issue", "read"]

# "... a token should never be returned with less than 60 seconds to live" (the token specification).
_SHORTEST = 60.0


def read(signer: Signer, names: Names, token: str, request: AuthRequest, target: Target | None) -> Claims:
    """Return what ``token`` says. Raises RegistryError: UNAUTHORIZED where it is not good for ``wanted``."""
    try:
        claims = signer.read(token, request.name)
    except BadToken as error:
        # The words of RFC 6750, 3.1.
        request.refuse(names, target, f"{error}: log in again", "invalid_token")
    if target is not None and not any(_means(names, name, request, target) for name in claims.names):
        request.refuse(names, target, f"this token is not for {target.name}", "insufficient_scope")
    return claims


def issue(signer: Signer, config: Config, claims: Claims, lifetime: float | None = None) -> IssuedToken:
    """Return a token that says ``claims``.

    Arguments:
        lifetime: seconds after which what is sealed in it ends.

    Raises:
        ValueError: it would be longer than clients can send.
    """
    longest = config.clients.token_ttl
    seconds = int(max(_SHORTEST, longest if lifetime is None else min(lifetime, longest)))
    return IssuedToken(signer.sign(claims, seconds), seconds)


def _means(names: Names, name: str, request: AuthRequest, target: Target) -> bool:
    """Tell whether ``name`` in a token is ``wanted``: as it was asked for, or in another spelling of the same."""
    if name == target.name:
        return True
    with contextlib.suppress(RegistryError):
        return route(names, request.host, name, target.ns).repository == target.repository
    return False
