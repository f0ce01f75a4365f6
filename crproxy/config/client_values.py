"""Whom this proxy serves, as the configuration says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Clients"]


@dataclass(frozen=True, slots=True)
class Clients:
    """Whom this proxy serves.

    Arguments:
        users: names, and their passwords as bcrypt hashed them; None serves everybody.
        token_ttl: seconds that a token lasts which they get for their password.
        privileged_login: clients in privileged networks log in as everybody does.
        htpasswd: the file that the users were read from; None where there is none.
        admins: the users that the operator's page lets in.
    """

    users: Mapping[str, bytes] | None = field(default=None, repr=False)
    token_ttl: float = 300.0
    privileged_login: bool = True
    htpasswd: str | None = None
    admins: frozenset[str] = frozenset()
