"""Where a daemon is to listen, and what for; nothing here does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..admin.endpoint import admin_endpoint
from ..config import Config
from ..transports.servers import Turns

__all__ = ["PortPlan", "port_plans"]


@dataclass(frozen=True, slots=True)
class PortPlan:
    """One place to listen.

    Arguments:
        description: the endpoint string.
        scheme: of its URLs, or ``admin``, ``page``, ``metrics``, ``fleet``, where other nodes ask, ``proxy`` or
            ``proxy_tls``.
        known_as: what clients write for it, if that is not its address; empty where no image is pulled there.
        optional: the daemon runs without it, too.
    """

    description: str
    scheme: str
    known_as: str | None = None
    optional: bool = False

    @property
    def turns(self) -> Turns:
        """When connections turn to TLS."""
        if self.scheme == "proxy":
            return Turns.LATER
        return Turns.FIRST if self.scheme in ("https", "fleet", "proxy_tls") else Turns.NEVER


def port_plans(config: Config) -> Iterator[PortPlan]:
    """Yield the places to listen."""
    for description in config.listen.https:
        yield PortPlan(description, "https", config.names.domain)
    for description in config.listen.http:
        # Where there is TLS, images are pulled by it.
        yield PortPlan(description, "http", "" if config.listen.https else None)
    admin = admin_endpoint(config)
    if admin:
        yield PortPlan(admin, "admin", "", optional=config.listen.admin is None)
    if config.admin.listen is not None:
        yield PortPlan(config.admin.listen, "page", "")
    if config.metrics.listen is not None:
        yield PortPlan(config.metrics.listen, "metrics", "")
    for description in config.forward.listen:
        yield PortPlan(description, "proxy", "")
    for description in config.forward.listen_tls:
        yield PortPlan(description, "proxy_tls", "")
    if config.fleet is not None:
        for description in config.fleet.listen:
            yield PortPlan(description, "fleet", "")
