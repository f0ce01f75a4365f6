"""For whom upstreams are asked just now: of whatever a request brings about, also when its client has left.

A context variable (PEP 567): Twisted hands it on from one coroutine to those that it starts, so that what lies between
a request and a socket need not know of clients.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["ask_as", "ask_for", "asked_by", "asked_for"]

_client: ContextVar[str | None] = ContextVar("_client", default=None)
_user: ContextVar[str | None] = ContextVar("_user", default=None)


def ask_for(client: str | None) -> None:
    """Ask for the client with this IP address from here on, to the end of the coroutine that calls this."""
    _client.set(client)


def asked_for() -> str | None:
    """Return the IP address of whom is asked for; None is nobody's, or a socket of this machine."""
    return _client.get()


def ask_as(user: str | None) -> None:
    """Ask for who has logged in by this name from here on; None is nobody."""
    _user.set(user)


def asked_by() -> str | None:
    """Return who is asked for, as people call them: a user, or else an address; None is nobody."""
    return _user.get() or _client.get()
