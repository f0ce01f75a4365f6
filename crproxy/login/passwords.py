"""Passwords, checked against their bcrypt hashes: in threads, for a check takes the better part of a second.

Knows nothing of requests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import bcrypt
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..oci.errors import ErrorCode, RegistryError
from ..policy.authorizations import Credentials
from ..policy.clients import network_of
from ..sharing import Alone, Sharing
from ..upstream.single_flight import SingleFlight
from .fair_queue import FairQueue, TooMany

__all__ = ["Passwords", "Threads"]

# bcrypt reads no further; htpasswd cuts without a word, and the library refuses.
_BCRYPT_READS = 72
# Seconds that a password which was right is remembered: some clients send it with each request.
_REMEMBERED = 300.0
# Checks of one client, under way and waiting. More at once are an attack, and would be answered when nobody waits any
# more. A cap on all alone was an attack's own: of 64 connections with wrong passwords, none of which it cost anything,
# 40 of 40 right first logins of somebody else were answered 429.
_MOST_OF_CLIENT = 32
# And of all that wait.
_MOST = 1024

# Runs blocking work in a thread.
Threads = Callable[..., Deferred[Any]]


class Passwords:
    """Checks passwords, and remembers those that were right for a while.

    Arguments:
        threads: runs what blocks.
        clock: the time.
        at_once: how many checks run at a time; clients have their turns at those.
        sharing: remembers them, for all workers.
    """

    def __init__(self, threads: Threads, clock: IReactorTime, at_once: int = 2, sharing: Sharing | None = None) -> None:
        sharing = sharing or Alone()
        self._threads = threads
        self._clock = clock
        # Of what is remembered only a keyed hash is in memory, with a key that ends with the daemon.
        self._key = sharing.secret
        # Until when each counts.
        self._right = sharing.records("right passwords")
        self._checks: SingleFlight[bytes, bool] = SingleFlight()
        self._queue = FairQueue(at_once, _MOST_OF_CLIENT, _MOST, sharing.count("password checks"))

    async def are_right(self, users: Mapping[str, bytes], credentials: Credentials, client: str | None) -> bool:
        """Tell whether ``credentials`` are a user's.

        Arguments:
            users: names, and their passwords as bcrypt hashed them.
            client: the IP address of who brings them; None is a socket of this machine.

        Raises:
            RegistryError: TOOMANYREQUESTS while too many of this client's are being checked.
        """
        # A name that nobody has takes as long as any: how long an answer takes must not tell who is a user.
        hashed = users.get(credentials.username) or _nobodys(next(iter(users.values())))
        digest = self._digest(credentials, hashed)
        if (self._right.get(digest) or 0.0) > self._clock.seconds():
            return True
        if not await self._checks.run(digest, lambda: self._check(credentials, hashed, client)):
            return False
        if credentials.username not in users:
            return False
        self._right.put(digest, self._clock.seconds() + _REMEMBERED)
        return True

    async def _check(self, credentials: Credentials, hashed: bytes, client: str | None) -> bool:
        whose = "" if client is None else network_of(client)
        try:
            right: bool = await self._queue.run(whose, lambda: self._threads(_matches, credentials.password, hashed))
        except TooMany:
            raise RegistryError(
                ErrorCode.TOOMANYREQUESTS, "too many passwords are being checked: log in again", retry_after=5
            ) from None
        return right

    def _digest(self, credentials: Credentials, hashed: bytes) -> bytes:
        text = "\0".join((credentials.username, credentials.password)).encode()
        return hmac.new(self._key, hashed + b"\0" + text, hashlib.sha256).digest()


def _matches(password: str, hashed: bytes) -> bool:
    return bcrypt.checkpw(password.encode()[:_BCRYPT_READS], hashed)


def _nobodys(hashed: bytes) -> bytes:
    """Return a hash as dear as ``hashed``, which no password has."""
    return hashed[:-31] + b"." * 31
