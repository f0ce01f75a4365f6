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
from ..sharing import Alone, Sharing
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
        sharing: has what clients of all workers have tried.
        token_key: returns what tokens are made with (crproxy.login.signing); by default a file's content.
    """

    def __init__(
        self,
        current: Callable[[], Config],
        logins: Logins,
        reactor: Any,
        *,
        now: Callable[[], float] | None = None,
        sharing: Sharing | None = None,
        token_key: Callable[[], bytes] | None = None,
    ) -> None:
        sharing = sharing or Alone()
        self._pool = ThreadPool(minthreads=0, maxthreads=_THREADS, name="crproxy-login")
        threads = functools.partial(deferToThreadPool, reactor, self._pool)
        passwords = Passwords(threads, reactor, _THREADS, sharing)
        key = functools.partial(load_key, Path(current().data_dir), sharing.secret)
        signer = Signer(token_key or key, reactor, now=now)
        self.login = Login(current, passwords, logins, signer, reactor, now=now)

    def startService(self) -> None:
        """Begin to check passwords (IService)."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """End the threads (IService)."""
        super().stopService()
        self._pool.stop()
