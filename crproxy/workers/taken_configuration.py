"""The configuration as a worker has it: what the first process tells."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ..admin.alias_file import AliasChange
from ..admin.loaded import Loaded
from ..config import Config
from ..service.current_configuration import Changed
from .together import Together

__all__ = ["TakenConfiguration"]


class TakenConfiguration:
    """The running configuration (crproxy.service.current_configuration.Configuration).

    Arguments:
        config: the one that counts at first.
        together: leads to the first process.
    """

    def __init__(self, config: Config, together: Together) -> None:
        self._config = config
        self._together = together
        self.changed: list[Changed] = []
        together.on("configuration", self._take)

    def __call__(self) -> Config:
        """Return the configuration that counts now."""
        return self._config

    def set_alias(self, label: str, registry: str) -> Deferred[AliasChange]:
        """Have the first process add an alias, or with ``""`` take one away. Fails with ConfigError."""
        return self._together.ask_first("alias", (label, registry))

    def reload_users(self) -> Deferred[tuple[str, ...]]:
        """Have the first process read the htpasswd file again. Fails with ConfigError."""
        return self._together.ask_first("users")

    def loaded(self) -> Deferred[Loaded]:
        """Have the first process say where it comes from, and what is different there now."""
        return self._together.ask_first("loaded")

    def _take(self, config: Config) -> None:
        self._config = config
        for changed in self.changed:
            changed(config)
