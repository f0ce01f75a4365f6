"""Clients' login as a service: with threads of its own while it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from ..config import Config
from ..login import Login
from ..login.keys import load_key
from ..login.passwords import Passwords
from ..login.signing import Signer
from ..upstream.logins import Logins

__all__ = ["LoginService"]

# bcrypt keeps a core busy: whoever sends many passwords must not take them all, nor the disk's threads.
_THREADS = 2


class LoginService(Service):
    """Lets clients in while it runs.

    Arguments:
        current: returns the configuration that counts now.
        logins: asks upstreams about their users.
        reactor: runs it.
        now: seconds since the epoch; the reactor's by default.
    """

    def __init__(
        self, current: Callable[[], Config], logins: Logins, reactor: Any, *, now: Callable[[], float] | None = None
    ) -> None:
        self._pool = ThreadPool(minthreads=0, maxthreads=_THREADS, name="crproxy-login")
        passwords = Passwords(functools.partial(deferToThreadPool, reactor, self._pool), reactor, _THREADS)
        signer = Signer(functools.partial(load_key, Path(current().data_dir)), reactor, now=now)
        self.login = Login(current, passwords, logins, signer, reactor, now=now)

    def startService(self) -> None:
        """Begin to check passwords (IService)."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """End the threads (IService)."""
        super().stopService()
        self._pool.stop()
