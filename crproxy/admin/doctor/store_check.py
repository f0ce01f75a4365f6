"""Can the object store be used? A small object is written below the prefix, read, and removed: nothing else changes."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool

from ...config import Config, Storage
from ...policy.redaction import redacted
from .environment import ProbeEnvironment
from .findings import Area, Finding, Outcome, failed, fine, skipped
from .store_troubles import explain

__all__ = ["check_store"]

# In seconds: for a connection, for an answer, and for all of an upload. Somebody sits and waits.
_CONNECT, _IDLE, _UPLOAD = 3.0, 5.0, 10.0
# Below the prefix, where neither content nor anything said of it is.
_PLACE = "doctor"


async def check_store(config: Config, environment: ProbeEnvironment) -> list[Finding]:
    """Return what came of it; nothing where no object store is configured."""
    storage = config.storage
    if storage is None:
        return []
    if storage.kind == "file" and not Path(urlsplit(storage.url).path).is_dir():
        # To look at it would make it, as the daemon does.
        return [skipped(Area.STORAGE, storage.url, "it is made at the first start")]
    reactor = environment.reactor
    looked: Deferred[list[Finding]] = deferToThreadPool(
        reactor, reactor.getThreadPool(), lambda: list(_look(storage, reactor))
    )
    return await looked


def _look(storage: Storage, clock: IReactorTime) -> Iterator[Finding]:
    """Look, in a thread: all of it blocks."""
    try:
        import obstore

        from ...objects.opening import Patience, open_stores
    except ImportError as error:
        why = f"it takes what is not installed here ({error.name})"
        yield failed(Area.STORAGE, storage.url, why, "Run pip install 'crproxy[fleet]'")
        return
    try:
        stores = open_stores(storage, Patience(_CONNECT, _IDLE, _UPLOAD))
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        yield _failed(storage.url, error)
        return
    attempt = functools.partial(_attempt, obstore.exceptions.BaseError, storage.url, clock)
    key, content = f"{_PLACE}/{secrets.token_hex(16)}", secrets.token_bytes(64)

    def read() -> None:
        if bytes(obstore.get(stores.reading, key).bytes()) != content:
            raise ValueError("other bytes come out than were put in")

    yield (listed := attempt("list", lambda: next(iter(obstore.list(stores.reading, _PLACE, chunk_size=1)), None)))
    if listed.outcome is Outcome.FAILED:
        yield from _skipped(storage.url, "write", "read", "remove")
        return
    yield (written := attempt("write", lambda: obstore.put(stores.writing, key, content, use_multipart=False)))
    if written.outcome is Outcome.FAILED:
        yield from _skipped(storage.url, "read", "remove")
        return
    yield attempt("read", read)
    yield attempt("remove", lambda: obstore.delete(stores.writing, [key]))


def _attempt(errors: type[Exception], url: str, clock: IReactorTime, step: str, work: Callable[[], Any]) -> Finding:
    began = clock.seconds()
    try:
        work()
    except (errors, OSError, ValueError) as error:
        return _failed(f"{url}: {step}", error)
    return fine(Area.STORAGE, f"{url}: {step}", f"works, in {clock.seconds() - began:.2f} s")


def _skipped(url: str, *steps: str) -> Iterator[Finding]:
    return (skipped(Area.STORAGE, f"{url}: {step}", "what comes before it failed") for step in steps)


def _failed(subject: str, error: Exception) -> Finding:
    trouble = explain(redacted(str(error)))
    return failed(Area.STORAGE, subject, trouble.said, trouble.advice)
