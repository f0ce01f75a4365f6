"""The configuration that counts now, and what happens when another takes its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.logger import Logger

from ..admin.alias_file import AliasChange, Source, keep_alias
from ..config import Config, ConfigError
from ..config.changes import changes
from ..config.naming import with_alias

__all__ = ["CurrentConfiguration"]

# What is read once, when the daemon starts.
_AT_START = ("listen", "data_dir", "cache", "timeouts", "certs", "acme", "metrics")


class CurrentConfiguration:
    """The running configuration.

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
        self.changed: list[Callable[[Config], None]] = []

    def __call__(self) -> Config:
        """Return the configuration that counts now."""
        return self._config

    def reload(self) -> bool:
        """Read it again: all of it counts from now on, or, where there is a mistake in it, nothing; tell which."""
        try:
            read = self._load()
        except ConfigError as error:
            self._log.error("the configuration was not read again, nothing has changed: {error}", error=error)
            return False
        fixed = {key: getattr(self._config, key) for key in _AT_START}
        late = [key for key, value in fixed.items() if getattr(read, key) != value]
        if late:
            self._log.warn("changed, but only a restart changes these: {late}", late=", ".join(late))
        read = replace(read, **fixed)
        told = "; ".join(changes(self._config, read)) or "nothing has changed"
        self._take(read)
        self._log.info("the configuration was read again: {changes}", changes=told)
        return True

    def set_alias(self, label: str, registry: str) -> AliasChange:
        """Add an alias, or with ``""`` take one away; return whether it could be written into the file, too.

        Raises:
            ConfigError: nothing has changed.
        """
        self._take(replace(self._config, names=with_alias(self._config.names, label, registry)))
        change = keep_alias(self._source, label, registry, self._config)
        fate = f"not kept beyond the next reload: {change.why}" if change.why else f"written to {change.file}"
        self._log.info("alias {label}: {registry}, {fate}", label=label, registry=registry or "removed", fate=fate)
        return change

    def _take(self, config: Config) -> None:
        self._config = config
        for changed in self.changed:
            changed(config)
