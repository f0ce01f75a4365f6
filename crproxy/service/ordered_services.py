"""Services that depend on each other: what starts first stops last."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred

__all__ = ["OrderedServices"]


class OrderedServices(MultiService):
    """Services that start together and stop one after the other, the last first."""

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Stop them (IService)."""
        Service.stopService(self)
        for service in reversed(list(self)):
            yield maybeDeferred(service.stopService)
