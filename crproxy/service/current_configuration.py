"""The configuration that counts now, and what happens when another takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, execute
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..admin.alias_file import AliasChange, Source, keep_alias
from ..admin.configuration_file import read_text
from ..admin.loaded import Loaded
from ..config import Config, ConfigError
from ..config.changes import changes
from ..config.clients import read_users
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

    def reload_users(self) -> Deferred[tuple[str, ...]]:
        """Read the htpasswd file again, and nothing else; return the names in it.

        Fails with ConfigError: nothing has changed.
        """

    def loaded(self) -> Deferred[Loaded]:
        """Return where it comes from, and what is different there now; nothing changes."""


class CurrentConfiguration:
    """The running configuration, read by this process (Configuration).

    ``reread`` are called whenever it was to be read again, whatever came of that.

    Arguments:
        config: the one that counts at first.
        load: reads it again; raises ConfigError.
        source: the file that it is read from; None where there is none.
        read_file: returns the text of a file; raises OSError.
        now: returns seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        source: Source | None = None,
        read_file: Callable[[str], str] = read_text,
        *,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._config = config
        self._load = load
        self._read_file = read_file
        self._source = source or Source(None, lambda _: config)
        self._now = now
        self._read_at = now()
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
        self._read_at = self._now()
        told = "; ".join(changes(self._config, read)) or "nothing has changed"
        await self._take(read)
        await _all(self.reread, None)
        self._log.info("the configuration was read again: {changes}", changes=told)
        return True

    def _read(self) -> Config:
        """Return what is to count from now on. Raises ConfigError."""
        read, late = self._compare()
        if late:
            self._log.warn("changed, but only a restart changes these: {late}", late=", ".join(late))
        return read

    def loaded(self) -> Deferred[Loaded]:
        """Return where it comes from, and what is different there now; nothing changes."""
        return execute(self._loaded)

    def _loaded(self) -> Loaded:
        file = None if self._source.path is None else str(self._source.path)
        loaded = Loaded(file, self._read_at, options=self._source.options)
        try:
            read, late = self._compare()
        except ConfigError as error:
            return replace(loaded, trouble=str(error))
        return replace(loaded, changed=tuple(changes(self._config, read)), late=tuple(late))

    def _compare(self) -> tuple[Config, list[str]]:
        """Read it again; return what of it may count, and what only a restart changes. Raises ConfigError."""
        read = self._load()
        fixed = {key: getattr(self._config, key) for key in _AT_START}
        # Of the HTTP proxy for clients no more than where it is.
        listens = self._config.forward
        fixed["forward"] = replace(read.forward, listen=listens.listen, listen_tls=listens.listen_tls)
        late = [_KEYS.get(key, key) for key, value in fixed.items() if getattr(read, key) != value]
        return replace(read, **fixed), late

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

    def reload_users(self) -> Deferred[tuple[str, ...]]:
        """Read the htpasswd file again, and nothing else; return the names in it.

        Fires when all who are told of it have taken it; fails with ConfigError: nothing has changed.
        """
        return Deferred.fromCoroutine(self._reload_users())

    async def _reload_users(self) -> tuple[str, ...]:
        before, clients = self._config, self._config.clients
        if clients.htpasswd is None:
            raise ConfigError("nobody logs in here: there is no htpasswd under [clients]")
        try:
            users = read_users(self._read_file(clients.htpasswd))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"{clients.htpasswd} was not read again, nothing has changed: {why}") from None
        await self._take(replace(before, clients=replace(clients, users=users)))
        told = "; ".join(changes(before, self._config)) or "nothing has changed"
        self._log.info("the users were read again: {changes}", changes=told)
        return tuple(users)

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
