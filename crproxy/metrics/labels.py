"""Labels that stay few, whatever clients ask for: each of their values is a time series for good.

Prometheus, "Metric and label naming": "Do not use labels to store dimensions with high cardinality".
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from ..config import Config
from ..policy.aliases import BUILT_IN

__all__ = ["NONE", "OTHER", "Registries", "method_label", "status_label"]

OTHER = "other"
NONE = "none"

_METHODS = frozenset({"GET", "HEAD"})
_STATUSES = frozenset(map(int, HTTPStatus))
_BUILT_IN = frozenset(map(str, BUILT_IN.values()))


def method_label(method: str) -> str:
    """Return the label of a request's method: one that registries know, or ``other``."""
    return method if method in _METHODS else OTHER


def status_label(status: int | None) -> str:
    """Return the label of an answer's status: a registered one, ``other``, or ``none`` where there was no answer."""
    if status is None:
        return NONE
    return str(status) if status in _STATUSES else OTHER


class Registries:
    """The labels of registries: those that the configuration or the built-in table names; and of their endpoints.

    Arguments:
        current: returns the configuration that counts now.
    """

    def __init__(self, current: Callable[[], Config]) -> None:
        self._current = current
        self._config: Config | None = None
        self._known: frozenset[str] = frozenset()
        self._endpoints: dict[str, frozenset[str]] = {}

    def label(self, registry: str | None) -> str:
        """Return the label of ``registry``: its name, ``other``, or ``none`` where no registry was asked for."""
        if registry is None:
            return NONE
        self._look()
        return registry if registry in self._known else OTHER

    def endpoints(self, registry: str) -> frozenset[str]:
        """Return the URLs of the endpoints of ``registry`` where there are several; of one there is nothing to tell."""
        self._look()
        return self._endpoints.get(registry, frozenset())

    def _look(self) -> None:
        config = self._current()
        if config is not self._config:
            self._config, self._known, self._endpoints = config, _named_by(config), _several(config)


def _several(config: Config) -> dict[str, frozenset[str]]:
    return {
        str(registry): frozenset(endpoint.endpoint for endpoint in upstream.endpoints)
        for registry, upstream in config.upstreams.items()
        if upstream.fallbacks
    }


def _named_by(config: Config) -> frozenset[str]:
    named = {*config.upstreams, *config.names.aliases.values(), *config.access.named}
    if config.names.default_registry is not None:
        named.add(config.names.default_registry)
    return _BUILT_IN | frozenset(map(str, named))
