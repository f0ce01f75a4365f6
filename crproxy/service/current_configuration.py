"""The configuration that counts now, and what happens when another takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..admin.alias_file import AliasChange, Source, keep_alias
from ..config import Config, ConfigError
from ..config.changes import changes
from ..config.naming import with_alias

__all__ = ["Changed", "Configuration", "CurrentConfiguration"]

# Takes a configuration; a Deferred of it fires when it counts everywhere.
Changed = Callable[[Config], object]

# What is read once, when the daemon starts.
_AT_START = (
    "listen",
    "data_dir",
    "cache",
    "timeouts",
    "certs",
    "acme",
    "admin",
    "metrics",
    "storage",
    "fleet",
    "workers",
)
# What they are called in the file.
_KEYS = {"forward": "proxy.listen"}


class Configuration(Protocol):
    """The running configuration. ``changed`` are called with each that takes its place."""

    changed: list[Changed]

    def __call__(self) -> Config:
        """Return the configuration that counts now."""

    def set_alias(self, label: str, registry: str) -> Deferred[AliasChange]:
        """Add an alias, or with ``""`` take one away; return whether it could be written into the file, too.

        Fails with ConfigError: nothing has changed.
        """


class CurrentConfiguration:
    """The running configuration, read by this process (Configuration).

    ``reread`` are called whenever it was to be read again, whatever came of that.

    Arguments:
        config: the one that counts at first.
        load: reads it again; raises ConfigError.
        source: the file that it is read from; None where there is none.
    """

    _log = Logger()

    def __init__(self, config: Config, load: Callable[[], Config], source: Source | None = None) -> None:
        self._config = config
        self._load = load
        self._source = source or Source(None, lambda _: config)
        self.changed: list[Changed] = []
        self.reread: list[Callable[[None], object]] = []

    def __call__(self) -> Config:
        """Return the configuration that counts now."""
        return self._config

    def reload(self) -> Deferred[bool]:
        """Read it again: all of it counts from now on, or, where there is a mistake in it, nothing; tell which.

        Fires when all who are told of it have taken it.
        """
        return Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> bool:
        try:
            read = self._read()
        except ConfigError as error:
            await _all(self.reread, None)
            self._log.error("the configuration was not read again, nothing has changed: {error}", error=error)
            return False
        told = "; ".join(changes(self._config, read)) or "nothing has changed"
        await self._take(read)
        await _all(self.reread, None)
        self._log.info("the configuration was read again: {changes}", changes=told)
        return True

    def _read(self) -> Config:
        """Return what is to count from now on. Raises ConfigError."""
        read = self._load()
        fixed = {key: getattr(self._config, key) for key in _AT_START}
        # Of the HTTP proxy for clients no more than where it is.
        listens = self._config.forward
        fixed["forward"] = replace(read.forward, listen=listens.listen, listen_tls=listens.listen_tls)
        late = [_KEYS.get(key, key) for key, value in fixed.items() if getattr(read, key) != value]
        if late:
            self._log.warn("changed, but only a restart changes these: {late}", late=", ".join(late))
        return replace(read, **fixed)

    def set_alias(self, label: str, registry: str) -> Deferred[AliasChange]:
        """Add an alias, or with ``""`` take one away; return whether it could be written into the file, too.

        Fires when all who are told of it have taken it; fails with ConfigError: nothing has changed.
        """
        return Deferred.fromCoroutine(self._set_alias(label, registry))

    async def _set_alias(self, label: str, registry: str) -> AliasChange:
        taken = self._take(replace(self._config, names=with_alias(self._config.names, label, registry)))
        change = keep_alias(self._source, label, registry, self._config)
        fate = f"not kept beyond the next reload: {change.why}" if change.why else f"written to {change.file}"
        self._log.info("alias {label}: {registry}, {fate}", label=label, registry=registry or "removed", fate=fate)
        await taken
        return change

    def _take(self, config: Config) -> Deferred[None]:
        self._config = config
        return _all(self.changed, config)


def _all(calls: Iterable[Callable[[Any], object]], argument: Any) -> Deferred[None]:
    """Make all ``calls``; fires when the Deferreds among what they return have."""
    returned = [call(argument) for call in calls]
    waited = [each.addErrback(_not_taken) for each in returned if isinstance(each, Deferred)]
    return DeferredList(waited).addCallback(lambda _: None)


def _not_taken(failure: Failure) -> None:
    CurrentConfiguration._log.failure("somebody has not taken the configuration", failure)
