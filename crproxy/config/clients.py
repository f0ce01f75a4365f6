"""Who may log in, as the configuration says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .client_values import Clients
from .table import Table

__all__ = ["read_clients", "read_users"]

# Shorter ones run out between a token's issue and its use (the token specification, "expires_in": at least 60); longer
# ones outlive what they stand for.
_SHORTEST, _LONGEST = 60.0, 3600.0

# The library takes no cost below 4, and no salt that is more than 16 bytes: its last character holds two bits.
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[1-9][0-9])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
# Each step doubles the work: 14 is about a second for one password.
_DEAREST = 14


def read_clients(table: Table, read_named: Callable[[Table, str], str | None]) -> Clients:
    """Return whom this proxy serves. Raises ConfigError.

    Arguments:
        table: ``[clients]``, of which nothing is left then.
        read_named: returns the text of the file that a key names.
    """
    usual = Clients()
    text, htpasswd = read_named(table, "htpasswd"), table.string("htpasswd")
    users = None if text is None else _users(table, text)
    clients = Clients(
        users=users,
        admins=_admins(table, users or {}),
        token_ttl=table.duration("token_ttl", usual.token_ttl),
        privileged_login=table.boolean("privileged_login", usual.privileged_login),
        htpasswd=htpasswd,
    )
    if not _SHORTEST <= clients.token_ttl <= _LONGEST:
        table.fail("token_ttl", "a token lasts from 60s to 1h")
    table.refuse_the_rest()
    return clients


def _admins(table: Table, users: Mapping[str, bytes]) -> frozenset[str]:
    """Return who is let in to the operator's page."""
    names = table.strings("admins")
    for name in names:
        if name not in users:
            table.fail("admins", f"{name!r} is no user of the htpasswd file: add it there first")
    return frozenset(names)


def read_users(text: str) -> dict[str, bytes]:
    """Return the users of an htpasswd file, and their passwords as bcrypt hashed them.

    Raises:
        ValueError: a line is none of a user, or there is no user in it.
    """
    users: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, _, hashed = entry.partition(":")
        bcrypt = _BCRYPT.fullmatch(hashed)
        if not name or bcrypt is None:
            raise ValueError(f"line {number} is no user with a bcrypt hash: add users with crproxy user add")
        if int(bcrypt[1]) > _DEAREST:
            raise ValueError(f"line {number}: a cost of {bcrypt[1]} takes too long to check: at most {_DEAREST}")
        if name in users:
            raise ValueError(f"line {number}: the user {name} has a line already")
        users[name] = hashed.encode("ascii")
    if not users:
        raise ValueError("there is no user in it, so that nobody could log in: add one with crproxy user add")
    return users


def _users(table: Table, text: str) -> dict[str, bytes]:
    try:
        return read_users(text)
    except ValueError as error:
        table.fail("htpasswd", str(error))
